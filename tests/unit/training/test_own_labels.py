"""Callers' words and comparisons as rows to train on: surprise alone, and nothing of levels."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from fakes_ledger import a_line

from benchmarks.datasets import DatasetError, RoutingRow
from cache.embedded.sqlite_schema import connect
from cache.embedded.sqlite_store import SqliteEntryStore
from classifier.complexity_fit import FitSettings, fit, shape_of
from router.ledger.sqlite_ledger import SqliteLedger
from router.ledger.types import Feedback, FeedbackKind
from training.own_labels import FEWEST, Preference, feedback_rows, preference_rows, read_preferences

KNOWN = {"weak": -0.5, "strong": 0.5}


def compared(n: int, seed: int = 0) -> list[Preference]:
    """Strong wins the long prompts, and half of the short ones."""
    draw = random.Random(seed)
    found = []
    for number in range(n):
        is_long = number % 2 == 0
        text = f"{number} " + "and why is that so " * (30 if is_long else 1)
        strong_won = 1.0 if is_long else float(draw.random() < 0.5)
        if draw.random() < 0.5:
            found.append(Preference(text, "strong", "weak", strong_won))
        else:
            found.append(Preference(text, "weak", "strong", 1 - strong_won))
    return found


def mean_score(rows: Sequence[RoutingRow], model: str) -> float:
    return float(np.mean([row.outcomes[model].score for row in rows if model in row.outcomes]))


def test_preferences_leave_known_models_about_where_they_are() -> None:
    """Whoever wins against a weak opponent is not thereby strong."""
    rows = preference_rows(compared(400), KNOWN)

    assert len(rows) == 400
    assert mean_score(rows, "strong") == pytest.approx(1 / (1 + np.exp(-0.5)), abs=0.1)
    assert mean_score(rows, "weak") == pytest.approx(1 / (1 + np.exp(0.5)), abs=0.1)


def test_an_unknown_model_is_placed_by_whom_it_wins_against() -> None:
    """Nobody said anything else of it."""
    rows = preference_rows(
        [Preference(f"p {n}", "new", "weak", float(n % 5 > 0)) for n in range(200)], KNOWN
    )

    assert mean_score(rows, "new") > mean_score(rows, "weak")


def test_who_was_hardly_compared_teaches_nothing() -> None:
    """Two wins are an anecdote."""
    assert preference_rows(compared(FEWEST - 1), KNOWN) == []


def test_the_same_preferences_make_the_same_model_and_teach_what_they_show() -> None:
    """Strong gains on the prompts that it wins; byte for byte, twice."""
    rows = preference_rows(compared(400), KNOWN)
    vectors = np.random.default_rng(0).normal(size=(len(rows), 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    settings = FitSettings.for_one_traffic(min_outcomes=100)

    first, again = (fit(rows, vectors, seed=0, settings=settings) for _ in range(2))

    structure_rows = [0, 1]  # a long one and a short one
    p = first.score(vectors[structure_rows], [shape_of(rows[at]) for at in structure_rows])
    strong, weak = first.head("strong"), first.head("weak")
    assert strong is not None
    assert weak is not None
    assert p[0, strong] - p[0, weak] > p[1, strong] - p[1, weak] + 0.05
    assert again.curve.corrections.tobytes() == first.curve.corrections.tobytes()


def test_a_line_that_is_no_comparison_is_named(tmp_path: Path) -> None:
    """File, row and what was expected."""
    good = {"text": "p", "model_a": "openai/gpt-4o-2024-05-13", "model_b": "m", "winner": "tie"}
    file = tmp_path / "p.jsonl"
    file.write_text(json.dumps(good) + "\n" + json.dumps({**good, "winner": "c"}) + "\n")

    with pytest.raises(DatasetError, match=r"p.jsonl, row 2: .*winner"):
        read_preferences(file)
    file.write_text(json.dumps(good) + "\n")
    assert read_preferences(file) == [Preference("p", "gpt-4o", "m", 0.5)]


async def test_words_on_stored_answers_become_rows_without_their_level(tmp_path: Path) -> None:
    """Three in four were displeased, which says nothing of the model; personal texts stay out."""
    SqliteEntryStore(tmp_path / "cache.sqlite").close()
    n = 40
    with closing(connect(tmp_path / "cache.sqlite")) as cache:
        for entry in range(1, n + 1):
            text = "my order 1234 is late" if entry == n else f"why is number {entry} odd"
            cache.execute(
                "INSERT INTO entries (id, key, partition, namespace, model, scores, user, "
                "conversation, tags, created_at_s, expires_at_s, n_bytes, text) "
                "VALUES (?, ?, x'00', 'shop', 'small', '', '', '', '', 0, 9e9, 1, ?)",
                (entry, entry, text),
            )
        cache.commit()
    ledger = SqliteLedger.open(tmp_path, on_failure=lambda _: None)
    try:
        for entry in range(1, n + 1):
            line = a_line(entry, entry_id=entry)
            await ledger.record(line)
            kind = FeedbackKind.ADEQUATE if entry % 4 == 0 else FeedbackKind.NOT_ADEQUATE
            word = Feedback(line_id=line.line_id, kind=kind, at_ms=line.at_ms)
            await ledger.feedback(word, namespace="shop", caller="app")
    finally:
        await ledger.aclose()

    rows = feedback_rows(tmp_path, {"small": 0.4})

    assert len(rows) == n - 1
    assert mean_score(rows, "small") == pytest.approx(1 / (1 + np.exp(-0.4)), abs=0.02)
    assert len({row.outcomes["small"].score for row in rows}) == 2
