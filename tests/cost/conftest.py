"""A small placed program for the tests of activity and report."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tncc

DIGITS = Path(__file__).parents[2] / "examples" / "digits.onnx"


@pytest.fixture(scope="session")
def program() -> tncc.Program:
    """The trained digits network, compiled."""
    return tncc.compile(DIGITS, effort="low")


@pytest.fixture(scope="session")
def frames() -> np.ndarray:
    """Six random images, not digits: activity is all that counts here."""
    return np.random.default_rng(5).integers(0, 17, (6, 1, 8, 8)).astype(np.float32)
