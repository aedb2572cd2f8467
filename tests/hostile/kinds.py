"""The kinds of models to fuzz with, by name: functions of one Random that make a model, its bytes, or None."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from tests.hostile.mutations import mutated, mutated_bytes
from tests.hostile.random_models import random_model

KINDS: dict[str, Callable[[Random], Any]] = {
    "networks": random_model,
    "mutated": lambda random: mutated(random_model(random), random),
    "bytes": lambda random: mutated_bytes(random_model(random).SerializeToString(), random),
}
