"""Imports point one way: ir knows no other folder, passes know ir, runtime knows itself, nobody knows the CLI."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LEAVES = ("tncc.errors", "tncc.files")
ALLOWED = {
    "ir": ("numpy", "networkx", "lark", *LEAVES, "tncc.ir"),
    "passes": ("numpy", "networkx", *LEAVES, "tncc.ir", "tncc.passes", "tncc.runtime._native"),
    "runtime": ("numpy", "safetensors", *LEAVES, "tncc.runtime"),
}


def imported(path: Path) -> set[str]:
    """Every module that a file imports, at its top or inside a function, by its full name."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides where it points"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", [p for name in ALLOWED for p in (ROOT / name).rglob("*.py")], ids=str)
def test_imports_of_a_folder(path: Path) -> None:
    allowed = (*ALLOWED[path.relative_to(ROOT).parts[0]], *sys.stdlib_module_names)
    wrong = [name for name in imported(path) if not any(f"{name}.".startswith(f"{start}.") for start in allowed)]
    assert not wrong


def test_nobody_imports_the_cli() -> None:
    files = [p for p in (ROOT / "tncc").rglob("*.py") if "cli" not in p.stem and "cli" not in p.parts]
    wrong = [path for path in files if any(f"{name}.".startswith("tncc.cli.") for name in imported(path))]
    assert not [path for path in wrong if path.name != "__main__.py"]
