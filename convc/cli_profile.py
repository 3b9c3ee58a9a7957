"""`convc profile`: latency on this machine, end to end and per layer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from .cli_shared import OUT, WEIGHTS, Number, check_outputs, finish, showing, stacked, write_json

T = TypeVar("T")

_SWEEP = stacked(
    click.option(
        "--provider",
        metavar="cpu,cuda",
        help="cpu, cuda, tensorrt, openvino; a comma separates sweep points.  [default: cuda where it loads, else cpu]",
    ),
    click.option("--batch", metavar="1,8,32", help="Batch sizes.  [default: the model's, 1 where it is open]"),
    click.option("--size", metavar="192,224x320", help="Spatial sizes of the input.  [default: the model's]"),
    click.option("--threads", metavar="1,2", help="CPU threads; 0 leaves it to ONNX Runtime.  [default: 0]"),
)
_MEASURE = stacked(
    click.option("--duration", type=float, default=3.0, show_default=True, help="Most seconds of samples per point."),
    click.option("--iterations", type=click.IntRange(1), help="Exactly this many samples instead."),
    click.option("--warmup", type=Number(0), metavar="MS", help="Least warm-up.  [default: until stable]"),
    click.option("--no-io-binding", is_flag=True, help="Plain session.run: copies and allocation are timed too."),
    click.option("--max-latency-ms", type=Number(0, min_open=True), help="Exit 5 where a median is over it."),
    click.option("--fallback", is_flag=True, help="Measure although nodes land on another provider."),
)
_LAYERS = stacked(
    click.option(
        "--layers",
        type=click.Choice(["auto", "profile", "kernels", "bracketed", "none"]),
        default="auto",
        show_default=True,
        help="How layers are timed: ONNX Runtime's profile (CPU), GPU kernel events, each layer alone; or not at all.",
    ),
    click.option(
        "--by",
        type=click.Choice(["layer", "block", "stage", "op"]),
        default="layer",
        show_default=True,
        help="Sum the table by.",
    ),
    click.option("--rows", type=click.IntRange(0), default=20, show_default=True, help="Rows of the table; 0 for all."),
    click.option("--no-roofline", is_flag=True, help="Do not measure the machine's peak."),
)
_GPU = stacked(
    click.option(
        "--cudnn-search",
        type=click.Choice(["exhaustive", "heuristic", "default"]),
        help="How cuDNN chooses algorithms.  [default: exhaustive for one size, heuristic for several]",
    ),
    click.option("--no-tf32", is_flag=True, help="Full float32 in products (CUDA)."),
    click.option("--nhwc", is_flag=True, help="Channels last inside (CUDA)."),
    click.option("--cuda-graph", is_flag=True, help="Record the launches once and replay them."),
    click.option("--gpu-memory", type=click.IntRange(1), metavar="MIB", help="Limit of ONNX Runtime's GPU arena."),
)
_REPORTS = stacked(
    click.option("--html", "html_to", metavar="FILE", help="Write a page with plots; it works offline."),
    click.option("--trace", "trace_to", metavar="FILE", help="Write one profiled run as a trace for Perfetto."),
    click.option(
        "--from", "saved", type=click.Path(), metavar="RESULT.json", help="Read a saved result instead of measuring."
    ),
)


@click.command()
@click.argument("model", required=False, metavar="[SPEC_OR_MODEL]")
@_SWEEP
@_MEASURE
@_LAYERS
@_GPU
@_REPORTS
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Set a parameter of the spec (repeatable).")
@click.option(
    "--root", type=click.Path(path_type=Path), help="Folder that imports may not leave.  [default: the spec's]"
)
@WEIGHTS
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, help="Of inputs and of weights not given.")
@OUT
def profile(model: str | None, **given: Any) -> None:
    """Latency on this machine: session, first run and steady state apart, and the time of every layer.

    SPEC_OR_MODEL is a shipped network, file.yaml[@variant], an ONNX file, or a folder that `build` wrote. Commas make a sweep:
    --batch 1,8 --threads 1,2 measures four points. With --from it is a result that was saved, by --json or by a kit's run.py.
    """
    from . import api

    if (model is None) == (given["saved"] is None):
        raise click.UsageError("profile takes SPEC_OR_MODEL to measure, or --from RESULT.json")
    check_outputs(given, "html_to", "trace_to", "json_to", keep=(model, given["saved"]))
    found = _measured(model, given) if model is not None else api.read_result(Path(given["saved"]))
    if given["html_to"] is not None:
        found.to_html(given["html_to"])
    if given["trace_to"] is not None:
        write_json(api.profile_trace(found), given["trace_to"])
    finish(api.profile_text(found, by=given["by"], rows=given["rows"]), found.to_json(), given)
    api.require_latency(found, given["max_latency_ms"])


def _measured(model: str, given: dict[str, Any]) -> Any:
    from . import api

    options = api.ProfileOptions(
        provider=_listed("--provider", given["provider"], str),
        batch=_listed("--batch", given["batch"], _above_zero),
        size=given["size"],
        threads=_listed("--threads", given["threads"], _count) or [0],
        duration_s=given["duration"],
        iterations=given["iterations"] or 0,
        warmup_ms=given["warmup"],
        io_binding=not given["no_io_binding"],
        layers=given["layers"],
        roofline=not given["no_roofline"],
        fallback=given["fallback"],
        weights=given["weights"],
        family=given["family"],
        seed=given["seed"],
        set=api.as_params(given["sets"]),
        root=given["root"],
        tuning=api.Tuning(
            search=given["cudnn_search"] or "",
            tf32=not given["no_tf32"],
            nhwc=given["nhwc"],
            cuda_graph=given["cuda_graph"],
            memory_limit_mib=given["gpu_memory"] or 0,
        ),
    )
    with showing(given) as display:
        return api.measure(model, options, display)


def _listed(option: str, text: str | None, read: Callable[[str], T]) -> list[T] | None:
    """The values between commas. Raises UsageError."""
    if text is None:
        return None
    try:
        return [read(part.strip()) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise click.UsageError(f"{option} is {text!r}: {error}") from error


def _above_zero(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 2**20:
        raise ValueError(f"{text!r} is no number above 0 and at most {2**20 - 1}")
    return int(text)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"{text!r} is no number of threads")
    return int(text)
