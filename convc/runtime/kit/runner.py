"""Verify and measure the model of this folder. Needs Python 3.8, numpy and onnxruntime, and nothing else.

    python run.py                     verify on the CPU, measure, write result.json
    python run.py --provider cuda     the same on an NVIDIA GPU
    convc profile --from result.json  reads the result, wherever convc is installed

verify    error = max |got - expected| / unit(expected) <= bound        unit(y) = max(std y, 1e-3 max|y|, 1e-30)
measure   session, first run, warm-up until stable, then runs until the interval of the median is narrow or the time is up;
          percentiles by nearest rank, every sample kept, throughput from a loop of its own

Exit codes: 0 good, 2 what was given is wrong, 3 the outputs differ, 4 a device or a library is not there.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .board import machine_state, missing_library, placed, prepare_cuda, profiled
from .figures import latency, steady, timed, warm, warnings_of

ENGINES = {
    "cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider",
    "openvino": "OpenVINOExecutionProvider", "coreml": "CoreMLExecutionProvider", "dml": "DmlExecutionProvider",
    "acl": "ACLExecutionProvider", "xnnpack": "XnnpackExecutionProvider",
}  # fmt: skip
HERE = os.path.dirname(os.path.abspath(__file__))


class Problem(Exception):
    """Something to tell the user: the exit code, and the sentence."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def main(arguments: list[str] | None = None) -> int:
    args = parser().parse_args(arguments)
    try:
        code = work(args)
        sys.stdout.flush()
        return code
    except Problem as problem:
        print(f"error: {problem}", file=sys.stderr)
        return problem.code
    except KeyboardInterrupt:
        print("interrupted: nothing was written", file=sys.stderr)
        return 130
    except MemoryError:
        print("error: memory ran out: use a smaller --batch", file=sys.stderr)
        return 2
    except OSError as error:
        # What is left of the line would be complained of once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if isinstance(error, BrokenPipeError):  # the reader of a pipe has seen enough
            return 0
        print(f"error: {error.strerror or error}", file=sys.stderr)
        return 2


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--provider", default="cpu", choices=sorted(ENGINES), help="where to run (default: cpu)")
    made.add_argument("--threads", type=int, default=0, help="CPU threads; 0 leaves it to onnxruntime")
    made.add_argument(
        "--batch", type=int, default=0, help="batch of the measurement (default: 1, or what the model fixes)"
    )
    made.add_argument("--seconds", type=float, default=5.0, help="most time for the timed loop (default: 5)")
    made.add_argument("--no-layers", action="store_true", help="do not profile: no times of layers")
    made.add_argument("--verify-only", action="store_true", help="compare the outputs, measure nothing")
    made.add_argument("-o", "--output", default="result.json", help="the result (default: result.json)")
    return made


def work(args: argparse.Namespace) -> int:
    # Written so that NaN is refused too.
    if not 0 < args.seconds <= 3600 or not 0 <= args.threads <= 1024 or not 0 <= args.batch < 2**20:
        raise Problem(2, "--seconds is above 0 and at most 3600, --threads 0 to 1024, --batch 0 to 1048575")
    if not args.verify_only:
        must_write(args.output)
    np, ort = libraries()
    kit = read_kit()
    model = os.path.join(HERE, kit["model"]["file"])
    inputs, expected = arrays(np, "inputs.npz"), arrays(np, "expected.npz")
    begin = machine_state(ort)
    session, session_ms = open_session(ort, model, args)
    nodes = placed(session)
    must_stay(nodes, args.provider, kit["on_host"])
    checks = verify(np, session, inputs, expected, kit["bounds"], args.provider)
    good = all(one["ok"] for one in checks)
    for one in checks:
        print(
            "{name}: error {error:.2e}, bound {bound:.2e} of its spread: {word}".format(
                word="verified" if one["ok"] else "DIFFERS", **one
            )
        )
    if args.verify_only:
        return 0 if good else 3
    fed = measured_inputs(np, session, inputs, args.batch)
    with told_plainly(args.provider):
        point = measure(session, session_ms, fed, args)
        point["provider"]["placement"] = dict(Counter(engine for _, _, engine in nodes))
        if not nodes and args.provider != "cpu":
            point["provider"]["notes"].append("this onnxruntime is too old to say which nodes stayed here")
        profile = None if args.no_layers else layers(ort, model, args, session, fed, point["latency"]["p50_ms"])
    result = record(kit, point, begin, machine_state(ort), checks, profile)
    write(args.output, result)
    told = point["latency"]
    print(
        "median {p50_ms:.4g} ms ({ci95_low_ms:.4g} to {ci95_high_ms:.4g}), p90 {p90_ms:.4g}, {count} runs".format(
            **told
        )
    )
    print(f"written to {args.output}")
    return 0 if good else 3


