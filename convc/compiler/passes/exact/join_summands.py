"""Sum convolutions of different values inside one: of the values concatenated, with the weights side by side.

    conv_a(x) + conv_b(z)  =  conv_ab(concat(x, z))        W[o] = [A[o], B[o]] along the input channels, b = b_a + b_b

The multiplications stay as many where the kernels are of one size; the sum goes, and a concat comes. That moves fewer bytes
where the inputs together have fewer channels than the output, unless the runtime makes the sum part of a convolution: then the
output is written once already, and the copies are for nothing. A concat that a convolution alone reads is joined as its parts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from ...algebra import LinearMap, Why, joined, scaled
from ...ir import Editor, Node, TensorType
from ...ops.arithmetic import Add, Sub
from ...ops.conv import Conv
from ...ops.join import Concat
from ..forms import fresh, only_reader, planned, why_not_alone
from ..linear import become, linear_map
from ..rewrite import Match, Miss, Rewrite
from ..sums import Rebuilt, Sums, flattened, is_inner, rebuilt, rewrite
from ..worth import Price, fuses, price

_CHANNELS = 1
# Of more convolutions than these the others are left alone: parts of them are tried, the smallest inputs first.
_MOST = 16


@dataclass(frozen=True)
class Summand:
    """A convolution that is a term, by its place among the terms, and what it computes."""

    at: int
    conv: Node
    map: LinearMap


@dataclass(frozen=True)
class Join(Match):
    """`node`, the sum; the convolutions, of which the first becomes `map` of the concat; what is left of the sum."""

    convs: tuple[Node, ...]
    map: LinearMap
    concat: Node
    gone: tuple[Node, ...]
    left: Rebuilt
    gain: float = 0.0


class JoinSummands(Rewrite[Join], name="join_summands", root=(Add, Sub)):
    """Make a sum of convolutions of different values one convolution of these values concatenated."""

    exact_when = (
        "they have one stride and no groups, read values of one size, pad with zeros, and are read by the sum alone"
    )
    worth_when = (
        "the cost model says so: the inputs, which are copied, have few channels, and no convolution does the sum"
    )

    def match(self, edit: Editor, node: Node) -> Join | Miss | None:
        if node.train_only or is_inner(edit, node):
            return None
        tree = flattened(edit, node)
        found, why = self._summands(edit, tree)
        if len(found) < 2:
            return why
        whole = self._judged(edit, tree, found)
        if isinstance(whole, Join) or len(found) == 2:
            return whole
        # The fewer channels are copied, the better: what joins the smallest inputs pays, if anything does.
        found.sort(key=lambda one: one.map.inputs)
        parts = (self._judged(edit, tree, found[:count]) for count in range(2, len(found)))
        return max((one for one in parts if isinstance(one, Join)), key=lambda one: one.gain, default=whole)

    def _summands(self, edit: Editor, tree: Sums) -> tuple[list[Summand], Miss | None]:
        """The convolutions among the terms that fit the first, each of another value; why one of them is none."""
        found: list[Summand] = []
        why: Miss | None = None
        convs = 0
        for at, term in enumerate(tree.terms):
            conv = edit.node(term.value)
            if conv is None or not isinstance(conv.op, Conv) or conv.train_only or len(found) == _MOST:
                continue
            convs += 1
            one = self._map(edit, tree, at, conv)
            if isinstance(one, LinearMap) and any(conv.inputs == other.conv.inputs for other in found):
                one = Why("another convolution of the sum reads the same value")
            if isinstance(one, LinearMap) and found:
                one = _unlike(edit, found[0].conv, conv) or one
            if isinstance(one, LinearMap):
                found.append(Summand(at, conv, one))
            else:
                why = why or Miss(f"{conv.name!r} cannot join the sum: {one.reason}")
        return found, why if convs > 1 else None

    def _map(self, edit: Editor, tree: Sums, at: int, conv: Node) -> LinearMap | Why:
        """What a convolution adds to the sum."""
        term = tree.terms[at]
        if conv.type != tree.root.type or tree.counts[conv.name] > 1:
            return Why("it stands in the sum more than once, or is repeated along an axis")
        if (shared := why_not_alone(edit, conv.name, term.reader)) is not None:
            return Why(shared)
        one = linear_map(edit, conv)
        if not isinstance(one, LinearMap):
            return one or Why("it is no map of feature maps")
        return one if one.groups == 1 else Why("it has groups: each output would read a part of each input")

    def _judged(self, edit: Editor, tree: Sums, found: list[Summand]) -> Join | Miss:
        found = sorted(found, key=lambda one: one.at)
        first = found[0]
        sign = tree.terms[first.at].positive
        maps = [one.map if tree.terms[one.at].positive == sign else scaled(one.map, -1.0) for one in found]
        what = ", ".join(repr(one.conv.name) for one in found)
        one = joined(maps)
        if not isinstance(one, LinearMap):
            return Miss(f"{what} cannot join: {one.reason}")
        values, gone = _parts(edit, [one.conv for one in found])
        concat = planned(edit, fresh(edit, f"{first.conv.name}/inputs"), Concat(), values, first.conv)
        given = {concat.name: concat.type}
        conv = planned(edit, first.conv.name, one.conv(), (concat.name,), first.conv, given=given)
        if conv.type != tree.root.type:
            return Miss(f"{what} cannot join: together they give {conv.type}, not {tree.root.type}")
        became = {other.at: None for other in found[1:]} | {first.at: conv.name}
        left = rebuilt(edit, tree, became, {conv.name: conv.type})
        readers = {node.name for node in tree.nodes}
        given |= {node.name: node.type for node in (conv, *left.sums)}
        before = price(edit, [*(one.conv for one in found), *gone]).plus(_summed(edit, left.touched, readers, {}))
        after = price(edit, [concat, conv]).plus(_summed(edit, left.sums, readers, given))
        verdict = self.worth.judge(before, after)
        if not verdict.pays:
            return Miss(f"{what} could join: {verdict.reason}")
        gain = self.worth.seconds(before) - self.worth.seconds(after)
        return Join(tree.root, tuple(one.conv for one in found), one, concat, gone, left, gain)

    def rewrite(self, edit: Editor, match: Join) -> None:
        first, *others = match.convs
        edit.include(first.name)  # as it is now, before others read it
        kept = {node.name for node in match.left.sums}

        def between() -> None:
            for other in others:
                edit.drop(other.name)
            edit.insert(match.concat, {}, before=first.name)
            become(edit, first, match.concat.name, match.map, others)
            for old in match.gone:
                edit.drop(old.name)

        rewrite(edit, match.left, match.concat.inputs[0], between)
        for old in match.gone:
            edit.add_origins(match.concat.name, old.origins)
        for node in match.left.touched:
            if node.name not in kept:
                edit.add_origins(first.name, node.origins)


def _unlike(edit: Editor, first: Node, conv: Node) -> Why | None:
    """Why what two convolutions read cannot be concatenated, or with what stride."""
    x, z = edit.type_of(first.inputs[0]), edit.type_of(conv.inputs[0])
    if (x.shape[0], x.spatial, x.dtype) != (z.shape[0], z.spatial, z.dtype):
        return Why(f"it reads {z}, {first.name!r} reads {x}")
    assert isinstance(first.op, Conv)
    assert isinstance(conv.op, Conv)
    strides = conv.op.window().stride, first.op.window().stride
    return None if strides[0] == strides[1] else Why(f"its stride is {strides[0]}, that of {first.name!r} {strides[1]}")


def _summed(edit: Editor, sums: Iterable[Node], readers: Collection[str], given: Mapping[str, TensorType]) -> Price:
    """What sums cost. One that is part of a convolution adds where that writes, moves nothing, and saves a write."""
    total = Price()
    for node in sums:
        whole = price(edit, [node], given)
        # Of its operands and its output each has this many bytes, or fewer.
        each = whole.bytes // (len(node.inputs) + 1)
        total = total.plus(Price(0, -each, 0) if fuses(edit, node, readers) else whole)
    return total


def _parts(edit: Editor, convs: list[Node]) -> tuple[tuple[str, ...], tuple[Node, ...]]:
    """What convolutions read, concats that they alone read in parts; these concats."""
    values: list[str] = []
    gone: list[Node] = []
    for conv in convs:
        source = edit.node(conv.inputs[0])
        joins = source is not None and isinstance(source.op, Concat) and source.op.axis == _CHANNELS
        if source is not None and joins and only_reader(edit, source.name) and source.train_only == conv.train_only:
            values += source.inputs
            gone.append(source)
        else:
            values.append(conv.inputs[0])
    return tuple(values), tuple(gone)
