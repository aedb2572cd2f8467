"""sdist -> wheel -> install in an empty environment, used from another directory."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import onnx
import pytest

from .conftest import small_model

ROOT = Path(__file__).resolve().parents[2]

SMOKE = """
import numpy as np, tncc, tncc.ir, tncc.passes, tncc.runtime._native
assert "site-packages" in tncc.__file__, tncc.__file__
chip = tncc.compile("small.onnx")
x = np.random.default_rng(0).normal(size=(9, 1, 8, 8)).astype(np.float32)
assert tncc.verify("small.onnx", chip, x).equal
np.save("x.npy", x)
"""


def run(*command: object, cwd: Path) -> str:
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run([*map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from an sdist built from what git would commit: nothing untracked helps."""
    folder = tmp_path_factory.mktemp("dist")
    checkout = folder / "checkout"
    files = run("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT).splitlines()
    for name in files:
        source, target = ROOT / name, checkout / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_symlink():
            target.symlink_to(source.readlink())
        elif source.exists():
            target.write_bytes(source.read_bytes())
    run(sys.executable, "-m", "build", "--sdist", "--outdir", folder, checkout, cwd=folder)
    (sdist,) = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    run(sys.executable, "-m", "build", "--wheel", "--outdir", folder, unpacked, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


def test_wheel_holds_the_four_packages_and_one_stable_abi_extension(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "-cp311-abi3-" in wheel.name
    assert [name for name in names if name.endswith(".so")] == ["tncc/runtime/_native.abi3.so"]
    for package in ("tncc", "tncc/ir", "tncc/passes", "tncc/runtime"):
        assert f"{package}/__init__.py" in names
        assert f"{package}/py.typed" in names
    tops = {name.split("/")[0] for name in names}
    assert tops == {"tncc", *(top for top in tops if top.endswith(".dist-info"))}
    assert not [name for name in names if name.endswith((".c", ".h"))]


def test_install_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    python = tmp_path / "venv" / "bin" / "python"
    run(python, "-m", "pip", "install", "-q", "--no-input", wheel, cwd=tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    onnx.save(small_model(), elsewhere / "small.onnx")
    run(python, "-c", SMOKE, cwd=elsewhere)
    tncc = python.parent / "tncc"
    run(tncc, "compile", "small.onnx", cwd=elsewhere)
    run(tncc, "run", "chip.tnbin", "--input", "x.npy", cwd=elsewhere)
    assert "cores used" in run(tncc, "inspect", cwd=elsewhere)
