"""Every error of convc, and the places in a spec that they point at.

    ConvcError                                                        exit
      + UsageError        the arguments do not fit together            2
      + SpecError         the YAML is wrong: one Problem or several    2
      + ShapeError        layers do not fit (the frontend adds where)  2
      + WeightsError      the checkpoint is wrong                      2
      + ModelError        the ONNX file, or what it is fed, is wrong   2
      + OutputError       the output cannot be written                 2
      + PassError         a pass broke its promise                     1
      + ZooError          what ships with convc is not as it should be 1
      + VerifyError       the numbers differ                           3
      + ProviderError     a device or a library is not there           4
      + ThresholdError    a limit asked for was not kept               5

An error is a value that a person reads: what was found, what was expected, what to write instead.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Source:
    """A text that marks point into: its display name, its lines for quoting, and the name that artefacts may hold.

    `label` is relative to the spec's folder (`convc:blocks/se.yaml` for the library), so that no local path reaches a model.
    """

    name: str
    lines: tuple[str, ...] = field(repr=False, compare=False, default=())
    label: str = ""

    def line(self, number: int) -> str:
        """The text of line `number` (from 1), or the empty string past the end."""
        return self.lines[number - 1] if 0 < number <= len(self.lines) else ""


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a source: line and column from 1, and how many characters to underline."""

    source: Source
    line: int
    column: int
    width: int = 1

    @property
    def file(self) -> str:
        return self.source.name

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

    def quote(self) -> str:
        """The line with the place underlined, or nothing where the text is not at hand."""
        text = self.source.line(self.line).rstrip()
        if not text:
            return ""
        start = max(0, min(self.column - 1, len(text)) - 90) if len(text) > 160 else 0
        shown = text[start : start + 160].replace("\t", " ")
        width = max(1, min(self.width, len(shown) - (self.column - 1 - start)))
        gutter = f"{self.line:>5} | "
        blank = " " * (len(gutter) - 2) + "| " + " " * (self.column - 1 - start)
        return f"{gutter}{shown}\n{blank}{'^' * width}"


@dataclass(frozen=True, slots=True)
class Frame:
    """One step of the way to an error: `in block 'unit' (out=64)`, and where it was called."""

    text: str
    mark: Mark


@dataclass(frozen=True, slots=True)
class Origin:
    """What a node stands for in the spec: its path, its line, and the calls that led there."""

    path: str
    mark: Mark | None = None
    frames: tuple[Frame, ...] = field(default=(), compare=False)

    @property
    def place(self) -> str:
        """`file:line`, or the empty string for a node that no line wrote."""
        return f"{self.mark.source.label or self.mark.file}:{self.mark.line}" if self.mark else ""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a spec."""

    message: str
    mark: Mark | None = None
    hint: str = ""
    frames: tuple[Frame, ...] = ()

    def __str__(self) -> str:
        head = f"{self.mark}: error: {self.message}" if self.mark else f"error: {self.message}"
        parts = [head]
        if self.mark and (quote := self.mark.quote()):
            parts.append(quote)
        parts += _way(self.frames)
        if self.hint:
            parts.append(f"  hint: {self.hint}")
        return "\n".join(parts)


# Longer ways are cut in the middle: a person needs the first calls and the last ones.
_SHOWN_FRAMES = 12


def _way(frames: tuple[Frame, ...]) -> list[str]:
    lines = [f"  in {frame.text}" for frame in frames]
    width = min(60, max((len(line) for line in lines), default=0))
    rows = [f"{line:<{width}}    {frame.mark}" for line, frame in zip(lines, frames, strict=True)]
    if len(rows) <= _SHOWN_FRAMES:
        return rows
    half = _SHOWN_FRAMES // 2
    return [*rows[:half], f"  ... {len(rows) - 2 * half} more calls ...", *rows[-half:]]


class ConvcError(Exception):
    """The base of everything convc raises on purpose."""

    exit_code = 2

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message

    def render(self) -> str:
        """The text the command line prints."""
        return f"error: {self}"


class UsageError(ConvcError):
    """The arguments do not fit together."""


class SpecError(ConvcError):
    """The YAML is wrong; `problems` holds every independent error of the run."""

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        self.problems = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__(self.problems[0].message, hint=self.problems[0].hint)

    def __str__(self) -> str:
        return "\n\n".join(str(problem) for problem in self.problems)

    def render(self) -> str:
        if len(self.problems) == 1:
            return str(self)
        return f"{self}\n\n{len(self.problems)} errors"

    def within(self, frames: tuple[Frame, ...]) -> SpecError:
        """The same error, with the calls that led to it put in front."""
        return SpecError(replace(p, frames=frames + p.frames) for p in self.problems)


class ShapeError(ConvcError):
    """Layers do not fit together, or an operator's arguments are impossible."""


class WeightsError(ConvcError):
    """The checkpoint cannot be read, or does not fit the network."""


class ModelError(ConvcError):
    """The ONNX file, or what it is fed, is wrong."""


class OutputError(ConvcError):
    """The output cannot be written."""


class PassError(ConvcError):
    """A pass broke its promise: this is a defect of convc."""

    exit_code = 1


class ZooError(ConvcError):
    """The specs that ship with convc are missing, or contradict each other: this is a defect of convc."""

    exit_code = 1


class VerifyError(ConvcError):
    """The numbers differ by more than the bound."""

    exit_code = 3


class ProviderError(ConvcError):
    """A device, a provider or a library is not there."""

    exit_code = 4


class ThresholdError(ConvcError):
    """A limit that was asked for was not kept."""

    exit_code = 5
