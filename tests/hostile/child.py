"""Compiles every hostile model in a process of its own: one JSON line each of outcome, CPU seconds, peak memory."""

from __future__ import annotations

import json
import os
import resource
import sys
import time

import onnx.inliner  # noqa: F401  (imported here once, not in every child)
import onnx_ir  # noqa: F401
import onnxscript.optimizer  # noqa: F401

import tncc
from tests.hostile.models import HOSTILE

CPU_SECONDS = 60


def compile_one(name: str) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))
    data = HOSTILE[name]().SerializeToString()
    start = time.process_time()
    try:
        tncc.compile(data, effort="low")
        outcome, text = "compiled", ""
    except tncc.CompileError as error:
        outcome, text = error.code, str(error)
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"model": name, "outcome": outcome, "text": text, "seconds": seconds, "peak": peak}), flush=True)


for each in sys.argv[1:] or HOSTILE:
    child = os.fork()
    if not child:
        compile_one(each)
        sys.stdout.flush()
        os._exit(0)
    os.waitpid(child, 0)
