"""Small files that ask for gigabytes or hours: a message from the catalogue or a chip, within 2 GiB and soon."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.hostile.models import HOSTILE
from tncc.errors import CATALOGUE

ROOT = Path(__file__).parents[2]
LIMIT = 2 << 30  # bytes


def output_of(module: str) -> list[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    command = [sys.executable, "-m", f"tests.hostile.{module}"]
    found = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    return found.stdout.splitlines()


@pytest.fixture(scope="module")
def outcomes() -> dict[str, dict[str, Any]]:
    return {line["model"]: line for line in map(json.loads, output_of("child"))}


@pytest.mark.parametrize("name", HOSTILE)
def test_bounded(name: str, outcomes: dict[str, dict[str, Any]]) -> None:
    assert name in outcomes, "the compiler was killed, or ended in a traceback"
    found = outcomes[name]
    assert found["outcome"] == "compiled" or found["outcome"] in CATALOGUE
    assert found["outcome"] == "compiled" or found["text"].strip()
    assert found["peak"] < LIMIT, f"{found['peak'] / 2**20:.0f} MiB"


def test_too_little_memory_and_stack() -> None:
    with_all, with_little_stack, with_little_memory = output_of("out_of_memory")
    assert with_all == "compiled"
    assert with_little_stack.startswith("E111 reading the model: the model is nested too deeply hint: ")
    assert with_little_memory.startswith("E111 fold-thresholds: there is not enough memory (Unable to allocate ")
