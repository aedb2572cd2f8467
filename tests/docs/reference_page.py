"""The generated parts of the docs: tables of ops, invariants and passes, and of errors, from the registries."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path

from tncc.errors import CATALOGUE
from tncc.ir.graph import Graph
from tncc.ir.invariants import invariants
from tncc.ir.ops import attribute_types, registry
from tncc.passes.pipeline import DEFAULT_PIPELINE, passes

DOCS = Path(__file__).parents[2] / "docs"
PAGE, ERRORS = DOCS / "ir-reference.md", DOCS / "errors.md"
SECTION = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
LEVELS = {True: "nn.graph", False: "core.netlist"}


def first_paragraph(doc: str | None) -> str:
    """The first paragraph of a docstring on one line, fit for a table's cell."""
    return " ".join((doc or "").strip().split("\n\n")[0].split()).replace("|", "\\|")


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head), ["---"] * len(list(head)), *map(list, rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def error_sections() -> dict[str, str]:
    """The text of every generated part of docs/errors.md by name: one table a hundred of codes."""
    found: dict[str, str] = {}
    for code_of_group in sorted({code[:2] for code in CATALOGUE}):
        kinds = [kind for code, kind in sorted(CATALOGUE.items()) if code.startswith(code_of_group)]
        rows = ([kind.code, code([kind.__name__]), first_paragraph(kind.__doc__), kind.remedy] for kind in kinds)
        found[code_of_group] = table(["code", "class", "what it says", "what works"], rows)
    return found


def sections() -> dict[str, str]:
    """The text of every generated part of docs/ir-reference.md by name."""
    known = passes()
    order = [name.strip() for name in DEFAULT_PIPELINE.split(",")]
    steps = [known[name] for name in (*order, *sorted(known.keys() - set(order)))]
    return {
        "ops": table(
            ["op", "attributes", "meaning"],
            (
                [code([name]), code(attribute_types(cls)), first_paragraph(cls.__doc__)]
                for name, cls in registry().items()
            ),
        ),
        "invariants": table(
            ["invariant", "of", "holds when"],
            ([code([i.name]), f"`{LEVELS[i.level is Graph]}`", first_paragraph(i.doc)] for i in invariants().values()),
        ),
        "passes": table(
            ["pass", "options", "requires", "ensures", "exact", "what it does"],
            (
                [
                    code([cls.name]),
                    code(f"{f.name.replace('_', '-')}={str(f.default).lower()}" for f in fields(cls)),
                    code(cls.requires),
                    code(cls.ensures),
                    "yes" if cls.exact else "no",
                    first_paragraph(cls.__doc__),
                ]
                for cls in steps
            ),
        ),
        "pipeline": f"    {DEFAULT_PIPELINE}\n",
    }


def generated(page: Path) -> str:
    """The page with its generated parts renewed."""
    parts = sections() if page == PAGE else error_sections()
    return SECTION.sub(lambda match: f"{match[1]}{parts[match[2]]}{match[3]}", page.read_text(encoding="utf-8"))


def rewrite() -> None:
    for page in (PAGE, ERRORS):
        page.write_text(generated(page), encoding="utf-8")
