"""The whole path on real data: a trained ONNX model in, exact spikes out. Run it with `make demo`."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from digits_data import load_split

import tncc
from tncc.placement import mesh_of, svg

HERE = Path(__file__).resolve().parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=HERE / "digits.onnx")
    parser.add_argument(
        "--out", type=Path, default=HERE.parent / "out", help="folder for the chip file and the picture"
    )
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)

    _, _, images, labels = load_split()
    chip = tncc.compile(arguments.model)
    chip.save(arguments.out / "digits.tnbin")
    picture = arguments.out / "digits-placement.svg"
    picture.write_text(svg(mesh_of(chip), "digits.onnx on the chip"))

    session = tncc.Session(chip)
    scores = session.run(images)
    assert isinstance(scores, np.ndarray)
    accuracy = (scores.argmax(axis=1) == labels).mean()
    check = tncc.verify(arguments.model, chip, images)
    report = chip.report()

    print(f"held-out digits    {len(images)}")
    print(f"accuracy           {accuracy:.2%}")
    print(f"equal to ONNX Runtime   {'yes, all' if check.equal else 'NO:'} {check.values:,} output values", end="")
    print("" if check.equal else f", {check.different_frames} frames differ")
    print(f"cores used         {report['cores_used']:,} of {report['cores_available']:,}")
    print(f"latency            {report['latency_ticks']} ticks")
    print(f"simulated          {len(images) / session.seconds:,.0f} frames/s ({session.engine} engine)")
    print(f"placement picture  {picture}")
    print(f"chip file          {arguments.out / 'digits.tnbin'}")
    if not check.equal:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
