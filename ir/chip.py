"""The target chip as a value that is passed in: no pass writes a literal 256."""

from __future__ import annotations

from dataclasses import dataclass

from tncc.errors import ChipInvalid

MAX_CORES = 1 << 22
MAX_PER_CORE = 1 << 12


@dataclass(frozen=True)
class Chip:
    """A mesh of cores on one chip or on an array of chips. The defaults are TrueNorth's (Akopyan et al. 2015).

    Attributes:
        mesh_x, mesh_y: cores per chip along x and y.
        axons, neurons: per core.
        axon_types: number of axon types, each neuron having one weight a type.
        max_weight: weights (and leaks) lie in -max_weight..max_weight.
        max_delay_ticks: delays lie in 1..max_delay_ticks.
        max_hop: signed hop counts dx, dy lie in -max_hop - 1 .. max_hop (9 bits).
        chips_x, chips_y: the array of chips, tiled into one larger mesh.
        defects: global (x, y) of cores that must not be used; spikes still route through them.
    """

    mesh_x: int = 64
    mesh_y: int = 64
    axons: int = 256
    neurons: int = 256
    axon_types: int = 4
    max_weight: int = 255
    max_delay_ticks: int = 15
    max_hop: int = 255
    chips_x: int = 1
    chips_y: int = 1
    defects: frozenset[tuple[int, int]] = frozenset()

    def __post_init__(self) -> None:
        if self.width * self.height > MAX_CORES or max(self.axons, self.neurons) > MAX_PER_CORE:
            raise ChipInvalid(
                f"a mesh of {self.width} x {self.height} cores of {self.axons} axons and {self.neurons} neurons is out "
                f"of range; up to {MAX_CORES:,} cores of up to {MAX_PER_CORE:,} axons and neurons are legal"
            )
        for field in ("mesh_x", "mesh_y", "axons", "neurons", "axon_types", "chips_x", "chips_y"):
            if getattr(self, field) < 1:
                raise ChipInvalid(f"chip.{field} is {getattr(self, field)}; it must be at least 1")
        for x, y in self.defects:
            if not (0 <= x < self.width and 0 <= y < self.height):
                raise ChipInvalid(f"defective core ({x}, {y}) lies outside the {self.width} x {self.height} mesh")

    @property
    def width(self) -> int:
        """Cores along x over all chips."""
        return self.mesh_x * self.chips_x

    @property
    def height(self) -> int:
        """Cores along y over all chips."""
        return self.mesh_y * self.chips_y

    @property
    def chips(self) -> int:
        return self.chips_x * self.chips_y

    @property
    def cores(self) -> int:
        """Cores that may be used: the whole mesh less the defects."""
        return self.width * self.height - len(self.defects)

    @property
    def axon_pairs(self) -> int:
        """Inputs a core takes when every input occupies two axons (trinary weights)."""
        return self.axons // 2
