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


@pytest.fixture(scope="module")
def outcomes() -> dict[str, dict[str, Any]]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    command = [sys.executable, "-m", "tests.hostile.child"]
    found = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    return {line["model"]: line for line in map(json.loads, found.stdout.splitlines())}


@pytest.mark.parametrize("name", HOSTILE)
def test_bounded(name: str, outcomes: dict[str, dict[str, Any]]) -> None:
    assert name in outcomes, "the compiler was killed, or ended in a traceback"
    found = outcomes[name]
    assert found["outcome"] == "compiled" or found["outcome"] in CATALOGUE
    assert found["outcome"] == "compiled" or found["text"].strip()
    assert found["peak"] < LIMIT, f"{found['peak'] / 2**20:.0f} MiB"
