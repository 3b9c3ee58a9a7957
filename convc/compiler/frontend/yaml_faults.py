"""What the YAML parser complains of, in the words of a person who writes specs.

PyYAML has two parsers, in C and in Python, which word the same mistake differently: a row holds fragments of both.
"""

from __future__ import annotations

import yaml

from ..errors import Mark, Problem, Source, SpecError

QUOTE_EXPRESSION = "inside { } and [ ] YAML ends a word at a comma or a bracket: quote the expression"

_COLON = "a `:` with a space behind it begins a value: quote text that holds one"
_INDENT = "keys and `- ` of one list stand in one column, deeper than what they belong to"
_QUOTE = "a text in quotes ends with the quote it began with"
# In order: the first row with a fragment of the complaint gives message and hint.
_ROWS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (("',' or '}'",), "the mapping in { } is not written to its end here", QUOTE_EXPRESSION),
    (("',' or ']'",), "the list in [ ] is not written to its end here", QUOTE_EXPRESSION),
    (("expected node content", "expected the node content"), "no value can begin here", QUOTE_EXPRESSION),
    (("mapping values are not allowed",), "a second `:` in one line", _COLON),
    (("could not find expected ':'",), "a key without its `:`", "write `key: value`, with a space behind the `:`"),
    (("sequence entries are not allowed",), "a list cannot begin here", "the first `- ` stands in a line of its own"),
    (("expected '-' indicator", "expected <block end>", "expected key"), "this line fits to nothing above it", _INDENT),
    (("unexpected end of stream", "unexpected document indicator"), "a quoted text is not closed", _QUOTE),
    (("unknown escape", "hexdecimal", "escape sequence of", "invalid Unicode"), "no such escape in double quotes",
     r"write \\ for a backslash, or use single quotes"),
    (("tag",), "a tag cannot stand in a spec", "quote text that begins with `!`"),
    (("tab character", "'\\t'"), "a tab where spaces are expected", "YAML is indented with spaces"),
    (("anchor", "alias"), "`&` and `*` begin no text", "quote text that begins with one"),
    (("cannot start any token",), "no value can begin with this character", "quote the text"),
    (("directive", "%YAML", "incompatible", "<document start>"), "this is no line of a spec", _INDENT),
    (("comment or", "indentation", "chomping"), "the text that | or > begins stands in the lines below it",
     "nothing follows a | or > in its line"),
)  # fmt: skip


def spec_error(error: yaml.YAMLError, source: Source) -> SpecError:
    """The parser's complaint as an error at its place."""
    problem = str(getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read")
    spot = getattr(error, "problem_mark", None)
    opened = getattr(error, "context_mark", None)
    if opened is not None and ("end of stream" in problem or "expected ':'" in problem):
        spot = opened
    mark = _mark(spot or opened, source)
    if opened is not None and "',' or" in problem and _is_end(spot, source):
        return SpecError(Problem("this bracket is not closed", _mark(opened, source), "every { and [ has its } and ]"))
    if "node content" in problem and _is_end(spot, source):
        return SpecError(Problem("the file ends inside a bracket", mark, "every { and [ has its } and ]"))
    if "cannot start any token" in problem and source.line(mark.line)[mark.column - 1 : mark.column] == "\t":
        problem = "tab character"
    for fragments, message, hint in _ROWS:
        if any(fragment in problem for fragment in fragments):
            return SpecError(Problem(message, mark, hint))
    return SpecError(Problem(f"this is not YAML: {problem}", mark))


def _mark(spot: object, source: Source) -> Mark:
    line = int(getattr(spot, "line", 0))
    column = int(getattr(spot, "column", 0))
    # At the end of the file the parser points behind the last line: the last one with text says more.
    while line > 0 and line >= len(source.lines):
        line, column = line - 1, len(source.line(line))
    return Mark(source, line + 1, column + 1)


def _is_end(spot: object, source: Source) -> bool:
    """Whether nothing but blanks and comments stands at a place or behind it."""
    line, column = int(getattr(spot, "line", 0)), int(getattr(spot, "column", 0))
    rest = [source.line(line + 1)[column:], *source.lines[line + 1 :]]
    return all(not text.strip() or text.lstrip().startswith("#") for text in rest)
