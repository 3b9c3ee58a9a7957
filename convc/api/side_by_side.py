"""`compare`: two specs, ONNX files, build folders or saved results, side by side.

model against model     run here in turn
result against result   as they were measured
model against result    the model is measured here as the result was, then as above
"""

from __future__ import annotations

import json
import math
import re
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..compiler.errors import ModelError, UsageError
from .builder import MODEL, BuildOptions, build_network
from .net import load, read_batch, read_size

if TYPE_CHECKING:
    from ..runtime.compare.live import Options
    from ..runtime.compare.report import Comparison
    from ..runtime.compare.structure import Structure
    from ..runtime.profile.record import Profile

Progress = Callable[[str], None]
# A saved result is text; a larger file is something else.
_LIMIT_BYTES = 1 << 30


@dataclass(frozen=True)
class Given:
    """One argument of `compare`: a model file, a saved result or a spec to build, and what the user called it."""

    label: str
    model: Path | None = None
    result: Profile | None = None
    spec: str = ""


def compare(
    a: str | Path,
    b: str | Path,
    *,
    provider: str | None = None,
    threads: int = 0,
    batch: int | None = None,
    size: str | int | None = None,
    seconds: float = 7.0,
    fail_slower: str | float | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Comparison:
    """B against A; `.require()` raises where B is slower than `fail_slower` ("3%" or 0.03) allows.

    batch, size   of the inputs; the models' own where they are fixed
                  of a saved result, provider, threads, batch and size choose the point
    seconds       to measure; more pairs are taken where one takes long
    Raises ConvcError: SpecError, ModelError, UsageError, ProviderError.
    """
    from ..runtime.compare.interleave import Budget
    from ..runtime.compare.live import Options
    from ..runtime.providers import resolve

    wanted = read_batch(batch)
    spatial = read_size(size)
    if wanted == "dynamic" or isinstance(spatial, str):
        raise UsageError("a comparison runs at one batch and one size", hint="e.g. --batch 1 --size 224")
    options = Options(
        provider=provider,
        threads=threads,
        batch=int(wanted or 0),
        size=tuple(spatial or ()),
        budget=Budget(seconds=seconds, seed=seed),
        limit=read_limit(fail_slower),
    )
    if provider is not None and not all(str(one).endswith(".json") for one in (a, b)):
        # What is not there is said before anything is built.
        resolve(provider)
    sides = [_chosen(_given(str(one)), options) for one in (a, b)]
    size_of_result = next((side.result.points[0].size for side in sides if side.result and side.result.points), ())
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="convc-compare-")))
        shape = replace(options, size=options.size or size_of_result)
        left, right = (_made(side, folder / name, shape, progress) for side, name in zip(sides, "ab", strict=True))
        return _compared(left, right, options, progress)


def read_limit(text: str | float | None) -> float | None:
    """`3%` is 0.03; a number is taken as it is. Raises UsageError."""
    if text is None or isinstance(text, float):
        return text
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", str(text).strip())
    if not found or not 0 < float(found[1]) <= 1000:
        raise UsageError(f"--fail-slower is {str(text)!r}, expected a percentage above 0", hint="e.g. --fail-slower 3%")
    return float(found[1]) / 100


def read_result(path: Path) -> Profile:
    """A saved profile. Raises ModelError."""
    from ..runtime.kit.layers import with_layers
    from ..runtime.profile.record import Profile

    try:
        if path.exists() and not path.is_file():
            raise ModelError(f"{path}: is {'a folder' if path.is_dir() else 'a pipe or a device'}, no saved result")
        if path.stat().st_size > _LIMIT_BYTES:
            raise ModelError(f"{path}: is larger than any saved result")
        data: Any = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_number)
    except OSError as error:
        raise ModelError(f"{path}: {'no such file' if not path.exists() else error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(
            f"{path}: is no JSON: {error}", hint="a result is saved by `convc profile ... --json FILE`"
        ) from error
    found = Profile.from_json(data, str(path))
    if not found.points or not all(point.samples_ms for point in found.points):
        raise ModelError(f"{path}: holds no timed runs", hint="measure again")
    if any(not 0 < sample < math.inf for point in found.points for sample in point.samples_ms):
        raise ModelError(f"{path}: holds runs that took no time", hint="measure again")
    return with_layers(found, data, str(path))


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")


def _given(text: str) -> Given:
    path = Path(text)
    # Folders above are nobody's business who reads the report.
    label = "/".join(path.parts[-2:]) if path.is_absolute() else text
    if path.suffix == ".json":
        return Given(label, result=read_result(path))
    if path.is_dir():
        if not (path / MODEL).is_file():
            raise ModelError(f"{label}: a folder without {MODEL}", hint="name a build folder, an .onnx file or a spec")
        return Given(label, model=path / MODEL)
    if path.suffix == ".onnx" or (path.is_file() and path.suffix not in (".yaml", ".yml")):
        return Given(label, model=path)
    return Given(label, spec=str(path) if path.is_absolute() else text)


def _chosen(side: Given, options: Options) -> Given:
    """Of a saved result, the points that were asked for."""
    from ..runtime.compare.recorded import points_with

    return side if side.result is None else replace(side, result=points_with(side.result, side.label, options))


def _made(side: Given, folder: Path, options: Options, progress: Progress | None) -> Given:
    if not side.spec:
        return side
    if progress is not None:
        progress(f"building {side.label}")
    net = load(side.spec, batch=options.batch or None, size=options.size or None)
    return replace(side, model=build_network(net.network, folder, BuildOptions(verify=False)).path)


def _compared(a: Given, b: Given, options: Options, progress: Progress | None) -> Comparison:
    from ..runtime.compare.live import Subject, compare_models
    from ..runtime.compare.recorded import compare_results

    if a.model is not None and b.model is not None:
        return compare_models(Subject(a.label, a.model), Subject(b.label, b.model), options, progress)
    left = a.result or _measured(a, b.result, options, progress)
    right = b.result or _measured(b, a.result, options, progress)
    made = (_structure(a, left), _structure(b, right))
    return compare_results(left, right, (a.label, b.label), options.limit, made)


def _structure(side: Given, found: Profile) -> Structure | None:
    """Of a model file, at the sizes that it was measured at. The bytes that a record counts are those after fusion: no match."""
    from ..runtime.compare.structure import of_model

    if side.model is None or not found.points:
        return None
    return replace(of_model(side.model, found.points[0].inputs), moved_bytes=None)


def _measured(side: Given, other: Profile | None, options: Options, progress: Progress | None) -> Profile:
    """A model measured as the first point of a saved result was: provider, batch, size and threads."""
    from ..runtime.profile.plan import Case, Plan
    from ..runtime.profile.worker import measure

    assert side.model is not None, "what is no result is a model"
    if other is None or not other.points:
        raise ModelError("the saved result holds no points", hint="measure again with convc profile --json")
    point = other.points[0]
    case = Case(str(side.model), options.size or point.size)
    plan = Plan(
        cases=(case,),
        providers=(options.provider or point.provider.name,),
        threads=(options.threads or point.threads,),
        batches=(options.batch or point.batch,),
        duration_s=options.budget.seconds,
        io_binding=point.io_binding,
        layers="none",
        roofline=False,
    )
    found = measure(plan, progress)
    return replace(found, points=found.points[:1])
