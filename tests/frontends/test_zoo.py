"""Random members of every family of the zoo: the chip gives what ONNX Runtime gives, on 100 random frames; --explain
accounts for every node."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from typing import Any

import numpy as np
import onnx
import pytest

from bench.zoo import ZOO, differing_values, frames
from tncc import explain
from tncc.compiler import Options, compile_model


@pytest.mark.parametrize("name", ZOO)
def test_member(name: str) -> None:
    rng = np.random.default_rng([1, zlib.crc32(name.encode())])
    model = ZOO[name](rng)
    result = compile_model(model, Options(effort="low", allow_partial_sums=True))
    program = result.program
    assert program is not None
    assert differing_values(model, program, frames(model, 100, rng)) == 0
    assert program.report()["exact"]
    check_fates(model, program.report(), explain.explain(result.source, program))


def check_fates(model: onnx.ModelProto, report: dict[str, Any], rows: list[explain.Fate]) -> None:
    """Every node once, in order; what can be told from the source model alone is what the rows say."""
    assert [(row.node, row.operator) for row in rows] == [(node.name, node.op_type) for node in model.graph.node]
    varying = {value.name for value in model.graph.input}
    named: dict[str, int] = {}
    fate_of: dict[str, str] = {}
    for node, row in zip(model.graph.node, rows, strict=True):
        depends = bool(varying.intersection(node.input))
        assert depends == (row.became != explain.FOLDED), row
        if not depends:
            continue
        varying.update(node.output)
        parts = row.became.split("; ")
        for part in parts:
            if found := re.match(r"layer (.*): ([\d,]+) core", part):
                named[found[1]] = int(found[2].replace(",", ""))
        # the host before the chip reads nothing that the chip or the host behind it computes, the chip nothing of the
        # latter alone
        behind = {fate_of[name] for name in node.input if name in fate_of}
        if parts == [explain.BEFORE]:
            assert behind <= {explain.BEFORE}, row
        elif explain.AFTER not in parts:
            assert explain.AFTER not in behind, row
        fate_of.update(dict.fromkeys(node.output, row.became))
        if parts == [explain.WIRING]:
            assert node.op_type in explain.MOVES
    cores: Counter[str] = Counter()
    for entry in report["cores_by_layer"]:
        cores[entry["layer"]] += entry["cores"]
    assert named.items() <= cores.items()
    assert not [layer for layer in cores if layer not in named and not layer.startswith(("splitter", "relay"))]
