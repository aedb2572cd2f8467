"""Every golden case comes out as its file says; every error case with its whole message."""

from __future__ import annotations

import pytest

from tests.golden.cases import TESTS, Case, cases
from tncc.ir.parser import parse
from tncc.ir.printer import to_text
from tncc.passes.pipeline import passes

GOLDEN, ERRORS = cases(TESTS / "golden"), cases(TESTS / "errors")


@pytest.mark.parametrize("case", GOLDEN + ERRORS, ids=lambda case: "/".join(case.path.parts[-2:]))
def test_case(case: Case) -> None:
    assert case.outcome() == (case.kind, case.expected)


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: "/".join(case.path.parts[-2:]))
def test_expected_text_is_what_the_printer_writes(case: Case) -> None:
    assert to_text(parse(case.expected)) == case.expected


def test_every_pass_has_a_golden_case() -> None:
    missing = sorted(name for name in passes() if not any((TESTS / "golden" / name).glob("*.tn")))
    assert not missing
