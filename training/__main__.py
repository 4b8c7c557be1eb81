"""`python -m training encoder|complexity`: make an artifact, measure it, write its card."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from classifier.artifact import ARTIFACTS


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and run one trainer."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # the weights are a package; nothing is fetched
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    encoder = commands.add_parser("encoder", help="export all-MiniLM-L6-v2 to int8 ONNX")
    encoder.add_argument("--out", type=Path, default=ARTIFACTS / "encoder")

    complexity = commands.add_parser("complexity", help="fit P(adequate) on routing data")
    complexity.add_argument("--data", type=Path, nargs="+", required=True, help="routing files")
    complexity.add_argument("--out", type=Path, default=ARTIFACTS / "complexity")
    complexity.add_argument("--encoder", type=Path, default=ARTIFACTS / "encoder")
    complexity.add_argument("--keep", type=Path, help="keep vectors in this folder between runs")

    for command in (encoder, complexity):
        command.add_argument("--seed", type=int, default=0)
        command.add_argument(
            "--force", action="store_true", help="replace an artifact that is better"
        )

    given = parser.parse_args(arguments)
    if given.command == "encoder":
        from training.encoder import make_encoder

        make_encoder(given.out, seed=given.seed, force=given.force)
    else:
        from training.complexity import make_complexity

        make_complexity(
            given.data,
            given.out,
            encoder=given.encoder,
            seed=given.seed,
            force=given.force,
            keep=given.keep,
        )


if __name__ == "__main__":
    main()
