"""The command line: results, exit codes, and every error's whole message."""

from __future__ import annotations

import io
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from support import onnx_models

import tncc

from .conftest import small_model


def save(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


def test_compile_run_inspect_verify(cli, model_path: Path, images: np.ndarray, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = save(tmp_path / "data.npy", images)
    expected = onnxruntime.InferenceSession(str(model_path)).run(None, {"image": images})[0]
    labels = save(tmp_path / "labels.npy", expected.argmax(axis=1))

    compiled = cli("compile", model_path, "-o", "chip.tnbin", "--json")
    assert compiled.code == 0, compiled.err
    report = json.loads(compiled.out)
    assert report["latency_ticks"] == 2
    assert report["exact"] is True
    assert report["cores_used"] == sum(entry["cores"] for entry in report["cores_by_layer"])
    assert set(report["pass_seconds"]) >= {"canonicalize", "fold-thresholds", "partition-cores", "place-cores"}

    ran = cli("run", "chip.tnbin", "--input", data, "-o", "out.npy", "--labels", labels, "--json", "--stats")
    assert ran.code == 0, ran.err
    result = json.loads(ran.out)
    assert (result["frames"], result["ticks"], result["accuracy"]) == (40, 42, 1.0)
    assert result["spikes"] > 0
    assert result["synaptic_events"] > 0
    np.testing.assert_array_equal(np.load("out.npy"), expected)

    inspected = json.loads(cli("inspect", "--json").out)
    assert {k: v for k, v in report.items() if k != "pass_seconds"} == inspected
    summary = cli("inspect").out.splitlines()
    assert summary[0] == f"cores used          {report['cores_used']}"
    assert f"source              name small, sha256 {report['source']['sha256']}" in summary
    more = json.loads(cli("inspect", "--layers", "--cores", "--traffic", "--json").out)
    assert {key: more.pop(key) for key in inspected} == inspected
    assert [(entry["name"], entry["cores"]) for entry in more["layers"]] == [
        (entry["layer"], entry["cores"]) for entry in report["cores_by_layer"]
    ]
    assert more["layers"][0]["note"]["axons_per_input"] == 2
    assert [entry["core"] for entry in more["cores"]] == list(range(report["cores_used"]))
    assert sum(entry["neurons"] for entry in more["cores"]) == report["neurons_used"]
    assert sum(entry["synapses"] for entry in more["cores"]) == report["synapses"]
    traffic = more["traffic"]
    assert (traffic["unit"], traffic["mean_hops"]) == ("connections", report["mean_hops"])
    assert traffic["max_link_load"] == traffic["busiest_links"][0]["load"] == report["max_link_load"]
    assert "Conv_1" in cli("inspect", "--placement", "--layers", "--cores", "--svg", "mesh.svg").out
    assert Path("mesh.svg").read_text().startswith("<svg")

    assert cli("verify", model_path, "chip.tnbin", "--input", data).out == "equal: 40 frames, 160 output values\n"


def test_defective_cores_stay_free(cli, model_path: Path, tmp_path: Path) -> None:
    text = "# x y, or chip_x chip_y x y\n0 0\n\n1 0 2 63  # on the other chip\n65 1\n"
    (tmp_path / "defects.txt").write_text(text)
    arguments = ("compile", model_path, "--chips", "2x1", "--defects", tmp_path / "defects.txt")
    result = cli(*arguments, "-o", tmp_path / "chip.tnbin", "--effort", "low")
    assert result.code == 0, result.err
    program = tncc.load(tmp_path / "chip.tnbin")
    defects = {(0, 0), (66, 63), (65, 1)}
    assert {tuple(place) for place in program.metadata["defects"]} == defects
    assert not defects & set(zip(program.config.core_x.tolist(), program.config.core_y.tolist(), strict=True))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"1 2\n3\n", "error: PATH:2: '3' is not 'x y' or 'chip_x chip_y x y'\n"),
        (b"1 -2\n", "error: PATH:1: '1 -2' is not 'x y' or 'chip_x chip_y x y'\n"),
        (b"0 0 64 3\n", "error: PATH:1: core 64 3 lies outside a chip of 64 x 64 cores\n  hint: "),
        (b"\xff\xfe", "error: PATH: not a text file\n"),
        (b"64 0", "error[E404]: defective core (64, 0) lies outside the 64 x 64 mesh\n"),
    ],
)
def test_defects_that_are_none(cli, model_path: Path, tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "defects.txt"
    path.write_bytes(content)
    result = cli("compile", model_path, "--defects", path, "-o", tmp_path / "chip.tnbin")
    assert (result.code, result.err.startswith(message.replace("PATH", str(path)))) == (2, True), result.err


def test_missed_accuracy_exits_with_1(cli, chip_path: Path, images: np.ndarray, tmp_path: Path) -> None:
    wrong = (tncc.load(chip_path).run(images).argmax(axis=1) + 1) % 4
    data, labels = save(tmp_path / "x.npy", images), save(tmp_path / "y.npy", wrong)
    result = cli("run", chip_path, "--input", data, "--labels", labels, "--expect-accuracy", "0.5")
    assert (result.code, result.err) == (1, "accuracy 0.0000 is below the expected 0.5\n")
    assert cli("run", chip_path, "--input", data, "--labels", labels, "--expect-accuracy", "0").code == 0


def test_verify_exits_with_1_where_not_equal(cli, chip_path: Path, images: np.ndarray, tmp_path: Path) -> None:
    other = small_model()
    next(i for i in other.graph.initializer if i.name == "b1").CopyFrom(
        onnx.numpy_helper.from_array(np.full(8, 0.5, np.float32), "b1")
    )
    onnx.save(other, tmp_path / "other.onnx")
    result = cli("verify", tmp_path / "other.onnx", chip_path, "--input", save(tmp_path / "x.npy", images))
    assert result.code == 1
    assert result.out.startswith("NOT equal: ")
    assert result.err == f"note: the chip was not compiled from this very file, {tmp_path / 'other.onnx'}\n"


def test_verify_needs_frames_and_a_compiled_chip(cli, model_path: Path, chip_path: Path, tmp_path: Path) -> None:
    none = save(tmp_path / "none.npy", np.zeros((0, 1, 8, 8), np.float32))
    result = cli("verify", model_path, chip_path, "--input", none)
    assert (result.code, result.err) == (2, f"error: {none}: holds no frames: at least one is needed to compare\n")
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(model_path.read_bytes()[:200])
    result = cli("verify", broken, chip_path, "--input", none)
    assert result.code == 2
    assert result.err.startswith(f"error: {broken}: ONNX Runtime does not take the model: ")
    cli("export", chip_path, "-o", tmp_path / "chip.json")
    cli("import", tmp_path / "chip.json", "-o", chip_path)
    result = cli("verify", model_path, chip_path, "--input", none)
    assert (result.code, result.err) == (
        2,
        f"error: {none}: this chip has no model inputs: it was not compiled from a model\n"
        "  hint: use tncc run --spikes\n",
    )


def test_the_ir_can_be_stopped_dumped_and_resumed(cli, model_path: Path, tmp_path: Path) -> None:
    whole, folder = tmp_path / "whole.tnbin", tmp_path / "dump"
    assert cli("compile", model_path, "-o", whole, "--dump-dir", folder, "--check-semantics", "--time-passes").code == 0
    names = sorted(p.name for p in folder.glob("*.tn"))
    assert names[0] == "00-input.tn"
    (folded,) = folder.glob("*-fold-thresholds.tn")
    resumed = tmp_path / "resumed.tnbin"
    assert cli("compile", model_path, "-o", resumed, "--start-from", folded).code == 0
    assert resumed.read_bytes() == whole.read_bytes()
    stopped = cli(
        "compile", model_path, "-o", tmp_path / "x.tn", "--stop-after", "fold-thresholds", "--print-ir-after", "all"
    )
    assert stopped.code == 0
    assert "spiking_conv2d" in (tmp_path / "x.tn").read_text()
    assert "spiking_conv2d" in stopped.err
    opted = cli("opt", tmp_path / "x.tn", "--pipeline", "split-filter-groups", "--check-semantics")
    assert opted.code == 0, opted.err
    assert "spiking_conv2d" in opted.out


def test_the_output_of_stop_after_is_text(cli, model_path: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli("compile", model_path, "--stop-after", "place-cores").code == 0
    assert "core.netlist" in Path("chip.tn").read_text()
    timed = cli("compile", model_path, "--stop-after", "canonicalize", "--time-passes")
    assert [line.split()[0] for line in timed.err.splitlines()] == ["canonicalize", "total", "stopped"]
    for option in (["--json"], ["--explain"], ["--html", "x.html"]):
        refused = cli("compile", model_path, "--stop-after", "canonicalize", *option)
        message = f"error: {option[0]} is about the finished chip: it does not go with --stop-after\n"
        assert (refused.code, refused.err) == (2, message)
    cut = cli("compile", model_path, "--pipeline", "canonicalize, partition-host")
    assert (cut.code, cut.err) == (
        2,
        "error[E602]: pipeline: the pipeline ends before the chip is complete\n"
        "  hint: end it with partition-cores, place-cores, route-spikes; --stop-after PASS writes the IR's text\n",
    )
    assert not Path("chip.tnbin").exists()


def test_folders_that_cannot_be_made(cli, model_path: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    result = cli("compile", model_path, "-o", tmp_path / "x.tnbin", "--dump-dir", file / "dump")
    assert (result.code, result.err) == (2, f"error: {file / 'dump'}: the folder cannot be made: Not a directory\n")


def test_labels_that_are_no_classes(cli, chip_path: Path, images: np.ndarray, tmp_path: Path) -> None:
    data, labels = save(tmp_path / "x.npy", images), save(tmp_path / "y.npy", np.full(40, 4))
    result = cli("run", chip_path, "--input", data, "--labels", labels)
    assert (result.code, result.err) == (2, f"error: {labels}: holds the label 4; classes are 0 to 3\n")
    none = save(tmp_path / "x0.npy", images[:0]), save(tmp_path / "y0.npy", np.zeros(0, int))
    result = cli("run", chip_path, "--input", none[0], "--labels", none[1], "--expect-accuracy", "0.5")
    assert (result.code, result.err) == (1, "no frame, so no accuracy is below the expected 0.5\n")


def test_pictures_are_written_beside_json(cli, chip_path: Path, tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"odd\xff.tnbin")  # a name that is not UTF-8
    odd.write_bytes(chip_path.read_bytes())
    result = cli("inspect", odd, "--placement", "--svg", tmp_path / "x.svg", "--json")
    assert result.code == 0, result.err
    assert json.loads(result.out)["chips"] == 1
    assert "odd\\udcff.tnbin" in (tmp_path / "x.svg").read_text()


def onnx_file(folder: Path, model: onnx.ModelProto) -> Path:
    onnx.save(model, folder / "bad.onnx")
    return folder / "bad.onnx"


def test_models_that_cannot_compile(cli, tmp_path: Path) -> None:
    """One line of what, where and what would work; exit code 2; no file left behind."""
    output = tmp_path / "chip.tnbin"
    real = cli("compile", onnx_file(tmp_path, small_model(second="real")), "-o", output)
    relu = cli("compile", onnx_file(tmp_path, small_model(second="relu")), "-o", output)
    absent = cli("compile", tmp_path / "absent.onnx", "-o", output)
    for result, code, node in ((real, "E301", "Conv_1"), (relu, "E204", "Compare_1"), (absent, "E101", "absent.onnx")):
        assert result.code == 2
        assert result.out == ""
        assert result.err.startswith(f"error[{code}]: ")
        assert node in result.err
        assert "Traceback" not in result.err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.onnx"]


def test_unwritable_output(cli, model_path: Path, tmp_path: Path) -> None:
    result = cli("compile", model_path, "-o", tmp_path / "no" / "chip.tnbin")
    assert (result.code, result.err) == (
        2,
        f"error: {tmp_path / 'no' / 'chip.tnbin'}: cannot write the file: No such file or directory\n",
    )


@pytest.mark.parametrize("option", ["-o", "--html"])
def test_where_to_write_is_checked_before_compiling(cli, model_path: Path, tmp_path: Path, option: str) -> None:
    def passes_run(target: Path) -> tuple[int, str]:
        result = cli("compile", model_path, "-o", tmp_path / "x.tnbin", option, target, "--print-ir-after", "all")
        return result.code, result.err

    assert passes_run(tmp_path) == (2, f"error: {tmp_path}: cannot write the file: Is a directory\n")
    assert passes_run(tmp_path / "no" / "x") == (
        2,
        f"error: {tmp_path / 'no' / 'x'}: cannot write the file: No such file or directory\n",
    )
    assert not list(tmp_path.iterdir())


def test_pipes(chip_path: Path, images: np.ndarray, tmp_path: Path) -> None:
    """Data comes from a pipe and goes to one; a reader that leaves, or was never there, is no traceback."""
    data = save(tmp_path / "data.npy", images).read_bytes()

    def run(command: str, **streams: Any) -> subprocess.CompletedProcess[bytes]:
        line = f"{sys.executable} -m tncc {command}"
        return subprocess.run(["bash", "-c", line], capture_output=True, check=False, **streams)

    done = run(f"run {chip_path} --input /dev/stdin -o /dev/stderr", input=data)
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(np.load(io.BytesIO(done.stderr)), tncc.load(chip_path).run(images))
    done = run(f"run {chip_path} --input /dev/stdin", input=data[:300])
    assert (done.returncode, done.stderr[:57]) == (2, b"error: /dev/stdin: the .npy file is truncated or damaged ")
    done = run(f"inspect {chip_path} >&-")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_nothing_half_written_stays(chip_path: Path, tmp_path: Path, number: int, code: int) -> None:
    frames = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.uint8, (20_000_000, 1, 8, 8))  # sparse, on disk
    frames.flush()
    folder = tmp_path / "out"
    folder.mkdir()
    command = [sys.executable, "-m", "tncc", "run", chip_path, "--input", tmp_path / "x.npy", "-o", folder / "y.npy"]
    command += ["--engine", "numpy"]  # hours of work: it has not ended when the signal comes, however late that is
    # a background job of a shell, as these tests may be, ignores interrupts, and so would what it starts
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    finally:
        signal.signal(signal.SIGINT, before)
    try:
        while not list(folder.iterdir()) and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(number)
        assert (process.wait(timeout=60), list(folder.iterdir())) == (code, [])
    finally:
        process.kill()
        process.wait()


def test_data_files_that_cannot_be_read(cli, chip_path: Path, images: np.ndarray, tmp_path: Path) -> None:
    data = tmp_path / "data.npy"

    def run() -> str:
        result = cli("run", chip_path, "--input", data)
        assert result.code == 2
        return result.err

    assert run() == f"error: {data}: cannot read the file: No such file or directory\n"
    data.write_bytes(b"not an array")
    assert run() == f"error: {data}: not a .npy file\n"
    data.write_bytes(pickle.dumps([1, 2, 3]))
    assert run() == (
        f"error: {data}: the file holds pickled Python objects, which are not read\n"
        "  hint: save a plain numeric array with numpy.save(path, array, allow_pickle=False)\n"
    )
    np.save(data, np.array([{}]), allow_pickle=True)
    assert "pickled Python objects" in run()
    save(data, images)
    data.write_bytes(data.read_bytes()[:-5])
    assert run().startswith(f"error: {data}: the .npy file is truncated or damaged (")
    save(data, images[:, :, :5])
    assert run() == f"error: {data}: input image has shape [40, 1, 5, 8]; the model takes [N, 1, 8, 8]\n"
    save(data, np.full((3, 1, 8, 8), 1e300))
    assert run() == f"error: {data}: input image holds 1e+300 in frame 0, which float32 cannot hold\n"
    save(data, np.where(np.arange(3)[:, None, None, None] == 2, np.nan, images[:3]))
    assert run() == f"error: {data}: input image holds NaN or infinity in frame 2\n"
    np.savez(data.with_suffix(".npz"), a=images)
    data.with_suffix(".npz").rename(data)
    assert run() == f"error: {data}: holds several arrays (.npz); one .npy array is needed\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "{chip}"], "give either --input DATA.npy or --spikes FILE"),
        (["run", "{chip}", "--input", "x.npy", "--expect-accuracy", "0.5"], "and needs --labels"),
        (["run", "{chip}", "--input", "x.npy", "--labels", "y.npy", "--expect-accuracy", "95"], "0<=x<=1"),
        (["run", "{chip}", "--input", "x.npy", "--ticks", "5"], "--ticks, --spikes-out and --monitor go with --spikes"),
        (["compile", "m.onnx", "--trinarize", "twn"], "--trinarize twn and --calibrate DATA.npy go together"),
        (["compile", "m.onnx", "--chips", "4by4"], "'4by4' is not a grid of chips; write columns x rows, as in 4x4"),
        (["compile", "m.onnx", "--pipeline", "canonicalise"], "there is no pass 'canonicalise'"),
        (
            ["compile", "m.onnx", "--pipeline", "canonicalize", "--seed", "3"],
            "a pipeline of your own cannot be combined",
        ),
        (["inspect", "{chip}", "--svg", "x.svg"], "--svg goes with --placement or --traffic"),
        (["inspect", "{chip}", "--input", "x.npy"], "--input goes with --cost, --traffic or --html"),
        (["inspect", "{chip}", "--voltage", "1"], "--voltage goes with --cost or --html"),
        (["compile", ""], "Invalid value for 'MODEL': the name of the file is empty"),
        (
            ["run", "{chip}", "--spikes", "x.sfti", "--ticks", "9", "--spikes-out", "x.foo"],
            "cannot tell the spike format",
        ),
        (["run", "{chip}", "--spikes", "x.sfti", "--ticks", "9", "--spikes-out", "no/x.sfro"], "cannot write the file"),
        (["frobnicate"], "No such command 'frobnicate'"),
    ],
)
def test_usage_errors(cli, chip_path: Path, arguments: list[str], message: str) -> None:
    result = cli(*(a.replace("{chip}", str(chip_path)) for a in arguments))
    assert result.code == 2
    assert result.out == ""
    assert message in result.err


