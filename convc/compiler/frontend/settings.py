"""What is set from outside: a spec's parameters by its variants, by `--set` and from Python, and the sizes of its inputs.

--set  over  the variant  over  the declared defaults, of which later ones see the earlier values
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import SpecError, UsageError
from .arguments import default, given_data
from .declarations import Param
from .document import parse, plain
from .spec import SpecFile
from .steps import fail, near
from .values import Env


@dataclass(frozen=True)
class Options:
    """What overrides a spec from outside: `--set`, `--batch`, `--size`. None keeps the spec's."""

    values: Mapping[str, Any] = field(default_factory=dict)
    batch: int | str | None = None
    size: Sequence[int] | str | None = None


def spec_params(spec: SpecFile, variant: str | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """The spec's parameters. Raises UsageError for what the caller got wrong, SpecError for what the file did."""
    if variant is not None and variant not in spec.variants:
        hint = near(variant, spec.variants) or f"variants: {', '.join(spec.variants) or 'none'}"
        raise UsageError(f"{spec.source.name} has no variant {variant!r}", hint=hint)
    chosen = {} if variant is None else variant_data(spec, variant)
    for name, value in given.items():
        if name not in spec.params:
            hint = near(name, spec.params) or f"parameters: {', '.join(spec.params) or 'none'}"
            raise UsageError(f"{spec.name} has no parameter {name!r}", hint=hint)
        if (found := _set(spec.params[name], value)) is not None:
            chosen[name] = found
    values: dict[str, Any] = {}
    for name, param in spec.params.items():
        value = chosen.get(name)
        if value is None and param.required:
            raise UsageError(f"{spec.name} needs a value for {name!r}", hint=f"--set {name}=... ({param.type})")
        values[name] = default(param, Env(values)) if value is None else value
    return values


def variant_data(spec: SpecFile, variant: str) -> dict[str, Any]:
    """What a variant gives, checked against the declared types; raises SpecError at its place. Null counts as not given."""
    found: dict[str, Any] = {}
    for key, tree in spec.variants[variant].entries:
        param = spec.params.get(key.text)
        if param is None:
            hint = near(key.text, spec.params) or f"parameters: {', '.join(spec.params) or 'none'}"
            fail(f"variant {variant!r} sets {key.text!r}, which is no parameter", key.mark, hint)
        found[key.text] = given_data(param, plain(tree), tree.mark, f"variant {variant!r}:")
    return found


def declared_values(spec: SpecFile) -> dict[str, Any]:
    """The parameters of a file as it declares them; those that have no default are left out."""
    values: dict[str, Any] = {}
    for name, param in spec.params.items():
        if not param.required:
            values[name] = default(param, Env(values))
    return values


def _set(param: Param, value: Any) -> Any:
    """What `--set` got wrong is a matter of arguments, not of the file."""
    try:
        return given_data(param, _read(param, value), param.mark, "--set")
    except SpecError as error:
        raise UsageError(error.message, hint=error.hint) from error


def _read(param: Param, value: Any) -> Any:
    """`--set widths=[1, 2]` is data, read as YAML reads it; for a text, `--set tag=012` is that text."""
    if not isinstance(value, str) or not value.strip():
        return value
    try:
        found = plain(parse(value, "--set"))
    except SpecError as error:
        raise UsageError(f"--set {param.name}={value}: {error.message}", hint=error.hint) from error
    return value if param.type == "text" and found is not None and not isinstance(found, str) else found
