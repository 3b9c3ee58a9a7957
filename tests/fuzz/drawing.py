"""A random network from a seed: 5 to about 40 nodes, biased to what passes look for and to what only looks like it.

The same seed gives the same network and numbers on every machine and for every set of passes.
"""

from __future__ import annotations

from random import Random

from convc.compiler.ir import Dim, Model, SymDim
from tests.fuzz.affine import AFFINE
from tests.fuzz.branches import BRANCHES
from tests.fuzz.chains import CHAINS
from tests.fuzz.layers import LAYERS, Piece
from tests.fuzz.sketch import Sketch

_PIECES: tuple[tuple[int, Piece], ...] = (*LAYERS, *AFFINE, *BRANCHES, *CHAINS)
_TRIES = 200
# A map of more elements than this is slow and tells nothing more.
_WIDEST = 24


def drawn(seed: int) -> Model:
    """The network of a seed."""
    s = Sketch(Random(seed))
    pool = _inputs(s)
    wanted = s.one([5, 8, 8, 12, 12, 16, 20, 28, 36])
    for _ in range(_TRIES):
        if len(s.nodes) >= wanted:
            break
        piece = s.random.choices([p for _, p in _PIECES], [w for w, _ in _PIECES])[0]
        # Late values mostly: chains are what passes look for.
        value = s.one(pool[-2:] if s.chance(0.7) else pool)
        found = s.attempt(piece, value)
        if found is not None and s.type(found).rank > 2 and _small(s, found):
            pool.append(found)
    return s.model(*_outputs(s))


def _inputs(s: Sketch) -> list[str]:
    """One or two images (lines, volumes), of which sizes are odd, even, or dynamic."""
    batch: Dim = SymDim.symbol("N") if s.chance(0.6) else s.one([1, 2, 3])
    channels = s.one([1, 2, 3, 4, 4, 6, 8])
    axes = s.random.choices([2, 1, 3], [85, 10, 5])[0]
    names = ("H", "W") if axes == 2 and s.chance(0.25) else ()
    sizes: list[Dim] = [SymDim.symbol(n, minimum=4) for n in names] or [s.one([5, 6, 7, 8, 9, 11]) for _ in range(axes)]
    found = [s.input("x", batch, channels, *sizes)]
    if s.chance(0.2):
        found.append(s.input("x2", batch, s.one([channels, 3]), *sizes))
    return found


def _small(s: Sketch, value: str) -> bool:
    return all(not isinstance(dim, int) or dim <= _WIDEST for dim in s.type(value).shape[1:])


def _outputs(s: Sketch) -> tuple[dict[str, str], dict[str, str]]:
    """Public outputs, then those of the train form.

    What nobody reads is an output, or stays dead; some of what is read is an output as well.
    """
    read = {name for node in s.nodes.values() for name in node.inputs}
    ends = [name for name in s.nodes if name not in read and s.nodes[name].inputs]
    dead = {name for name in ends[:-1] if s.chance(0.1)}
    outputs = [name for name in ends if name not in dead]
    inner = [name for name in s.nodes if name in read and s.nodes[name].inputs]
    if inner and s.chance(0.25):
        outputs += s.random.sample(inner, min(len(inner), s.one([1, 1, 2])))
    extra: dict[str, str] = {}
    images = [name for name in s.nodes if s.nodes[name].inputs and s.type(name).rank > 2]
    if images and s.chance(0.1):
        s.train_only = True
        extra = {"aux": s.put("global_avg_pool", s.put("relu", s.one(images)))}
    return {f"y{i}": name for i, name in enumerate(outputs)}, extra
