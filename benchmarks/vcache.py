"""``vcache``: vCache's rule beside scrimp on one stream, both set to the same error per hit.

Both are set in hindsight, on the very stream they are judged on, with as many tries each: vCache's
delta and scrimp's threshold on P(right). Of the values whose measured error per hit is within the
target the one with most right hits counts.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import console, metrics
from benchmarks.datasets import Grouped, groups
from benchmarks.encoding import embed_all, shipped_encoder
from benchmarks.errors import UnusableInput
from benchmarks.metrics import Floats
from benchmarks.nearest import NearestEarlier, Stored
from benchmarks.replay import Tally, Verdict, best_within, n_repeats, verdict
from benchmarks.stream import WrongHit, send, show, shuffled
from benchmarks.sweep import swept
from benchmarks.vcache_rule import Observations
from cache.normalize import canonical
from cache.types import Embedding

DELTAS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.6)
MIN_P_RIGHTS = (0.3, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.93, 0.96, 0.98, 0.99)
MAX_ROWS = 20_000
_MAX_ROWS_NAMED = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What came of the stream at one value.

    Attributes:
        tally: hits, and what the labels say of them.
        explored: prompts for which the model was called to learn whether a match is right.
        labels_used: what it learned so; a label each.
        wrong: the wrong near-duplicate hits, the surest first, where they are known.
    """

    tally: Tally
    explored: int = 0
    labels_used: int = 0
    wrong: Sequence[WrongHit] = field(default=(), repr=False)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the scenario's options."""
    parser.add_argument("file", type=Path, metavar="FILE", help="rows {text, group, different?}")
    parser.add_argument(
        "--max-error-rate",
        type=float,
        default=0.05,
        metavar="R",
        help="accepted share of wrong ones among near-duplicate hits, in [0, 1]; default 0.05",
    )
    parser.add_argument(
        "--limit",
        type=int,
        default=5_000,
        metavar="N",
        help=f"the first N of the shuffled rows, at most {MAX_ROWS}; default 5000",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of shuffle and draws")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Sweep both; see README.md.

    Raises:
        UnusableInput: no rows, or an option out of range.
    """
    if not 0 <= args.max_error_rate <= 1:
        raise UnusableInput(f"--max-error-rate is a share in [0, 1], got {args.max_error_rate}")
    if not 1 <= args.limit <= MAX_ROWS:
        raise UnusableInput(f"--limit is a number in [1, {MAX_ROWS}], got {args.limit}")
    numbered = shuffled(list(groups(args.file)), args.seed, args.limit)
    if not numbered:
        raise UnusableInput(f"{args.file} has no rows")
    rows = [row for _, row in numbered]
    texts = [canonical(row.text) for row in rows]
    encoder = shipped_encoder()
    embeddings = embed_all(encoder, texts, "encoding")
    best = _best(args.max_error_rate)
    console.say("finding neighbours")
    nearest = NearestEarlier(np.stack([embeddings[text].vector for text in texts]))
    draws = np.random.default_rng(args.seed).random(len(rows))
    vcache = swept(lambda delta: replay_vcache(rows, nearest, delta, draws), DELTAS, best, "delta")
    scrimp, artifacts = _scrimp(rows, embeddings.__getitem__, best)
    min_p_right = best(scrimp)
    wrong = () if min_p_right is None else scrimp[min_p_right].wrong
    if args.show:
        show(rows, wrong[: args.show])
    repeats = n_repeats(rows)
    return {
        "n": len(rows),
        "repeats": repeats,
        "max_error_rate": args.max_error_rate,
        **compared(vcache, scrimp, args.max_error_rate, repeats),
        "wrong_rows": [
            [numbered[hit.asked][0], numbered[hit.stored][0]] for hit in wrong[:_MAX_ROWS_NAMED]
        ],
        "artifacts": artifacts,
    }


_NOTHING = Replayed(tally=Tally())


def replay_vcache(
    rows: Sequence[Grouped], nearest: NearestEarlier, delta: float, draws: Floats
) -> Replayed:
    """Replay the stream through vCache: exact first, then its rule on the nearest stored prompt.

    Exploring calls the model and compares: the answers agree where the groups do, and differ where
    they differ, also where nobody compared the groups. The prompt is stored where the match was
    wrong, and where there was none.

    Args:
        rows: the stream in its order.
        nearest: of their vectors.
        delta: the share of all requests that may be answered wrongly.
        draws: shape (len(rows),), uniform in [0, 1): row i is explored when draw i is below tau.
    """
    tally, stored, explored = Tally(), Stored(nearest), 0
    known: dict[int, Observations] = {}
    holders: dict[str, int] = {}
    for asked, row in enumerate(rows):
        text = canonical(row.text)
        holder = holders.get(text)
        if holder is not None:
            tally.count(verdict(row, rows[holder]), is_exact=True)
            continue
        match = stored.nearest(asked)
        if match is not None:
            found = verdict(row, rows[match[0]])
            observations = known.setdefault(match[0], Observations())
            if draws[asked] >= observations.p_explore(match[1], delta):
                tally.count(found, is_exact=False)
                continue
            explored += 1
            observations.add(match[1], found is Verdict.RIGHT)
            if found is Verdict.RIGHT:
                continue
        stored.add(asked)
        holders[text] = asked
    return Replayed(tally=tally, explored=explored, labels_used=explored)


def compared(
    vcache: Mapping[float, Replayed],
    scrimp: Mapping[float, Replayed],
    max_error_rate: float,
    repeats: int,
) -> dict[str, Any]:
    """Return the figures of both at their best values, and ``ratio``, right hits over right hits.

    Args:
        vcache: what came of each delta.
        scrimp: what came of each threshold on P(right).
        max_error_rate: of a hit, in [0, 1].
        repeats: rows whose group came before.
    """
    best = _best(max_error_rate)
    of_vcache = _figures(vcache, best(vcache), "delta", repeats)
    of_scrimp = _figures(scrimp, best(scrimp), "min_p_right", repeats)
    return {
        "vcache": of_vcache,
        "scrimp": of_scrimp,
        "ratio": metrics.share(of_scrimp["right"], of_vcache["right"]),
    }


def _best(max_error_rate: float) -> Callable[[Mapping[float, Replayed]], float | None]:
    def best(tried: Mapping[float, Replayed]) -> float | None:
        tallies = {value: replayed.tally for value, replayed in tried.items()}
        return best_within(tallies, max_error_rate)

    return best


def _figures(
    tried: Mapping[float, Replayed], best: float | None, name: str, repeats: int
) -> dict[str, Any]:
    """Return one side's figures; where no value fits it serves nothing, and its value is null."""
    replayed = _NOTHING if best is None else tried[best]
    tally = replayed.tally
    return {
        name: best,
        "right": tally.right,
        "wrong": tally.wrong,
        "unjudged": tally.unjudged,
        "error_rate": tally.error_rate,
        "valid_hit_rate": metrics.share(tally.right, repeats),
        "exact_hits": tally.exact_hits,
        "exact_wrong": tally.exact_wrong,
        "explored": replayed.explored,
        "labels_used": replayed.labels_used,
        "tried": [
            {
                name: value,
                "right": one.tally.right,
                "wrong": one.tally.wrong,
                "unjudged": one.tally.unjudged,
                "explored": one.explored,
            }
            for value, one in tried.items()
        ],
    }


def _scrimp(
    rows: Sequence[Grouped],
    embedding_of: Callable[[str], Embedding],
    best: Callable[[Mapping[float, Replayed]], float | None],
) -> tuple[dict[float, Replayed], Mapping[str, str]]:
    from benchmarks.stream_service import opened_at  # the service, only when there is work

    artifacts: dict[str, str] = {}

    def replay(min_p_right: float) -> Replayed:
        tally, wrong, about = asyncio.run(
            send(
                rows,
                lambda _: opened_at(min_p_right, embedding_of),
                max_error_rate=1.0,
                is_learning=False,
            )
        )
        artifacts.update(about.artifacts)
        return Replayed(tally=tally, wrong=wrong)

    return swept(replay, MIN_P_RIGHTS, best, "P(right)"), artifacts
