"""The names a checkpoint's tensors may go by: as they are, without what wrappers put in front, in today's spelling.

    module.layer1.0.conv1.weight  ->  layer1.0.conv1.weight                  every name begins with it
    denselayer1.norm.1.weight     ->  denselayer1.norm1.weight               a family's `old` rules

Nothing is peeled for good: `model.` may be part of a network's own names, so each spelling is tried, plain ones first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from .checkpoint import Tensor

# torch's DataParallel and compile; the habits of Lightning, of Hugging Face, of detection code.
_PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.", "backbone.", "encoder.", "state_dict.")
# Counters that no forward pass reads: torch's, its averaged model's, a widespread FLOP counter's.
_COUNTERS = {"num_batches_tracked", "n_averaged", "total_ops", "total_params", "_extra_state"}


@dataclass(frozen=True)
class Spelling:
    """Tensors under names of one spelling; `notes` say how these differ from the file's. Counters are left out."""

    tensors: Mapping[str, Tensor]
    notes: tuple[str, ...] = ()

    def renamed(self, rename: Callable[[str], str]) -> Spelling | None:
        """The tensors in today's spelling, or None where nothing changes or two names become one."""
        names = {name: rename(name) for name in self.tensors}
        changed = [name for name, new in names.items() if name != new]
        if not changed or len(set(names.values())) < len(names):
            return None
        note = f"{len(changed)} names in an old spelling, e.g. {changed[0]} for {names[changed[0]]}"
        return Spelling({names[name]: tensor for name, tensor in self.tensors.items()}, (*self.notes, note))


def spellings(tensors: Mapping[str, Tensor]) -> Iterator[Spelling]:
    """The file's own names, then with each shared prefix peeled, one after the other."""
    current = Spelling({name: t for name, t in tensors.items() if name.rpartition(".")[2] not in _COUNTERS})
    while True:
        yield current
        names = current.tensors.keys()
        prefix = next((p for p in _PREFIXES if names and all(n.startswith(p) and len(n) > len(p) for n in names)), None)
        if prefix is None:
            return
        peeled = {name.removeprefix(prefix): tensor for name, tensor in current.tensors.items()}
        current = Spelling(peeled, (*current.notes, f"peeled the prefix {prefix!r} off every name"))
