"""Whether a module means the same before and after a pass: both run on the same random frames, compared bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.errors import MeaningChanged
from tncc.ir import core_interpreter, interpreter
from tncc.ir.graph import Graph, Value
from tncc.ir.netlist import Netlist
from tncc.ir.ops import HostOp
from tncc.ir.types import Domain, TensorType
from tncc.passes.base import Module

Array = npt.NDArray[Any]
FRAMES = 8


def compare_meaning(before: Module, after: Module, pass_name: str, seed: int) -> str:
    """ "equal", or why the two cannot be run; `seed` draws the frames.

    Where `after` is a part of `before` (partition-host cuts the host's part off), that part is compared: the inputs of
    `after` are fed to the values of those names in `before`.

    Raises:
        CompileError: an output differs.
    """
    inputs, outputs = _interface(after)
    try:
        before = _part(before, inputs, outputs)
    except KeyError as missing:
        return f"not compared: {missing.args[0]} is not a value of the module before the pass"
    for module in (before, after):
        if reason := _not_executable(module):
            return f"not compared: {reason}"
    rng = np.random.default_rng(seed)
    frames = {value.name: random_frames(value.type, FRAMES, rng) for value in inputs}
    expected, got = run_module(before, frames), run_module(after, frames)
    for name in outputs:
        differ = ~((expected[name] == got[name]) | ((expected[name] != expected[name]) & (got[name] != got[name])))
        if differ.any():
            at = tuple(int(i) for i in np.argwhere(differ)[0])
            raise MeaningChanged(
                f"{pass_name} changes what the network computes: {int(differ.sum())} of {differ.size} elements of "
                f"output {name}; frame {at[0]}, element {list(at[1:])} was {expected[name][at]}, is {got[name][at]}"
            )
    return "equal"


def random_frames(type: TensorType, frames: int, rng: np.random.Generator) -> Array:
    """[frames, *shape] random numbers of the type's domain."""
    shape = (frames, *type.shape)
    if type.domain is Domain.REAL:
        return rng.standard_normal(shape, np.float32)
    if type.domain is Domain.INT:
        return rng.integers(-128, 128, shape, np.int32)
    bits = rng.integers(0, 2, shape, np.int8)
    return bits.astype(np.uint8) if type.domain is Domain.SPIKES else (2 * bits - 1).astype(np.int8)


def run_module(module: Module, frames: dict[str, Array]) -> dict[str, Array]:
    """Outputs of either level's reference interpreter."""
    if isinstance(module, Graph):
        return interpreter.run(module, frames)
    return core_interpreter.run_frames(module, frames)


def _interface(module: Module) -> tuple[tuple[Value, ...], tuple[str, ...]]:
    if isinstance(module, Graph):
        return module.inputs, module.outputs
    return tuple(Value(p.name, p.type) for p in module.inputs), tuple(p.name for p in module.outputs)


def _part(module: Module, inputs: tuple[Value, ...], outputs: tuple[str, ...]) -> Module:
    """The part of `module` between `inputs` and `outputs`; KeyError names a value that it does not have."""
    if isinstance(module, Netlist):
        own = {p.name for p in module.inputs} | {p.name for p in module.outputs}
        for name in (*(v.name for v in inputs), *outputs):
            if name not in own:
                raise KeyError(name)
        return module
    for name in (*(value.name for value in inputs), *outputs):
        if name not in module.types:
            raise KeyError(name)
    fed = {value.name for value in inputs}
    needed, kept = set(outputs) - fed, []
    for op in reversed(module.ops):
        if op.output in needed:
            kept.append(op)
            needed |= set(op.inputs) - fed
    unfed = tuple(value for value in module.inputs if value.name in needed)
    if unfed:
        raise KeyError(unfed[0].name)
    return Graph(module.name, inputs, tuple(reversed(kept)), outputs)


def _not_executable(module: Module) -> str:
    if isinstance(module, Graph):
        for op in module.ops:
            if isinstance(op, HostOp):
                return f"{op.location} is a host op ({op.op_type})"
        return ""
    return core_interpreter.not_interpreted(module)
