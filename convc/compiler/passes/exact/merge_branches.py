"""Merge parallel linear branches of a sum into one convolution, as multi-branch networks deploy.

    conv3x3(x) + conv1x1(x) + x  =  conv3x3'(x)        weights at the same offsets add, an identity is a 1 in the middle

    RepVGG (Ding et al., 2021), ACNet (2019), Diverse Branch Block (2021), MobileOne (Vasu et al., 2023)

Differences merge as sums do. Exact for any kernels, padding, groups and dilations over one stride: all read zeros outside.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ...algebra import LinearMap, scaled, total
from ...ir import Editor, Node
from ...ops.arithmetic import Add, Sub
from ...ops.train import Identity
from ..forms import fresh, planned
from ..linear import Chain, become, chains
from ..rewrite import Match, Miss, Rewrite
from ..worth import Price, price


@dataclass(frozen=True)
class Merge(Match):
    """`node`, the sum; the branches that merge, by their place in it; what they are together; the conv that becomes it."""

    branches: dict[int, Chain]
    map: LinearMap
    survivor: Node


class MergeBranches(Rewrite[Merge], name="merge_branches", root=(Add, Sub)):
    """Merge parallel convolutions, batch norms, means and identities of one value that are summed."""

    exact_when = "the branches are linear, read one value with one stride, and nobody else reads what is inside them"
    worth_when = (
        "the cost model says so: fewer nodes and seldom more MACs, but groups or dilations that differ can cost"
    )

    def match(self, edit: Editor, node: Node) -> Merge | Miss | None:
        ways = self._ways(edit, node)
        answer: Miss | None = None
        for branches in _shared(ways):
            found = self._merged(edit, node, branches)
            if isinstance(found, Merge):
                return found
            answer = answer or found
        return answer

    def _ways(self, edit: Editor, node: Node) -> list[list[Chain]]:
        """For each term, the ways to see it; none where it is broadcast, or stands twice in the sum."""
        if node.train_only:
            return []
        return [
            chains(edit, value, node.name) if edit.type_of(value) == node.type and node.inputs.count(value) == 1 else []
            for value in node.inputs
        ]

    def _merged(self, edit: Editor, node: Node, branches: dict[int, Chain]) -> Merge | Miss:
        negative = isinstance(node.op, Sub)
        maps = [scaled(c.map, -1.0) if negative and place == 1 else c.map for place, c in branches.items()]
        one = total(maps)
        what = _listed(branches)
        if not isinstance(one, LinearMap):
            return Miss(f"{what} cannot merge: {one.reason}")
        survivor = next(conv for chain in branches.values() for conv in chain.convs())
        base = next(iter(branches.values())).base
        conv = planned(edit, fresh(edit, survivor.name), one.conv(), (base,), survivor)
        if conv.type != node.type:
            return Miss(f"{what} cannot merge: together they give {conv.type}, not {node.type}")
        before = price(edit, [node, *(n for chain in branches.values() for n in chain.nodes)])
        after = price(edit, [conv]).plus(self._left(edit, node, branches))
        verdict = self.worth.judge(before, after)
        return Merge(node, branches, one, survivor) if verdict.pays else Miss(f"{what} could merge: {verdict.reason}")

    def _left(self, edit: Editor, node: Node, branches: dict[int, Chain]) -> Price:
        """What the sum costs afterwards."""
        rest = len(node.inputs) - len(branches)
        if not rest:
            return Price()
        return price(edit, [planned(edit, fresh(edit, node.name), node.op, (node.inputs[0],) * (rest + 1), node)])

    def rewrite(self, edit: Editor, match: Merge) -> None:
        node, survivor = match.node, match.survivor
        own = next(chain for chain in match.branches.values() if survivor in chain.nodes)
        at = own.nodes.index(survivor)
        gone = [n for chain in match.branches.values() for n in chain.nodes if n is not survivor]
        edit.include(survivor.name)  # as it is now, before others read it
        if len(match.branches) == len(node.inputs):
            edit.bypass(node.name, survivor.name)
            gone.append(node)
        else:
            first = min(match.branches)
            kept = [value for place, value in enumerate(node.inputs) if place == first or place not in match.branches]
            kept[kept.index(node.inputs[first])] = survivor.name
            # The survivor may have other channels until it becomes the sum: for a moment it is not added up.
            edit.set_op(node.name, Identity())
            edit.set_inputs(node.name, tuple(kept))
        for chain in match.branches.values():
            behind = own.nodes[at + 1 :] if chain is own else chain.nodes
            for other in reversed(behind):
                edit.drop(other.name)
        become(edit, survivor, own.base, match.map, gone)
        for other in reversed(own.nodes[:at]):
            edit.drop(other.name)
        if len(match.branches) < len(node.inputs):
            edit.set_op(node.name, node.op)


def _shared(ways: list[list[Chain]]) -> Iterator[dict[int, Chain]]:
    """Branches of one value, with a convolution among them, those that take in most terms first."""
    by_base: dict[str, dict[int, Chain]] = {}
    for place, found in enumerate(ways):
        for chain in found:
            by_base.setdefault(chain.base, {})[place] = chain
    groups = [group for group in by_base.values() if len(group) > 1 and any(chain.convs() for chain in group.values())]
    return iter(sorted(groups, key=len, reverse=True))


def _listed(branches: dict[int, Chain]) -> str:
    names = [" -> ".join(node.name for node in chain.nodes) or chain.base for chain in branches.values()]
    return f"the branches {', '.join(map(repr, names))} of {next(iter(branches.values())).base!r}"
