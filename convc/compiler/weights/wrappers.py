"""Find the state_dict inside what a training script saved, and say what was taken and what was left.

    {"epoch": 90, "state_dict": {...}, "optimizer": {...}}      ->  the tensors of "state_dict"

Known names win in the order below. A file with both the trained weights and their moving average gives the trained
ones: they are what `load_state_dict` of the script that wrote the file takes, and the note says that the average is
there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import WeightsError
from .checkpoint import shown

_WRAPPERS = (
    "state_dict", "model_state_dict", "model_state", "model", "net", "network", "module", "weights", "params",
    "state_dict_ema", "model_ema", "ema_state_dict", "ema", "params_ema",
)  # fmt: skip
_DEEPEST = 8

IsTensor = Callable[[object], bool]
Level = Mapping[object, object]


def unwrap(path: Path, content: Level, is_tensor: IsTensor) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The tensors by name, and notes. WeightsError: there are none, or more than one place they could be."""
    level, notes = content, []
    for _ in range(_DEEPEST):
        inner = _inner(path, level, is_tensor)
        if inner is None:
            break
        notes.append(_taken(level, inner, is_tensor))
        level = _mapping(level[inner])
    found = {str(key): value for key, value in level.items() if isinstance(key, str) and is_tensor(value)}
    if not found:
        raise WeightsError(
            f"{str(path)!r} holds no tensors: its entries are {_listed(list(content)) or 'none'}",
            hint="save torch.save(module.state_dict(), 'weights.pth')",
        )
    if rest := [key for key in level if key not in found]:
        notes.append(f"left out what is no tensor: {_listed(rest)}")
    return found, tuple(notes)


def _inner(path: Path, level: Level, is_tensor: IsTensor) -> str | None:
    """The entry of `level` to go into, or None where the tensors are here."""
    here = sum(map(is_tensor, level.values()))
    for key in _WRAPPERS:
        if key in level and _tensors_within(level[key], is_tensor, set()) > here:
            return key
    if here:
        return None
    holders = [key for key, value in level.items() if _holds(_mapping(value), is_tensor)]
    if len(holders) > 1:
        raise WeightsError(
            f"{str(path)!r} holds tensors in several places: {_listed(holders)}",
            hint="save the one that is the network: torch.save(checkpoint['model'], 'weights.pth')",
        )
    return holders[0] if holders and isinstance(holders[0], str) else None


def _holds(level: Level, is_tensor: IsTensor) -> bool:
    """Whether a mapping under a name nobody knows could be the network; an optimizer's state lies deeper."""
    wrapped = (level[key] for key in _WRAPPERS if key in level)
    return any(map(is_tensor, level.values())) or any(_tensors_within(inner, is_tensor, set()) for inner in wrapped)


def _taken(level: Level, key: str, is_tensor: IsTensor) -> str:
    others = [other for other in level if other != key]
    rivals = [k for k in others if k in _WRAPPERS and _tensors_within(level[k], is_tensor, set())]
    rest = [k for k in others if k not in rivals]
    text = f"took {key!r} out of the file"
    if rivals:
        text += f"; it also holds {_listed(rivals)}, not used"
    return f"{text}; left out: {_listed(rest)}" if rest else text


def _tensors_within(value: object, is_tensor: IsTensor, seen: set[int]) -> int:
    """How many tensors lie in a mapping and the mappings in it; each mapping counts once, so cycles end."""
    todo, count = [value], 0
    while todo:
        level = _mapping(todo.pop())
        if id(level) in seen:
            continue
        seen.add(id(level))
        count += sum(map(is_tensor, level.values()))
        todo += [inner for inner in level.values() if isinstance(inner, Mapping)]
    return count


def _mapping(value: object) -> Level:
    return value if isinstance(value, Mapping) else {}


def _listed(keys: Sequence[object]) -> str:
    texts = [shown(key) if isinstance(key, str) else repr(key)[:40] for key in keys[:6]]
    return ", ".join(texts) + (f" and {len(keys) - 6} more" if len(keys) > 6 else "")