@contextmanager
def told_plainly(provider: str) -> Iterator[None]:
    """onnxruntime raises RuntimeError where a run is bound, its own classes elsewhere."""
    try:
        yield
    except Exception as error:
        if type(error) is not RuntimeError and not type(error).__module__.startswith("onnxruntime"):
            raise
        if "allocate memory" in str(error) or "bad_alloc" in str(error):
            raise MemoryError from error
        code = 2 if provider == "cpu" else 4
        raise Problem(code, f"the model does not run on {provider}: {first_line(error)}") from error


def libraries() -> tuple[Any, Any]:
    try:
        import numpy
        import onnxruntime
    except ImportError as error:
        raise Problem(4, f"{error}: this runner needs numpy and onnxruntime (pip install numpy onnxruntime)") from error
    return numpy, onnxruntime


def read_kit() -> dict[str, Any]:
    """kit.json; the files that it names must be those that were bundled."""
    path = os.path.join(HERE, "kit.json")
    try:
        with open(path, encoding="utf-8") as stream:
            kit: dict[str, Any] = json.load(stream)
        whole = {"model", "bounds", "graph", "convc", "on_host"} <= set(kit) and isinstance(kit["files"], dict)
    except (OSError, ValueError) as error:
        raise Problem(2, f"{path}: cannot be read: {error}") from error
    except (KeyError, TypeError):
        whole = False
    if not whole:
        raise Problem(2, f"{path}: is no record of a kit; copy the kit again")
    for name, digest in kit["files"].items():
        try:
            found = sha256(os.path.join(HERE, name))
        except OSError as error:
            raise Problem(2, f"{name}: {error.strerror or error}; copy the kit again") from error
        if found != digest:
            raise Problem(2, f"{name} is not the file that was bundled; copy the kit again")
    return kit


