"""Ring three of the proof: the written file in ONNX Runtime against the network, as written, in PyTorch.

    bound = 10 x max|float32 - float64| / unit + 1e-5        unit = max(std, 1e-3 max|y|, 1e-30), see parity.py

The reference is the network before any pass, in float64; float32 PyTorch says what rounding alone costs. One reference run of the
largest batch serves every smaller one, as no operator mixes the images of a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..compiler.errors import ProviderError
from ..compiler.frontend.network import Network
from ..compiler.ir import SymDim, TensorType
from ..compiler.ir.dims import at
from ..compiler.ops.embedding import counts
from .net import sizes_for

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..compiler.compile import Compiled
    from ..compiler.ir import Graph, Model, Node
    from ..runtime.parity import Difference
    from ..runtime.providers import Provider
    from ..runtime.report import VerifyReport
    from ..runtime.session import Session

Progress = Callable[[str], None]
Arrays = Mapping[str, "NDArray[Any]"]
SEED = 20
# A second run of other sizes proves that what is dynamic is dynamic.
BATCHES = (2, 1)


@dataclass(frozen=True)
class Verification:
    """What ring three found, or why it did not run."""

    report: VerifyReport | None = None
    skipped: str = ""

    @property
    def ok(self) -> bool:
        return self.report is not None and self.report.ok

    def data(self) -> dict[str, Any]:
        """For the manifest: errors to a digit, bounds to two, so that the bytes do not hang on the last bit."""
        if self.report is None:
            return {"skipped": self.skipped}
        cases = []
        for case in self.report.cases:
            outputs = {
                d.name: {"error": float(f"{d.error:.0e}"), "bound": float(f"{d.bound:.1e}")}
                for d in case.parity.differences
            }
            cases.append({"inputs": {k: list(v) for k, v in case.inputs.items()}, "outputs": outputs})
        return {"provider": self.report.provider.name, "unit": "spread of the expected output", "cases": cases}


def skipped(why: str) -> Verification:
    return Verification(skipped=why)


def verify_file(path: Path, network: Network, compiled: Compiled, progress: Progress | None = None) -> Verification:
    """Compare a written model with the network before any pass. Raises VerifyError, naming the first value that differs.

    Without onnxruntime nothing is compared, and the result says so.
    """
    from ..runtime.providers import resolve

    try:
        provider = resolve(None, exact=True)
    except ProviderError as error:
        return skipped(f"onnxruntime is not there: {error.message}")
    report = compare_file(path, network, compiled, provider)
    report.require()
    return Verification(report)


def compare_file(
    path: Path, network: Network, compiled: Compiled, provider: Provider, *, shown: str = ""
) -> VerifyReport:
    """Run the file at every case of sizes and compare; the report says what was seen and where it first differs."""
    from ..runtime.parity import compare
    from ..runtime.report import Case, VerifyReport
    from ..runtime.session import Session

    session = Session(path, provider, spinning=False)
    cases = []
    for sizes in spatial_cases(network):
        for feeds, expected, bounds in _references(compiled.source, random_feeds(network.graph, sizes), sizes):
            parity = compare(expected, session.run(feeds), bounds)
            cases.append(Case({name: tuple(x.shape) for name, x in feeds.items()}, parity))
            if not parity.ok:
                first = first_difference(path, compiled.source, compiled.aliases, feeds, session)
                return VerifyReport(shown or path.name, session.provider, tuple(cases), first)
    return VerifyReport(shown or path.name, session.provider, tuple(cases))


def _references(
    model: Model, feeds: Arrays, sizes: Mapping[str, int]
) -> Iterator[tuple[Arrays, Arrays, Mapping[str, float]]]:
    """Feeds, the expected outputs in float64, and the bound of each output: for the whole batch, then for one image."""
    from ..runtime.parity import allowed

    double, single = run_both(model, feeds)
    bounds = allowed(single, double)
    yield feeds, double, bounds
    symbol = batch_symbol(model.graph.inputs)
    if symbol is None or sizes[symbol] == 1:
        return
    # Only where every value carries the batch on its first axis can one image be cut out of the reference.
    if all(_leads_with(model.graph.type_of(node), symbol) for node in model.graph.outputs.values()):
        one = {k: v[:1] for k, v in double.items()}
        yield {k: v[:1] for k, v in feeds.items()}, one, allowed(single, double, one)


def spatial_cases(network: Network) -> list[dict[str, int]]:
    """Values for the dynamic dimensions: batch 2; every dynamic size at two places, where there are any."""
    base = sizes_for(network)
    symbol = batch_symbol(network.graph.inputs)
    if symbol is not None:
        base[symbol] = BATCHES[0]
    spatial = [name for name in base if name != symbol]
    if not spatial:
        return [base]
    other = dict(base)
    for k, name in enumerate(spatial):
        promise = network.spec.symbols.get(name, {})
        step = promise.get("multiple", 1)
        least = max(promise.get("min", 1), step)
        # Not square, and not even where nothing promises it: an even square hides what rounds.
        other[name] = max(least, (base[name] * 3 // 4 + 13 * k - 1) // step * step)
    return [base, other] if other != base else [base]


def batch_symbol(inputs: Mapping[str, TensorType]) -> str | None:
    """The dynamic dimension on the first axis of every input, if it is one and the same."""
    firsts = {type_.shape[0] if type_.shape else 1 for type_ in inputs.values()}
    first = firsts.pop() if len(firsts) == 1 else 1
    names = first.symbols() if isinstance(first, SymDim) else frozenset()
    return next(iter(names)) if len(names) == 1 else None


def random_feeds(graph: Graph, sizes: Mapping[str, int]) -> dict[str, NDArray[Any]]:
    """Seeded inputs: dense standard normal, or for integers class indices that every embedding knows."""
    import numpy as np

    rng = np.random.default_rng(SEED)
    feeds: dict[str, NDArray[Any]] = {}
    known = counts(graph)
    for name, type_ in graph.inputs.items():
        shape = tuple(at(dim, sizes) for dim in type_.shape)
        if type_.dtype.value == "int64":
            feeds[name] = rng.integers(0, known.get(name, 8), shape)
        else:
            feeds[name] = rng.standard_normal(shape, np.float32)
    return feeds


def run_both(model: Model, feeds: Arrays, names: Sequence[str] | None = None) -> list[dict[str, NDArray[Any]]]:
    """The model as it is in PyTorch, in float64 and in float32: outputs by public name, or inner values by `names`.

    Each on one thread, side by side: threads within an operator wait for each other long where the machine is busy.
    """
    from concurrent.futures import ThreadPoolExecutor

    from ..compiler.lower.reach import reachable

    wanted = dict(model.graph.outputs) if names is None else {name: name for name in names}
    nodes = list(reachable(model.graph, wanted.values()).values())
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda dtype: _run_torch(model, nodes, feeds, wanted, dtype), ("float64", "float32")))


def _run_torch(
    model: Model, nodes: Sequence[Node], feeds: Arrays, wanted: Mapping[str, str], dtype: str
) -> dict[str, NDArray[Any]]:
    import torch

    from ..compiler.lower.to_torch import evaluate
    from ..compiler.probe.float64 import one_thread, run
    from ..compiler.probe.sizes import Side

    kind = getattr(torch, dtype)
    with one_thread():
        given = {name: torch.from_numpy(x) for name, x in feeds.items()}
        tensors = {name: x.to(kind) if x.is_floating_point() else x for name, x in given.items()}
        if dtype == "float64":
            values = run(Side(nodes, model.params), tensors, wanted.values(), None)
        else:
            values = evaluate(nodes, tensors, model.params, dtype, set(wanted.values()))
        return {public: values[name].numpy() for public, name in wanted.items()}


def first_difference(
    path: Path, model: Model, aliases: Mapping[str, str], feeds: Arrays, session: Session
) -> Difference | None:
    """The first value that is out of bounds, in the network's order, or None where no inner value can be compared.

    `aliases` says which value of the network each value of the file stands for: a folded convolution yields its batch norm's.
    """
    from ..runtime.parity import allowed, bisect
    from ..runtime.session import Session as Runner
    from ..runtime.tap import with_outputs

    there = _values_in(path)
    order = {name: place for place, name in enumerate(model.graph.nodes)}
    names = sorted(
        (n for n, source in aliases.items() if n in there and source in order), key=lambda n: order[aliases[n]]
    )
    reference: dict[str, NDArray[Any]] = {}
    bounds: dict[str, float] = {}

    def run(asked: Sequence[str]) -> Arrays:
        # The reference of a round is made with it: all of the network's values at once would not fit in memory.
        sources = [aliases[name] for name in asked]
        double, single = run_both(model, feeds, sources)
        limits = allowed(single, double)
        reference.update({name: double[aliases[name]] for name in asked})
        bounds.update({name: limits[aliases[name]] for name in asked})
        runner = Runner(with_outputs(path, asked), session.provider, folder=path.parent, spinning=False)
        return runner.run(feeds, list(asked))

    return bisect(names, run, reference, bounds) if names else None


def _values_in(path: Path) -> set[str]:
    import onnx

    graph = onnx.load(str(path), load_external_data=False).graph
    public = {output.name for output in graph.output}
    return {name for node in graph.node for name in node.output if name not in public}


def _leads_with(type_: TensorType, symbol: str) -> bool:
    return bool(type_.shape) and type_.shape[0] == SymDim.symbol(symbol)
