"""Measured spike counts, by which place-cores can weigh connections."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.errors import PipelineInvalid
from tncc.ir.netlist import Netlist
from tncc.ir.routing import wiring_sha256

Array = npt.NDArray[Any]

NPY_MAGIC = b"\x93NUMPY"
KINDS = "the output of `tncc run --stats --json`, or a .npy file of spike counts"
SAME = "statistics of a run of this very network, compiled with the same options (effort and seed may differ)"


def read_traffic(path: Path, netlist: Netlist) -> Array:
    """float64 [cores, neurons]: the spikes each neuron sent; where only cores were counted, shared by their neurons.

    Raises PipelineInvalid where the file cannot be read or belongs to another network.
    """
    counts = _checked(_counts(path, netlist), path, netlist)
    if counts.ndim == 1:
        used = np.count_nonzero(netlist.neuron_type >= 0, axis=1)
        counts = np.broadcast_to((counts / np.maximum(used, 1))[:, None], netlist.target_core.shape)
    return counts


def _counts(path: Path, netlist: Netlist) -> Any:
    """What the file holds, not yet checked."""
    try:
        with path.open("rb") as file:
            if file.read(len(NPY_MAGIC)) == NPY_MAGIC:
                return np.load(path, allow_pickle=False)
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise PipelineInvalid(f"cannot read the traffic file: {error.strerror or error}", path, KINDS) from None
    except (ValueError, EOFError, RecursionError, OverflowError, TypeError, SyntaxError) as error:
        raise PipelineInvalid(f"cannot read the traffic file: {str(error)[:200]}", path, KINDS) from None
    if not isinstance(document, dict) or not {"core_spikes", "wiring_sha256"} <= document.keys():
        raise PipelineInvalid("the traffic file has no core_spikes and wiring_sha256", path, KINDS)
    wiring = wiring_sha256(netlist.target_core, netlist.target_axon, netlist.target_delay)
    if document["wiring_sha256"] != wiring:
        raise PipelineInvalid("the traffic file was measured on a chip whose cores are wired otherwise", path, SAME)
    values = document["core_spikes"]
    if not isinstance(values, list) or not all(type(v) in (int, float) for v in values):
        raise PipelineInvalid("core_spikes in the traffic file is not a list of numbers", path, KINDS)
    try:
        return np.array(values, np.float64)
    except OverflowError:
        raise PipelineInvalid("the traffic file holds a count that is not finite", path) from None


def _checked(spikes: Any, path: Path, netlist: Netlist) -> Array:
    """float64, [cores] or [cores, neurons], finite and not negative."""
    shape = netlist.target_core.shape
    if not isinstance(spikes, np.ndarray) or spikes.dtype.kind not in "uif" or spikes.shape not in (shape, shape[:1]):
        found = f"{spikes.dtype}{list(spikes.shape)}" if isinstance(spikes, np.ndarray) else "an archive"
        raise PipelineInvalid(
            f"the traffic file holds {found}; expected numbers [{shape[0]}] or [{shape[0]}, {shape[1]}]", path, SAME
        )
    counts = spikes.astype(np.float64)
    if not np.all(np.isfinite(counts)) or np.any(counts < 0):
        raise PipelineInvalid("the traffic file holds a count that is negative or not finite", path)
    if np.any(counts > 1 << 63):
        raise PipelineInvalid("the traffic file holds a count of more than 2^63", path)
    return counts
