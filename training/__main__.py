"""`python -m training fine-tune|encoder|pair|complexity`: make an artifact, with its card."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from benchmarks.datasets import data_dir
from classifier.artifact import ARTIFACTS


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and run one trainer."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # the weights are a package; nothing is fetched
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    tune = commands.add_parser("fine-tune", help="fine-tune the encoder with a pair head")
    tune.add_argument("--work", type=Path, required=True, help="folder of checkpoints")
    tune.add_argument("--seed", type=int, default=0)
    tune.add_argument("--begin", type=Path, help="a finished run's done.pt, to go on from")

    encoder = commands.add_parser("encoder", help="export the encoder to int8 ONNX")
    encoder.add_argument("--out", type=Path, default=ARTIFACTS / "encoder")
    encoder.add_argument("--tuned", type=Path, help="a checkpoint of fine-tune; default: original")

    pair = commands.add_parser("pair", help="train the pair model on the finished encoder")
    pair.add_argument("--out", type=Path, default=ARTIFACTS / "pair")
    pair.add_argument("--tuned", type=Path, help="a checkpoint of fine-tune")
    pair.add_argument(
        "--from-ledger", type=Path, metavar="DATA_FOLDER", help="also learn from a service's pairs"
    )
    pair.add_argument("--finish", action="store_true", help="keep the head, fit the rest anew")
    pair.add_argument("--encoder", type=Path, default=ARTIFACTS / "encoder")
    pair.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    pair.add_argument("--force", action="store_true", help="replace an artifact that is better")

    complexity = commands.add_parser("complexity", help="fit P(adequate) on routing data")
    complexity.add_argument("--data", type=Path, nargs="+", required=True, help="routing files")
    complexity.add_argument("--out", type=Path, default=ARTIFACTS / "complexity")
    complexity.add_argument("--encoder", type=Path, default=ARTIFACTS / "encoder")
    complexity.add_argument(
        "--from-ledger", type=Path, metavar="DATA_FOLDER", help="also learn from callers' words"
    )
    complexity.add_argument(
        "--preferences",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="also learn from lines {text, model_a, model_b, winner: a | b | tie}",
    )
    complexity.add_argument("--keep", type=Path, help="keep vectors in this folder between runs")

    for command in (encoder, complexity):
        command.add_argument("--seed", type=int, default=0)
        command.add_argument(
            "--force", action="store_true", help="replace an artifact that is better"
        )

    given = parser.parse_args(arguments)
    if given.command == "fine-tune":
        from training.fine_tune import Plan, fine_tune

        fine_tune(found_data(), given.work, Plan(seed=given.seed, begin=given.begin))
    elif given.command == "encoder":
        from training.encoder import make_encoder

        make_encoder(given.out, seed=given.seed, force=given.force, tuned=given.tuned)
    elif given.command == "pair":
        from training.pair import finish_again, make_pair
        from training.pair_data import pairs_of_ledger

        extra = pairs_of_ledger(given.from_ledger) if given.from_ledger else ()
        if given.finish:
            finish_again(given.out, encoder_folder=given.encoder, extra=extra, force=given.force)
            return
        if given.tuned is None:
            parser.error("pair needs --tuned, what fine-tune wrote")
        make_pair(
            given.out,
            tuned=given.tuned,
            encoder_folder=given.encoder,
            seeds=given.seeds,
            extra=extra,
            force=given.force,
        )
    else:
        from training.complexity import make_complexity

        make_complexity(
            given.data,
            given.out,
            encoder=given.encoder,
            seed=given.seed,
            force=given.force,
            keep=given.keep,
            ledger=given.from_ledger,
            preferences=given.preferences,
        )


def found_data() -> Path:
    """Return the folder of the labelled data.

    Raises:
        SystemExit: there is none.
    """
    folder = data_dir()
    if folder is None:
        raise SystemExit("labelled data is needed; set SCRIMP_DATA to its folder")
    return folder


if __name__ == "__main__":
    main()
