"""The training loop for those who do not want to write one: checkpoints, resume, logs, seeds."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tncc.errors import InputError
from tncc.train.augment import Augmentation, parse
from tncc.train.history import Epoch, History, RunFolder
from tncc.train.layers import SpikingActivation
from tncc.train.sparsity import SparsityPenalty

Pair = tuple[Any, Any]  # (inputs, labels): NumPy arrays or tensors; uint8 inputs stand for x / 256


def fit(
    model: nn.Module,
    train: Pair,
    test: Pair | None = None,
    *,
    validation: Pair | None = None,
    epochs: int = 20,
    batch_size: int = 128,
    learning_rate: float = 0.1,
    optimizer: str = "adam",
    momentum: float = 0.9,
    schedule: str = "onecycle",
    augment: str = "",
    label_smoothing: float = 0.0,
    anneal: float = 0.0,
    sparsity: float = 0.0,
    sparsity_target: float = 0.0,
    sparsity_leak: float = 0.0,
    keep: str = "last",
    seed: int = 0,
    device: str = "auto",
    amp: bool | None = None,
    compile: bool = False,
    folder: str | Path | None = None,
    resume: bool = True,
    tensorboard: bool = False,
    eval_every: int = 1,
    progress: bool = True,
) -> History:
    """Trains `model` in place by cross-entropy. The same seed on the same machine gives the same weights.

    Args:
        model: a network whose output is [N, classes].
        train, test, validation: (inputs [N, ...], integer labels [N]); uint8 inputs are divided by 256.
        optimizer: "adam" or "sgd" (with momentum).
        learning_rate: its peak. Trinary weights only change when their hidden ones cross a boundary, and take rates ten
            to a hundred times those of float networks (MNIST after 4 epochs: 88 % at 0.01, 93 % at 0.03, 96 % at 0.1).
        schedule: of the learning rate: "onecycle", "cosine", "step" (a tenth after 1/2 and 3/4) or "constant".
        augment: as tncc.train.augment.parse takes it: "flip, shift4".
        anneal: the share of the training, 0..1, in which spikes harden: they start as smooth functions of the membrane
            potential (see SpikingActivation) and are spikes from there on. 0: spikes from the first step.
        sparsity, sparsity_target, sparsity_leak: see SparsityPenalty.
        keep: "last", or "best": end with the weights of the best validation accuracy. It needs `validation`: a
            figure that was picked on the test set would not be one.
        amp: mixed precision; default: on a GPU only. Sums of spikes stay exact in it.
        compile: by torch.compile, which takes a C++ compiler and a minute, then saves a third of the time.
        folder: gets checkpoint.pt (every epoch), best.pt and log.csv.
        resume: continue from folder's checkpoint where there is one; with the same options the result equals an
            uninterrupted run's.
        tensorboard: also write events to folder (needs the tensorboard package).
        eval_every: evaluate every so many epochs, and after the last.
        progress: a progress bar on stderr, where that is a terminal.

    Raises:
        InputError: options or data that do not fit. FormatError: a checkpoint of another model or not a checkpoint.
    """
    where = _device(device)
    if keep not in ("last", "best"):
        raise InputError(f"keep={keep!r} is not known", hint="last or best")
    if keep == "best" and validation is None:
        raise InputError("keep='best' needs a validation set", hint="pass validation=(x, y), held out of train")
    if epochs < 1 or batch_size < 2:
        raise InputError("epochs must be at least 1 and batch_size at least 2")
    for name, value, fits, allowed in (
        ("learning_rate", learning_rate, learning_rate > 0, "more than 0"),
        ("momentum", momentum, 0 <= momentum < 1, "0 .. 1"),
        ("label_smoothing", label_smoothing, 0 <= label_smoothing <= 1, "0 .. 1"),
        ("anneal", anneal, 0 <= anneal <= 1, "a share of the training: 0 .. 1"),
        ("sparsity", sparsity, sparsity >= 0, "0 or more"),
        ("sparsity_target", sparsity_target, 0 <= sparsity_target < 1, "a mean activation: 0 .. 1"),
        ("sparsity_leak", sparsity_leak, 0 <= sparsity_leak <= 1, "0 .. 1"),
        ("seed", seed, abs(seed) < 1 << 32, "up to 32 bits"),
        ("eval_every", eval_every, eval_every >= 1, "1 or more"),
    ):
        if not fits:
            raise InputError(f"{name} is {value}", hint=allowed)
    if compile and sparsity:
        raise InputError("compile and sparsity exclude each other", hint="the penalty needs the layers one by one")
    sets = {name: _pair(name, pair) for name, pair in (("train", train), ("validation", validation), ("test", test))}
    x, y = sets["train"]
    if x is None:
        raise InputError("there is no training set")
    model.to(where)
    _check_model(model, x, y)
    steps = max(1, len(x) // batch_size)  # the incomplete last batch is left out: its statistics would be noisy
    batch_size = min(batch_size, len(x))
    tuner = _optimizer(model, optimizer, learning_rate, momentum)
    factor = _schedule(schedule)
    mixed = where.type == "cuda" if amp is None else amp
    penalty = SparsityPenalty(model, sparsity, sparsity_target, sparsity_leak) if sparsity else None
    history = History()
    files = RunFolder(Path(folder), tensorboard) if folder is not None else None
    if files and resume:
        files.load(model, tuner, history, where)
    spikes = [m for m in model.modules() if isinstance(m, SpikingActivation)] if anneal else []
    forward = torch.compile(model) if compile else model
    trainer = _Trainer(model, forward, tuner, x, y, parse(augment), penalty, mixed, label_smoothing)
    with _progress(progress, epochs, steps) as report:
        for epoch in range(len(history.epochs) + 1, epochs + 1):
            started = time.monotonic()
            torch.manual_seed(seed * 1_000_003 + epoch)  # dropout; a resumed epoch draws as an uninterrupted one
            generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
            total_loss, right = torch.zeros((), device=where), torch.zeros((), device=where)
            for step, index in enumerate(torch.randperm(len(x), generator=generator).split(batch_size)[:steps]):
                done = ((epoch - 1) * steps + step) / (epochs * steps)
                rate = learning_rate * factor(done)
                for layer in spikes:
                    layer.soften(max(0.0, 1 - done / anneal))
                loss, hits = trainer.step(index, rate, generator)
                total_loss += loss
                right += hits
                report(epoch, step)
            due = epoch % eval_every == 0 or epoch == epochs
            row = Epoch(
                epoch,
                time.monotonic() - started,
                rate,
                float(total_loss) / steps,
                float(right) / (steps * batch_size),
                evaluate(model, sets["validation"]) if due else math.nan,
                evaluate(model, sets["test"]) if due else math.nan,
            )
            if not math.isfinite(row.loss):
                raise InputError(f"the loss is {row.loss} in epoch {epoch}", hint="a lower learning rate may help")
            history.epochs.append(row)
            best_before = history.epochs[history.best_epoch - 1].validation_accuracy if history.best_epoch else -1.0
            better = row.validation_accuracy > best_before
            if better:
                history.best_epoch = epoch
                best_state = {k: v.detach().clone() for k, v in model.state_dict().items()}
            if files:
                files.save(model, tuner, history, better)
            report(epoch, steps, row)
    for layer in spikes:
        layer.soften(0)
    history.kept_epoch = len(history.epochs)
    if keep == "best":
        history.kept_epoch = history.best_epoch
        if files:
            model.load_state_dict(files.read("best.pt", where)["model"])
        else:
            model.load_state_dict(best_state)
    model.eval()
    return history


@dataclass
class _Trainer:
    """One step of training."""

    model: nn.Module
    forward: Callable[[Tensor], Tensor]
    tuner: Any
    x: Tensor
    y: Tensor
    augmentations: list[Augmentation]
    penalty: SparsityPenalty | None
    mixed: bool
    label_smoothing: float

    def step(self, index: Tensor, rate: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """(loss, frames classified right) of the frames at `index`, before the step that they cause."""
        self.model.train()
        where = next(self.model.parameters()).device
        inputs, labels = _inputs(self.x[index], where), self.y[index].to(where)
        for augmentation in self.augmentations:
            inputs = augmentation(inputs, generator)
        with (
            torch.autocast(where.type, torch.bfloat16, enabled=self.mixed),
            self.penalty or contextlib.nullcontext(),
        ):
            scores = self.forward(inputs)
        loss = nn.functional.cross_entropy(scores.float(), labels, label_smoothing=self.label_smoothing)
        if self.penalty:
            loss = loss + self.penalty.value()
        self.tuner.zero_grad(set_to_none=True)
        loss.backward()
        for group in self.tuner.param_groups:
            group["lr"] = rate
        self.tuner.step()
        return loss.detach(), (scores.detach().argmax(1) == labels).sum()


def evaluate(model: nn.Module, pair: Pair | None, batch_size: int = 500) -> float:
    """Share of frames whose highest score is the label's, in eval mode; NaN without a set."""
    if pair is None or pair[0] is None:
        return math.nan
    return float((predict(model, pair[0], batch_size).argmax(1) == torch.as_tensor(pair[1])).double().mean())