def test_help_is_quick_to_import_and_lists_every_command() -> None:
    code = (
        "import sys; sys.argv = ['tncc', '--help']\nfrom tncc.cli import main\ntry: main()\nexcept SystemExit: pass\n"
    )
    code += "heavy = {'onnx', 'onnxruntime', 'torch', 'rich', 'lark'} & set(sys.modules); assert not heavy, heavy"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ}, check=False)
    assert done.returncode == 0, done.stderr
    for name in ("compile", "run", "inspect", "verify", "opt", "import", "export", "train"):
        assert f"\n  {name} " in done.stdout


def test_damaged_chip_file(cli, chip_path: Path) -> None:
    data = bytearray(chip_path.read_bytes())
    data[len(data) // 2] ^= 4
    chip_path.write_bytes(data)
    result = cli("inspect", chip_path)
    assert (result.code, result.err) == (
        2,
        f"error: {chip_path}: the content does not match its checksum\n"
        "  hint: the file is truncated or corrupted: copy it again, or compile the model again\n",
    )


def test_report_is_the_inspect_dictionary(cli, chip_path: Path) -> None:
    assert json.loads(cli("inspect", chip_path, "--json").out) == json.loads(json.dumps(tncc.load(chip_path).report()))


def test_partial_sums_on_request(cli, tmp_path: Path) -> None:
    path, chip = tmp_path / "wide.onnx", tmp_path / "wide.tnbin"
    weight = np.where(np.arange(300) % 3, 1, -1).astype(np.float32).reshape(300, 1)
    nodes = [
        onnx_models.node("MatMul", "x w", "s"),
        onnx_models.node("Greater", "s t", "b"),
        onnx_models.node("Cast", "b", "y", to=1),
    ]
    onnx.save(onnx_models.model(nodes, {"x": ["n", 300]}, ["y"], {"w": weight, "t": np.float32(50.5)}), path)
    refused = cli("compile", path, "-o", chip)
    assert refused.code == 2
    assert refused.err.startswith("error[E401]")
    assert "--allow-partial-sums" in refused.err
    assert not chip.exists()
    compiled = cli("compile", path, "-o", chip, "--allow-partial-sums", "--json")
    (entry,) = json.loads(compiled.out)["partial_sums"]
    assert (compiled.code, entry["ticks"]) == (0, 3)
    assert entry["cores"] == tncc.load(chip).config.n_cores
    x = (np.random.default_rng(0).random((50, 300)) < np.linspace(0, 1, 50)[:, None]).astype(np.float32)
    np.testing.assert_array_equal(tncc.load(chip).run(x), (x @ weight > 50.5).astype(np.float32))
