"""Values of IBM's model files: what a field may hold, and the neuron parameters."""

from __future__ import annotations

import re
from typing import Any

from tncc.errors import FormatError
from tncc.runtime.config import NEURON_FIELDS

FIRST_OUTPUT = -32  # destCore of output pins 0..255; -33 of pins 256..511, and so on
PINS_A_CONNECTOR_CORE = 256
MAX_OUTPUT_PINS = 1 << 24
TYPE_NAME = re.compile(r"N([0-9A-Fa-f]{1,8})")


def neuron_parameters(entry: dict[str, Any], at: str) -> dict[str, Any]:
    """One row of NEURON_FIELDS from a neuronTypes entry."""
    if entry.get("class", "NeuronGeneral") != "NeuronGeneral":
        raise FormatError(f"class is {str(entry['class'])[:40]!r}; only 'NeuronGeneral' is known", at)

    def number(key: str, low: int, high: int) -> int:
        return as_integer(entry.get(key), key, low, high, at)

    def flag(key: str) -> int:
        value = entry.get(key)
        return int(value) if isinstance(value, bool) else number(key, 0, 1)

    def sign(key: str) -> int:
        value = number(key, -1, 1)
        if value == 0:
            raise FormatError(f"{key} is 0; expected 1 or -1", at)
        return value

    _, _, potential_min, potential_max = NEURON_FIELDS["initial_potential"]
    return {
        "weights": [sign(f"sigma{g}") * number(f"s{g}", 0, 255) for g in range(4)],
        "stochastic_weights": [flag(f"b{g}") for g in range(4)],
        "leak": sign("sigma_lambda") * number("lambda", 0, 255),
        "stochastic_leak": flag("c_lambda"),
        "leak_reversal": flag("epsilon"),
        "threshold": number("alpha", 0, NEURON_FIELDS["threshold"][3]),
        "negative_threshold": number("beta", 0, NEURON_FIELDS["negative_threshold"][3]),
        "threshold_random_bits": number("TM", 0, NEURON_FIELDS["threshold_random_bits"][3]),
        "reset_mode": number("gamma", 0, 2),
        "negative_saturate": flag("kappa"),
        "reset_potential": sign("sigma_VR") * ((1 << number("VR", 0, 19)) - 1),
        "initial_potential": number("V", potential_min, potential_max),
    }


def as_object(value: Any, at: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise FormatError("expected an object {...}", at)
    return value


def as_integer(value: Any, key: str, low: int, high: int, at: str) -> int:
    if type(value) is not int or not low <= value <= high:
        found = "missing" if value is None else str(value)[:40]
        raise FormatError(f"{key} is {found}; expected an integer in {low}..{high}", at)
    return value


def as_name(value: Any, key: str, at: str) -> str:
    if not isinstance(value, str) or len(value) > 200:
        raise FormatError(f"{key} is {str(value)[:40]!r}; expected a name", at)
    return value
