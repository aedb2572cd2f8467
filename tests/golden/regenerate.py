"""`python -m tests.golden.regenerate` rewrites what golden and error cases expect, and the tables in the docs.

Read the diff: every line of it is a change of what the compiler does.
"""

from __future__ import annotations

from tests.docs.reference_page import rewrite
from tests.golden.cases import TESTS, cases


def regenerate() -> None:
    """Rewrites what every case expects; a case that ends otherwise than its folder says is left alone and named."""
    for case in cases(TESTS / "golden") + cases(TESTS / "errors"):
        kind, text = case.outcome()
        if kind != case.kind:
            print(f"{case.path}: ends in {kind}, not {case.kind}:\n{text}")
        elif text != case.expected:
            case.path.write_text(f"{case.source}// ---- {kind}\n{text}", encoding="utf-8")
            print(f"{case.path}: rewritten")


if __name__ == "__main__":
    regenerate()
    rewrite()