def predict(model: nn.Module, x: Any, batch_size: int = 500) -> Tensor:
    """Scores [N, classes] on the CPU for inputs as `fit` takes them, in eval mode and full precision."""
    where = next(model.parameters()).device
    was_training = model.training
    model.eval()
    with torch.no_grad():
        scores = torch.cat([model(_inputs(b, where)).cpu() for b in torch.as_tensor(x).split(batch_size)])
    model.train(was_training)
    return scores


def scores_of_one(model: nn.Module, frame: Tensor) -> Tensor:
    """`predict` for one frame [1, ...]. Raises InputError where the model does not take frames of this shape."""
    try:
        return predict(model, frame)
    except (RuntimeError, IndexError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"the model does not take frames of shape {list(frame.shape[1:])}: {reason}") from None


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(name)
    except RuntimeError:
        raise InputError(f"unknown device {name!r}", hint="auto, cpu or cuda") from None
    if found.type == "cuda" and not torch.cuda.is_available():
        raise InputError("no GPU is visible to PyTorch", hint="device='cpu'")
    return found


def _pair(name: str, pair: Pair | None) -> tuple[Any, Any]:
    if pair is None:
        return None, None
    x, y = torch.as_tensor(np.asarray(pair[0]) if not torch.is_tensor(pair[0]) else pair[0]), torch.as_tensor(pair[1])
    if len(x) == 0 or y.dim() != 1 or len(x) != len(y):
        raise InputError(f"the {name} set has {len(x)} inputs and labels of shape {list(y.shape)}")
    if x.dtype != torch.uint8 and not x.is_floating_point():
        raise InputError(f"the {name} set's inputs are {x.dtype}", hint="float32, or uint8 for pixels / 256")
    if not torch.isfinite(x).all():
        raise InputError(f"the {name} set's inputs hold NaN or infinity")
    if y.is_floating_point():
        raise InputError(f"the {name} set's labels are {y.dtype}; integers are needed")
    return x, y.long()


