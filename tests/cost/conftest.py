"""A small placed program for the tests of cost, activity and report."""

from __future__ import annotations

from pathlib import Path

import pytest

import tncc

DIGITS = Path(__file__).parents[2] / "examples" / "digits.onnx"


@pytest.fixture(scope="session")
def program() -> tncc.Program:
    """The trained digits network, compiled."""
    return tncc.compile(DIGITS)
