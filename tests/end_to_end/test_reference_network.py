"""The one-chip network of Esser et al. 2016: fits the chip, and every output equals ONNX Runtime's."""

from __future__ import annotations

import numpy as np
import pytest

import tncc
from bench.reference_network import reference_network

IBM_CORES = 4042  # of IBM's own compiled file of this network; 362 of them splitters
IMAGES = 64


@pytest.fixture(scope="module")
def model() -> bytes:
    return reference_network(seed=0).SerializeToString()


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(1).random((IMAGES, 3, 32, 32)).astype(np.float32)


def test_host_fed(model: bytes, images: np.ndarray) -> None:
    program = tncc.compile(model, effort="low")
    report = program.report()
    assert report["cores_used"] <= 3552
    assert report["latency_ticks"] == 14
    for engine in ("batch", "tick"):
        result = tncc.verify(model, program, images, engine=engine)
        assert result.equal, (engine, result)
    scores = np.asarray(program.run(images))
    assert len(np.unique(scores)) > 20, "the network must not be silent for this to mean anything"


def test_with_splitters(model: bytes, images: np.ndarray) -> None:
    program = tncc.compile(model, effort="low", input_fanout="splitters")
    report = program.report()
    assert report["cores_used"] <= 3913 < IBM_CORES
    assert report["splitter_cores"] > 0
    assert report["latency_ticks"] == 15
    assert tncc.verify(model, program, images[:16]).equal
