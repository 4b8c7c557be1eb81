"""``stream``: prompts one after another through an empty service; how many hits, how many wrong."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from benchmarks import console, metrics
from benchmarks.datasets import Grouped, groups
from benchmarks.encoding import BulkEncoder, encode_all, original_encoder, shipped_encoder
from benchmarks.errors import UnusableInput
from benchmarks.label_noise import RULE, is_one_question
from benchmarks.replay import Tally, Verdict, n_repeats, static_figures, verdict
from cache.normalize import canonical

_MAX_ROWS_NAMED = 200


@dataclass(frozen=True, slots=True)
class Served:
    """A stored answer that was replayed: the row it was stored for, its layer, and how surely.

    ``p_right`` is the decision's probability, 1.0 when exact.
    """

    row: int
    is_exact: bool
    p_right: float


class StreamSubject(Protocol):
    """A service under test: empty at first, one partition, one caller.

    Attributes:
        artifacts: ids of what it decides with.
        degraded: what is not as it should be, in words.
    """

    artifacts: Mapping[str, str]
    degraded: Sequence[str]

    async def ask(self, text: str) -> Served | None:
        """Return what is served for a text, None for a miss."""

    async def keep(self, row: int) -> None:
        """Store the answer of ``row`` for the text that was just asked and missed."""

    async def learn(self, is_right: bool) -> None:
        """Tell the service whether the hit just served was right."""


OpenSubject = Callable[[float], AbstractAsyncContextManager[StreamSubject]]
"""Opens a subject that is told the accepted error rate."""


@dataclass(frozen=True, slots=True)
class WrongHit:
    """A near-duplicate hit that the labels call wrong, by rows of the stream."""

    asked: int
    stored: int
    p_right: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the scenario's options."""
    parser.add_argument("file", type=Path, metavar="FILE", help="rows {text, group, different?}")
    parser.add_argument(
        "--max-error-rate",
        type=float,
        required=True,
        metavar="R",
        help="accepted share of wrong ones among near-duplicate hits, in [0, 1]",
    )
    parser.add_argument("--limit", type=int, metavar="N", help="the first N of the shuffled rows")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the shuffle")
    parser.add_argument(
        "--seeds", type=int, default=1, metavar="K", help="shuffles, from S on; figures are pooled"
    )
    parser.add_argument(
        "--learn", action="store_true", help="labels of served hits arrive as feedback"
    )
    parser.add_argument("--vectors", type=Path, help="folder that keeps vectors between runs")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Send the stream; see BENCHMARKS.md.

    Raises:
        UnusableInput: no rows, or an error rate outside [0, 1].
    """
    if not 0 <= args.max_error_rate <= 1:
        raise UnusableInput(f"--max-error-rate is a share in [0, 1], got {args.max_error_rate}")
    if args.seeds < 1:
        raise UnusableInput(f"--seeds is a number of shuffles, at least 1, got {args.seeds}")
    rows = list(groups(args.file))
    if not rows:
        raise UnusableInput(f"{args.file} has no rows")
    found = [_one(rows, seed, args) for seed in range(args.seed, args.seed + args.seeds)]
    return found[0] if args.seeds == 1 else pooled(found)


def _one(all_rows: Sequence[Grouped], seed: int, args: argparse.Namespace) -> dict[str, Any]:
    """Send the rows in one order."""
    numbered = shuffled(all_rows, seed, args.limit)
    from benchmarks.stream_service import opened  # the service, only when there is work

    rows = [row for _, row in numbered]
    encoder = shipped_encoder()
    tally, wrong, about = asyncio.run(
        send(rows, opened, max_error_rate=args.max_error_rate, is_learning=args.learn)
    )
    if args.show:
        show(rows, wrong[: args.show])
    original = original_encoder()
    static = _static(rows, original, args)
    return {
        **figures(tally, rows),
        "corrected": corrected(tally, rows, wrong),
        "max_error_rate": args.max_error_rate,
        "learn": args.learn,
        "static": static,
        "static_shipped": _static(rows, encoder, args),
        "wrong_rows": [
            [numbered[hit.asked][0], numbered[hit.stored][0]] for hit in wrong[:_MAX_ROWS_NAMED]
        ],
        "artifacts": {**about.artifacts, "original_encoder": original.encoder_id},
        "degraded": about.degraded,
    }


def shuffled(rows: Sequence[Grouped], seed: int, limit: int | None) -> list[tuple[int, Grouped]]:
    """Return (number in the file, row), all rows shuffled by the seed, then the first ``limit``."""
    order = np.random.default_rng(seed).permutation(len(rows))[:limit]
    return [(int(number), rows[number]) for number in order]


async def send(
    rows: Sequence[Grouped],
    open_subject: OpenSubject,
    *,
    max_error_rate: float,
    is_learning: bool,
) -> tuple[Tally, list[WrongHit], StreamSubject]:
    """Send rows one after another: a miss is stored, a hit is not.

    Returns:
        The tally, the wrong near-duplicate hits, the surest first, and the subject, closed.
    """
    tally, wrong = Tally(), []
    async with open_subject(max_error_rate) as subject:
        for number, row in enumerate(console.track(rows, "streaming", len(rows))):
            served = await subject.ask(row.text)
            if served is None:
                await subject.keep(number)
                continue
            found = verdict(row, rows[served.row])
            tally.count(found, is_exact=served.is_exact)
            if found is Verdict.WRONG and not served.is_exact:
                wrong.append(WrongHit(number, served.row, served.p_right))
            if is_learning and found is not Verdict.UNJUDGED:
                await subject.learn(found is Verdict.RIGHT)
    # The surer a wrong hit was, the worse: no threshold would have kept it out.
    return tally, sorted(wrong, key=lambda hit: -hit.p_right), subject


def figures(tally: Tally, rows: Sequence[Grouped]) -> dict[str, Any]:
    """Return the figures of BENCHMARKS.md for what the service did."""
    repeats = n_repeats(rows)
    return {
        "n": len(rows),
        "repeats": repeats,
        "exact_hits": tally.exact_hits,
        "exact_wrong": tally.exact_wrong,
        "near_hits": tally.near_hits,
        "right": tally.right,
        "wrong": tally.wrong,
        "unjudged": tally.unjudged,
        **_rates(tally.right, tally.wrong),
        "valid_hit_rate": metrics.share(tally.right, repeats),
    }


def corrected(tally: Tally, rows: Sequence[Grouped], wrong: Sequence[WrongHit]) -> dict[str, Any]:
    """Return the error rate with hits counted as right whose label is wrong by a stated rule."""
    misjudged = sum(is_one_question(rows[hit.asked].text, rows[hit.stored].text) for hit in wrong)
    remaining = tally.wrong - misjudged
    return {
        "rule": RULE,
        "misjudged": misjudged,
        "wrong": remaining,
        **_rates(tally.right + misjudged, remaining),
    }


_SUMS = ("n", "repeats", "exact_hits", "exact_wrong", "near_hits", "right", "wrong", "unjudged")


def pooled(streams: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the figures of several orders of the same rows taken together, and each by itself.

    The static thresholds are each order's own best.
    """
    sums = {name: sum(one[name] for one in streams) for name in _SUMS}
    misjudged = sum(one["corrected"]["misjudged"] for one in streams)
    return {
        **sums,
        **_rates(sums["right"], sums["wrong"]),
        "valid_hit_rate": metrics.share(sums["right"], sums["repeats"]),
        "corrected": {
            "rule": RULE,
            "misjudged": misjudged,
            "wrong": sums["wrong"] - misjudged,
            **_rates(sums["right"] + misjudged, sums["wrong"] - misjudged),
        },
        **{name: streams[0][name] for name in ("max_error_rate", "learn", "artifacts")},
        **{name: _pooled_static(streams, name) for name in ("static", "static_shipped")},
        "degraded": sorted({notice for one in streams for notice in one["degraded"]}),
        "by_seed": list(streams),
    }


