"""The command line: parse, call one public function, print. The contract is: results on stdout, messages on stderr.

exit 0 good   1 a defect of convc   2 what was given is wrong   3 verification failed   4 a device or library is not there
     5 a threshold failed
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from .cli_compare import bundle, compare
from .cli_profile import profile
from .cli_shared import OUT, SHAPE, WEIGHTS, finish, load, note, showing, visible, write_json
from .compiler.errors import ConvcError
from .version import __version__

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


@click.group(context_settings=CONTEXT)
@click.version_option(__version__, prog_name="convc")
def cli() -> None:
    """Compile convolutional networks, written as YAML specs, to verified ONNX models."""


@cli.command()
@click.argument("spec")
@click.option("-o", "--output", type=click.Path(), help="Folder to write.  [default: build/NAME]")
@SHAPE
@WEIGHTS
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    help="Fills parameters that no checkpoint gives.",
)
@click.option("--opset", type=click.IntRange(17, 22), help="ONNX opset.  [default: 20]")
@click.option("--runtime", metavar="ort==1.19", help="Lower opset and IR version to what that release loads.")
@click.option(
    "-O",
    "level",
    type=click.Choice(["0", "1", "2", "3"]),
    default="2",
    show_default=True,
    help="0 no passes, 1 always cheaper, 2 what pays by the cost model, 3 what pays as measured here.",
)
@click.option("--tune", is_flag=True, help="The same as -O3: measure both forms of what may pay, and store the answer.")
@click.option(
    "--tuning", type=click.Path(), help="With -O3: the tuning.json of an earlier build, instead of measuring."
)
@click.option("--no-cost-model", is_flag=True, help="Do whatever is exact, whether it pays or not.")
@click.option(
    "--target",
    type=click.Choice(["generic", "ort-cpu", "ort-cuda"]),
    default="generic",
    show_default=True,
    help="The runtime that the model is shaped for.",
)
@click.option("--enable", multiple=True, metavar="PASS", help="Add a pass.")
@click.option("--disable", multiple=True, metavar="PASS", help="Leave a pass out.")
@click.option("--explain", is_flag=True, help="For every site: applied, or refused and why.")
@click.option(
    "--via",
    type=click.Choice(["direct", "torch"]),
    default="direct",
    show_default=True,
    help="Emit from convc's graph, or through torch.onnx.export.",
)
@click.option("--no-verify", is_flag=True, help="Write without the proof.")
@click.option("-v", "--verbose", is_flag=True, help="Say more: times, notes, shadowed blocks.")
@OUT
def build(spec: str, output: str | None, **given: Any) -> None:
    """Spec -> optimised, verified, deployable ONNX.

    SPEC is a shipped network (resnet50), file.yaml or file.yaml@variant.
    """
    from . import api

    options = api.BuildOptions(
        weights=given["weights"],
        family=given["family"],
        seed=given["seed"],
        opset=given["opset"],
        runtime=given["runtime"],
        level=3 if given["tune"] or given["tuning"] else int(given["level"]),
        tuning=given["tuning"],
        cost_model=not given["no_cost_model"],
        enable=given["enable"],
        disable=given["disable"],
        target=given["target"],
        via=given["via"],
        verify=not given["no_verify"],
    )
    net = load(api, spec, given)
    if given["verbose"]:
        note(api.notes(net))
    with showing(given) as progress:
        made = api.build_network(net.network, output, options, progress)
    text = api.build_report(made, explain=given["explain"], verbose=given["verbose"])
    finish(text, api.build_data(made), given)


@cli.command()
@click.argument("specs", nargs=-1, required=True, metavar="SPEC...")
@SHAPE
@OUT
def check(specs: Sequence[str], **given: Any) -> None:
    """Read, elaborate and infer shapes. No weights, and no torch."""
    from . import api

    failed: ConvcError | None = None
    rows = []
    for spec in specs:
        try:
            net = load(api, spec, given)
            if given["json_to"] is None and not given["quiet"]:
                click.echo(api.check_line(net))
            rows.append({"spec": spec, **api.network_summary(net)})
        except ConvcError as error:
            failed = failed or error
            click.echo(visible(error.render()), err=True)
            rows.append({"spec": spec, "ok": False, "error": str(error)})
    if given["json_to"] is not None:
        write_json({"schema_version": 1, "specs": rows}, given["json_to"])
    if failed is not None:
        raise _Said(failed.exit_code)


@cli.command()
@click.argument("what", nargs=-1, required=True, metavar="SPEC | block NAME | op NAME | pass NAME")
@click.option("--family", metavar="NAME", help="Print both names of every tensor: ours and this checkpoint family's.")
@SHAPE
@OUT
def show(what: Sequence[str], family: str | None, **given: Any) -> None:
    """A network as a table; or a block, an operator or a pass with its documentation."""
    from . import api

    if len(what) == 2 and what[0] in ("block", "op", "pass"):
        text = {"block": api.block_text, "op": api.operator_text, "pass": api.pass_text}[what[0]](what[1])
        return finish(text, {"schema_version": 1, "text": text}, given)
    if len(what) != 1:
        raise click.UsageError("show takes SPEC, or `block NAME`, `op NAME`, `pass NAME`")
    net = load(api, what[0], given)
    if family is not None:
        rows = api.family_rows(net, family)
        data = {"schema_version": 1, "tensors": [{"ours": a, family: b, "shape": list(s)} for a, b, s in rows]}
        return finish(api.names_table(rows, family), data, given)
    return finish(net.summary(), api.network_data(net), given)


@cli.command("list")
@click.argument("what", type=click.Choice(["specs", "blocks", "ops", "passes"]), default="specs")
@OUT
def list_(what: str, **given: Any) -> None:
    """What ships with convc."""
    from . import api

    text = api.listing(what)
    finish(text, {"schema_version": 1, what: [line.split()[0] for line in text.splitlines()[2:]]}, given)


@cli.command()
@click.argument("spec")
@click.argument("model", type=click.Path())
@SHAPE
@WEIGHTS
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    help="The seed the model was built with, without weights.",
)
@click.option(
    "--provider", metavar="cpu|cuda", help="Where to run the model.  [default: cuda where it loads, else cpu]"
)
@OUT
def verify(spec: str, model: str, **given: Any) -> None:
    """Is this ONNX file this spec with these weights? Names the first value that differs."""
    from . import api

    net = load(api, spec, given)
    with showing(given):
        report = api.verify_model(net, model, given["weights"], given["family"], given["seed"], given["provider"])
    finish(report.text(), report.data(), given)
    report.require()


@cli.command()
@click.argument("model", type=click.Path())
@click.option("-i", "--input", "source", required=True, type=click.Path(), help=".npy, .npz or an image.")
@click.option("-o", "--output", type=click.Path(), help="Write the outputs as .npz.  [default: print the top 5]")
@click.option("--provider", metavar="cpu|cuda", help="Where to run.  [default: cuda where it loads, else cpu]")
@click.option("--threads", type=click.IntRange(0, 1024), default=0, help="CPU threads; 0 leaves it to ONNX Runtime.")
@OUT
def run(model: str, source: str, output: str | None, provider: str | None, threads: int, **given: Any) -> None:
    """One inference: an array or an image in, the top 5 or .npz out."""
    from . import api

    report = api.run(model, source, output, provider=provider, threads=threads)
    finish(report.text(), report.data(), given)


@cli.command()
@OUT
def doctor(**given: Any) -> None:
    """What this machine can run, and what to install."""
    from . import api

    report = api.doctor()
    finish(report.text(), report.data(), given)


@cli.command()
@OUT
def schema(**given: Any) -> None:
    """JSON Schema of the spec language, for editors."""
    import json

    from . import api

    found = api.schema()
    if given["json_to"] not in (None, "-"):
        return write_json(found, given["json_to"])
    click.echo(json.dumps(found, indent=1, ensure_ascii=False))
    return None


@cli.command()
@click.argument("name")
@click.option(
    "--from", "source", metavar="SPEC", default="lenet5", show_default=True, help="A shipped network to start from."
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to write.  [default: NAME.yaml]")
def new(name: str, source: str, output: Path | None) -> None:
    """An editable spec, and the schema that editors check it with."""
    from . import api

    click.echo(api.new_spec(name, source, output))


for command in (profile, compare, bundle):
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit code. A person never sees a traceback (CONVC_DEBUG=1 shows it)."""
    try:
        with _ended_in_order():
            cli.main(args=list(arguments) if arguments is not None else None, prog_name="convc", standalone_mode=False)
            sys.stdout.flush()
        return 0
    except _Said as said:
        return said.code
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        error.show()
        return 2
    except ConvcError as error:
        click.echo(visible(error.render()), err=True)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted: nothing was written", err=True)
        return 130
    except BrokenPipeError:
        _silence_stdout()
        return 0
    except Exception as error:
        if os.environ.get("CONVC_DEBUG"):
            raise
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            _silence_stdout()
            click.echo(f"error: the output cannot be written: {(error.strerror or '').lower()}", err=True)
            return 2
        click.echo(f"error: {_defect(error)}", err=True)
        return 1


@contextlib.contextmanager
def _ended_in_order() -> Iterator[None]:
    """SIGTERM (timeout, a job's limit) unwinds as an interrupt does: children end, temporary folders go."""

    def end(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    try:
        before = signal.signal(signal.SIGTERM, end)
    except ValueError:  # not the main thread: whoever runs us has the signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _silence_stdout() -> None:
    """The reader of a pipe has seen enough, or a disk is full; Python would complain once more at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Said(Exception):
    """The message is out; only the exit code is left to give."""

    def __init__(self, code: int) -> None:
        self.code = code


def _defect(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "there is not enough memory for this model"
    where = error.__traceback__
    while where is not None and where.tb_next is not None:
        where = where.tb_next
    place = f" ({Path(where.tb_frame.f_code.co_filename).name}:{where.tb_lineno})" if where else ""
    return f"convc has a defect: {type(error).__name__}: {error}{place}\n  hint: CONVC_DEBUG=1 shows where; please report it"