def sha256(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for piece in iter(lambda: stream.read(1 << 20), b""):
            digest.update(piece)
    return digest.hexdigest()


def arrays(np: Any, name: str) -> dict[str, Any]:
    with np.load(os.path.join(HERE, name), allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}


def open_session(ort: Any, model: str, args: argparse.Namespace, prefix: str = "") -> tuple[Any, float]:
    """The session on the provider that was asked for, and never on another. Full float32 where a GPU would round to TF32."""
    engine = ENGINES[args.provider]
    if engine not in ort.get_available_providers():
        have = ", ".join(ort.get_available_providers())
        raise Problem(4, f"this onnxruntime has no {engine}; it has {have}")
    if args.provider in ("cuda", "tensorrt"):
        prepare_cuda(ort)
    options = ort.SessionOptions()
    # Its errors arrive as exceptions, and are told once.
    options.log_severity_level = 4
    if prefix:
        options.enable_profiling = True
        options.profile_file_prefix = prefix
    options.intra_op_num_threads = args.threads
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    given = {"use_tf32": "0"} if args.provider == "cuda" else {}
    chain = [(engine, given)] + ([] if args.provider == "cpu" else [(ENGINES["cpu"], {})])
    start = time.perf_counter()
    try:
        session = ort.InferenceSession(model, options, providers=chain, enable_fallback=0)
    except Exception as error:
        code = 4 if args.provider != "cpu" else 2
        raise Problem(code, f"the model does not load on {args.provider}: {first_line(error)}") from error
    took = (time.perf_counter() - start) * 1e3
    if session.get_providers()[0] != engine:
        why = missing_library(ort.__file__, args.provider) or "its driver or a library of it does not load"
        raise Problem(4, f"onnxruntime left {engine} for {session.get_providers()[0]}: {why}")
    return session, took


def must_stay(nodes: list[tuple[str, str, str]], provider: str, on_host: list[str]) -> None:
    """Nodes that onnxruntime moved elsewhere in silence give no time of this provider; `on_host` are sums of sizes."""
    strays = [one for one in nodes if one[2] != ENGINES[provider] and one[0] not in on_host]
    if strays:
        listed = "".join("\n  {}  {}  on {}".format(*one) for one in strays[:12])
        more = f"\n  ... {len(strays) - 12} more" if len(strays) > 12 else ""
        raise Problem(4, f"{len(strays)} of {len(nodes)} nodes do not run on {provider}:{listed}{more}")


def verify(
    np: Any, session: Any, inputs: dict[str, Any], expected: dict[str, Any], bounds: dict[str, float], provider: str
) -> list[dict[str, Any]]:
    names = [one.name for one in session.get_outputs()]
    with told_plainly(provider):
        got = session.run(names, inputs)
    found = {name: got[k] for k, name in enumerate(names)}
    return [compared(np, name, expected[name], found.get(name), bounds[name]) for name in sorted(expected)]


def compared(np: Any, name: str, wanted: Any, got: Any, bound: float) -> dict[str, Any]:
    """The largest error in units of the expected output's spread; 1e300 stands for no measure: a shape, or a NaN."""
    wide = np.asarray(wanted, np.float64)
    if got is None or got.shape != wide.shape or not np.isfinite(got).all():
        return {"name": name, "error": 1e300, "bound": bound, "ok": False}
    unit = max(float(wide.std()), 1e-3 * float(np.abs(wide).max()), 1e-30) if wide.size else 1e-30
    error = float(np.abs(got - wide).max()) / unit if wide.size else 0.0
    return {"name": name, "error": error, "bound": bound, "ok": error <= bound}


def measured_inputs(np: Any, session: Any, inputs: dict[str, Any], batch: int) -> dict[str, Any]:
    """The kit's inputs at the batch that is asked for: cut, or repeated."""
    found = {}
    for one in session.get_inputs():
        array = inputs[one.name]
        fixed = one.shape[0] if one.shape and isinstance(one.shape[0], int) else 0
        if fixed and batch and fixed != batch:
            raise Problem(2, f"--batch is {batch}, and the model fixes it at {fixed}")
        count = fixed or batch or 1
        found[one.name] = np.resize(array, (count, *array.shape[1:])) if one.shape else array
    return found


def measure(session: Any, session_ms: float, inputs: dict[str, Any], args: argparse.Namespace) -> dict[str, Any]:
    """One point of a sweep, in the words of convc's record."""
    run, place = bound_run(session, inputs, args.provider)
    first = timed(run)
    warm_runs, warm_ms, stable = warm(run, 0.3 if place == "cpu" else 1.0)
    samples, stopped = steady(run, args.seconds)
    told = latency(samples)
    count = max(3, int(1e3 / told["p50_ms"]))
    start = time.perf_counter()
    for _ in range(count):
        run()
    seconds = time.perf_counter() - start
    main_input = max(inputs.values(), key=lambda array: array.ndim)
    batch = int(main_input.shape[0]) if main_input.ndim else 1
    engine = ENGINES[args.provider]
    return {
        "provider": {"name": args.provider, "engine": engine, "notes": ["TF32 off"] if args.provider == "cuda" else []},
        "batch": batch,
        "size": [int(n) for n in main_input.shape[2:]],
        "threads": args.threads,
        "inputs": {name: [int(n) for n in array.shape] for name, array in inputs.items()},
        "session_ms": session_ms,
        "first_run_ms": first,
        "warmup": {"runs": warm_runs, "ms": warm_ms, "stable": stable},
        "samples_ms": samples,
        "latency": told,
        "stopped": stopped,
        "io_binding": True,
        "throughput": {"runs": count, "seconds": seconds, "samples_per_s": count * batch / seconds},
        "warnings": warnings_of(told, stable),
    }


def layers(
    ort: Any, model: str, args: argparse.Namespace, session: Any, inputs: dict[str, Any], median_ms: float
) -> dict[str, Any] | None:
    """Profiled runs on the CPU; on a device the host's profiler sees launches, not kernels, and is not asked."""
    if args.provider != "cpu":
        return None

    def make(prefix: str) -> tuple[Any, Callable[[], Any]]:
        other, _ = open_session(ort, model, args, prefix)
        return other, bound_run(other, inputs, args.provider)[0]

    plain, _ = bound_run(session, inputs, args.provider)
    return profiled(plain, make, median_ms)


def bound_run(session: Any, inputs: dict[str, Any], provider: str) -> tuple[Callable[[], Any], str]:
    """One inference with inputs and outputs bound where the provider keeps them; it has finished when it returns."""
    import onnxruntime as ort

    place = "cuda" if provider in ("cuda", "tensorrt") else "cpu"
    binding = session.io_binding()
    for name, array in inputs.items():
        binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(array, place, 0))
    for one in session.get_outputs():
        binding.bind_output(one.name, place, 0)
    binding.synchronize_inputs()
    return lambda: session.run_with_iobinding(binding), place


