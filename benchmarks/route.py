"""``route``: is the strong model called where it pays? RouteLLM's protocol on any pair or pool."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import console
from benchmarks.datasets import RoutingRow
from benchmarks.encoding import shipped_encoder
from benchmarks.errors import UnusableInput
from benchmarks.metrics import Floats
from benchmarks.route_figures import (
    PairTrial,
    PoolTrial,
    expected_costs,
    pair_report,
    pool_report,
)
from benchmarks.route_noise import N_NOISED, flip_rate, noised
from benchmarks.route_plots import save_plots
from benchmarks.route_scores import Exam, Judge, Prompts, shipped_scorer, usable_rows
from benchmarks.route_speed import milliseconds_by_length, milliseconds_under_load

_MIN_SHARE = 0.95  # of the rows that a model of the pool has an outcome on


_MOST_TIMED = 2_000  # prompts that are scored again and again


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the scenario's options."""
    parser.add_argument("file", type=Path, metavar="FILE", help="rows {id, prompt, outcomes, ...}")
    parser.add_argument("--weak", required=True, metavar="MODEL", help="as the file names it")
    parser.add_argument("--strong", required=True, metavar="MODEL", help="as the file names it")
    seen = parser.add_mutually_exclusive_group()
    seen.add_argument("--probe", type=int, metavar="K", help="K labelled rows are seen first")
    seen.add_argument(
        "--folds", type=int, metavar="K", help="refit per fold, on the file's other folds alone"
    )
    parser.add_argument(
        "--without", metavar="BENCHMARK", help="refit without this one (or these, by comma) first"
    )
    parser.add_argument(
        "--all-models", action="store_true", help="RouterBench's figures over all models too"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--speed", action="store_true", help="also the shipped model's milliseconds by length"
    )
    parser.add_argument(
        "--plots", type=Path, metavar="DIR", help="draw cost/quality and reliability (matplotlib)"
    )
    parser.add_argument("--vectors", type=Path, help="folder that keeps vectors between runs")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Score every prompt, then judge the order; see BENCHMARKS.md.

    Raises:
        UnusableInput: unknown models, no rows, or labels that the artifact has seen already.
    """
    rows = usable_rows(args.file)
    _check(rows, args)
    without = tuple(args.without.split(",")) if args.without else ()
    judge = Judge(
        rows,
        seed=args.seed,
        folds=args.folds,
        probe=args.probe,
        without=without,
        keep=args.vectors,
    )
    prompts = Prompts.of(rows, shipped_encoder(), args.vectors)
    exam = judge.examine(prompts)
    pair = [args.weak, args.strong]
    kept = [i for i in exam.judged if all(model in rows[i].outcomes for model in pair)]
    if not kept:
        raise UnusableInput("no row is left to judge: every one was seen, or lacks an outcome")
    report = pair_report(_pair_trial(rows, kept, pair, exam), args.seed)
    if args.show:
        _show(rows, kept, pair, exam, args.show)
    result: dict[str, Any] = {
        "weak_model": args.weak,
        "strong_model": args.strong,
        **report,
        "zero_shot": judge.is_zero_shot,
        "without": args.without,
        "folds": args.folds,
        "probe": args.probe,
        "flip_rate": _flips(rows, kept, pair, exam, prompts, args.seed),
        "ms_by_prompt_tokens": (
            milliseconds_by_length(prompts.encoder, shipped_scorer(prompts.encoder))
            if args.speed
            else None
        ),
        "score_ms_under_load": (
            milliseconds_under_load(
                prompts.encoder,
                shipped_scorer(prompts.encoder),
                [rows[i].prompt for i in kept[:_MOST_TIMED]],
            )
            if args.speed
            else None
        ),
        "artifacts": {"encoder": prompts.encoder.encoder_id, **judge.artifacts},
    }
    if args.plots:
        trial = _pair_trial(rows, kept, pair, exam)
        save_plots(trial, args.plots, args.file.name.split(".")[0])
    if args.all_models:
        result.update(_pool(rows, exam))
    return result


def _flips(
    rows: Sequence[RoutingRow],
    kept: Sequence[int],
    pair: Sequence[str],
    exam: Exam,
    prompts: Prompts,
    seed: int,
) -> dict[str, float]:
    """Return, per harmless noise, how often another model is called at half of the calls strong."""
    p = exam.p_adequate(kept, pair)
    threshold = float(np.median(p[:, 1] - p[:, 0]))
    drawn = np.random.default_rng(seed).permutation(len(kept))[:N_NOISED]
    numbers = [kept[int(at)] for at in drawn]
    before = (p[:, 1] - p[:, 0])[drawn]
    found = {}
    for name, texts in noised([rows[i].prompt for i in numbers], seed).items():
        changed = Prompts.of(
            [replace(rows[i], prompt=text) for i, text in zip(numbers, texts, strict=True)],
            prompts.encoder,
            None,
        )
        after = exam.again(numbers, changed, pair)
        found[name] = flip_rate(before, after[:, 1] - after[:, 0], threshold)
    return found


def _check(rows: Sequence[RoutingRow], args: argparse.Namespace) -> None:
    known = sorted({model for row in rows for model in row.outcomes})
    if not known:
        raise UnusableInput(f"{args.file} has no rows with outcomes")
    for option in ("weak", "strong"):
        model = getattr(args, option)
        if model not in known:
            near = difflib.get_close_matches(model, known, n=3, cutoff=0.3) or known[:5]
            raise UnusableInput(
                f"--{option} {model!r} is no model of {args.file.name}; near: {', '.join(near)}"
            )
    for option, least in (("probe", 1), ("folds", 2)):
        value = getattr(args, option)
        if value is not None and not least <= value < len(rows):
            raise UnusableInput(
                f"--{option} lies between {least} and the number of rows, got {value}"
            )


def _pair_trial(
    rows: Sequence[RoutingRow], kept: Sequence[int], pair: Sequence[str], exam: Exam
) -> PairTrial:
    weak, strong = (
        np.array([rows[i].outcomes[model].score for i in kept], dtype=np.float64) for model in pair
    )
    p = exam.p_adequate(kept, pair)
    return PairTrial(
        weak=weak,
        strong=strong,
        p_weak=p[:, 0],
        p_strong=p[:, 1],
        lengths=np.array([len(rows[i].prompt) for i in kept], dtype=np.float64),
        costs=_extra_costs([rows[i] for i in kept], pair),
        domains=[rows[i].domain for i in kept],
        dialogues=[rows[i].dialogue for i in kept],
    )


def _extra_costs(rows: Sequence[RoutingRow], pair: Sequence[str]) -> Floats | None:
    """Return what strong costs more than weak per prompt; None where the file has no costs."""
    costs = [[row.outcomes[model].cost_usd for model in pair] for row in rows]
    if any(cost is None for both in costs for cost in both):
        return None
    weak, strong = np.array(costs, dtype=np.float64).T
    return np.asarray(strong - weak)


def _pool(rows: Sequence[RoutingRow], exam: Exam) -> dict[str, Any]:
    """Return RouterBench's figures over models and rows that form a full table."""
    counts: dict[str, int] = {}
    for i in exam.judged:
        for model in rows[i].outcomes:
            counts[model] = counts.get(model, 0) + 1
    models = sorted(m for m, n in counts.items() if n >= _MIN_SHARE * len(exam.judged))
    kept = [i for i in exam.judged if all(model in rows[i].outcomes for model in models)]
    if len(models) < 2 or not kept:
        raise UnusableInput("--all-models needs rows on which at least two models were tried")
    table = [[rows[i].outcomes[model] for model in models] for i in kept]
    lengths = np.array([len(rows[i].prompt) for i in kept], dtype=np.float64)
    has_costs = all(outcome.cost_usd is not None for line in table for outcome in line)
    costs = (
        np.array([[outcome.cost_usd for outcome in line] for line in table], dtype=np.float64)
        if has_costs
        else None
    )
    trial = PoolTrial(
        models=models,
        scores=np.array([[outcome.score for outcome in line] for line in table]),
        costs=costs,
        expected_costs=None if costs is None else expected_costs(costs, lengths),
        p=exam.p_adequate(kept, models),
    )
    return {"n_pool": len(kept), **pool_report(trial)}


def _show(
    rows: Sequence[RoutingRow], kept: Sequence[int], pair: Sequence[str], exam: Exam, n: int
) -> None:
    """List the prompts whose gap was misjudged most."""
    p = exam.p_adequate(kept, pair)
    gaps = np.array(
        [rows[i].outcomes[pair[1]].score - rows[i].outcomes[pair[0]].score for i in kept]
    )
    missed = gaps - (p[:, 1] - p[:, 0])
    worst = np.argsort(-np.abs(missed))[:n]
    console.show_cases(
        "gap misjudged most",
        ("id", "prompt", "gap", "predicted"),
        [
            (rows[kept[w]].id, rows[kept[w]].prompt, f"{gaps[w]:+.2f}", f"{p[w, 1] - p[w, 0]:+.2f}")
            for w in worst
        ],
    )
