"""A stream through a cache that is a cosine threshold and nothing else, for many thresholds.

Earlier neighbours above the lowest threshold are found once, in blocks; each threshold is then
replayed in full over those short lists: what is stored depends on what missed before, so no
threshold can be read off another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from benchmarks import metrics
from benchmarks.datasets import Grouped
from cache.normalize import canonical
from cache.types import Vectors

THRESHOLDS = tuple(round(0.80 + 0.005 * step, 3) for step in range(40))
_BLOCK = 1024


class Verdict(Enum):
    """What the labels say of a replayed answer."""

    RIGHT = "right"
    WRONG = "wrong"
    UNJUDGED = "unjudged"


def verdict(asked: Grouped, stored: Grouped) -> Verdict:
    """Return whether the stored row's answer serves the asked one, by their groups.

    Where rows carry ``different``, only groups that a human told apart are wrong.
    """
    if asked.group == stored.group:
        return Verdict.RIGHT
    if asked.different is None and stored.different is None:
        return Verdict.WRONG
    told_apart = asked.group in (stored.different or ()) or stored.group in (asked.different or ())
    return Verdict.WRONG if told_apart else Verdict.UNJUDGED


def n_repeats(rows: Sequence[Grouped]) -> int:
    """Return how many rows have a group that an earlier row had."""
    return len(rows) - len({row.group for row in rows})


@dataclass(slots=True, kw_only=True)
class Tally:
    """What came of a stream; ``near`` hits only are right, wrong or unjudged."""

    exact_hits: int = 0
    exact_wrong: int = 0
    near_hits: int = 0
    right: int = 0
    wrong: int = 0
    unjudged: int = 0

    def count(self, found: Verdict, *, is_exact: bool) -> None:
        """Count one hit."""
        if is_exact:
            self.exact_hits += 1
            self.exact_wrong += found is Verdict.WRONG
            return
        self.near_hits += 1
        self.right += found is Verdict.RIGHT
        self.wrong += found is Verdict.WRONG
        self.unjudged += found is Verdict.UNJUDGED

    @property
    def error_rate(self) -> float | None:
        """Wrong / (right + wrong), None where no hit is judged."""
        return metrics.share(self.wrong, self.right + self.wrong)


@dataclass(frozen=True, slots=True)
class Neighbours:
    """For each row the earlier rows that are near it, most similar first, the earlier of ties.

    Attributes:
        starts: shape (n + 1,); row i's neighbours lie at starts[i]:starts[i + 1].
        rows: their row numbers.
        similarities: their cosines, float32.
    """

    starts: NDArray[np.int64]
    rows: NDArray[np.int32]
    similarities: NDArray[np.float32]


def earlier_neighbours(vectors: Vectors, floor: float = THRESHOLDS[0]) -> Neighbours:
    """Return all earlier neighbours with a cosine of at least ``floor``."""
    counts = np.zeros(len(vectors), dtype=np.int64)
    rows: list[NDArray[np.int32]] = []
    similarities: list[NDArray[np.float32]] = []
    for start in range(0, len(vectors), _BLOCK):
        block = vectors[start : start + _BLOCK]
        cosines = block @ vectors[: start + len(block)].T
        at, near = np.nonzero(cosines >= np.float32(floor))
        earlier = near < at + start
        at, near = at[earlier], near[earlier]
        similarity = cosines[at, near]
        order = np.lexsort((near, -similarity, at))
        rows.append(near[order].astype(np.int32))
        similarities.append(similarity[order])
        counts[start : start + len(block)] = np.bincount(at, minlength=len(block))
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Neighbours(
        starts,
        np.concatenate([np.zeros(0, dtype=np.int32), *rows]),
        np.concatenate([np.zeros(0, dtype=np.float32), *similarities]),
    )


def replay(rows: Sequence[Grouped], near: Neighbours, threshold: float) -> Tally:
    """Replay the stream at one threshold: exact first, then the best neighbour stored so far.

    Args:
        rows: the stream in its order.
        near: of their vectors, with a floor of at most ``threshold``.
        threshold: least cosine that is served.
    """
    tally = Tally()
    for asked, stored, is_exact in _hits(rows, near, threshold):
        tally.count(verdict(rows[asked], rows[stored]), is_exact=is_exact)
    return tally


def _hits(
    rows: Sequence[Grouped], near: Neighbours, threshold: float
) -> Iterator[tuple[int, int, bool]]:
    passing = np.concatenate([[0], np.cumsum(near.similarities >= np.float32(threshold))])
    ends = (near.starts[:-1] + np.diff(passing[near.starts])).tolist()
    starts = near.starts.tolist()
    is_stored = np.zeros(len(rows), dtype=bool)
    holders: dict[str, int] = {}
    for asked, row in enumerate(rows):
        text = canonical(row.text)
        holder = holders.get(text)
        if holder is not None:
            yield asked, holder, True
            continue
        if ends[asked] > starts[asked]:
            candidates = near.rows[starts[asked] : ends[asked]]
            stored = is_stored[candidates]
            best = int(stored.argmax())
            if stored[best]:
                yield asked, int(candidates[best]), False
                continue
        is_stored[asked] = True
        holders[text] = asked


def best_within(tallies: Mapping[float, Tally], max_error_rate: float) -> float | None:
    """Return the threshold with most right hits whose error rate is within the target.

    Of equals the one with fewer wrong hits, then the higher. None where none qualifies; a threshold
    without a judged hit has no error rate and does not.
    """
    fit = [
        threshold
        for threshold, tally in tallies.items()
        if (rate := tally.error_rate) is not None and rate <= max_error_rate
    ]
    return max(fit, key=lambda t: (tallies[t].right, -tallies[t].wrong, t), default=None)


def static_figures(
    rows: Sequence[Grouped], vectors: Vectors, max_error_rate: float
) -> dict[str, float | int | None]:
    """Return the ``static`` block of BENCHMARKS.md for one encoder's vectors.

    Args:
        rows: the stream in its order.
        vectors: shape (len(rows), dim), of the canonical texts.
        max_error_rate: in [0, 1].
    """
    near = earlier_neighbours(vectors)
    tallies = {threshold: replay(rows, near, threshold) for threshold in THRESHOLDS}
    threshold = best_within(tallies, max_error_rate)
    tally = Tally() if threshold is None else tallies[threshold]
    repeats = n_repeats(rows)
    return {
        "threshold": threshold,
        "near_hits": tally.near_hits,
        "right": tally.right,
        "wrong": tally.wrong,
        "error_rate": tally.error_rate,
        "valid_hit_rate": 0.0 if threshold is None else metrics.share(tally.right, repeats),
    }