def _check_model(model: nn.Module, x: Tensor, y: Tensor) -> None:
    """An InputError where the model does not take x or has no class for a label."""
    scores = scores_of_one(model, x[:1])
    if scores.dim() < 2:
        raise InputError(f"the model's output is {list(scores.shape)} for one frame, not a score for each class")
    classes = scores.shape[1]
    if int(y.min()) < 0 or int(y.max()) >= classes:
        raise InputError(f"labels {int(y.min())} .. {int(y.max())} for a model of {classes} classes")


def _inputs(x: Tensor, where: torch.device) -> Tensor:
    x = x.to(where)
    return x.float() / 256 if x.dtype == torch.uint8 else x.float()


def _optimizer(model: nn.Module, name: str, learning_rate: float, momentum: float) -> Any:
    if name == "adam":
        return torch.optim.Adam(model.parameters(), lr=learning_rate)
    if name == "sgd":
        return torch.optim.SGD(model.parameters(), lr=learning_rate, momentum=momentum)
    raise InputError(f"unknown optimizer {name!r}", hint="adam or sgd")


def _schedule(name: str) -> Callable[[float], float]:
    """The learning rate's factor as a function of progress, 0 at the first step and 1 at the end.

    It depends on nothing else, so that a resumed run may be made longer or shorter than it was begun.
    """

    def onecycle(done: float) -> float:
        warm_up = 0.15
        if done < warm_up:
            return 0.04 + 0.96 * (1 - math.cos(math.pi * done / warm_up)) / 2
        return (1 + math.cos(math.pi * (done - warm_up) / (1 - warm_up))) / 2

    known = {
        "onecycle": onecycle,
        "cosine": lambda done: (1 + math.cos(math.pi * done)) / 2,
        "step": lambda done: 1.0 if done < 0.5 else 0.1 if done < 0.75 else 0.01,
        "constant": lambda done: 1.0,
    }
    if name not in known:
        raise InputError(f"unknown schedule {name!r}", hint="onecycle, cosine, step or constant")
    return known[name]


@contextlib.contextmanager
def _progress(wanted: bool, epochs: int, steps: int) -> Iterator[Any]:
    """A function (epoch, step, row) that shows progress on a terminal, and a line an epoch elsewhere."""
    if not wanted:
        yield lambda epoch, step, row=None: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("epoch {task.fields[epoch]}/" + str(epochs)), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("{task.fields[last]}"), console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=epochs * steps, epoch=0, last="")

        def report(epoch: int, step: int, row: Epoch | None = None) -> None:
            bar.update(task, completed=(epoch - 1) * steps + step, epoch=epoch)
            if row is None:
                return
            text = f"loss {row.loss:.4f}, train {100 * row.train_accuracy:.2f} %"
            for name in ("validation", "test"):
                accuracy = getattr(row, f"{name}_accuracy")
                text += f", {name} {100 * accuracy:.2f} %" if math.isfinite(accuracy) else ""
            bar.update(task, last=text)
            if not console.is_terminal:
                console.print(f"epoch {epoch}: {text} ({row.seconds:.1f} s)", highlight=False, soft_wrap=True)

        yield report
