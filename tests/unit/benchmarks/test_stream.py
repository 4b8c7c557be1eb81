from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import replay, stream
from benchmarks.datasets import Grouped
from benchmarks.replay import Tally, Verdict
from benchmarks.stream import Served, StreamSubject
from cache.types import Vectors


def _row(text: str, group: str = "g", different: Sequence[str] | None = None) -> Grouped:
    told_apart = None if different is None else frozenset(different)
    return Grouped(text=text, group=group, different=told_apart)


def _unit(rows: Iterable[Iterable[float]]) -> Vectors:
    vectors = np.array([list(row) for row in rows], dtype=np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


class ScriptedSubject:
    """Serves what the script says; remembers what was kept and learnt."""

    def __init__(self, script: dict[str, Served]) -> None:
        self.script = script
        self.artifacts: Mapping[str, str] = {"encoder": "scripted"}
        self.degraded: Sequence[str] = ()
        self.kept: list[int] = []
        self.learnt: list[bool] = []
        self.max_error_rate: float | None = None

    async def ask(self, text: str) -> Served | None:
        """Look into the script."""
        return self.script.get(text)

    async def keep(self, row: int) -> None:
        """Remember it."""
        self.kept.append(row)

    async def learn(self, is_right: bool) -> None:
        """Remember it."""
        self.learnt.append(is_right)

    @asynccontextmanager
    async def open(self, max_error_rate: float) -> AsyncIterator[StreamSubject]:
        """Open itself."""
        self.max_error_rate = max_error_rate
        yield self


ROWS = [
    _row("open an account", "open"),
    _row("open account", "open"),
    _row("close an account", "close"),
    _row("open an account", "open"),
    _row("shut my account", "close"),
]
SCRIPT = {
    "open account": Served(0, is_exact=False, p_right=0.97),
    "close an account": Served(0, is_exact=False, p_right=0.91),
}


# The stream


async def test_a_miss_is_stored_and_a_hit_is_not() -> None:
    """Row 1 is right, row 2 wrong; the others miss and are kept."""
    subject = ScriptedSubject(SCRIPT)

    tally, wrong, _ = await stream.send(ROWS, subject.open, max_error_rate=0.05, is_learning=False)

    assert subject.kept == [0, 3, 4]
    assert tally == Tally(near_hits=2, right=1, wrong=1)
    assert [(hit.asked, hit.stored) for hit in wrong] == [(2, 0)]
    assert subject.max_error_rate == 0.05


async def test_the_surest_wrong_hit_comes_first(capsys: pytest.CaptureFixture[str]) -> None:
    """No threshold would have kept it out, so it is the one to look at; equals keep their order."""
    rows = [_row("first"), *(_row(f"wrong {n}", f"group {n}") for n in range(4))]
    sure = [0.9, 0.99, 0.8, 0.9]
    script = {
        f"wrong {n}": Served(0, is_exact=False, p_right=p_right) for n, p_right in enumerate(sure)
    }

    _, wrong, _ = await stream.send(
        rows, ScriptedSubject(script).open, max_error_rate=0.05, is_learning=False
    )
    stream.show(rows, wrong[:1])

    assert [(hit.asked, hit.p_right) for hit in wrong] == [(2, 0.99), (1, 0.9), (4, 0.9), (3, 0.8)]
    shown = capsys.readouterr().err
    assert "wrong 1" in shown
    assert "wrong 0" not in shown
    assert "0.990" in shown


async def test_no_label_reaches_the_service_unless_it_learns() -> None:
    """Without --learn nothing is told; with it, the label of each judged hit."""
    silent, told = ScriptedSubject(SCRIPT), ScriptedSubject(SCRIPT)

    await stream.send(ROWS, silent.open, max_error_rate=0.05, is_learning=False)
    await stream.send(ROWS, told.open, max_error_rate=0.05, is_learning=True)

    assert silent.learnt == []
    assert told.learnt == [True, False]


async def test_a_wrong_exact_hit_is_no_wrong_near_hit() -> None:
    """The error rate speaks of near-duplicates; exact ones are counted beside it."""
    rows = [_row("jaguar speed", "cat"), _row("jaguar speed", "car")]
    subject = ScriptedSubject({})
    subject.script = {"jaguar speed": Served(0, is_exact=True, p_right=1.0)}

    tally, wrong, _ = await stream.send(rows, subject.open, max_error_rate=0.05, is_learning=False)

    assert tally == Tally(exact_hits=2, exact_wrong=1)
    assert wrong == []


def test_figures_of_a_tally() -> None:
    """3 repeats among 5 rows, one right hit; bounds are those of one wrong of two judged."""
    found = stream.figures(Tally(near_hits=3, right=1, wrong=1, unjudged=1), ROWS)

    assert found["repeats"] == 3
    assert found["error_rate"] == 0.5
    assert found["valid_hit_rate"] == pytest.approx(1 / 3)
    assert found["error_rate_upper95"] == pytest.approx(0.97468, abs=1e-5)
    assert found["error_rate_lower95"] == pytest.approx(0.02532, abs=1e-5)


def test_without_judged_hits_there_is_no_error_rate() -> None:
    """Nothing was served: undefined, not 0."""
    found = stream.figures(Tally(), [_row("hello")])

    assert found["error_rate"] is None
    assert found["error_rate_upper95"] is None
    assert found["valid_hit_rate"] is None


def test_the_seed_shuffles_all_rows_before_the_limit_cuts() -> None:
    """The first N of the shuffle, not a shuffle of the first N; row numbers are the file's."""
    rows = [_row(str(n)) for n in range(100)]

    whole, cut = stream.shuffled(rows, 7, None), stream.shuffled(rows, 7, 10)

    assert cut == whole[:10]
    assert sorted(number for number, _ in whole) == list(range(100))
    assert all(rows[number] is row for number, row in cut)
    assert max(number for number, _ in cut) >= 10


# Labels


@pytest.mark.parametrize(
    ("asked", "stored", "expected"),
    [
        (_row("a", "x"), _row("b", "x"), Verdict.RIGHT),
        (_row("a", "x"), _row("b", "y"), Verdict.WRONG),
        (_row("a", "x", []), _row("b", "y", []), Verdict.UNJUDGED),
        (_row("a", "x", ["y"]), _row("b", "y", []), Verdict.WRONG),
        (_row("a", "x", []), _row("b", "y", ["x"]), Verdict.WRONG),
        (_row("a", "x", ["z"]), _row("b", "x", []), Verdict.RIGHT),
    ],
    ids=["same", "other", "never compared", "told apart", "told apart there", "same, with labels"],
)
def test_the_verdict_on_a_hit(asked: Grouped, stored: Grouped, expected: Verdict) -> None:
    """Groups agree: right; they differ: wrong, where rows carry ``different`` only if named."""
    assert replay.verdict(asked, stored) is expected


# Static thresholds


def test_thresholds_go_from_80_to_995_by_5() -> None:
    """Forty of them, printed as they are meant."""
    assert replay.THRESHOLDS[0] == 0.8
    assert replay.THRESHOLDS[-1] == 0.995
    assert len(replay.THRESHOLDS) == 40
    assert replay.THRESHOLDS[21] == 0.905


def test_only_stored_misses_serve() -> None:
    """Row 1 is served by row 0 and not stored, so row 2, near row 1 alone, misses."""
    vectors = _unit([[1, 0], [0.95, 0.31], [0.8, 0.6]])
    rows = [_row("a", "x"), _row("b", "x"), _row("c", "y")]
    near = replay.earlier_neighbours(vectors)

    assert replay.replay(rows, near, 0.94) == Tally(near_hits=1, right=1)
    assert replay.replay(rows, near, 0.955) == Tally()


def test_a_text_that_was_stored_is_an_exact_hit_first() -> None:
    """White space aside; the exact layer comes before any neighbour."""
    rows = [_row("same  text", "x"), _row("like it", "y"), _row(" same text", "z")]
    near = replay.earlier_neighbours(_unit([[1, 0], [0, 1], [1, 0]]))

    assert replay.replay(rows, near, 0.9) == Tally(exact_hits=1, exact_wrong=1)


def test_a_text_that_was_served_but_not_stored_is_no_exact_hit() -> None:
    """Row 1 hit row 0 and was not stored: its repeat hits row 0 again, as a near-duplicate."""
    rows = [_row("a", "x"), _row("b", "x"), _row("b", "x")]
    near = replay.earlier_neighbours(_unit([[1, 0], [0.99, 0.1], [0.99, 0.1]]))

    assert replay.replay(rows, near, 0.9) == Tally(near_hits=2, right=2)


def _naive(rows: Sequence[Grouped], vectors: Vectors, threshold: float) -> Tally:
    tally, stored = Tally(), list[int]()
    for asked, row in enumerate(rows):
        exact = [i for i in stored if rows[i].text == row.text]
        cosines = vectors[: len(rows)] @ vectors[asked]
        near = [i for i in stored if cosines[i] >= np.float32(threshold)]
        if exact:
            tally.count(replay.verdict(row, rows[exact[0]]), is_exact=True)
        elif near:
            best = max(near, key=lambda i: (cosines[i], -i))
            tally.count(replay.verdict(row, rows[best]), is_exact=False)
        else:
            stored.append(asked)
    return tally


@given(
    st.lists(st.tuples(st.integers(0, 11), st.integers(0, 3)), min_size=1, max_size=40),
    st.sampled_from([0.8, 0.85, 0.9, 0.95, 0.995]),
)
def test_the_fast_replay_is_the_naive_one(drawn: list[tuple[int, int]], threshold: float) -> None:
    """Against a loop that compares every pair: hits, exact and near, and their verdicts."""
    angles = np.array([angle for angle, _ in drawn]) * 0.11
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    rows = [_row(f"text {angle}", f"group {group}") for angle, group in drawn]

    fast = replay.replay(rows, replay.earlier_neighbours(vectors), threshold)

    assert fast == _naive(rows, vectors, threshold)


def test_neighbours_are_found_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks bound the memory and change nothing."""
    vectors = _unit(np.random.default_rng(0).normal(size=(50, 4)))
    whole = replay.earlier_neighbours(vectors, 0.5)

    monkeypatch.setattr(replay, "_BLOCK", 7)
    blocks = replay.earlier_neighbours(vectors, 0.5)

    assert whole.starts.tolist() == blocks.starts.tolist()
    assert whole.rows.tolist() == blocks.rows.tolist()
    assert len(whole.rows) > 0


def test_the_best_static_threshold_has_most_right_hits_within_the_target() -> None:
    """Not the least threshold that fits, nor the most hits: the most right ones."""
    tallies = {
        0.80: Tally(right=50, wrong=10),
        0.85: Tally(right=40, wrong=1),
        0.90: Tally(right=45, wrong=1),
        0.95: Tally(right=45, wrong=0),
        0.99: Tally(right=45, wrong=0),
    }

    assert replay.best_within(tallies, 0.05) == 0.99
    assert replay.best_within(tallies, 0.2) == 0.80


def test_where_no_threshold_fits_the_static_cache_serves_nothing() -> None:
    """Threshold null and a valid hit rate of 0; a threshold that never hit does not fit."""
    rows = [_row("a", "x"), _row("b", "y"), _row("c", "x")]
    vectors = _unit([[1, 0], [1, 0.001], [0, 1]])

    found = replay.static_figures(rows, vectors, 0.0)

    assert found["threshold"] is None
    assert found["valid_hit_rate"] == 0.0
    assert found["error_rate"] is None
    assert replay.best_within({0.9: Tally(), 0.95: Tally(unjudged=3, near_hits=3)}, 1.0) is None
