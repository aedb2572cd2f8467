"""What every training example ends in: export, compile, run on the chip, and the same answers everywhere."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from torch import nn

import tncc
from tncc.train import export
from tncc.train.loop import predict


def arguments(doc: str | None, name: str, epochs: int, data: str = "") -> argparse.Namespace:
    """The options all examples share; `data` says what --data names, "" where there is no data file."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    if data:
        parser.add_argument("--data", type=Path, required=True, help=data)
    parser.add_argument("--folder", type=Path, default=Path("out") / name, help="checkpoints, log and model")
    parser.add_argument("--epochs", type=int, default=epochs)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0, help="PyTorch's threads; 0: PyTorch's choice")
    parser.add_argument("--sparsity", type=float, default=0.0, help="strength of the penalty on spikes")
    found = parser.parse_args()
    if found.threads:
        torch.set_num_threads(found.threads)
    torch.manual_seed(found.seed)
    found.folder.mkdir(parents=True, exist_ok=True)
    return found


def show(model: nn.Module, path: Path, x: npt.NDArray[Any], y: npt.NDArray[Any]) -> None:
    """Exports `model` to `path`, compiles it, and prints the accuracy on (x, y): PyTorch, ONNX Runtime, the chip."""
    inputs = x.astype(np.float32) / 256 if x.dtype == np.uint8 else x
    model = model.cpu().eval()
    export(model, path, inputs.shape[1:])
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    chip = tncc.compile(path)
    chip.save(path.with_suffix(".tnbin"))
    run = tncc.Session(chip)
    answers = {
        "PyTorch": predict(model, inputs).numpy(),
        "ONNX Runtime": np.concatenate([session.run(None, {"input": b})[0] for b in np.array_split(inputs, 20)]),
    }
    answers["the chip"] = run.run(inputs)
    for name, scores in answers.items():
        right = int((scores.argmax(1) == y).sum())
        print(f"{name}: {right} of {len(y)} right = {100 * right / len(y):.2f} %")
    equal = {name: np.array_equal(scores, answers["the chip"]) for name, scores in answers.items()}
    agree = {name: np.array_equal(s.argmax(1), answers["the chip"].argmax(1)) for name, s in answers.items()}
    print(f"the chip's scores equal ONNX Runtime's: {equal['ONNX Runtime']}; PyTorch's: {equal['PyTorch']}")
    print(f"all three answer alike in every frame: {all(agree.values())}")
    report = chip.report()
    print(f"{report['cores_used']} cores, latency {report['latency_ticks']} ticks, {len(y) / run.seconds:.0f} frames/s")
    print(f"{run.stats.spikes / len(y):.0f} spikes per frame on the chip")
    if not (equal["ONNX Runtime"] and all(agree.values())):
        raise SystemExit(1)
