"""--trinarize twn: a float network of real digits, made trinary on calibration data; exact as the model it becomes."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import tncc
from tncc.errors import CompileError, InputError
from tncc.frontends.onnx import load
from tncc.host import HostModel
from tncc.twn import trinarize
from tncc.twn_fit import fit_thresholds, ternarize
from tncc.twn_report import correlation

Array = npt.NDArray[Any]

datasets = pytest.importorskip("sklearn.datasets")
neural = pytest.importorskip("sklearn.neural_network")

HIDDEN = (120, 120)


def chain(layers: list[tuple[Array, Array]], activation: str = "Relu") -> onnx.ModelProto:
    """Gemm layers with an activation between."""
    nodes, constants, x = [], [], "x"
    for i, (weight, bias) in enumerate(layers):
        constants += [numpy_helper.from_array(weight.astype(np.float32), f"w{i}")]
        constants += [numpy_helper.from_array(bias.astype(np.float32), f"b{i}")]
        nodes.append(helper.make_node("Gemm", [x, f"w{i}", f"b{i}"], [f"z{i}"], name=f"Gemm_{i}"))
        x = f"z{i}"
        if i < len(layers) - 1:
            nodes.append(helper.make_node(activation, [x], [f"a{i}"], name=f"{activation}_{i}"))
            x = f"a{i}"
    graph = helper.make_graph(
        nodes,
        "float",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", layers[0][0].shape[0]])],
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, ["batch", layers[-1][0].shape[1]])],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture(scope="module")
def digits() -> tuple[onnx.ModelProto, Array, Array, Array]:
    """(float model, calibration images, held-out images, their labels)."""
    images, labels = datasets.load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))
    images, labels = (images[order] / 16).astype(np.float32), labels[order]
    trained = neural.MLPClassifier(HIDDEN, max_iter=12, random_state=0, tol=0, learning_rate_init=0.004)
    with pytest.warns(Warning):  # it would go on learning
        trained.fit(images[:1400], labels[:1400])
    model = chain(list(zip(trained.coefs_, trained.intercepts_, strict=True)))
    return model, images[:1400], images[1400:], labels[1400:]


def test_digits(digits: tuple[onnx.ModelProto, Array, Array, Array]) -> None:
    model, calibration, images, labels = digits
    chip = tncc.compile(model, trinarize="twn", calibrate=calibration)
    accuracy = np.mean(chip.run(images).argmax(axis=1) == labels)
    assert accuracy >= 0.9  # the float model has 0.98; 0.94 when this was written
    report = chip.report()
    assert report["exact"] is False
    assert report["cores_used"] >= 1
    assert any("same largest output" in text for text in chip.metadata["approximations"])

    # the chip is exact as the model it was made into
    again = trinarize(load(model).model, calibration).model
    expected = HostModel(again.SerializeToString(), "trinary model").run({"x": images})
    np.testing.assert_array_equal(chip.run(images), next(iter(expected.values())))


def test_the_report_is_what_the_chip_does(digits: tuple[onnx.ModelProto, Array, Array, Array]) -> None:
    """1,024 frames are fitted to, the others of the data are held out."""
    model, calibration, images, _ = digits
    targets = HostModel(model.SerializeToString(), "float model")
    labels = np.arange(len(calibration)) % 10  # any: they change nothing
    chip = tncc.compile(model, trinarize="twn", calibrate=calibration, labels=labels)
    assert chip.to_bytes() != tncc.compile(model, trinarize="twn", calibrate=calibration).to_bytes()  # the report alone
    np.testing.assert_array_equal(
        chip.run(images), tncc.compile(model, trinarize="twn", calibrate=calibration[:1024]).run(images)
    )
    found = chip.report()["trinarization"]
    assert [layer["layer"] for layer in found["layers"]] == ["Gemm_0", "Gemm_1"]
    for part, frames in (("calibration", slice(0, 1024)), ("held_out", slice(1024, None))):
        (wanted,) = targets.run({"x": calibration[frames]}).values()
        got, here = chip.run(calibration[frames]), labels[frames]
        assert found[part] == {
            "frames": len(here),
            "agreement": np.mean(got.argmax(axis=1) == wanted.argmax(axis=1)),
            "correlation": pytest.approx(np.corrcoef(got.ravel(), wanted.ravel())[0, 1], abs=1e-6),
            "accuracy": np.mean(got.argmax(axis=1) == here),
            "float_accuracy": np.mean(wanted.argmax(axis=1) == here),
        }
    first, second = found["layers"]
    assert first["zeros"] is None and first["spike_agreement"] == 1 and 0.7 < first["correlation"] < 1
    assert 0.2 < second["zeros"] < 0.6 and 0.5 < second["spike_agreement"] < 1 and 0.3 < second["correlation"] < 1
    assert "accuracy" in chip.metadata["approximations"][-1]


def test_thresholds_are_fitted_to_the_sums_that_the_chip_computes() -> None:
    """Layer by layer: each threshold is the best one on sums of the spikes that the finished layers before it send."""
    model = load(chain(layers(12, 20, 20, 20, 3))).model
    data = np.random.default_rng(1).standard_normal((200, 12)).astype(np.float32)
    found = trinarize(model, data).model
    levels = {t.name: numpy_helper.to_array(t) for t in found.graph.initializer if t.name.endswith("/level")}
    for i in (1, 2):
        made, source = onnx.ModelProto(), onnx.ModelProto()
        for probe, whole, name in ((made, found, f"a{i}/sums"), (source, model, f"a{i}")):
            probe.CopyFrom(whole)
            probe.graph.output.append(onnx.ValueInfoProto(name=name))
        sums = HostModel(made.SerializeToString(), "made").run({"x": data})[f"a{i}/sums"]
        activation = HostModel(source.SerializeToString(), "float").run({"x": data})[f"a{i}"]
        fitted = fit_thresholds(np.rint(sums).astype(np.int64), activation)
        np.testing.assert_array_equal(levels[f"a{i}/level"], (fitted - 0.5).astype(np.float32))


def rewritten(model: onnx.ModelProto, nodes: list[onnx.NodeProto]) -> onnx.ModelProto:
    """The model with other nodes; its output is the last one's."""
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.graph.output[0].name = nodes[-1].output[0]
    return model


