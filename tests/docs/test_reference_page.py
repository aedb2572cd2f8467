"""Tables in the docs are those of the registries; the examples of docs/ir-reference.md parse, verify, print back."""

from __future__ import annotations

import re

import pytest

from tests.docs.reference_page import ERRORS, PAGE, SECTION, error_sections, generated, sections
from tests.ir.example import TEXT
from tncc.ir.parser import parse
from tncc.ir.printer import to_text
from tncc.ir.verify import verify

TEXT_OF_PAGE = PAGE.read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```tn\n(.*?)```", TEXT_OF_PAGE, re.DOTALL)


def test_generated_parts_are_up_to_date() -> None:
    assert [match[2] for match in SECTION.finditer(TEXT_OF_PAGE)] == list(sections())
    assert generated(PAGE) == TEXT_OF_PAGE, "run `make golden`"


def test_the_list_of_errors_is_up_to_date() -> None:
    text = ERRORS.read_text(encoding="utf-8")
    assert [match[2] for match in SECTION.finditer(text)] == list(error_sections())
    assert generated(ERRORS) == text, "run `make golden`"


@pytest.mark.parametrize("text", EXAMPLES)
def test_examples(text: str) -> None:
    module = parse(text)
    verify(module)
    assert to_text(module) == text


def test_the_netlist_example_is_the_one_that_is_tested() -> None:
    assert TEXT in EXAMPLES
