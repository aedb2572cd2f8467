"""What there is to fuzz with, by name: functions of one Random that make a case and judge it."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from tests.hostile.edges import edge_case
from tests.hostile.everywhere import judge_everywhere
from tests.hostile.judge import judge
from tests.hostile.mutations import mutated, mutated_bytes
from tests.hostile.random_models import random_model


def judged(make: Callable[[Random], Any]) -> Callable[[Random], str]:
    def kind(random: Random) -> str:
        made = make(random)
        return "none made" if made is None else judge(made)

    return kind


KINDS: dict[str, Callable[[Random], str]] = {
    "networks": judged(random_model),
    "mutated": judged(lambda random: mutated(random_model(random), random)),
    "bytes": judged(lambda random: mutated_bytes(random_model(random).SerializeToString(), random)),
    "edges": lambda random: judge_everywhere(edge_case(random), random),
}