def test_two_activations_of_one_layer() -> None:
    model = chain(layers(4, 6, 6, 3))
    nodes = list(model.graph.node)
    nodes[3].output[0] = "half"
    nodes.insert(4, helper.make_node("Sigmoid", ["z1"], ["other"], name="Sigmoid_1"))
    nodes.insert(5, helper.make_node("Max", ["half", "other"], ["a1"], name="Max_1"))
    data = np.random.default_rng(2).standard_normal((50, 4)).astype(np.float32)
    chip = tncc.compile(rewritten(model, nodes), trinarize="twn", calibrate=data)
    again = trinarize(load(model).model, data).model
    assert {"Gemm_1/Relu_1", "Gemm_1/Sigmoid_1"} <= {node.name for node in again.graph.node}
    np.testing.assert_array_equal(chip.run(data), HostModel(again.SerializeToString(), "made").run({"x": data})["z2"])


def test_a_suffix_of_many_branches() -> None:
    """All paths from an activation to the output are 2^40."""
    model = chain(layers(4, 6, 6, 3))
    nodes, x = list(model.graph.node), "z2"
    for i in range(40):
        branches = [f"{kind}{i}" for kind in ("Sigmoid", "Tanh")]
        nodes += [helper.make_node(name[:-1].rstrip("0123456789"), [x], [name], name=name) for name in branches]
        nodes.append(helper.make_node("Add", branches, [f"y{i}"], name=f"Add{i}"))
        x = f"y{i}"
    found = trinarize(load(rewritten(model, nodes)).model, np.random.default_rng(3).standard_normal((9, 4)))
    assert [layer.layer for layer in found.fidelity.layers] == ["Gemm_0", "Gemm_1"]


def test_outputs_that_are_not_finite(tmp_path: Path) -> None:
    """The logarithm of a negative number: the report says nothing of a correlation, and the file can be written."""
    model = chain(layers(4, 6, 6, 3))
    nodes, x = list(model.graph.node), "z2"
    for kind in ("Abs", "Neg", "Log"):
        nodes.append(helper.make_node(kind, [x], [kind], name=kind))
        x = kind
    data = np.random.default_rng(4).standard_normal((50, 4)).astype(np.float32)
    chip = tncc.compile(rewritten(model, nodes), trinarize="twn", calibrate=data)
    assert not np.isfinite(chip.run(data)).any()
    chip.save(tmp_path / "chip.tnbin")
    assert tncc.load(tmp_path / "chip.tnbin").report()["trinarization"]["calibration"]["correlation"] is None


