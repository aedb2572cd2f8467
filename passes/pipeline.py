"""The pipeline as one line of text: `canonicalize, place-cores{seed=1 effort=default}`.

A pass is found by its file: every module of this package is imported, and every named subclass of `Pass` counts.
Options are the pass's dataclass fields with hyphens for underscores, typed by their annotations; a value with blanks,
commas, braces, quotes or equals signs stands in double quotes.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import types
import typing
from collections.abc import Iterable, Iterator
from dataclasses import fields, replace
from typing import Any

import tncc.passes
from tncc.errors import CompileError, PipelineInvalid
from tncc.ir.encoding import quote, unquote
from tncc.ir.suggest import did_you_mean
from tncc.passes.base import Pass

DEFAULT_PIPELINE = (
    "canonicalize, fold-scales, distribute-sums, fold-averages, partition-host, trinarize-weights, lower-signs, "
    "merge-sums, threshold-before-pool, lower-pools, lower-logic, fold-thresholds, prune-constants, "
    "split-partial-sums, bias-inputs, split-filter-groups, partition-cores, place-cores, route-spikes"
)

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_PASS = re.compile(rf'\s*([A-Za-z0-9_-]+)\s*(?:\{{((?:[^{{}}"]|{_QUOTED})*)\}})?\s*(,|$)')
_OPTION = re.compile(rf'\s*([A-Za-z0-9_-]+)\s*=\s*({_QUOTED}|[^\s{{}},="]+)')
_BARE = re.compile(r'[^\s{},="]+')


def passes() -> dict[str, type[Pass]]:
    """Every pass class of this package by name."""
    for module in pkgutil.iter_modules(tncc.passes.__path__):
        importlib.import_module(f"tncc.passes.{module.name}")
    own = [cls for cls in _subclasses(Pass) if cls.__module__.startswith("tncc.passes.") and "name" in vars(cls)]
    return {cls.name: cls for cls in own}


def _subclasses(cls: type[Pass]) -> Iterator[type[Pass]]:
    for sub in cls.__subclasses__():
        yield sub
        yield from _subclasses(sub)


def parse_pipeline(text: str) -> tuple[Pass, ...]:
    """The passes that a pipeline line names, in order.

    Raises:
        CompileError: a syntax error (with its column), an unknown pass or option, a value of the wrong kind.
    """
    known, found, position = passes(), [], 0
    if not text.strip():
        return ()
    while True:
        match = _PASS.match(text, position)
        if match is None:
            raise PipelineInvalid(
                f"cannot read the pipeline from {text[position:].strip()[:30]!r} on",
                f"pipeline:{position + 1}",
                "write pass names with commas between, options in braces: place-cores{seed=1}, route-spikes",
            )
        name, options, separator = match.groups()
        if name not in known:
            raise PipelineInvalid(f"there is no pass {name!r}", "pipeline", did_you_mean(name, known, "passes"))
        found.append(known[name](**_parse_options(known[name], options or "")))
        position = match.end()
        if not separator:
            return tuple(found)


def print_pipeline(pipeline: Iterable[Pass]) -> str:
    """The line that `parse_pipeline` reads back; options at their defaults are left out."""
    return ", ".join(map(print_pass, pipeline))


def print_pass(step: Pass) -> str:
    """`place-cores{seed=1}`: the pass with the options that differ from their defaults.

    Options on which no result depends, by which passes do not compare either, are left out.
    """
    changed = [
        f"{field.name.replace('_', '-')}={_print_value(getattr(step, field.name))}"
        for field in fields(step)
        if field.compare and getattr(step, field.name) != field.default
    ]
    return step.name + (f"{{{' '.join(changed)}}}" if changed else "")


def with_options(pipeline: Iterable[Pass], **options: Any) -> tuple[Pass, ...]:
    """The pipeline with `options` set on every pass that has a field of that name: seed, effort, threads.

    Raises PipelineInvalid for something else where an integer or a truth value is expected.
    """
    changed = []
    for step in pipeline:
        hints = typing.get_type_hints(type(step))
        values = {field.name: options[field.name] for field in fields(step) if field.name in options}
        for name, value in values.items():
            if hints[name] in (int, bool):
                values[name] = _parse_value(step.name, name.replace("_", "-"), _print_value(value), hints[name])
        changed.append(replace(step, **values))
    return tuple(changed)


def _parse_options(cls: type[Pass], text: str) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    known = {field.name.replace("_", "-"): field.name for field in fields(cls)}
    found: dict[str, Any] = {}
    position = 0
    while text[position:].strip():
        match = _OPTION.match(text, position)
        if match is None:
            raise PipelineInvalid(
                f"cannot read the options of {cls.name} from {text[position:].strip()[:30]!r} on",
                "pipeline",
                f"write name=value with spaces between: {cls.name}{{a=1 b=2}}",
            )
        key, value = match.groups()
        if key not in known:
            raise PipelineInvalid(f"{cls.name} has no option {key!r}", "pipeline", did_you_mean(key, known, "options"))
        if known[key] in found:
            raise PipelineInvalid(f"option {key} of {cls.name} is set twice", "pipeline")
        found[known[key]] = _parse_value(cls.name, key, value, hints[known[key]])
        position = match.end()
    return found


def _parse_value(owner: str, key: str, text: str, hint: Any) -> Any:
    """`text` as a value of the annotated type: int, float, bool, str, a Literal, or one of them or None."""
    choices = typing.get_args(hint)
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        if text == "none" and type(None) in choices:
            return None
        hint = next(choice for choice in choices if choice is not type(None))
        choices = typing.get_args(hint)
    if typing.get_origin(hint) is typing.Literal:
        by_text = {_print_value(choice): choice for choice in choices}
        if text not in by_text:
            raise _bad_value(owner, key, text, f"one of {', '.join(by_text)}", did_you_mean(text, by_text, "values"))
        return by_text[text]
    if hint is bool:
        if text not in ("true", "false"):
            raise _bad_value(owner, key, text, "true or false")
        return text == "true"
    if hint is str:
        return _unquoted(owner, key, text)
    if hint not in (int, float):
        raise PipelineInvalid(f"option {key} of {owner} cannot be set in a pipeline's text", "pipeline")
    try:
        return hint(text)
    except ValueError:
        raise _bad_value(owner, key, text, "an integer" if hint is int else "a number") from None


def _unquoted(owner: str, key: str, text: str) -> str:
    if not text.startswith('"'):
        return text
    try:
        return unquote(text)
    except ValueError:
        raise _bad_value(owner, key, text, "a string in quotes, with the escapes of JSON") from None


def _bad_value(owner: str, key: str, text: str, expected: str, hint: str = "") -> CompileError:
    return PipelineInvalid(f"option {key} of {owner} is {text!r}; expected {expected}", "pipeline", hint)


def _print_value(value: Any) -> str:
    if value is None:
        return "none"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if _BARE.fullmatch(text) else quote(text)
