"""Fuzzing by the thousand: `python -m tests.hostile.fuzz KIND FIRST LAST`. Models that break a promise are listed.

Cases run in children, some at a time, with limits on memory and on the processor time of each case.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
import traceback
from collections import Counter
from random import Random
from typing import Any

CHUNK = 25
MEMORY = 4 << 30  # of addresses; ONNX Runtime and its threads map a gigabyte
SECONDS = 60


def run_case(kind: str, seed: int) -> str:
    from tests.hostile.judge import Wrong
    from tests.hostile.kinds import KINDS

    try:
        return KINDS[kind](Random(f"{kind} {seed}"))
    except Wrong as error:
        return f"WRONG {error}".replace("\n", " ")
    except MemoryError:
        return "WRONG MemoryError"
    except Exception as error:
        at = traceback.extract_tb(error.__traceback__)
        ours = [f for f in at if "/tests/" not in f.filename]
        where = " < ".join(f"{f.filename.rsplit('/', 1)[-1]}:{f.lineno}" for f in ours[-1:-4:-1])
        return f"WRONG {type(error).__name__}: {str(error)[:200]} at {where}".replace("\n", " ")


def child(kind: str, seeds: range, pipe: Any) -> None:
    import warnings

    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    for seed in seeds:
        pipe.write(f"{seed} ")
        pipe.flush()
        signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
        signal.signal(signal.SIGVTALRM, signal.SIG_DFL)
        start = time.process_time()
        outcome = run_case(kind, seed)
        seconds = time.process_time() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        pipe.write(f"{seconds:.1f} {peak} {outcome}\n")
        pipe.flush()


def main(kind: str, first: int, last: int) -> None:
    import onnx.inliner  # noqa: F401  (here once, not in every child)
    import onnx_ir  # noqa: F401
    import onnxscript.optimizer  # noqa: F401

    import tests.hostile.kinds  # noqa: F401

    counts: Counter[str] = Counter()
    start = first
    while start < last:
        end = min(last, start + CHUNK)
        read, write = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(read)
            with os.fdopen(os.dup(2), "w"), os.fdopen(write, "w") as pipe:
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, 2)
                child(kind, range(start, end), pipe)
            os._exit(0)
        os.close(write)
        with os.fdopen(read) as pipe:
            lines = pipe.read().splitlines()
        _, status = os.waitpid(pid, 0)
        done = start
        for line in lines:
            seed, *rest = line.split(" ", 3)
            done = int(seed) + 1
            if len(rest) < 3 or not rest[2]:
                print(f"{kind} {seed}: DIED of {status}", flush=True)
                counts["DIED"] += 1
                continue
            seconds, peak, outcome = rest
            counts[outcome.split(" ")[0] if "WRONG" in outcome else outcome[:40]] += 1
            if "WRONG" in outcome or "refuses" in outcome or float(seconds) > 15 or int(peak) > 2048:
                print(f"{kind} {seed}: {seconds} s, {peak} MiB, {outcome}", flush=True)
        start = done if done > start else end
    print(kind, first, last, dict(counts.most_common()), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
