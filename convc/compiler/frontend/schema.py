"""JSON Schema of the spec language, from the operators' fields and the library's blocks: editors check and complete with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..ir import REGISTRY, Field, Op
from .arguments import PADDING_WORDS
from .calls import LIKE, takes_like
from .merging import MERGES, NO_MERGE
from .preprocess import COLOURS
from .spec import BLOCK_KEYS, TOP_KEYS, Block
from .steps import COMBINATORS, COMMON, VALUE_HEADS

SCHEMA = "https://json-schema.org/draft/2020-12/schema"
Json = dict[str, Any]
_EXPRESSION: Json = {"type": ["string", "number", "boolean"]}
_STEPS: Json = {"type": "array", "items": {"$ref": "#/$defs/step"}}
_READ: Json = {"type": "string", "pattern": r"^\$", "description": "a text parameter"}
_REFERENCE: Json = {"type": ["string", "number", "array"]}


def language_schema(blocks: Mapping[str, Block]) -> Json:
    """The schema of a spec file; `blocks` are the library's, offered beside a file's own."""
    from ..ops import OPS

    assert OPS
    return {
        "$schema": SCHEMA,
        "title": "convc spec, language version 1",
        "type": "object",
        "additionalProperties": False,
        "properties": {name: _TOP[name] for name in TOP_KEYS},
        "required": ["convc"],
        "$defs": {"step": _step(blocks), "steps": _STEPS, "branch": _branch()},
    }


def operator_schema(cls: type[Op]) -> Json:
    """What an operator may be given: its principal argument alone, or a mapping of its fields."""
    fields = cls.fields()
    properties = {name: _field(field) for name, field in fields.items()}
    if takes_like(cls):
        properties[LIKE] = {**_REFERENCE, "description": "a second value, whose size it takes"}
    mapping: Json = {"type": "object", "additionalProperties": False, "properties": properties}
    forms: list[Json] = [{"type": "null"}, mapping]
    if cls.name in VALUE_HEADS:
        forms += [{"type": "array", "items": _REFERENCE}, {"type": "string"}]
    elif cls.principal is not None:
        forms.append(_field(fields[cls.principal]))
    return {"description": _first_line(cls.__doc__), "anyOf": forms}


def _step(blocks: Mapping[str, Block]) -> Json:
    heads: Json = {name: operator_schema(cls) for name, cls in REGISTRY.items()}
    heads.update({name: _block(block) for name, block in blocks.items()})
    heads.update(_WIRING)
    options = {
        "in": {"description": "the rows of a `for`"},
        "do": _STEPS,
        "merge": {"anyOf": [_words((*MERGES, NO_MERGE)), _READ]},
        "shortcut": _STEPS,
        "shortcut_when": _EXPRESSION,
        "sizes": {"type": ["array", "string"]},
        "axis": _EXPRESSION,
    }
    return {
        "anyOf": [
            {"type": "string", "description": "an operator or a block with its defaults"},
            {
                "type": "object",
                "properties": {**heads, **options, **_BESIDE},
                "minProperties": 1,
                "dependentRequired": {"for": ["in", "do"]},
            },
        ]
    }


def _block(block: Block) -> Json:
    properties = {name: {"description": param.doc} if param.doc else {} for name, param in block.params.items()}
    mapping: Json = {"type": "object", "additionalProperties": False, "properties": properties}
    return {"description": _first_line(block.doc), "anyOf": [{"type": ["null", "string", "number", "array"]}, mapping]}


def _field(field: Field) -> Json:
    schema = dict(_KINDS.get(field.kind, {}))
    if field.kind == "word":
        schema = {"anyOf": [_words(field.choices), _READ]}
    return {"description": field.doc, **schema}


def _branch() -> Json:
    guarded = {"type": "object", "properties": {"when": _EXPRESSION, "do": _STEPS}, "additionalProperties": False}
    return {"anyOf": [_STEPS, guarded, {"type": "null"}]}


def _first_line(text: str | None) -> str:
    return (text or "").strip().split("\n", 1)[0]


def _words(words: Iterable[str]) -> Json:
    return {"enum": list(words)}


_NUMERIC: Json = {"type": ["integer", "string"]}
_LISTED: Json = {"type": ["integer", "string", "array"]}
_KINDS: Mapping[str, Json] = {
    "size": _NUMERIC,
    "count": _NUMERIC,
    "int": _NUMERIC,
    "dim": _NUMERIC,
    "number": {"type": ["number", "string"]},
    "bool": {"type": ["boolean", "string"]},
    "text": {"type": "string"},
    "spatial": _LISTED,
    "spatial0": _LISTED,
    "padding": {"anyOf": [_words(PADDING_WORDS), _LISTED]},
    "ints": _LISTED,
    "dims": _LISTED,
    "numbers": {"type": ["number", "string", "array"]},
}
_BESIDE: Json = {
    "id": {"type": "string", "description": "the step's name: a part of parameter names"},
    "from": {**_REFERENCE, "description": "what the step reads; the step before, if left out"},
    "when": {**_EXPRESSION, "description": "if false, the step is as if it were not written"},
    "repeat": {**_EXPRESSION, "description": "how often the step runs in a chain; binds i"},
    "train_only": {"type": "boolean", "description": "a side branch of the train form"},
    "source": {"type": "string", "description": "written by convc in spec.resolved.yaml"},
}
_WIRING: Json = {
    "seq": _STEPS,
    "residual": _STEPS,
    "share": _STEPS,
    "use": {"type": "string"},
    "for": {"type": ["string", "array"]},
    "branches": {"type": "object", "additionalProperties": {"$ref": "#/$defs/branch"}},
    "split": {},
    "act": {"type": ["string", "object"]},
}
_OBJECT: Json = {"type": "object"}
_REASONS: Json = {"type": "object", "additionalProperties": {"type": "string"}}
_TOP: Mapping[str, Json] = {
    "convc": {"const": 1},
    "name": {"type": "string"},
    "doc": {"type": "string"},
    "params": _OBJECT,
    "require": _REASONS,
    "variants": {"type": "object", "additionalProperties": {"type": ["object", "null"]}},
    "symbols": {
        "type": "object",
        "additionalProperties": {
            "type": ["object", "null"],
            "properties": {name: {"type": "integer", "minimum": 1} for name in ("multiple", "min")},
            "additionalProperties": False,
        },
    },
    "import": {"type": "array", "items": {"type": "string"}},
    "defaults": _OBJECT,
    "input": {"type": "object", "minProperties": 1},
    "blocks": {
        "type": "object",
        "additionalProperties": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                **{key: {} for key in BLOCK_KEYS},
                "params": _OBJECT,
                "require": _REASONS,
                "inputs": {"type": "array", "items": {"type": "string"}},
                "outputs": {"type": "array", "items": {"type": "string"}},
                "body": {"$ref": "#/$defs/steps"},
            },
            "required": ["body"],
        },
    },
    "network": {"$ref": "#/$defs/steps"},
    "outputs": {"type": "object", "additionalProperties": {"type": "string"}, "minProperties": 1},
    "preprocess": {
        "type": "object",
        "properties": {
            "scale": _EXPRESSION,
            "mean": {"type": ["array", "number"]},
            "std": {"type": ["array", "number"]},
            "resize": {},
            "crop": {},
            "color": _words(COLOURS),
            "embed": {"type": "boolean"},
        },
        "additionalProperties": False,
    },
    "labels": {"type": ["array", "string"]},
    "checkpoints": {"type": "object", "additionalProperties": {"type": "object"}},
}
assert set(COMMON) == set(_BESIDE)
assert set(COMBINATORS) < set(_WIRING)
