"""`convc compare` and `convc bundle`: two networks side by side, and a kit for a machine without convc."""

from __future__ import annotations

from typing import Any

import click

from .cli_shared import OUT, Number, check_outputs, finish, showing

_WHERE = click.option("--provider", metavar="cpu|cuda", help="Where to run.  [default: cuda where it loads, else cpu]")


@click.command()
@click.argument("a")
@click.argument("b")
@_WHERE
@click.option("--threads", type=click.IntRange(0, 1024), default=0, help="CPU threads; 0 leaves it to ONNX Runtime.")
@click.option("--batch", type=click.IntRange(1), help="Batch size.  [default: 1, or what the models fix]")
@click.option("--size", metavar="224|192x256", help="Spatial size of the input.  [default: the models' own]")
@click.option("--seconds", type=Number(0.1, 3600), default=7.0, show_default=True, help="Time to measure.")
@click.option(
    "--seed", type=click.IntRange(0, 2**32 - 1), default=0, help="Of the inputs and of the order of the runs."
)
@click.option("--fail-slower", metavar="3%", help="Exit 5 where B is slower than A by more than this.")
@click.option("--html", "html_to", metavar="FILE", help="Write the page of the comparison.")
@OUT
def compare(a: str, b: str, html_to: str | None, **given: Any) -> None:
    """Two networks side by side: structure, cost, and latency with a verdict.

    A and B are each a spec (resnet50, file.yaml@variant), an ONNX file, a build folder, or a result that profile saved
    (.json). Models are run in turn, so that what the machine does meanwhile slows both.
    """
    from . import api

    names = ("provider", "threads", "batch", "size", "seconds", "seed", "fail_slower")
    check_outputs({**given, "html_to": html_to}, "html_to", "json_to", keep=(a, b))
    with showing(given) as progress:
        report = api.compare(a, b, progress=progress, **{name: given[name] for name in names})
    if html_to is not None:
        report.to_html(html_to)
    finish(report.text(), report.data(), given)
    report.require()


@click.command()
@click.argument("folder", type=click.Path(), metavar="DIR")
@click.option("-o", "--output", type=click.Path(), metavar="KIT", help="Folder to write.  [default: DIR-kit]")
@click.option("--batch", type=click.IntRange(1), help="Batch of the inputs.  [default: 2 where it is dynamic]")
@click.option("--size", metavar="224|192x256", help="Spatial size, where it is dynamic.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, help="Of the inputs.")
@OUT
def bundle(folder: str, output: str | None, **given: Any) -> None:
    """A kit out of a build folder: model, inputs, expected outputs and a one-file runner.

    The runner needs Python, numpy and onnxruntime: `python run.py` verifies and measures on a machine without convc,
    and `convc profile --from result.json` reads what it wrote.
    """
    from . import api

    with showing(given):
        made = api.bundle(folder, output, **{name: given[name] for name in ("batch", "size", "seed")})
    finish(made.text(), made.data(), given)