def _rates(right: int, wrong: int) -> dict[str, float | None]:
    return {
        "error_rate": metrics.share(wrong, right + wrong),
        "error_rate_upper95": metrics.clopper_pearson_upper(wrong, right + wrong),
        "error_rate_lower95": metrics.clopper_pearson_lower(wrong, right + wrong),
    }


def _pooled_static(streams: Sequence[Mapping[str, Any]], name: str) -> dict[str, Any]:
    right, wrong = (sum(one[name][key] for one in streams) for key in ("right", "wrong"))
    return {
        "thresholds": [one[name]["threshold"] for one in streams],
        "near_hits": sum(one[name]["near_hits"] for one in streams),
        "right": right,
        "wrong": wrong,
        "error_rate": metrics.share(wrong, right + wrong),
        "valid_hit_rate": metrics.share(right, sum(one["repeats"] for one in streams)),
    }


def _static(
    rows: Sequence[Grouped], encoder: BulkEncoder, args: argparse.Namespace
) -> dict[str, float | int | None]:
    texts = [canonical(row.text) for row in rows]
    encoded = encode_all(encoder, texts, "encoding for the static thresholds", args.vectors)
    console.say("replaying static thresholds")
    return static_figures(rows, encoded.of(texts), args.max_error_rate)


def show(rows: Sequence[Grouped], wrong: Sequence[WrongHit]) -> None:
    """List wrong hits on the terminal."""
    console.show_cases(
        "replayed, and wrong by the labels, the surest first",
        ("stored", "asked", "P(right)"),
        [(rows[hit.stored].text, rows[hit.asked].text, f"{hit.p_right:.3f}") for hit in wrong],
    )
