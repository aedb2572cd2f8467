"""Hypothesis strategies: arbitrary modules, for properties of the text form (well formed or not does not matter)."""

from __future__ import annotations

from typing import Any, get_args, get_origin

import hypothesis.strategies as st
import numpy as np
from hypothesis.extra import numpy as hnp

from tncc.ir.chip import Chip
from tncc.ir.encoding import DTYPES
from tncc.ir.graph import Graph, Value
from tncc.ir.location import Location
from tncc.ir.netlist import NEURON_FIELDS, Layer, Netlist, Port
from tncc.ir.ops import Op, attribute_types, registry
from tncc.ir.types import Domain, TensorType

names = st.one_of(st.from_regex(r"[A-Za-z0-9_./]{1,8}", fullmatch=True), st.text(max_size=8))
shapes = st.lists(st.integers(0, 4), max_size=4).map(tuple)
tensor_types = st.builds(TensorType, st.sampled_from(list(Domain)), shapes)
locations = st.builds(
    Location, st.lists(st.text(max_size=5), max_size=3).map(tuple), st.lists(names, max_size=2).map(tuple)
)


def bits(dtype: np.dtype[Any], shape: Any) -> st.SearchStrategy[Any]:
    """Arrays of any bit patterns, NaNs with payloads and negative zeros among them, with runs of equal elements."""
    if dtype.kind != "f":
        return hnp.arrays(dtype, shape)
    return hnp.arrays(f"u{dtype.itemsize}", shape).map(lambda array: array.view(dtype).reshape(array.shape))


tensors = st.sampled_from(sorted(DTYPES.values(), key=str)).flatmap(lambda dtype: bits(dtype, shapes))


def attribute(hint: Any) -> st.SearchStrategy[Any]:
    if get_origin(hint) is np.ndarray:
        return tensors
    if get_origin(hint) is tuple:
        arguments = get_args(hint)
        size = (0, 4) if Ellipsis in arguments else (len(arguments), len(arguments))
        return st.lists(st.integers(-(2**40), 2**40), min_size=size[0], max_size=size[1]).map(tuple)
    return {int: st.integers(-(2**70), 2**70), float: st.floats(), bool: st.booleans(), str: st.text(max_size=6)}[hint]


@st.composite
def an_op(draw: st.DrawFn) -> Op:
    cls = draw(st.sampled_from(sorted(registry().values(), key=lambda c: c.__name__)))
    return cls(
        inputs=draw(st.lists(names, max_size=3).map(tuple)),
        output=draw(names),
        type=draw(tensor_types),
        location=draw(locations),
        **{name: draw(attribute(hint)) for name, hint in attribute_types(cls).items()},
    )


graphs = st.builds(
    Graph,
    names,
    st.lists(st.builds(Value, names, tensor_types), max_size=2).map(tuple),
    st.lists(an_op(), max_size=4).map(tuple),
    st.lists(names, max_size=2).map(tuple),
    st.lists(st.text(max_size=5), max_size=2).map(tuple),
)

notes = st.recursive(
    st.one_of(st.integers(), st.floats(allow_nan=False), st.text(max_size=4), st.booleans()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text(max_size=4), inner, max_size=3),
    ),
    max_leaves=6,
)


@st.composite
def netlists(draw: st.DrawFn) -> Netlist:
    """Netlists of the right shapes and dtypes, with arbitrary numbers in them."""
    small = st.integers(1, 9)
    chip = draw(
        st.builds(
            Chip,
            mesh_x=st.integers(2, 9),
            mesh_y=small,
            axons=small,
            neurons=small,
            chips_x=small,
            defects=st.sets(st.tuples(st.integers(0, 1), st.just(0))).map(frozenset),
        )
    )
    n, k, types, crossbars, vectors = (draw(st.integers(0, 3)) for _ in range(5))

    def array(dtype: str, *shape: int) -> Any:
        limit = 3 if draw(st.booleans()) else None
        elements = None if limit is None else st.integers(0, limit)
        return draw(hnp.arrays(dtype, shape, elements=elements))

    port = st.builds(Port, st.text(max_size=4), tensor_types, st.integers(0, 9), st.integers(0, 9))
    layer = st.builds(
        Layer,
        *(st.text(max_size=4) for _ in range(3)),
        st.dictionaries(st.text(max_size=4), notes, max_size=2),
    )
    per_core = {name: array("int32", n) for name in ("crossbar_index", "axon_types_index", "layer")}
    at = array("int32", n, 2) if draw(st.booleans()) else np.full((n, 2), -1, np.int32)
    return Netlist(
        chip=chip,
        crossbars=array("uint8", crossbars, chip.axons, (chip.neurons + 7) // 8),
        axon_types=array("uint8", vectors, chip.axons),
        neuron_types={name: array(dtype, types, *tail) for name, (dtype, tail) in NEURON_FIELDS.items()},
        **{name: array("int32", n, chip.neurons) for name in ("neuron_type", "target_core", "target_axon")},
        target_delay=array("uint8", n, chip.neurons),
        seed=array("uint32", n),
        core_x=np.clip(at[:, 0], -1, 1 << 28),
        core_y=np.clip(at[:, 1], -1, 1 << 28),
        **per_core,
        layers=tuple(draw(st.lists(layer, max_size=2))),
        **{f"input_{name}": array("int32", k) for name in ("pin", "core", "axon")},
        input_delay=array("uint8", k),
        inputs=tuple(draw(st.lists(port, max_size=2))),
        outputs=tuple(draw(st.lists(port, max_size=2))),
        approximations=tuple(draw(st.lists(st.text(max_size=5), max_size=2))),
    )
