"""Joins a network and a checkpoint: the spec's families are read, one is detected, and its numbers become the model's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..compiler.errors import ConvcError, Problem, SpecError
from ..compiler.frontend.arguments import expression
from ..compiler.frontend.document import Map, Scalar, Seq, Tree
from ..compiler.frontend.network import Network
from ..compiler.frontend.preprocess import read_preprocess
from ..compiler.frontend.steps import describe, fail, near
from ..compiler.frontend.values import Env
from ..compiler.weights import Exact, Family, RuleError, Rules, load_parameters, names_table, read_checkpoint
from ..compiler.weights.families import find_family

if TYPE_CHECKING:
    from ..compiler.ir import Model
    from .net import Net

FAMILY_KEYS = ("names", "old", "ignore", "preprocess", "exact")


@dataclass(frozen=True)
class Numbers:
    """A model with numbers, and where they are from. `sha256` is empty for random weights.

    `families` is each family's section of the resolved spec: `exact` (our tensor -> their tensor), and its conventions.
    """

    model: Model
    sha256: str
    family: str
    notes: tuple[str, ...]
    absent: tuple[str, ...]
    unused: tuple[str, ...]
    preprocess: Mapping[str, Any]
    families: Mapping[str, Mapping[str, Any]]
    seed: int

    def described(self) -> dict[str, Any]:
        """For the manifest; no path."""
        if not self.sha256:
            return {"seed": self.seed, "note": "random weights: not for deployment"}
        found: dict[str, Any] = {"sha256": self.sha256, "family": self.family, "notes": list(self.notes)}
        if self.absent:
            found["absent"] = list(self.absent)
        if self.unused:
            found["unused"] = list(self.unused)
        return found


def load_model(network: Network, path: Path | None, family: str | None, seed: int) -> Numbers:
    """The network's model. Raises WeightsError, SpecError (a rule of the spec's), UsageError (no such family)."""
    from ..compiler.frontend.build import to_model

    families = read_families(network)
    names = _names(network, families)
    if path is None:
        if family is not None:
            find_family(families, family)
        return Numbers(to_model(network, seed=seed), "", "", (), (), (), network.preprocess, names, seed)
    checkpoint = read_checkpoint(path)
    try:
        loaded = load_parameters(network.param_types, checkpoint, families, family, network.optional)
    except RuleError as error:
        raise _at_rule(network, error) from error
    model = to_model(network, loaded.params, seed)
    preprocess = loaded.preprocess if isinstance(loaded.preprocess, Mapping) else network.preprocess
    notes = (*loaded.notes, *_replaced(network.preprocess, preprocess, loaded.family))
    return Numbers(
        model, checkpoint.sha256, loaded.family, notes, loaded.absent, loaded.unused, preprocess, names, seed
    )


def _replaced(spec: Mapping[str, Any], used: Mapping[str, Any], family: str) -> list[str]:
    """Published weights of some families were trained on inputs of their own: that must not happen in silence."""
    changed = [f"{key} {used[key]}" for key in used if used[key] != spec.get(key)]
    if not changed:
        return []
    return [
        f"the published {family} weights want a preprocessing of their own, which the model now states: {', '.join(changed)}"
    ]


def read_families(network: Network) -> dict[str, Family]:
    """The families that a spec's `checkpoints:` gives; raises SpecError at the rule that is wrong."""
    tree = network.spec.checkpoints
    return {} if tree is None else {str(k.value): _family(network, k, v) for k, v in tree.entries}


def family_rows(net: Net, family: str) -> list[tuple[str, str, tuple[int, ...]]]:
    """Both names of every tensor and its shape, for `convc show SPEC --family`."""
    families = read_families(net.network)
    types = net.network.param_types
    try:
        pairs = names_table(types, find_family(families, family))
    except RuleError as error:
        raise _at_rule(net.network, error) from error
    return [(ours, theirs, types[ours].shape) for ours, theirs in pairs]


def _names(network: Network, families: Mapping[str, Family]) -> dict[str, dict[str, Any]]:
    tree = network.spec.checkpoints
    entries = {} if tree is None else {str(key.value): value for key, value in tree.entries}
    try:
        return {name: _resolved(network, family, entries[name]) for name, family in families.items()}
    except RuleError as error:
        raise _at_rule(network, error) from error


