"""docs/cli.md names every option of every command."""

from __future__ import annotations

import importlib

import pytest

from tests.docs.reference_page import DOCS
from tncc.cli import COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_documented(name: str) -> None:
    page = (DOCS / "cli.md").read_text(encoding="utf-8")
    assert f"`tncc {name} " in page
    for parameter in importlib.import_module(COMMANDS[name]).command.params:
        if any(option.startswith("-") for option in parameter.opts):
            assert any(
                f"{option} " in page or f"{option}`" in page or f"{option}]" in page for option in parameter.opts
            )
