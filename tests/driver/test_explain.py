"""`tncc compile --explain`: what became of every node."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx

from bench.zoo.net import Net
from tncc.compiler import Options, compile_model
from tncc.explain import ABSORBED, explain
from tncc.tables import layer_rows


def model() -> onnx.ModelProto:
    net = Net(np.random.default_rng(0))
    weight = net.add("Clip", net.add("Round", net.real(6, 4, 1, 1)), np.float32(-1), np.float32(1))
    x = net.first(size=4)
    x = net.add("Gather", x, np.array([3, 1, 2, 0]), axis=1)
    x = net.step(net.add("Conv", x, weight))
    return net.model(net.add("GlobalAveragePool", x))


def test_every_node_is_accounted_for() -> None:
    proto = model()
    result = compile_model(proto, Options())
    assert result.program is not None
    rows = explain(result.source, result.program)
    assert [(row.node, row.operator) for row in rows] == [(node.name, node.op_type) for node in proto.graph.node]
    assert [row.became for row in rows] == [
        "folded into constants",
        "folded into constants",
        "host, before the chip",
        "host, before the chip",
        "no core: it moves spikes, or does nothing to them",
        "no core: it moves spikes, or does nothing to them",
        "layer Conv_6: 1 core",
        "layer Conv_6: 1 core",
        "host, after the chip",
        "host, after the chip",
    ]


def test_command_line(cli, tmp_path: Path) -> None:
    onnx.save(model(), tmp_path / "m.onnx")
    result = cli("compile", tmp_path / "m.onnx", "-o", tmp_path / "c.tnbin", "--explain")
    assert result.code == 0
    assert result.err.splitlines()[6] == "Conv_6               Conv               layer Conv_6: 1 core"


def test_weights_of_several_bits_are_named() -> None:
    net = Net(np.random.default_rng(0))
    weight = net.rng.integers(-8, 8, (6, 4, 1, 1)).astype(np.float32)
    weight[0, :2, 0, 0] = -8, 7
    result = compile_model(net.last(net.step(net.conv(net.first(size=4), weight)), 6), Options())
    assert result.program is not None
    became = [row.became for row in explain(result.source, result.program)]
    assert "layer Conv_3: 1 core, weights -8..7 on 4 axons an input" in became
    rows = {row[0]: row for row in layer_rows(result.program)}
    assert rows["Conv_3"][5:7] == ["-8..7", "4"]
    assert rows["Conv_6"][5:7] == ["-1..1", "2"]


def test_nodes_that_are_dropped_or_approximated() -> None:
    net = Net(np.random.default_rng(0))
    x = net.input(1, 6, 6)
    for channels in (1, 4):
        x = net.add("Relu", net.norm(net.conv(x, net.real(4, channels, 3, 3)), 4))
    net.add("Neg", x)
    proto = net.model(net.add("Gemm", net.add("Flatten", x), net.real(16, 3)))
    data = np.random.default_rng(1).random((50, 1, 6, 6)).astype(np.float32)
    result = compile_model(proto, Options(trinarize="twn", calibrate=data))
    assert result.program is not None
    rows = explain(result.source, result.program)
    assert [(row.node, row.operator) for row in rows] == [(node.name, node.op_type) for node in proto.graph.node]
    became = {row.node: row.became for row in rows}
    assert became["BatchNormalization_1"] == "host, before the chip"
    assert became["BatchNormalization_4"] == "approximated by --trinarize twn, in its layer"
    assert became["Conv_3"].startswith("layer Conv_3: ")
    assert became["Neg_6"] == "dropped: no output depends on it"
    assert became["Gemm_8"] == "host, after the chip"


def test_arithmetic_on_spikes_has_no_layer_of_its_own() -> None:
    net = Net(np.random.default_rng(0))
    a = net.first(size=4)
    b = net.step(net.conv(a, net.trinary(4, 4, 1, 1)))
    result = compile_model(net.last(net.add("Add", a, b), 4), Options())
    assert result.program is not None
    became = {row.node: row.became for row in explain(result.source, result.program)}
    assert became["Add_6"] == ABSORBED