def test_held_out_data_is_read_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be a memory map larger than memory."""
    monkeypatch.setattr("tncc.twn.FRAMES", 10)
    data = np.random.default_rng(5).standard_normal((1000, 4)).astype(np.float16)
    pieces: list[int] = []
    whole = np.ascontiguousarray
    monkeypatch.setattr("tncc.twn.np.ascontiguousarray", lambda a, *k: pieces.append(len(a)) or whole(a, *k))
    found = trinarize(load(chain(layers(4, 6, 6, 3))).model, data).fidelity
    assert found.held_out is not None and found.held_out.frames == 990 and max(pieces) <= 64


def test_correlation_by_hand() -> None:
    assert correlation(np.array([[0.0, 1], [1, 0]]), np.array([[1.0, 3], [3, 1]])) == pytest.approx(1)
    assert correlation(np.array([0.0, 1, 2]), np.array([2.0, 0, -2])) == pytest.approx(-1)
    assert correlation(np.ones(3), np.arange(3)) is None
    assert correlation(np.array([1.0, np.nan]), np.arange(2)) is None


def test_same_data_same_bytes(digits: tuple[onnx.ModelProto, Array, Array, Array]) -> None:
    model, calibration, _, _ = digits
    cleaned = load(model).model
    found = [trinarize(cleaned, calibration[:100]).model.SerializeToString(deterministic=True) for _ in range(2)]
    assert found[0] == found[1]


def test_command_line(cli, tmp_path: Path, digits: tuple[onnx.ModelProto, Array, Array, Array]) -> None:
    model, calibration, _, _ = digits
    source, data, output = tmp_path / "float.onnx", tmp_path / "data.npy", tmp_path / "chip.tnbin"
    source.write_bytes(model.SerializeToString())
    np.save(data, calibration[:200])
    np.save(tmp_path / "labels.npy", np.zeros(200, np.uint8))
    options = ("-o", output, "--trinarize", "twn", "--calibrate", data, "--labels", tmp_path / "labels.npy")
    result = cli("compile", source, *options, "--json")
    assert result.code == 0
    report = json.loads(result.out)
    assert report["exact"] is False
    assert report["trinarization"]["held_out"] is None
    assert 0 < report["trinarization"]["calibration"]["accuracy"] < 0.3  # of ten digits, those that are 0
    assert json.loads(cli("inspect", output, "--json").out)["trinarization"] == report["trinarization"]
    assert "warning: not exact: Gemm_1: trinary weights" in result.err
    assert "200 calibration frames; accuracy " in result.err

    assert cli("compile", source, *options[:-1], data).err == (
        "error: labels: holds float32 [200, 64]; one integer label for each of 200 frames is needed\n"
    )
    np.save(tmp_path / "labels.npy", np.full(200, 10))
    assert cli("compile", source, *options).err == "error: labels: holds the label 10; classes are 0 to 9\n"
    result = cli("compile", source, "--labels", data)
    assert result.code == 2 and "--labels goes with --trinarize twn" in result.err


def test_convolutions_with_batch_norm() -> None:
    """Conv, batch normalisation, ReLU, MaxPool: the chip equals the trinary model it was made into."""
    rng = np.random.default_rng(0)
    nodes, constants = [], []

    def constant(name: str, value: Array) -> str:
        constants.append(numpy_helper.from_array(value.astype(np.float32), name))
        return name

    x = "x"
    for i, (channels, out) in enumerate([(1, 6), (6, 8), (8, 8)]):
        weight = constant(f"w{i}", rng.standard_normal((out, channels, 3, 3)) / 3)
        nodes.append(helper.make_node("Conv", [x, weight], [f"c{i}"], name=f"Conv_{i}", pads=[1] * 4))
        names = [constant(f"{n}{i}", rng.random(out) + 0.5) for n in ("gamma", "beta", "mean", "variance")]
        nodes.append(helper.make_node("BatchNormalization", [f"c{i}", *names], [f"n{i}"], name=f"Norm_{i}"))
        nodes.append(helper.make_node("Relu", [f"n{i}"], [f"a{i}"], name=f"Relu_{i}"))
        nodes.append(helper.make_node("MaxPool", [f"a{i}"], [f"p{i}"], kernel_shape=[2, 2], strides=[2, 2]))
        x = f"p{i}"
    nodes.append(helper.make_node("Flatten", [x], ["flat"]))
    nodes.append(helper.make_node("MatMul", ["flat", constant("w", rng.standard_normal((8, 4)))], ["y"], name="Head"))
    graph = helper.make_graph(
        nodes,
        "float",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 1, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    data = rng.random((64, 1, 8, 8)).astype(np.float32)
    chip = tncc.compile(model, trinarize="twn", calibrate=data)
    again = trinarize(load(model).model, data).model
    expected = HostModel(again.SerializeToString(), "trinary model").run({"x": data})
    np.testing.assert_array_equal(chip.run(data), expected["y"])


def test_ternarize_by_hand() -> None:
    # mean magnitude 0.5, so what is below 0.35 is 0
    assert ternarize(np.array([[0.9, -0.3, 0.4, -0.4]])).tolist() == [[1, 0, 1, -1]]


def layers(*sizes: int) -> list[tuple[Array, Array]]:
    rng = np.random.default_rng(0)
    return [(rng.standard_normal((a, b)), rng.standard_normal(b)) for a, b in itertools.pairwise(sizes)]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.ones((3, 5)), "calibration data: input x has shape [3, 5]; the model takes [N, 4]"),
        (np.ones((0, 4)), "calibration data: holds no frames: at least one is needed"),
        (np.full((3, 4), np.nan), "calibration data: holds NaN or infinity"),
        (np.array([["a"] * 4]), "calibration data: input x is <U1; the model takes float32 (or uint8)"),
        ("data.npy", "calibration data: input x has shape []; the model takes [N, 4]"),
    ],
)
def test_bad_data(data: Array, message: str) -> None:
    with pytest.raises(InputError) as caught:
        trinarize(load(chain(layers(4, 4, 4, 2))).model, data)
    assert str(caught.value) == message


def test_a_network_with_one_activation() -> None:
    with pytest.raises(CompileError) as caught:
        trinarize(load(chain(layers(4, 4, 2))).model, np.ones((3, 4)))
    assert str(caught.value) == (
        "float: there is nothing to put on the chip: --trinarize twn needs two or more layers with an activation"
    )


def test_a_residual_network() -> None:
    model = chain(layers(4, 4, 4, 2))
    nodes = list(model.graph.node)
    nodes[2].output[0] = "straight"
    nodes.insert(3, helper.make_node("Add", ["straight", "a0"], ["z1"], name="Add_7"))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    with pytest.raises(CompileError) as caught:
        trinarize(load(model).model, np.ones((3, 4)))
    assert str(caught.value) == (
        "Add_7: Add stands where --trinarize twn expects Conv, Gemm or MatMul with constant weights, then constants or "
        "batch normalisation, then Relu_1\n"
        "  hint: train the network with trinary weights and binary activations instead (tncc.train)"
    )


@pytest.mark.parametrize("weight", [np.eye(4), np.eye(4)[None]], ids=["2-D", "3-D"])
def test_layers_on_sequences(weight: Array) -> None:
    """A channel would be the last axis, not the first."""
    model = chain(layers(4, 4, 4, 2))
    for i in (0, 1):
        model.graph.initializer[2 * i].CopyFrom(numpy_helper.from_array(weight.astype(np.float32), f"w{i}"))
    nodes = list(model.graph.node)
    for node in nodes:
        if node.op_type == "Gemm":
            node.op_type = "MatMul"
            del node.input[2]
    del model.graph.input[0].type.tensor_type.shape.dim[1:]
    for size in (3, 4):
        model.graph.input[0].type.tensor_type.shape.dim.add().dim_value = size
    del model.graph.output[0].type.tensor_type.shape.dim[1:]
    for size in (3, 2):
        model.graph.output[0].type.tensor_type.shape.dim.add().dim_value = size
    with pytest.raises(CompileError) as caught:
        trinarize(load(rewritten(model, nodes)).model, np.random.default_rng(0).standard_normal((5, 3, 4)))
    assert str(caught.value) == (
        "Gemm_1: MatMul gives [3, 4] a frame where --trinarize twn expects one number a neuron\n"
        "  hint: a Conv for layers on maps, or training with trinary weights (tncc.train)"
    )


@pytest.mark.parametrize("scale", [1e30, np.nan])
def test_a_float_model_that_overflows(scale: float) -> None:
    with pytest.raises(CompileError) as caught:
        trinarize(load(chain([(scale * w, b) for w, b in layers(4, 4, 4, 2)])).model, np.ones((3, 4)))
    assert caught.value.message == "the float model computes NaN or infinity on the calibration data"
