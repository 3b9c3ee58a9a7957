"""One inference: a file in, the best classes or a `.npz` out.

    run("model.onnx", "cat.jpg")                       top five
    run("model.onnx", "batch.npz", "result.npz")       every output

A `.npy` feeds a model of one input; a `.npz` feeds by name; anything else is a picture, prepared as the model's
metadata says (preprocess.py).
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..compiler.errors import ModelError, OutputError, UsageError
from .arrays import read_npy, read_npz, write_npz
from .pictures import open_picture
from .preprocess import UNSTATED, fitted, labels, stated, tensor
from .providers import Provider
from .report import OutputSummary, Prediction, RunReport
from .session import Session
from .signature import Arrays, Value

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOP = 5


def run(
    model: str | Path,
    source: str | Path,
    output: str | Path | None = None,
    *,
    provider: Provider | str | None = None,
    threads: int = 0,
) -> RunReport:
    """Run `model` once on the file `source`; with `output`, write its outputs there as `.npz`.

    Raises ModelError (model or input), ProviderError, UsageError and OutputError (the output).
    """
    target = None if output is None else _target(Path(output), (Path(model), Path(source)))
    start = time.perf_counter()
    session = Session(model, provider, threads=threads)
    loaded = time.perf_counter()
    feeds, notes = read_feeds(Path(source), session)
    ready = time.perf_counter()
    results = session.run(feeds)
    done = time.perf_counter()
    predictions, more = predict(results, labels(session.metadata))
    if target is not None:
        write_npz(target, results)
    return RunReport(
        model=Path(model).name,
        provider=session.provider,
        placement=session.placement(),
        load_ms=(loaded - start) * 1e3,
        run_ms=(done - ready) * 1e3,
        outputs=tuple(summary(name, array) for name, array in results.items()),
        predictions=predictions,
        saved="" if output is None else str(output),
        notes=(*session.provider.notes, *notes, *more),
    )


def read_feeds(path: Path, session: Session) -> tuple[dict[str, NDArray[Any]], tuple[str, ...]]:
    """The arrays for a session out of a file, and notes on how they were made. Raises ModelError."""
    if path.is_dir() or not path.exists():
        raise ModelError(f"{path}: {'is a folder' if path.is_dir() else 'no such file'}")
    if not path.is_file():
        raise ModelError(f"{path}: is a pipe or a device", hint="copy it into a file")
    suffix = path.suffix.lower()
    if suffix == ".npz":
        return _named(read_npz(path), session.inputs)
    only = _only(session.inputs, path)
    if suffix == ".npy":
        return {only.name: read_npy(path)}, ()
    return _picture(path, only, session.metadata)


def predict(results: Arrays, names: Sequence[str] = ()) -> tuple[tuple[Prediction, ...], tuple[str, ...]]:
    """The five best classes of each sample of the first output that is (N, K) or (N, K, 1, 1), and notes.

    Where no output is, or its values are not finite, there are none.
    """
    import numpy as np

    scores = next((array for array in results.values() if _is_scores(array)), None)
    if scores is None:
        return (), ()
    rows = scores.reshape(scores.shape[0], scores.shape[1]).astype(np.float64)
    if not np.isfinite(rows).all():
        return (), ("the scores are not finite: no classes are named",)
    notes = []
    if names and len(names) != rows.shape[1]:
        notes.append(f"the model has {len(names)} labels for {rows.shape[1]} classes: they are left out")
        names = ()
    probabilities = _probabilities(rows)
    if probabilities is rows:
        notes.append("the output is probabilities already")
    best = np.argsort(-rows, axis=1, kind="stable")[:, :TOP]
    found = tuple(
        Prediction(i, int(k), names[k] if names else "", float(rows[i, k]), float(probabilities[i, k]))
        for i in range(len(rows))
        for k in best[i]
    )
    return found, tuple(notes)


def summary(name: str, array: NDArray[Any]) -> OutputSummary:
    """The type and range of an output."""
    import numpy as np

    numeric = array.dtype.kind in "fiub"
    finite = array[np.isfinite(array)].astype(np.float64) if numeric else np.empty(0)
    bad = int(array.size - finite.size) if numeric else 0
    if finite.size == 0:
        return OutputSummary(name, str(array.dtype), array.shape, None, None, None, bad)
    low, mean, high = float(finite.min()), float(finite.mean()), float(finite.max())
    return OutputSummary(name, str(array.dtype), array.shape, low, mean, high, bad)


def _target(path: Path, kept: Sequence[Path]) -> Path:
    """The output's path, refused before any work where it could not be written or would destroy what is read."""
    if path.suffix != ".npz":
        raise UsageError(f"{path}: the output must be a .npz file", hint="leave -o out to see the best classes")
    for other in kept:
        if path.exists() and other.exists() and os.path.samefile(path, other):
            raise UsageError(f"{path}: is read by this very run", hint="name another output")
    if not path.parent.is_dir():
        raise OutputError(f"{path}: there is no folder {path.parent}")
    return path


def _named(arrays: dict[str, NDArray[Any]], inputs: Sequence[Value]) -> tuple[dict[str, NDArray[Any]], tuple[str, ...]]:
    if len(arrays) == len(inputs) == 1 and inputs[0].name not in arrays:
        name, array = next(iter(arrays.items()))
        return {inputs[0].name: array}, (f"array {name!r} feeds the only input, {inputs[0].name!r}",)
    return arrays, ()


def _only(inputs: Sequence[Value], path: Path) -> Value:
    if len(inputs) != 1:
        names = ", ".join(one.name for one in inputs)
        raise ModelError(f"{path}: the model has {len(inputs)} inputs ({names})", hint="give a .npz with these names")
    return inputs[0]


def _picture(path: Path, wanted: Value, metadata: Mapping[str, str]) -> tuple[dict[str, NDArray[Any]], tuple[str, ...]]:
    recipe = stated(metadata)
    guessed = () if recipe else ("the model states no preprocessing: pixels scaled to 0..1",)
    chosen, changed = fitted(recipe or UNSTATED, wanted)
    picture, notes = open_picture(path)
    batch = tensor(picture, chosen, wanted)
    count = wanted.shape[0]
    if isinstance(count, int) and count > 1:
        batch = batch.repeat(count, axis=0)
        notes = (*notes, f"the model's batch is {count}: the picture was repeated")
    return {wanted.name: batch}, (*guessed, *changed, *notes)


def _is_scores(array: NDArray[Any]) -> bool:
    flat = array.ndim >= 2 and all(size == 1 for size in array.shape[2:])
    return flat and array.dtype.kind == "f" and array.shape[0] > 0 and array.shape[1] > 1


def _probabilities(rows: NDArray[Any]) -> NDArray[Any]:
    """The softmax of each row; the rows themselves where each is a distribution already."""
    import numpy as np

    if (rows >= 0).all() and np.allclose(rows.sum(axis=1), 1, atol=1e-3):
        return rows
    raised = np.exp(rows - rows.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))
