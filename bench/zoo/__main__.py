"""The table: compiles, cores, layers, exact, time."""

from __future__ import annotations

import argparse
import time

import numpy as np

import tncc
from bench.zoo import ZOO, differing_values, frames


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.zoo", description=__doc__)
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"of {', '.join(ZOO)}; by default all")
    chosen = parser.parse_args().models or list(ZOO)
    if unknown := [name for name in chosen if name not in ZOO]:
        parser.error(f"there is no model {unknown[0]!r} in the zoo")
    print(f"{'model':30}{'cores':>6}{'layers':>7}{'exact':>7}{'seconds':>9}")
    for name in chosen:
        rng = np.random.default_rng(0)
        model = ZOO[name](rng)
        start = time.perf_counter()
        try:
            program = tncc.compile(model, allow_partial_sums=True)
        except tncc.Error as error:
            print(f"{name:30}refused: {error.message}")
            continue
        seconds = time.perf_counter() - start
        report = program.report()
        wrong = differing_values(model, program, frames(model, 100, rng))
        layers = len(report["cores_by_layer"])
        print(f"{name:30}{report['cores_used']:6}{layers:7}{'no' if wrong else 'yes':>7}{seconds:9.2f}")


if __name__ == "__main__":
    main()
