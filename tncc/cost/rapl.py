"""Energy that this computer's processor used, from the kernel's RAPL counters, where they can be read."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

POWERCAP = Path("/sys/class/powercap")


class EnergyMeter:
    """Context: the energy of all processor packages between entry and exit, of everything that ran meanwhile.

    Attributes:
        energy_uj: in microjoules; None where no counter can be read (no RAPL, or root alone may read it).
    """

    def __init__(self, folder: Path = POWERCAP) -> None:
        self.energy_uj: float | None = None
        self._packages = [p for p in sorted(folder.glob("intel-rapl:*")) if p.name.count(":") == 1]
        self._before: list[int] | None = None

    @property
    def readable(self) -> bool:
        """Whether there is a counter."""
        return self._read("energy_uj") is not None

    def __enter__(self) -> EnergyMeter:
        self._before = self._read("energy_uj")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        after, ranges = self._read("energy_uj"), self._read("max_energy_range_uj")
        if self._before is None or after is None:
            return
        wraps = ranges or [0] * len(after)
        used = [
            end - start if end >= start else end - start + wrap
            for start, end, wrap in zip(self._before, after, wraps, strict=True)
        ]
        self.energy_uj = float(sum(used))

    def _read(self, name: str) -> list[int] | None:
        """The counter of every package, or None."""
        try:
            return [int((package / name).read_text()) for package in self._packages] or None
        except (OSError, ValueError):
            return None
