"""A full chip, its report, and a headless Chromium. Collected only where TNCC_BROWSER is set: make test-browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tncc.cost.estimate import estimate
from tncc.html_report import html_report
from tncc.program import Program
from tncc.runtime.config import NEURON_FIELDS, OUTPUT, ChipConfig

collect_ignore_glob = [] if os.environ.get("TNCC_BROWSER") else ["test_*.py"]

SIDE, LAYERS, PINS = 64, 16, 1024
CORES = SIDE * SIDE


def full_chip() -> Program:
    """4,096 cores in 16 layers of 256; every neuron drives one axon of a core in the next layer, one tick later."""
    rng = np.random.default_rng(1)
    core = np.arange(CORES, dtype=np.int32)
    layer = core // (CORES // LAYERS)
    place = np.lexsort((rng.random(CORES), layer))  # shuffled within a layer
    x, y = np.empty(CORES, np.int32), np.empty(CORES, np.int32)
    x[place], y[place] = core % SIDE, core // SIDE
    step = CORES // LAYERS
    target = core[:, None] + step + rng.integers(-3, 4, (CORES, 256), dtype=np.int32)
    target = np.clip(target, (layer[:, None] + 1) * step, (layer[:, None] + 2) * step - 1).astype(np.int32)
    last = layer == LAYERS - 1
    target[last] = OUTPUT
    axon = rng.integers(0, 256, (CORES, 256)).astype(np.int32)
    axon[last] = np.arange(last.sum() * 256).reshape(-1, 256)
    types = {name: np.zeros((1, *shape), dtype) for name, (dtype, shape, _, _) in NEURON_FIELDS.items()}
    types["weights"][:] = [-1, 1, 0, 0]
    types["threshold"][:], types["negative_saturate"][:] = 2, 1
    pins = int(last.sum()) * 256
    config = ChipConfig(
        axons=256,
        neurons=256,
        mesh=(SIDE, SIDE, 1, 1),
        crossbars=(rng.random((512, 256, 32 * 8)) < 0.2)
        .reshape(512, 256, 32, 8)
        .dot(1 << np.arange(8))
        .astype(np.uint8),
        crossbar_index=(core % 512).astype(np.int32),
        axon_types=np.tile(np.array([0, 1], np.uint8), 128)[None],
        axon_types_index=np.zeros(CORES, np.int32),
        neuron_types=types,
        neuron_type=np.zeros((CORES, 256), np.int32),
        target_core=target,
        target_axon=axon,
        target_delay=np.where(target >= 0, 1, 0).astype(np.uint8),
        seed=np.ones(CORES, np.uint32),
        core_x=x,
        core_y=y,
        layer=layer.astype(np.int32),
        input_pin=np.repeat(np.arange(PINS, dtype=np.int32), 16),
        input_core=(np.arange(PINS * 16) % step).astype(np.int32),
        input_axon=(np.arange(PINS * 16) // step).astype(np.int32),
        input_delay=np.ones(PINS * 16, np.uint8),
        output_latency=np.full(pins, LAYERS, np.int32),
        input_pins=PINS,
        output_pins=pins,
    )
    config.check()
    metadata = {
        "layers": [{"name": f"layer {i} <b>&\"'", "kind": "conv", "location": "", "note": {}} for i in range(LAYERS)],
        "inputs": [{"name": "in", "shape": [PINS], "first_pin": 0}],
        "outputs": [{"name": "out", "shape": [pins], "first_pin": 0}],
        "model_inputs": [{"name": "in", "dtype": "float32", "shape": [PINS]}],
        "model_outputs": ["out"],
        "model_output_dtypes": {"out": "float32"},
    }
    return Program(config, metadata)


@pytest.fixture(scope="session")
def program() -> Program:
    return full_chip()


@pytest.fixture(scope="session")
def report(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a full chip with activity."""
    x = (np.random.default_rng(2).random((4, PINS)) < 0.5).astype(np.float32)
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(html_report(program, "full </script> chip", estimate(program, x)), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def driver() -> Iterator[Any]:
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    program = shutil.which("chromedriver")
    if program is None or shutil.which("chromium") is None:
        pytest.exit("the browser tests need Debian's packages chromium and chromium-driver", 2)
    options = Options()
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1400,1100"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(program))
    yield browser
    browser.quit()
