"""What ONNX Runtime raises, in plain words.

Its exceptions have no common base (they live in `onnxruntime.capi.onnxruntime_pybind11_state`), and their texts name
C++ functions. A table of patterns turns those that a user can meet into a sentence; an unknown one is shown stripped
of its prefixes. A failure of the device is a ProviderError, everything else a ModelError.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from ..compiler.errors import ConvcError, ModelError, ProviderError

_PREFIXES = re.compile(
    r"\[ONNXRuntimeError\] : \d+ : \w+ : "  # status code
    r"|/[^\s:]*\.(?:cc|h|cu):\d+ [^\n]*?\)(?: const)?(?: \[with [^\]]*\])? "  # C++ place and signature
    r"|\b\w+\.cc:\d+ \w+ "  # short C++ place
    r"|\x1b\[[\d;]*m"
)

# (pattern, sentence, hint): the groups of the pattern fill the sentence.
_CAUSES = tuple(
    (re.compile(pattern, re.DOTALL), sentence, hint)
    for pattern, sentence, hint in (
        (r"[Pp]rotobuf parsing failed", "not an ONNX model, or one that was cut short", "copy or build the file again"),
        (r"No graph was found", "holds no graph: not an ONNX model", "copy or build the file again"),
        (r"Opset (\d+) is under development.*domain (\S+) is till opset (\d+)",
         "needs opset {0} of {1}, and the installed onnxruntime knows up to {2}",
         "build with a lower --opset, or install a newer onnxruntime"),
        (r"Unsupported model IR version: (\d+), max supported IR version: (\d+)",
         "has IR version {0}, and the installed onnxruntime reads up to {1}",
         "build with a lower --opset, or install a newer onnxruntime"),
        (r"Fatal error: (\S+?):(\S+?)\(-?\d+\) is not a registered function/op",
         "uses operator {1} of domain {0}, which onnxruntime does not have",
         "custom operators are not loaded: build the model without them"),
        (r"No opset import for domain '([^']*)'", "uses domain {0!r} without declaring its version", ""),
        (r"No Op registered for (\S+) with domain_version of (\d+)",
         "uses operator {0}, which opset {1} does not have", ""),
        (r"Node input '([^']*)' is not a graph input", "a node reads {0!r}, which nothing produces", ""),
        (r"Duplicate definition of name \(([^)]*)\)", "two nodes produce {0!r}", ""),
        (r"graph is not acyclic", "the graph has a cycle", ""),
        (r"Graph output \(([^)]*)\) does not exist", "output {0!r} is produced by no node", ""),
        (r"initializer: (.+?)\. Error: .*does not exist: \"([^\"]*)\"",
         "the weights of {0!r} are in a file that is not there: {1}",
         "copy the .data file along with the model"),
        (r"initializer: (.+?)\. Error: .*(?:escapes|[Aa]bsolute path|[Ss]ymlink|symbolic)",
         "the weights of {0!r} are claimed to lie outside the model's folder: refused", ""),
        (r"External initializer: (.+?) offset: (-?\d+) size to read: (\d+) given file_length: (\d+)",
         "the weights of {0!r} need bytes {1} to {1}+{2} of a file of {3} bytes: cut short or of another build",
         "copy model and .data file again, together"),
        (r"Failed to allocate memory for requested buffer of size (\d+)",
         "needs a buffer of {0} bytes, which this machine cannot give", "use a smaller batch or size"),
        (r"bad_alloc|[Cc]annot allocate memory", "memory ran out", "use a smaller batch or size"),
        (r"Load model .* failed: ?.*File doesn't exist", "no such file", ""),
    )
)  # fmt: skip

_DEVICE = re.compile(r"CUDA failure|CUDNN failure|CUBLAS failure|cuDNN|CUDNN_STATUS|CUDA error", re.IGNORECASE)


@contextlib.contextmanager
def plainly(what: str, action: str) -> Iterator[None]:
    """Run a block of ONNX Runtime calls; whatever it raises leaves as a ModelError or ProviderError about `what`."""
    try:
        yield
    except ConvcError:
        raise
    except MemoryError as error:
        raise ModelError(f"{what}: not enough memory to {action} it", hint="use a smaller batch or size") from error
    except Exception as error:
        raise explain(error, what, action) from error


def explain(error: Exception, what: str, action: str) -> ConvcError:
    """The error for the user; `action` is what failed: `load` or `run`."""
    text = str(error)
    if _DEVICE.search(text):
        return ProviderError(f"{what}: the device failed: {_stripped(text)}", hint="convc doctor says what loads here")
    for pattern, sentence, hint in _CAUSES:
        if found := pattern.search(text):
            return ModelError(f"{what}: {sentence.format(*found.groups())}", hint=hint)
    return ModelError(f"{what}: onnxruntime cannot {action} it: {_stripped(text)}")


def _stripped(text: str) -> str:
    line = " ".join(_PREFIXES.sub("", text).split())
    return line if len(line) <= 600 else f"{line[:600]} ..."