def record(
    kit: dict[str, Any],
    point: dict[str, Any],
    begin: dict[str, Any],
    end: dict[str, Any],
    checks: list[dict[str, Any]],
    profile: dict[str, Any] | None,
) -> dict[str, Any]:
    """The result in convc's own format, so that `convc profile --from` reads it."""
    told = ", ".join("{name} error {error:.1e}, bound {bound:.1e}".format(**one) for one in checks)
    word = (
        "verified on this machine" if all(one["ok"] for one in checks) else "the outputs differ from the expected ones"
    )
    return {
        "schema_version": 1,
        "kind": "convc.profile",
        "model": kit["model"],
        "start": begin,
        "end": end,
        "points": [point],
        "warnings": [] if all(one["ok"] for one in checks) else [f"{word}: {told}"],
        "notes": ["measured by the kit's runner", f"{word}: {told}"],
        "convc": kit["convc"],
        "verification": checks,
        "profile": profile and {**profile, "graph": kit["graph"]},
    }


def must_write(path: str) -> None:
    """What cannot be written is said before anything is measured."""
    folder = os.path.dirname(os.path.abspath(path))
    if os.path.isdir(path):
        raise Problem(2, f"cannot write {path}: it is a folder")
    if not os.path.isdir(folder):
        raise Problem(2, f"cannot write {path}: no such folder: {folder}")
    if not os.access(path if os.path.exists(path) else folder, os.W_OK):
        raise Problem(2, f"cannot write {path}: permission denied")


def write(path: str, result: dict[str, Any]) -> None:
    """Beside its place first, then renamed: never half a result. A device or a pipe is written to as it is."""
    folder = os.path.dirname(os.path.abspath(path))
    beside = ""
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            with open(path, "w", encoding="utf-8") as stream:
                json.dump(result, stream, indent=1, allow_nan=False)
            return
        handle, beside = tempfile.mkstemp(dir=folder, prefix=".result-")
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(result, stream, indent=1, allow_nan=False)
            stream.write("\n")
        os.replace(beside, path)
        os.chmod(path, 0o644)
    except OSError as error:
        if beside and os.path.exists(beside):
            os.remove(beside)
        raise Problem(2, f"cannot write {path}: {error.strerror or error}") from error


def first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


if __name__ == "__main__":
    sys.exit(main())
