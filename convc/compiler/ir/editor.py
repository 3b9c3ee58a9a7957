"""Collects rewrites of a model, hands each over as a region to be proven, and commits them as a new model.

Users are kept up to date after every step, so a sweep over a graph of n nodes costs about n. A parameter that two nodes share is
copied when a rewrite sets it: a rewrite cannot break a stranger. What two nodes compute alike of one parameter is one again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from types import MappingProxyType

from ..errors import Origin
from .graph import Graph, Node
from .model import Model
from .op import Op
from .param import Lazy, Param
from .region import Recording, Region, Touched, border, in_order
from .types import TensorType


class Editor:
    """A model under the knife. Reads (`node`, `users`, `params_of`) always show the state after the steps so far.

    Writes stand inside `with edit.region(...)`: what is not recorded could not be proven. Each raises ValueError outside of one.
    """

    def __init__(self, model: Model) -> None:
        graph = model.graph
        self._model = model
        self._nodes: dict[str, Node] = dict(graph.nodes)
        self._params: dict[str, Param] = dict(model.params)
        self._named: dict[Param, str] = {value: name for name, value in model.params.items() if isinstance(value, Lazy)}
        self._trained = set(model.trained)
        self._outputs = dict(graph.outputs)
        self._train_outputs = dict(graph.train_outputs)
        self._users: dict[str, dict[str, None]] = {name: {} for name in (*graph.inputs, *graph.nodes)}
        self._holders: dict[str, set[str]] = {}
        self._position = {name: (i, 0) for i, name in enumerate(graph.nodes)}
        self._inserted = 0
        self._region: Recording | None = None
        self._leaving: set[str] | None = None
        self.regions: list[Region] = []
        for node in graph:
            self._link(node)

    # -- reading

    def node(self, name: str) -> Node | None:
        """The node called `name` as it is now, or None (a graph input, or gone)."""
        return self._nodes.get(name)

    def users(self, name: str) -> tuple[str, ...]:
        """The nodes that read `name` now, each once."""
        return tuple(self._users.get(name, ()))

    def is_output(self, name: str) -> bool:
        """Whether `name` is an output of the network, or of its train form."""
        if self._leaving is None:
            self._leaving = {*self._outputs.values(), *self._train_outputs.values()}
        return name in self._leaving

    def type_of(self, name: str) -> TensorType:
        return self._nodes[name].type if name in self._nodes else self._model.graph.inputs[name]

    @property
    def inputs(self) -> Mapping[str, TensorType]:
        """The inputs of the network."""
        return self._model.graph.inputs

    def params_of(self, node: Node) -> dict[str, Param]:
        """Parameters of a node by role, as they are now."""
        return {role: self._params[name] for role, name in self._nodes[node.name].params.items()}

    def holders(self, param: str) -> tuple[str, ...]:
        """The nodes that hold a parameter, in order of their names."""
        return tuple(sorted(self._holders.get(param, ())))

    def __iter__(self) -> Iterator[Node]:
        return iter(list(self._nodes.values()))

    # -- writing

    @contextmanager
    def region(self, rewrite: str, site: str) -> Iterator[None]:
        """Everything written inside is one rewrite, proven as one region."""
        if self._region is not None:
            raise ValueError(f"a region is open already: {self._region.rewrite} at {self._region.site!r}")
        self._region = Recording(rewrite, site)
        try:
            yield
            if self._region.touched:
                self.regions.append(self._close(self._region))
        finally:
            self._region = None

    def include(self, name: str) -> None:
        """Take a node into the region as it is, so that the proof knows what it computes (and not just that it is some value)."""
        self._touch(name)

    def fix_sizes(self) -> None:
        """This rewrite is exact at the sizes recorded and need not be at others: it is proven at these alone."""
        self._open.any_size = False

    def set_op(self, name: str, op: Op, inputs: tuple[str, ...] | None = None) -> None:
        """Give a node another operator (bound), and with it other values to read. Its type is inferred anew."""
        node = self._nodes[name]
        read = node.inputs if inputs is None else inputs
        self._put(replace(node, op=op, inputs=read, type=op.infer(*map(self.type_of, read))))

    def set_inputs(self, name: str, inputs: tuple[str, ...]) -> None:
        """Let a node read other values. Its type is inferred anew."""
        node = self._nodes[name]
        self._put(replace(node, inputs=inputs, type=node.op.infer(*map(self.type_of, inputs))))

    def set_params(self, name: str, /, **values: Param) -> None:
        """Set parameters by role. A name that another node holds too is left to it: this node gets its own.

        A computed value that another node holds already is that parameter: it is stored once.
        """
        self._touch(name)  # before the old values are gone
        node = self._nodes[name]
        wanted = node.op.params(*map(self.type_of, node.inputs))
        names = dict(node.params)
        for role, value in values.items():
            trained = role not in wanted or wanted[role].trained
            also = {held for other, held in names.items() if other != role}
            shared = self._shared_name(value, trained)
            names[role] = shared if shared and shared not in also else self._own_name(node, role)
            self._set(names[role], value, trained)
        self._put(replace(node, params=MappingProxyType(names)))

    def drop_params(self, name: str, *roles: str) -> None:
        """Take parameters from a node; they are gone once nobody holds them."""
        node = self._nodes[name]
        kept = {role: held for role, held in node.params.items() if role not in roles}
        self._put(replace(node, params=MappingProxyType(kept)))

    def add_origins(self, name: str, origins: tuple[Origin, ...]) -> None:
        """A merge joins the origins: the node now stands for these spec paths too."""
        node = self._nodes[name]
        self._put(replace(node, origins=tuple(dict.fromkeys((*node.origins, *origins)))))

    def insert(self, node: Node, params: Mapping[str, Param], before: str) -> None:
        """Add a node; `before` is the node it is placed in front of (order only).

        `params` are values by role for names of its own; a role left out shares the parameter that has the name.
        """
        if node.name in self._users:
            raise ValueError(f"there is already a value called {node.name!r}")
        if held := [node.params[role] for role in params if self._holders.get(node.params[role])]:
            raise ValueError(f"parameter {held[0]!r} belongs to another node: {node.name!r} needs a name of its own")
        self._touch(node.name)
        self._inserted += 1
        self._position[node.name] = (self._position[before][0], self._inserted - 1_000_000_000)
        wanted = node.op.params(*map(self.type_of, node.inputs))
        for role, value in params.items():
            self._set(node.params[role], value, role not in wanted or wanted[role].trained)
        self._users[node.name] = {}
        self._put(node)

    def bypass(self, name: str, to: str | None = None) -> None:
        """Take a node out; whoever read it reads `to` (default: its first input)."""
        target = self._nodes[name].inputs[0] if to is None else to
        if target == name:
            raise ValueError(f"{name!r} cannot stand for itself")
        self._touch(name)  # now, while its readers still read it
        self._open.redirects.append((name, target))
        for user in self.users(name):
            reader = self._nodes[user]
            self._open.moved.setdefault(user, reader)
            self._unlink(reader)
            self._nodes[user] = replace(reader, inputs=tuple(target if i == name else i for i in reader.inputs))
            self._link(self._nodes[user])
        if self.is_output(name):
            for table in (self._outputs, self._train_outputs):
                table.update({public: target for public, value in table.items() if value == name})
            self._leaving = None
        self.drop(name)

    def drop(self, name: str) -> None:
        """Remove a node that nobody reads; raises ValueError where somebody does."""
        if self._users[name] or self.is_output(name):
            raise ValueError(f"{name!r} is still read by {', '.join(self._users[name]) or 'an output'}")
        self._touch(name)
        self._unlink(self._nodes[name])
        del self._nodes[name], self._users[name]

    def drop_train_outputs(self) -> None:
        """The train form's extra outputs are no longer outputs."""
        assert self._open
        self._train_outputs.clear()
        self._leaving = None

    # -- closing

    def commit(self) -> Model:
        """The rewritten model; parameters that no node holds any more are gone. The model itself where nothing was written."""
        graph = self._model.graph
        if not self.regions and self._train_outputs == dict(graph.train_outputs):
            return self._model
        params = {name: value for name, value in self._params.items() if self._holders.get(name)}
        return Model(
            Graph(
                graph.name,
                graph.inputs,
                MappingProxyType(in_order(self._nodes, self._position)),
                MappingProxyType(self._outputs),
                MappingProxyType(self._train_outputs),
            ),
            MappingProxyType(params),
            frozenset(name for name in params if name in self._trained),
        )

    @property
    def _open(self) -> Recording:
        if self._region is None:
            raise ValueError("a model is edited inside `with edit.region(...)`, so that what was done can be proven")
        return self._region

    def _set(self, name: str, value: Param, trained: bool) -> None:
        self._params[name] = value
        if isinstance(value, Lazy):
            self._named[value] = name
        (self._trained.add if trained else self._trained.discard)(name)

    def _put(self, node: Node) -> None:
        self._touch(node.name)
        if node.name in self._nodes:
            self._unlink(self._nodes[node.name])
        self._nodes[node.name] = node
        self._link(node)

    def _link(self, node: Node) -> None:
        for name in node.inputs:
            self._users[name][node.name] = None
        for held in node.params.values():
            self._holders.setdefault(held, set()).add(node.name)

    def _unlink(self, node: Node) -> None:
        for name in node.inputs:
            self._users.get(name, {}).pop(node.name, None)
        for held in node.params.values():
            self._holders[held].discard(node.name)

    def _shared_name(self, value: Param, trained: bool) -> str | None:
        """The parameter of a node that is the very same expression."""
        name = self._named.get(value) if isinstance(value, Lazy) else None
        if name is None or self._params.get(name) is not value or not self._holders.get(name):
            return None
        return name if (name in self._trained) == trained else None

    def _own_name(self, node: Node, role: str) -> str:
        wanted = node.params.get(role, f"{node.name}.{role}")
        own, count = wanted, 1
        also = {name for other, name in node.params.items() if other != role}
        while own in also or self._holders.get(own, set()) - {node.name}:
            own = f"{node.name}.{role}" if count == 1 else f"{node.name}.{role}_{count}"
            count += 1
        return own

    def _touch(self, name: str) -> None:
        if name in self._open.touched:
            return
        node = self._nodes.get(name)
        if node is None:
            self._open.touched[name] = Touched(None)
            return
        held = {p: self._params[p] for p in node.params.values()}
        was = self._open.moved.get(name, node)
        self._open.touched[name] = Touched(was, tuple(self._users[name]), self.is_output(name), held)

    def _close(self, record: Recording) -> Region:
        before = self._ordered({name: t.node for name, t in record.touched.items() if t.node is not None})
        after = self._ordered({name: self._nodes[name] for name in record.touched if name in self._nodes})
        leaving = sorted(record.leaving(), key=self._position.__getitem__)
        outputs = tuple((name, record.resolve(name)) for name in leaving)
        return Region(
            record.rewrite,
            record.site,
            before,
            after,
            {name: self.type_of(name) for name in border(before, after, outputs)},
            outputs,
            {p: v for t in record.touched.values() for p, v in t.params.items()},
            {p: self._params[p] for node in after for p in node.params.values()},
            record.any_size,
        )

    def _ordered(self, nodes: Mapping[str, Node]) -> tuple[Node, ...]:
        return tuple(in_order(nodes, self._position).values())
