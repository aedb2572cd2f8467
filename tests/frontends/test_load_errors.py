"""Whatever is wrong with a file or a model is said in one message."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from support.onnx_models import model, node

from tncc import CompileError
from tncc.frontends.onnx import load


def message(source: object) -> str:
    with pytest.raises(CompileError) as caught:
        load(source)  # type: ignore[arg-type]  # some cases are of wrong types on purpose
    return str(caught.value)


def relu(**kwargs: object) -> onnx.ModelProto:
    return model([node("Relu", "x", "y")], {"x": ("n", 3)}, ["y"], **kwargs)  # type: ignore[arg-type]


def test_missing_file(tmp_path: Path) -> None:
    assert message(tmp_path / "none.onnx") == f"{tmp_path}/none.onnx: no such file"


def test_folder(tmp_path: Path) -> None:
    assert message(tmp_path) == f"{tmp_path}: is a folder, not an ONNX file"


def test_empty_file(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"")
    assert message(tmp_path / "m.onnx") == f"{tmp_path}/m.onnx: the file is empty"


@pytest.mark.parametrize("data", [b"hello, world\n" * 20, b"\x89PNG\r\n\x1a\n" + bytes(99), bytes(50), b"{}"])
def test_not_onnx(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(data)
    assert message(str(path)) == (f"{path}: not an ONNX file\n  hint: expected a model as torch.onnx.export writes it")


def test_truncated(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    data = model([node("Add", "x w", "y")], {"x": ("n", 999)}, ["y"], {"w": np.ones(999, np.float32)})
    path.write_bytes(data.SerializeToString()[:2000])
    missing = len(data.SerializeToString()) - 2000
    text = message(path)
    assert text.startswith(f"{path}: the file is truncated: at least ")
    assert text.endswith(" bytes are missing\n  hint: copy or export it again")
    assert 0 < int(text.split("at least ")[1].split()[0]) <= missing


def test_external_data(tmp_path: Path) -> None:
    proto = model([node("Add", "x w", "y")], {"x": ("n", 999)}, ["y"], {"w": np.ones(999, np.float32)})
    path = tmp_path / "m.onnx"
    onnx.save(proto, path, save_as_external_data=True, location="w.data", size_threshold=0)
    assert load(path).name == "m"
    assert message(path.read_bytes()) == (
        "test: the weights lie in another file (w.data)\n  hint: give the path of the .onnx file"
    )
    (tmp_path / "w.data").unlink()
    assert message(path) == (
        f"{path}: the weights lie in w.data, which is missing\n  hint: keep the two files in one folder"
    )


@pytest.mark.parametrize("place", ["../w.data", "link.data", "/dev/zero", ""])
def test_external_data_elsewhere(tmp_path: Path, place: str) -> None:
    """Data outside of the model's folder is not read, by whatever path."""
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "w.data").write_bytes(bytes(4 * 999))
    (folder / "link.data").symlink_to(tmp_path / "w.data")
    proto = model([node("Add", "x w", "y")], {"x": ("n", 999)}, ["y"], {"w": np.ones(999, np.float32)})
    stored = proto.graph.initializer[0]
    stored.ClearField("raw_data")
    stored.data_location = onnx.TensorProto.EXTERNAL
    stored.external_data.add(key="location", value=place)
    (folder / "m.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(CompileError) as caught:
        load(folder / "m.onnx")
    assert caught.value.code == "E105" and place in str(caught.value)


@pytest.mark.parametrize("opset", [9, 10, 24])
def test_opset(opset: int) -> None:
    assert message(relu(opset=opset)) == (
        f"test: operator set {opset} is not supported; supported are 11 to 23\n"
        "  hint: export with another opset_version, or convert with onnx.version_converter"
    )


def test_dynamic_spatial_size() -> None:
    proto = model([node("Relu", "x", "y")], {"x": ("n", 3, "h", 32)}, ["y"])
    assert message(proto) == (
        "test: input 'x' has shape [n, 3, h, 32]: dimension 2 is not fixed\n"
        "  hint: only dimension 0, the batch, may be free; export with static spatial sizes"
    )


def test_fixed_batch() -> None:
    proto = model([node("Relu", "x", "y")], {"x": (4, 3)}, ["y"])
    assert message(proto) == (
        "test: input 'x' has shape [4, 3]: the batch is fixed to 4\n"
        "  hint: export with a free batch dimension (dynamic_axes or dynamic_shapes) or with batch 1"
    )


def test_scalar_input() -> None:
    proto = model([node("Relu", "x", "y")], {"x": ()}, ["y"])
    assert message(proto) == "test: input 'x' is a scalar; dimension 0 must be the batch"


def test_control_flow() -> None:
    branch = onnx.helper.make_graph(
        [node("Relu", "x", "r")], "b", [], [onnx.helper.make_tensor_value_info("r", 1, None)]
    )
    proto = model(
        [
            node("ReduceSum", "x", "s", keepdims=0),
            node("Cast", "s", "c", to=9),
            node("If", "c", "y", name="choose", then_branch=branch, else_branch=branch),
        ],
        {"x": ("n", 3)},
        ["y"],
    )
    assert message(proto) == (
        "choose: If (a subgraph that depends on the data) is not supported\n  hint: export a model without control flow"
    )


def test_unknown_operator() -> None:
    proto = model([node("Frobnicate", "x", "y", domain="acme")], {"x": ("n", 3)}, ["y"], extra_domains=["acme"])
    assert message(proto) == (
        "Frobnicate_y: operator Frobnicate of domain 'acme' is not known to ONNX Runtime\n"
        "  hint: export with standard ONNX operators"
    )


def test_constants_that_cannot_be_computed() -> None:
    constants = {"a": np.array([1], np.int64), "b": np.array([0], np.int64), "big": np.array([10**6, 10**6])}
    proto = model([node("Div", "a b", "c"), node("Add", "x c", "y")], {"x": ("n", 3)}, ["y"], constants)
    assert message(proto) == "Div_c: Div of constants cannot be computed: integer division by zero"
    proto = model([node("ConstantOfShape", "big", "c"), node("Add", "x c", "y")], {"x": ("n", 3)}, ["y"], constants)
    assert message(proto) == (
        "ConstantOfShape_c: ConstantOfShape of constants cannot be computed: "
        "its result would have 1000000000000 elements"
    )


def test_training_mode() -> None:
    four = {name: np.ones(3, np.float32) for name in "abcd"}
    proto = model(
        [node("BatchNormalization", "x a b c d", "y", name="bn", training_mode=1)], {"x": ("n", 3, 4, 4)}, ["y"], four
    )
    assert message(proto) == (
        "bn: BatchNormalization in training mode depends on the batch\n  hint: call model.eval() before exporting"
    )


def test_damaged_tensor() -> None:
    proto = model([node("Add", "x w", "y")], {"x": ("n", 3)}, ["y"], {"w": np.ones(3, np.float32)})
    proto.graph.initializer[0].raw_data = b"12345678" * 2
    assert message(proto) == "test: tensor 'w' is damaged: cannot reshape array of size 4 into shape (3,)"


def test_clamps_whose_bounds_the_exporter_lost() -> None:
    """What PyTorch's dynamo exporter makes of two clamps of one tensor."""
    nodes = [node("Clip", "x x_min_1 x_max_1", "a"), node("Clip", "x x_min x_max", "b"), node("Add", "a b", "y")]
    proto = model(nodes, {"x": ("n", 3)}, ["y"], {"x_min": np.float32(0), "x_max": np.float32(1)})
    text = message(proto)
    assert "'x_min_1'" in text
    assert "clamp it once and use the result twice, or export with optimize=False or dynamo=False" in text


def test_one_tensor_returned_twice() -> None:
    twice = relu()
    twice.graph.output.append(twice.graph.output[0])
    assert message(twice).endswith("the model returns 'y' twice\n  hint: return each tensor once")


def test_constant_output() -> None:
    proto = model([node("Neg", "x", "y"), node("Neg", "w", "z")], {"x": ("n", 3)}, ["y", "z"], {"w": np.float32(1)})
    assert message(proto) == "test: output 'z' is a constant: it does not depend on the input"


def test_wrong_element_types() -> None:
    proto = model([node("Add", "x w", "y")], {"x": ("n", 3)}, ["y"], {"w": np.array([1])})
    text = message(proto)
    assert text.startswith("test: ONNX Runtime refuses the model: ") and "tensor(float) and tensor(int64)" in text
