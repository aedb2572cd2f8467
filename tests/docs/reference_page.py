"""The generated parts of docs/ir-reference.md: tables of ops, invariants and passes, from the registries."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path

from tncc.ir.graph import Graph
from tncc.ir.invariants import invariants
from tncc.ir.ops import attribute_types, registry
from tncc.passes.pipeline import DEFAULT_PIPELINE, passes

PAGE = Path(__file__).parents[2] / "docs" / "ir-reference.md"
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


def sections() -> dict[str, str]:
    """The text of every generated part by name."""
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


def generated_page() -> str:
    """The page with its generated parts renewed."""
    parts = sections()
    return SECTION.sub(lambda match: f"{match[1]}{parts[match[2]]}{match[3]}", PAGE.read_text(encoding="utf-8"))


def rewrite() -> None:
    PAGE.write_text(generated_page(), encoding="utf-8")
