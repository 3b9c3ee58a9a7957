"""What the commands share: options that several take, and how a result is printed or written."""

from __future__ import annotations

import math
import os
import sys
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

Option = Callable[[Any], Any]


class Number(click.FloatRange):
    """A range without NaN, which compares with nothing and so lies in every range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        found = super().convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail(f"{value} is no number.", param, ctx)
        return found


def stacked(*options: Option) -> Option:
    """Several options as one decorator, in the order given."""

    def decorate(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


SHAPE = stacked(
    click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Set a parameter of the spec (repeatable)."),
    click.option("--batch", metavar="N|dynamic", help="Batch size.  [default: dynamic where the spec says N]"),
    click.option("--size", metavar="224|192x256|dynamic", help="Spatial size of the input.  [default: the spec's]"),
    click.option(
        "--root", type=click.Path(path_type=Path), help="Folder that imports may not leave.  [default: the spec's]"
    ),
)
WEIGHTS = stacked(
    click.option(
        "--weights", type=click.Path(), help="Checkpoint: .pth .pt .safetensors .npz.  [default: random, seeded]"
    ),
    click.option(
        "--family", metavar="NAME", help="Whose names the checkpoint has: torchvision, timm ...  [default: detected]"
    ),
)
OUT = stacked(
    click.option(
        "--json", "json_to", metavar="FILE|-", help="Write the result as JSON; - prints nothing else on stdout."
    ),
    click.option("-q", "--quiet", is_flag=True, help="Print errors alone."),
    click.option("--no-color", is_flag=True, help="No colours and no progress display (also NO_COLOR)."),
)


def load(api: Any, spec: str, given: dict[str, Any]) -> Any:
    params = api.as_params(given["sets"])
    return api.load(spec, batch=given["batch"], size=given["size"], root=given["root"], **params)


def finish(text: str, data: dict[str, Any], given: dict[str, Any]) -> None:
    if given["json_to"] is not None:
        write_json(data, given["json_to"])
    if given["json_to"] != "-" and not given["quiet"]:
        click.echo(visible(text))


def visible(text: str) -> str:
    """Control characters as their escapes: a name out of a foreign file must not steer the terminal."""
    return "".join(char if char in "\n\t" or unicodedata.category(char) != "Cc" else ascii(char)[1:-1] for char in text)


def write_json(data: dict[str, Any], target: str) -> None:
    import json

    text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False)
    if target == "-":
        click.echo(text)
        return
    from .compiler.artifacts import write_one

    write_one(target, (text + "\n").encode())


def check_outputs(given: dict[str, Any], *names: str, keep: Sequence[str | Path | None] = ()) -> None:
    """What cannot be written is said before anything is measured. Raises UsageError, OutputError.

    names   the parameters that name a file; `keep` is what is read, never written over
    """
    from .compiler.artifacts import must_write

    read = [Path(one) for one in keep if one is not None]
    read += [file for one in read if one.is_dir() for file in one.iterdir() if file.is_file()]
    seen: dict[Path, str] = {}
    for name in names:
        target = given[name]
        option = f"--{name.removesuffix('_to')}"
        if target is None or (target == "-" and name == "json_to"):
            continue
        if target == "-":
            raise click.UsageError(f"{option} takes a file; only --json prints with -")
        place = Path(target).absolute()
        if place in seen:
            raise click.UsageError(f"{seen[place]} and {option} name the same file: {target}")
        seen[place] = option
        must_write(target, read)


def note(lines: Sequence[str]) -> None:
    for line in lines:
        click.echo(f"note: {line}", err=True)


def showing(given: dict[str, Any]) -> Any:
    from .progress import Display

    plain = given["quiet"] or given["no_color"] or bool(os.environ.get("NO_COLOR")) or not sys.stderr.isatty()
    return Display(None if plain else sys.stderr)
