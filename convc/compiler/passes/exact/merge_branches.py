"""Merge parallel linear branches of a sum into one convolution, as multi-branch networks deploy.

    conv3x3(x) + conv1x1(x) + x        =  conv3x3'(x)        weights at the same offsets add, an identity is a 1 in the middle
    (conv3x3(x) + s) - conv1x1(x)      =  conv3x3'(x) + s    sums of sums are one sum, and strangers in it stay

    RepVGG (Ding et al., 2021), ACNet (2019), Diverse Branch Block (2021), MobileOne (Vasu et al., 2023)

Differences merge as sums do. Exact for any kernels, padding, groups and dilations over one stride: all read zeros outside.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...algebra import LinearMap, scaled, total
from ...ir import Editor, Node
from ...ops.arithmetic import Add, Sub
from ...ops.conv import Conv
from ..forms import planned
from ..linear import Chain, Ways, become, ways
from ..rewrite import Match, Miss, Rewrite
from ..sums import Rebuilt, Sums, flattened, is_inner, rebuilt, rewrite
from ..worth import price

# Of a group of more branches than these, which does not pay as a whole, no parts are tried.
_MOST = 8

# Branches by their place among the terms.
Branches = dict[int, Chain]


@dataclass(frozen=True)
class Group:
    """Branches of one value, what they are together, the convolution that becomes it, and the seconds that it saves."""

    branches: Branches
    map: LinearMap
    survivor: Node
    conv: Node
    gain: float

    def own(self) -> Chain:
        """The branch that the survivor is in."""
        return next(chain for chain in self.branches.values() if self.survivor in chain.nodes)


def _became(branches: Branches, survivor: Node) -> dict[int, str | None]:
    """The first branch becomes the survivor, the others are gone."""
    first = min(branches)
    return {at: survivor.name if at == first else None for at in branches}


@dataclass(frozen=True)
class Merge(Match):
    """`node`, the sum; the groups that merge; what is left of it."""

    groups: tuple[Group, ...]
    left: Rebuilt


class MergeBranches(Rewrite[Merge], name="merge_branches", root=(Add, Sub)):
    """Merge parallel convolutions, batch norms, means and identities of one value that are summed, in sums of sums too."""

    exact_when = "the branches are linear, read one value with one stride, and nobody else reads what is inside them"
    worth_when = (
        "the cost model says so: fewer nodes and seldom more MACs, but groups or dilations that differ can cost"
    )

    def match(self, edit: Editor, node: Node) -> Merge | Miss | None:
        if node.train_only or is_inner(edit, node):
            return None
        tree = flattened(edit, node)
        found = [self._ways(edit, tree, at) for at in range(len(tree.terms))]
        groups: list[Group] = []
        answer: Miss | None = None
        for branches in _shared(found):
            taken = {at for group in groups for at in group.branches}
            here = {at: chain for at, chain in branches.items() if at not in taken}
            if not _may_merge(here):
                continue
            group = self._best(edit, tree, here)
            if isinstance(group, Group):
                groups.append(group)
            answer = answer or (group if isinstance(group, Miss) else None)
        if not groups:
            return answer or _ended(found)
        types = {group.survivor.name: group.conv.type for group in groups}
        became = {at: value for group in groups for at, value in _became(group.branches, group.survivor).items()}
        return Merge(node, tuple(groups), rebuilt(edit, tree, became, types))

    def _ways(self, edit: Editor, tree: Sums, at: int) -> Ways:
        """The ways to see a term; none where it is broadcast."""
        term = tree.terms[at]
        if edit.type_of(term.value) != tree.root.type:
            return Ways()
        return ways(edit, term.value, term.reader, tree.counts[term.value] == 1)

    def _best(self, edit: Editor, tree: Sums, branches: Branches) -> Group | Miss:
        """All branches, or the part of them that saves most: from each convolution on, whichever of the others adds to that."""
        whole = self._merged(edit, tree, branches)
        if isinstance(whole, Group) or not 2 < len(branches) <= _MOST:
            return whole
        best: Group | None = None
        for seed in (at for at, chain in branches.items() if chain.convs()):
            grown: Group | None = None
            for at in branches:
                if at == seed:
                    continue
                part = {seed, at, *(grown.branches if grown else ())}
                more = self._merged(edit, tree, {k: branches[k] for k in branches if k in part})
                if isinstance(more, Group) and self._better(more, grown):
                    grown = more
            best = grown if grown is not None and self._better(grown, best) else best
        return best or whole

    def _better(self, one: Group, other: Group | None) -> bool:
        if other is None or not self.worth.enabled:
            return other is None or len(one.branches) > len(other.branches)
        return one.gain > other.gain

    def _merged(self, edit: Editor, tree: Sums, branches: Branches) -> Group | Miss:
        signs = {at: tree.terms[at].positive for at in branches}
        first = signs[min(branches)]
        maps = [scaled(c.map, -1.0) if signs[at] != first else c.map for at, c in branches.items()]
        one = total(maps)
        what = _listed(branches)
        if not isinstance(one, LinearMap):
            return Miss(f"{what} cannot merge: {one.reason}")
        survivor = next(conv for chain in branches.values() for conv in chain.convs())
        base = next(iter(branches.values())).base
        conv = planned(edit, survivor.name, one.conv(), (base,), survivor)
        if conv.type != tree.root.type:
            return Miss(f"{what} cannot merge: together they give {conv.type}, not {tree.root.type}")
        left = rebuilt(edit, tree, _became(branches, survivor), {survivor.name: conv.type})
        before = price(edit, [*left.touched, *(n for chain in branches.values() for n in chain.nodes)])
        after = price(edit, [conv, *left.sums])
        verdict = self.worth.judge(before, after)
        gain = self.worth.seconds(before) - self.worth.seconds(after)
        return (
            Group(branches, one, survivor, conv, gain)
            if verdict.pays
            else Miss(f"{what} could merge: {verdict.reason}")
        )

    def rewrite(self, edit: Editor, match: Merge) -> None:
        for group in match.groups:
            edit.include(group.survivor.name)  # as it is now, before others read it
        kept = {node.name for node in match.left.sums}
        gone = [node for node in match.left.touched if node.name not in kept]

        def between() -> None:
            for group in match.groups:
                _become(edit, group)

        rewrite(edit, match.left, match.groups[0].own().base, between)
        for node in gone:
            edit.add_origins(match.groups[0].survivor.name, node.origins)


def _become(edit: Editor, group: Group) -> None:
    """Let the survivor be the group; nobody reads the ends of its branches."""
    survivor, own = group.survivor, group.own()
    at = own.nodes.index(survivor)
    gone = [node for chain in group.branches.values() for node in chain.nodes if node is not survivor]
    for chain in group.branches.values():
        for node in reversed(own.nodes[at + 1 :] if chain is own else chain.nodes):
            edit.drop(node.name)
    become(edit, survivor, own.base, group.map, gone)
    for node in reversed(own.nodes[:at]):
        edit.drop(node.name)


def _shared(found: list[Ways]) -> list[Branches]:
    """Branches of one value, those that take in most terms first."""
    by_base: dict[str, Branches] = {}
    for at, one in enumerate(found):
        for chain in one.chains:
            by_base.setdefault(chain.base, {})[at] = chain
    return sorted((group for group in by_base.values() if _may_merge(group)), key=len, reverse=True)


def _may_merge(branches: Branches) -> bool:
    return len(branches) > 1 and any(chain.convs() for chain in branches.values())


def _ended(found: list[Ways]) -> Miss | None:
    """Why a branch is none, where another begins at the value that it reads."""
    bases: dict[str, set[int]] = {}
    for at, one in enumerate(found):
        for base in (*(chain.base for chain in one.chains), *(one.end.inputs[:1] if one.end is not None else ())):
            bases.setdefault(base, set()).add(at)
    for one in found:
        if one.end is not None and isinstance(one.end.op, Conv) and len(bases[one.end.inputs[0]]) > 1:
            return Miss(f"the branch {one.end.name!r} of {one.end.inputs[0]!r} cannot merge: {one.why}")
    return None


def _listed(branches: Branches) -> str:
    names = [" -> ".join(node.name for node in chain.nodes) or chain.base for chain in branches.values()]
    return f"the branches {', '.join(map(repr, names))} of {next(iter(branches.values())).base!r}"
