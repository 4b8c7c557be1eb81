"""Operating points: the P(right) to serve from, so that streams of held-out prompts stay in target.

Each stream is replayed as the service would see it: prompts in random order, a miss is stored, a
hit is not; a hit is right when the groups agree, wrong when they differ (where groups name those
judged different: wrong only then). For every threshold the whole stream is replayed, for what is
stored depends on what was served.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.progress import track

from benchmarks.datasets import fold_of, pairs, read_rows
from benchmarks.metrics import clopper_pearson_lower, clopper_pearson_upper
from cache.guards import facts_of, objection
from cache.normalize import canonical
from cache.policy import SURER, caution
from classifier.encoder import OnnxEncoder
from training.pair_data import HELD_DOMAINS

TARGETS = (0.01, 0.02, 0.03, 0.05, 0.10)  # below, held-out streams are too short to speak
GRID: tuple[float, ...] = tuple(
    round(1 - x, 5) for x in np.geomspace(0.5, 0.0005, 40)
)  # thresholds, rising
TELLING = {"qqp": 0.01, "text2sql": 0.039}
"""The streams that have a say, and how often their labels call the same question different.

Of Quora's pairs that are one question by a rule (``benchmarks.label_noise``) and that no guard
objects to, 55 of 1,471 are labelled as no duplicates: 3.7 %, at 95 % at least 3.0 %. A third of
that is taken off, as the audits take off the comparator's false alarms, and no more: so what the
labels say stays near the target, too. Of 514 pairs of the held-out domain of text-to-SQL (flights)
that say the same words (``cache.wording``) and that no guard objects to, 32 are called different,
28 of them one question by eye ("on WEDNESDAY", "wednesday"): 5.4 %, at 95 % at least 3.9 %. Nearly
all that is served there is such a pair, so that is taken off whole.
"""
_LEAST_HITS = 30
_NEIGHBOURS = 8
_FLOOR = 0.70
_MOST_ROWS = 8_000


@dataclass(frozen=True, slots=True)
class Judgeable:
    """A pair of canonical texts with all that P(right) is made of."""

    a: str
    b: str
    a_tokens: bytes
    b_tokens: bytes
    cosine: float


PRight = Callable[[Sequence[Judgeable]], npt.NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Point:
    """For a target, from which P(right) on."""

    max_error_rate: float
    min_p_right: float


@dataclass(frozen=True, slots=True)
class Row:
    """A prompt of a stream."""

    text: str
    group: str
    different: frozenset[str] | None


@dataclass(slots=True)
class Replay:
    """What a threshold came to."""

    right: int = 0
    wrong: int = 0
    unjudged: int = 0


def operating_points(
    folder: Path, encoder: OnnxEncoder, p_right: PRight
) -> tuple[list[Point], dict[str, Any]]:
    """Return the points, and what every stream came to at each target's point.

    A target's point is the loosest threshold at which no telling stream of ``_LEAST_HITS`` hits has
    an error rate above the target, and from which on, up to the strictest, none of any length shows
    one with 95 % confidence; the noise of the labels is taken off.
    """
    found = {}
    for name, rows in streams(folder).items():
        found[name] = _replays(rows, encoder, p_right, name)
    points = []
    for target in TARGETS:
        met = [t for i, t in enumerate(GRID) if _holds(found, i, target)]
        if met:
            points.append(Point(target, min(met)))
    return points, {
        name: {
            f"{point.max_error_rate:g}": _figures(replays[GRID.index(point.min_p_right)])
            for point in points
        }
        for name, replays in found.items()
    }


def _holds(found: dict[str, list[Replay]], at: int, target: float) -> bool:
    """Tell whether the target holds at a threshold and all stricter ones, on every stream."""
    for name, noise in TELLING.items():
        for replay in found[name][at:]:
            n = replay.right + replay.wrong
            least = clopper_pearson_lower(replay.wrong, n) if n else None
            if least is not None and _less_noise(least, noise) > target:
                return False
        here = found[name][at]
        n = here.right + here.wrong
        if n >= _LEAST_HITS and _less_noise(here.wrong / n, noise) > target:
            return False
    return True


def _less_noise(called_wrong: float, noise: float) -> float:
    """Return the share of wrong hits when right ones are called wrong so often by mistake."""
    return (called_wrong - noise) / (1 - noise)


def _figures(replay: Replay) -> dict[str, Any]:
    judged = replay.right + replay.wrong
    return {
        "right": replay.right,
        "wrong": replay.wrong,
        "unjudged": replay.unjudged,
        "error_rate": round(replay.wrong / judged, 5) if judged else None,
        "error_rate_upper95": clopper_pearson_upper(replay.wrong, judged) if judged else None,
    }


def streams(folder: Path) -> dict[str, list[Row]]:
    """Return streams of prompts that no training saw."""
    trained = {
        canonical(text)
        for pair in pairs(folder / "cache" / "pairs_qqp.jsonl.gz")
        if pair.split == "train"
        for text in (pair.a, pair.b)
    }
    found: dict[str, list[Row]] = defaultdict(list)
    for row in read_rows(folder / "cache" / "groups_qqp.jsonl.gz"):
        if canonical(row["text"]) not in trained:
            found["qqp"].append(Row(row["text"], row["group"], frozenset(row["different"])))
    for name in ("text2sql", "spider"):
        for row in read_rows(folder / "cache" / f"groups_{name}.jsonl.gz"):
            base = str(row.get("domain") or str(row["group"]).partition(":")[0])
            if base in HELD_DOMAINS or (name == "spider" and fold_of(base, 6, 7) == 0):
                found[name].append(Row(row["text"], row["group"], None))
    for rows in found.values():
        random.Random(5).shuffle(rows)
        del rows[_MOST_ROWS:]
    return dict(found)


def _replays(rows: Sequence[Row], encoder: OnnxEncoder, p_right: PRight, name: str) -> list[Replay]:
    """Replay a stream at every threshold of the grid."""
    texts = [canonical(row.text) for row in rows]
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    vectors = np.empty((len(texts), encoder.dim), dtype=np.float32)
    tokens: list[bytes] = [b""] * len(texts)
    for start in track(range(0, len(order), 256), f"stream {name}"):
        some = order[start : start + 256]
        for i, one in zip(some, encoder.embed([texts[i] for i in some]), strict=True):
            vectors[i], tokens[i] = one.vector, one.tokens
    near = _neighbours(vectors)
    p = p_right([Judgeable(texts[i], texts[j], tokens[i], tokens[j], c) for i, j, c in near])
    facts = [facts_of(text) for text in texts]
    candidates: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for (i, j, _), one in zip(near, p.tolist(), strict=True):
        if texts[i] == texts[j]:
            candidates[i].append((j, 2.0))  # exact
            continue
        guard = objection(facts[i], facts[j]) if one >= GRID[0] else None
        if guard is None or not guard.is_veto:
            # What asks for more certainty at the point is taken off the certainty here.
            surer = caution(facts[i], facts[j]) * (1.0 if guard is None else SURER)
            candidates[i].append((j, 1 - surer * (1 - one)))
    return [_replay(rows, candidates, threshold) for threshold in GRID]


def _neighbours(vectors: npt.NDArray[np.float32]) -> list[tuple[int, int, float]]:
    """Return (row, earlier row, cosine) above the floor; more than are judged, some unstored."""
    found = []
    for start in range(0, len(vectors), 512):
        block = vectors[start : start + 512] @ vectors[: start + 512].T
        for k, cosines in enumerate(block):
            i = start + k
            near = np.flatnonzero(cosines[:i] >= _FLOOR)
            best = near[np.argsort(-cosines[near])][: 3 * _NEIGHBOURS]
            found += [(i, int(j), float(cosines[j])) for j in best]
    return found


def _replay(
    rows: Sequence[Row], candidates: dict[int, list[tuple[int, float]]], threshold: float
) -> Replay:
    is_stored = [False] * len(rows)
    found = Replay()
    for i, row in enumerate(rows):
        passing = [(p, j) for j, p in candidates[i] if is_stored[j] and p >= threshold]
        if not passing:
            is_stored[i] = True
            continue
        p, j = max(passing)
        if p > 1:
            continue  # an exact hit
        other = rows[j]
        if row.group == other.group:
            found.right += 1
        elif _is_wrong(row, other):
            found.wrong += 1
        else:
            found.unjudged += 1
    return found


def _is_wrong(row: Row, other: Row) -> bool:
    """Tell whether two rows of two groups are known to want two answers."""
    if row.different is None or other.different is None:
        return True
    return other.group in row.different or row.group in other.different
