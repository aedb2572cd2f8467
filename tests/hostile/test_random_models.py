"""Random models of every kind: exact, or refused by the catalogue. `python -m tests.hostile.fuzz` runs thousands."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.hostile.judge import judge
from tests.hostile.kinds import KINDS


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 1 << 32))
@settings(deadline=None, derandomize=True, max_examples=40, suppress_health_check=list(HealthCheck))
def test_random_models(kind: str, seed: int) -> None:
    judge(KINDS[kind](Random(f"{kind} {seed}")))
