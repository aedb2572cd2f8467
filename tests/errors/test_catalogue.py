"""Every place that refuses a model does so with a kind of error that docs/errors.md lists."""

from __future__ import annotations

import ast
import functools
import pickle
from collections import Counter
from pathlib import Path

import pytest

from tncc.errors import CATALOGUE, CompileError

ROOT = Path(__file__).parents[2]
FILES = sorted(path for folder in ("tncc", "ir", "passes", "runtime") for path in (ROOT / folder).rglob("*.py"))


@functools.cache
def calls() -> Counter[str]:
    """How often each name is called, in all of the package."""
    found: Counter[str] = Counter()
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                found[node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")] += 1
    return found


def test_only_kinds_of_the_catalogue_are_raised() -> None:
    found = calls()
    assert found["InputError"] > 50  # the walk sees the package
    hint = "raise one of the kinds in tncc/errors.py, or add one (class, code, remedy), then `make golden`"
    assert not found["CompileError"] and not found["Error"], hint


@pytest.mark.parametrize("code", CATALOGUE)
def test_every_kind_is_raised_somewhere(code: str) -> None:
    kind = CATALOGUE[code]
    assert calls()[kind.__name__], f"{kind.__name__} is never raised"
    error = kind("what", "where", "hint")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind and str(again) == str(error) == "where: what\n  hint: hint"
    assert isinstance(again, CompileError) and again.code == code
