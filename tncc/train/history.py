"""What a training run leaves behind: rows of figures, checkpoints, the log."""

from __future__ import annotations

import csv
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tncc.errors import FormatError, InputError


@dataclass
class Epoch:
    """One row of the log; accuracies in 0..1, NaN where there is no such set."""

    epoch: int
    seconds: float
    learning_rate: float
    loss: float
    train_accuracy: float
    validation_accuracy: float
    test_accuracy: float


@dataclass
class History:
    """What `fit` did: a row an epoch, and which epoch's weights the model now has (counted from 1)."""

    epochs: list[Epoch] = field(default_factory=list)
    best_epoch: int = 0
    kept_epoch: int = 0

    @property
    def test_accuracy(self) -> float:
        """Of the weights that were kept."""
        return self.epochs[self.kept_epoch - 1].test_accuracy if self.epochs else math.nan


class RunFolder:
    """checkpoint.pt, best.pt and log.csv in a folder; each is replaced in one step."""

    def __init__(self, folder: Path, tensorboard: bool) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot create the folder: {error.strerror}", folder) from None
        self.board: Any = None
        if tensorboard:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                raise InputError("tensorboard is not installed", hint="pip install tensorboard") from None
            self.board = SummaryWriter(str(folder))

    def read(self, name: str, where: torch.device) -> dict[str, Any]:
        path = self.folder / name
        try:
            state = torch.load(path, map_location=where, weights_only=True)
        except Exception as error:  # torch.load names no exceptions: any is a broken file
            raise FormatError(f"not a readable checkpoint ({type(error).__name__})", path) from None
        if not isinstance(state, dict) or "model" not in state:
            raise FormatError("not a checkpoint of tncc.train.fit", path)
        return state

    def load(self, model: nn.Module, tuner: Any, history: History, where: torch.device) -> None:
        path = self.folder / "checkpoint.pt"
        if not path.exists():
            return
        state = self.read(path.name, where)
        try:
            model.load_state_dict(state["model"])
            tuner.load_state_dict(state["optimizer"])
            history.epochs = [Epoch(**row) for row in state["epochs"]]
            history.best_epoch = state["best_epoch"]
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            first = str(error).splitlines()[0]
            raise FormatError(
                f"checkpoint does not fit this model: {first}", path, "another folder, or resume=False"
            ) from None

    def save(self, model: nn.Module, tuner: Any, history: History, better: bool) -> None:
        state = {
            "model": model.state_dict(),
            "optimizer": tuner.state_dict(),
            "epochs": [asdict(row) for row in history.epochs],
            "best_epoch": history.best_epoch,
        }
        for name in ["best.pt", "checkpoint.pt"] if better else ["checkpoint.pt"]:
            temporary = self.folder / (name + ".tmp")
            torch.save(state, temporary)
            temporary.replace(self.folder / name)
        temporary = self.folder / "log.csv.tmp"
        with temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, asdict(history.epochs[0]))
            writer.writeheader()
            writer.writerows(asdict(row) for row in history.epochs)
        temporary.replace(self.folder / "log.csv")
        if self.board:
            for key, value in asdict(history.epochs[-1]).items():
                self.board.add_scalar(key, value, len(history.epochs))
            self.board.flush()
