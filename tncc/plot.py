"""Figures of programs and runs with matplotlib (extra: viz). Every function draws into `ax`, or into a new figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tncc.errors import InputError
from tncc.placement import DEFECT, FREE, color, mesh_of
from tncc.program import Program
from tncc.traffic import core_load, loads

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from tncc.cost.activity import Activity

Array = npt.NDArray[Any]


def placement(program: Program, ax: Axes | None = None) -> Axes:
    """The mesh, cores coloured by layer, with chip borders. Raises InputError where the chip is not placed."""
    mesh = mesh_of(program)
    ax = _axes(ax)
    from matplotlib.colors import BoundaryNorm, ListedColormap
    from matplotlib.patches import Patch

    total = len(mesh.names)
    colors = ["#000000", "#e8e8e8", *(color(i, total) for i in range(total))]
    bounds = np.arange(DEFECT - 0.5, total + 0.5)
    ax.imshow(mesh.layer, cmap=ListedColormap(colors), norm=BoundaryNorm(bounds, len(colors)), interpolation="nearest")
    _borders(ax, mesh.layer.shape, mesh.chip)
    handles = [
        Patch(color=color(i, total), label=f"{name} ({count:,})")
        for i, (name, count) in enumerate(zip(mesh.names, mesh.counts, strict=False))
    ]
    if np.any(mesh.layer == FREE):
        handles.append(Patch(color="#e8e8e8", label=f"free ({int((mesh.layer == FREE).sum()):,})"))
    if np.any(mesh.layer == DEFECT):
        handles.append(Patch(color="#000000", label=f"defective ({int((mesh.layer == DEFECT).sum()):,})"))
    ax.legend(handles=handles, loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize="small", frameon=False)
    ax.set(title=f"{program.config.n_cores:,} cores", xlabel="x", ylabel="y")
    return ax


def link_loads(program: Program, activity: Activity | None = None, ax: Axes | None = None) -> Axes:
    """The load of the busiest link that leaves each router: connections, or packets per tick with an `activity`.

    Raises InputError where the chip is not placed.
    """
    found, scale, unit = loads(program, activity)
    ax = _axes(ax)
    mesh_x, mesh_y, chips_x, chips_y = program.config.mesh
    load = core_load(found, mesh_y * chips_y, mesh_x * chips_x) * scale
    image = ax.imshow(load, cmap="inferno", interpolation="nearest", vmin=0)
    ax.figure.colorbar(image, ax=ax, label=f"{unit}, busiest link out of each router")
    _borders(ax, load.shape, (mesh_x, mesh_y), "white")
    ax.set(title=f"busiest link: {load.max(initial=0):,.0f} {unit}", xlabel="x", ylabel="y")
    return ax


def raster(program: Program, activity: Activity, ax: Axes | None = None) -> Axes:
    """Spikes of one frame that enters an empty chip: ticks across, neurons in order of their layer down.

    Strong: spikes that would not be there without the frame; pale: neurons that fire without input.
    """
    from tncc.cost.raster import layered_rows, of_the_frame

    config = program.config
    names = [layer["name"] for layer in program.layers]
    rows, ends = layered_rows(config, len(names))
    spikes = activity.raster
    new = of_the_frame(activity, config)
    layer = config.layer[spikes.core]
    ax = _axes(ax)
    for index in np.unique(layer).tolist():
        for part, alpha in ((~new, 0.08), (new, 0.9)):
            chosen = part & (layer == index)
            ax.plot(
                spikes.tick[chosen],
                rows[spikes.core[chosen], spikes.neuron[chosen]],
                "|" if chosen.sum() < 2000 else ",",
                color=color(index, len(names)),
                alpha=alpha,
                rasterized=True,
            )
    starts = np.concatenate([[0], ends[:-1]])
    ax.set_yticks((starts + ends) / 2, names, fontsize="small")
    ax.set(xlabel="tick", xlim=(-0.5, config.latency_ticks + 1.5), ylim=(int(ends[-1]) if len(ends) else 1, 0))
    return ax


def potentials(
    program: Program, x: Any, neurons: Sequence[tuple[int, int]], ax: Axes | None = None, *, engine: str = "auto"
) -> Axes:
    """Membrane potentials of `neurons`, (core, neuron) pairs, after every tick while the frames x run.

    Raises InputError where x does not fit the model or a neuron is not on the chip.
    """
    from tncc.session import Session

    if not len(neurons):
        raise InputError("no neurons to plot: give (core, neuron) pairs")
    session = Session(program, engine=engine)
    pins = session.encode(x)
    pins = np.concatenate([pins, np.zeros((program.config.latency_ticks, program.config.input_pins), np.uint8)])
    traces = session.chip.run(len(pins), pins, probes=np.array(neurons, np.int32).reshape(-1, 2)).potentials
    assert traces is not None  # probes were asked for
    ax = _axes(ax)
    for trace, (core, neuron) in zip(traces.T, neurons, strict=True):
        ax.step(np.arange(len(trace)), trace, where="mid", label=f"core {core}, neuron {neuron}")
    ax.legend(fontsize="small")
    ax.set(xlabel="tick", ylabel="membrane potential")
    return ax


def png(ax: Axes, dots_per_inch: int = 150) -> bytes:
    """The figure of `ax` as the bytes of a PNG file; the figure is closed."""
    import io

    from matplotlib import pyplot

    buffer = io.BytesIO()
    figure = ax.get_figure(root=True)
    assert figure is not None
    figure.savefig(buffer, format="png", dpi=dots_per_inch, bbox_inches="tight", metadata={"Software": None})
    pyplot.close(figure)
    return buffer.getvalue()


def _axes(ax: Axes | None) -> Axes:
    if ax is not None:
        return ax
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise InputError("figures need matplotlib", hint="pip install 'tncc[viz]'") from error
    return pyplot.subplots(figsize=(8, 7), layout="constrained")[1]


def _borders(ax: Axes, shape: tuple[int, ...], chip: tuple[int, int], line: str = "black") -> None:
    """Lines between chips."""
    height, width = shape
    for x in range(chip[0], width, chip[0]):
        ax.axvline(x - 0.5, color=line, linewidth=1)
    for y in range(chip[1], height, chip[1]):
        ax.axhline(y - 0.5, color=line, linewidth=1)
