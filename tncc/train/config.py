"""Training without code: `tncc train CONFIG.toml`. docs/training.md lists every key."""

from __future__ import annotations

import inspect
import tomllib
from pathlib import Path
from typing import Any

import numpy as np

from tncc.errors import InputError
from tncc.train import data as sets
from tncc.train.data import Dataset

KINDS = ("npz", "cifar10", "cifar100", "svhn", "gtsrb", "images", "recordings")
TABLES: dict[str, dict[str, type | tuple[type, ...]]] = {
    "data": {
        "kind": str,
        "path": str,
        "test": int,
        "size": int,
        "gray": bool,
        "test_part": float,
        "test_speakers": list,
        "bands": int,
        "frames": int,
        "hold_out": int,
    },
    "model": {"network": str, "dropout": (float, int), "gain": (float, int), "seed": int},
    "training": {},  # the keywords of tncc.train.fit
    "output": {"folder": str, "onnx": str, "exporter": str},
}


def run(path: str | Path, *, resume: bool = True, progress: bool = True) -> dict[str, Any]:
    """Trains as the TOML file says and writes the ONNX model.

    Args:
        path: the file; relative paths in it start from its folder.
        resume: continue from the checkpoint in its output folder.
        progress: as in `fit`.

    Returns:
        {"onnx": path, "epochs", "test_accuracy" (0..1), "parameters"}.

    Raises:
        InputError: an unknown key, a wrong type, a missing set, a layer that fits no core. FormatError: broken data.
    """
    path = Path(path)
    tables = read(path)
    from tncc.train import build, evaluate, export, fit  # says what to install where there is no torch
    from tncc.train.onnx_export import check_target

    import torch  # isort: skip

    model_options, options, output = tables["model"], dict(tables["training"]), tables["output"]
    folder, exporter = path.parent / output.get("folder", path.stem), output.get("exporter", "dynamo")
    onnx = path.parent / output["onnx"] if "onnx" in output else folder / f"{path.stem}.onnx"
    check_target(onnx if "onnx" in output else None, exporter)  # the other folder is made, or refused, by fit
    data = load(tables["data"], path.parent)
    seed = int(options.get("seed", 0))
    torch.manual_seed(seed)
    shape = data.train_x.shape[1:]
    model = build(
        model_options["network"],
        shape,
        len(data.classes),
        seed=int(model_options.get("seed", 0)),
        dropout=float(model_options.get("dropout", 0.0)),
        gain=float(model_options.get("gain", 16.0)),
    )
    train, validation = data.train, None
    if held := tables["data"].get("hold_out"):
        train, validation = data.hold_out(held, seed)
    history = fit(
        model, train, data.test, validation=validation, folder=folder, resume=resume, progress=progress, **options
    )
    export(model, onnx, shape, exporter=exporter)
    return {
        "onnx": str(onnx),
        "epochs": len(history.epochs),
        "test_accuracy": evaluate(model, data.test),
        "parameters": sum(p.numel() for p in model.parameters()),
    }


def read(path: Path) -> dict[str, dict[str, Any]]:
    """The tables of a configuration, every key and type checked."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", path) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"not a TOML file: {error}", path) from None
    known = dict(TABLES)
    known["training"] = _fit_options()
    for name, table in tables.items():
        if name not in known:
            raise InputError(f"unknown table [{name}]", path, ", ".join(known))
        if not isinstance(table, dict):
            raise InputError(f"{name} must be a table: [{name}]", path)
        for key, value in table.items():
            if key not in known[name]:
                raise InputError(f"[{name}] has no key {key!r}", path, ", ".join(known[name]))
            kinds = known[name][key]
            if not isinstance(value, kinds) or (isinstance(value, bool) and kinds is not bool):
                kind = kinds if isinstance(kinds, type) else kinds[0]
                raise InputError(f"[{name}] {key} is {value!r}; expected {kind.__name__}", path)
    for name, key in (("data", "kind"), ("data", "path"), ("model", "network")):
        if key not in tables.get(name, {}):
            raise InputError(f"[{name}] needs {key}", path)
    return {name: tables.get(name, {}) for name in known}


def _fit_options() -> dict[str, type | tuple[type, ...]]:
    from tncc.train import fit

    kinds: dict[str, type | tuple[type, ...]] = {}
    taken = ("model", "train", "test", "validation", "folder", "resume", "progress")
    for name, parameter in inspect.signature(fit).parameters.items():
        if name not in taken:
            default = parameter.default
            kinds[name] = bool if default is None else (float, int) if isinstance(default, float) else type(default)
    return kinds


def load(table: dict[str, Any], base: Path) -> Dataset:
    """The data set that [data] names."""
    kind, where = table["kind"], base / table["path"]
    if kind == "npz":
        return sets.npz(where, table.get("test"))
    if kind in ("cifar10", "cifar100"):
        return sets.cifar(where, int(kind[5:]))
    if kind == "svhn":
        return sets.svhn(where)
    if kind == "gtsrb":
        return sets.gtsrb(where, table.get("size", 32))
    if kind == "images":
        return sets.image_folder(
            where, table.get("size", 32), gray=table.get("gray", False), test_part=table.get("test_part", 0.2)
        )
    if kind == "recordings":
        return _spectrograms(where, table)
    raise InputError(f"[data] kind {kind!r} is not known", hint=", ".join(KINDS))


def _spectrograms(where: Path, table: dict[str, Any]) -> Dataset:
    from tncc.train.audio import Mel, recordings_folder, recordings_npz, stretch, to_pixels

    recordings = recordings_npz(where) if where.suffix == ".npz" else recordings_folder(where)
    mel = Mel(recordings.sample_rate, bands=table.get("bands", 32))
    x = np.stack([to_pixels(stretch(mel(a), table.get("frames", 32))) for a in recordings.audio])[:, None]
    if speakers := tuple(table.get("test_speakers", ())):
        recordings.of_speakers(speakers)  # names are checked
        out = np.isin(recordings.speaker, [recordings.speakers.index(name) for name in speakers])
        if out.all():
            raise InputError("every speaker is in test_speakers: none is left to train with")
        return Dataset(x[~out], recordings.label[~out], x[out], recordings.label[out], recordings.classes)
    return sets.split(x, recordings.label, recordings.classes, table.get("test_part", 0.2), seed=0)