def _resolved(network: Network, family: Family, tree: Tree) -> dict[str, Any]:
    """The family's section with its names written out; what is not said stays unsaid."""
    exact = dict(names_table(network.param_types, family))
    if not isinstance(tree, Map) or not _has_parts(tree):
        return {"exact": exact}
    parts = {str(key.value): value for key, value in tree.entries}
    old = {str(left): right for left, right in _pairs(parts.get("old"))}
    found = {"preprocess": family.preprocess, "old": old, "ignore": _texts(parts.get("ignore"))}
    return {**{name: value for name, value in found.items() if value}, "exact": exact}


def _has_parts(tree: Map) -> bool:
    """Whether a family is written in parts (`names:`, `old:` ...) or is its rules alone."""
    keys = {str(key.value) for key, _ in tree.entries}
    return bool({"names", "exact"} & keys) and all(isinstance(value, (Map, Seq)) for _, value in tree.entries)


def _family(network: Network, key: Scalar, tree: Tree) -> Family:
    if not isinstance(tree, Map):
        fail(f"family {key.value!r} is {describe(tree)}, expected rules from our names to theirs", tree.mark)
    parts = {str(k.value): (k, v) for k, v in tree.entries}
    evaluate = _evaluator(network, key)
    try:
        if not _has_parts(tree):
            return Family.compile(str(key.value), _pairs(tree), evaluate)
        for name, (where, _) in parts.items():
            if name not in FAMILY_KEYS:
                fail(
                    f"a family has no key {name!r}",
                    where.mark,
                    near(name, FAMILY_KEYS) or f"keys: {', '.join(FAMILY_KEYS)}",
                )
        found = {name: value for name, (_, value) in parts.items()}
        family = Family.compile(
            str(key.value),
            _pairs(found.get("names")),
            evaluate,
            old=_pairs(found.get("old")),
            ignore=_texts(found.get("ignore")),
            preprocess=_preprocess(found.get("preprocess"), network),
        )
        return family if "exact" not in found else _exact(family, found["exact"])
    except RuleError as error:
        raise SpecError(Problem(error.message, key.mark, error.hint)) from error


def _exact(family: Family, tree: Tree) -> Family:
    from dataclasses import replace

    return replace(family, names=Exact({str(a): str(b) for a, b in _pairs(tree)}))


def _pairs(tree: Tree | None) -> list[tuple[object, object]]:
    if tree is None:
        return []
    if not isinstance(tree, Map):
        fail(f"rules are {describe(tree)}, expected a mapping from our names to theirs", tree.mark)
    pairs: list[tuple[object, object]] = []
    for left, right in tree.entries:
        if not isinstance(right, Scalar):
            fail(f"the rule `{left.value}` leads to {describe(right)}, expected a name", right.mark)
        pairs.append((left.text, None if right.value is None else right.text))
    return pairs


def _texts(tree: Tree | None) -> list[str]:
    return [item.text for item in tree.items if isinstance(item, Scalar)] if isinstance(tree, Seq) else []


def _preprocess(tree: Tree | None, network: Network) -> Mapping[str, Any] | None:
    """What replaces keys of the spec's preprocessing where this family's checkpoint is used."""
    if not isinstance(tree, Map):
        return None
    return {**network.preprocess, **read_preprocess(tree, Env(network.params))}


def _evaluator(network: Network, key: Scalar) -> Callable[[str, Mapping[str, int]], object]:
    def evaluate(text: str, numbers: Mapping[str, int]) -> object:
        try:
            return expression(Scalar(text, key.mark, False, text), Env({**network.params, **numbers}))
        except SpecError as error:
            raise ConvcError(error.problems[0].message, hint=error.problems[0].hint) from error

    return evaluate


def _at_rule(network: Network, error: RuleError) -> SpecError:
    tree = network.spec.checkpoints
    mark = tree.mark if tree is not None else network.spec.mark
    return SpecError(Problem(error.message, mark, error.hint))


__all__ = ["Numbers", "Rules", "family_rows", "load_model", "read_families"]
