"""Random models of every kind: exact, or refused by the catalogue. `python -m tests.hostile.fuzz` runs thousands."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.hostile.kinds import KINDS


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"edges"}))
@given(seed=st.integers(0, 1 << 32))
@settings(deadline=None, derandomize=True, max_examples=40, suppress_health_check=list(HealthCheck))
def test_random_models(kind: str, seed: int) -> None:
    KINDS[kind](Random(f"{kind} {seed}"))


@given(seed=st.integers(0, 1 << 32))
@settings(deadline=None, derandomize=True, max_examples=15, suppress_health_check=list(HealthCheck))
def test_networks_at_the_edges_everywhere(seed: int) -> None:
    """In each several compilations, all engines and all interpreters: half a second."""
    KINDS["edges"](Random(f"edges {seed}"))
