"""Remove what no output of the network needs: auxiliary heads, and whatever else nobody reads.

    live(n)  =  n is an output, or a live node reads n

Outputs of the train form go first, so that the heads behind them are read by nobody.
"""

from __future__ import annotations

from ...ir import Editor, Node, Op
from ..rewrite import Match, Rewrite


class DropDead(Rewrite[Match], name="drop_dead", root=Op):
    """Remove auxiliary heads and other nodes that no output needs."""

    exact_when = "nobody reads the node and it is no output of the deployed network"
    worth_when = "always"

    def prepare(self, edit: Editor) -> None:
        with edit.region(self.name, "train outputs"):
            edit.drop_train_outputs()

    def match(self, edit: Editor, node: Node) -> Match | None:
        return None if edit.users(node.name) or edit.is_output(node.name) else Match(node)

    def rewrite(self, edit: Editor, match: Match) -> None:
        edit.drop(match.node.name)
