"""Golden cases: files with a pipeline, the IR that goes in and what must come out.

A case is one .tn file: `// pipeline: ...`, optionally `// chip: axons=8 neurons=4`, the input IR, then a line
`// ---- expected` and the IR that must come out (tests/golden/<pass>/), or `// ---- error` and the whole message in
comment lines (tests/errors/).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tncc.errors import Error
from tncc.ir.chip import Chip
from tncc.ir.parser import parse
from tncc.ir.printer import to_text
from tncc.passes.manager import run_pipeline

TESTS = Path(__file__).parent.parent
_MARKER = re.compile(r"^// ---- (expected|error)\n", re.MULTILINE)


@dataclass(frozen=True)
class Case:
    """`source` is the file up to its marker; `kind` is the marker's, `expected` the text after it."""

    path: Path
    source: str
    kind: str
    expected: str

    def header(self, key: str) -> str | None:
        match = re.search(rf"^// {key}: ?(.*)$", self.source, re.MULTILINE)
        return match and match[1]

    def outcome(self) -> tuple[str, str]:
        """("expected", the IR's text) or ("error", the message in comment lines)."""
        pipeline, options = self.header("pipeline"), self.header("chip")
        assert pipeline is not None, f"{self.path} has no // pipeline: line"
        settings = dict(option.split("=") for option in options.split()) if options else {}
        try:
            chip = Chip(**{name: int(value) for name, value in settings.items()})
            module = parse(self.source, self.path.name)
            return "expected", to_text(run_pipeline(module, chip, pipeline, check_semantics=True).module)
        except Error as error:
            return "error", "".join(f"// {line}\n" for line in str(error).splitlines())


def cases(folder: Path) -> list[Case]:
    """Every case below the folder, in the order of their paths."""
    return [load(path) for path in sorted(folder.rglob("*.tn"))]


def load(path: Path) -> Case:
    text = path.read_text(encoding="utf-8")
    parts = _MARKER.split(text)
    if len(parts) != 3:  # a new case: the marker and what follows it are still to be written
        return Case(path, text.rstrip() + "\n", "error" if path.parent.name == "errors" else "expected", "")
    return Case(path, *parts)
