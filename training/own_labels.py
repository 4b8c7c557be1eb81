"""Labels of one's own for the complexity model: callers' words, and answers that were compared.

Neither says how often a model is adequate. Callers mostly speak when they are displeased, and who
is preferred depends on whom it was compared with. So only the surprise is learnt from: how much
better or worse than was to be expected of this model, or of these two, an answer was. Each outcome
is what the Rasch scale gives for the model at a mean prompt, plus ``_SURPRISE`` of that difference:
as a whole such rows say of no model that it is better or worse, only of prompts that they are
harder or that they tell models apart.
"""

from __future__ import annotations

import math
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.datasets import DatasetError, Outcome, RoutingRow, read_rows
from cache.text_rules import is_personal
from classifier.abilities import normalize_model
from router.ledger.reader import open_to_read

FEEDBACK: Final = "feedback"
PREFERENCES: Final = "preferences"
FEWEST: Final = 20
"""Words on a model, or comparisons with it, below which it teaches nothing."""

_SURPRISE: Final = 0.5
_STEPS: Final = 200
_ANCHOR: Final = 5.0  # comparisons that a known ability is worth
_WINNERS: Final = {"a": 1.0, "b": 0.0, "tie": 0.5}


@dataclass(frozen=True, slots=True)
class Preference:
    """Two models' answers to one prompt, compared.

    Attributes:
        text: the prompt.
        model_a, model_b: normalized names.
        a_won: 1 where a's is better, 0 where b's is, .5 for a tie.
    """

    text: str
    model_a: str
    model_b: str
    a_won: float


def read_preferences(file: Path) -> list[Preference]:
    """Read lines ``{"text", "model_a", "model_b", "winner": "a" | "b" | "tie"}``; .gz too.

    Raises:
        DatasetError: a line is none; the message names it.
    """
    found = []
    for number, row in enumerate(read_rows(file), start=1):
        names = [row.get(key) for key in ("text", "model_a", "model_b")]
        a_won = _WINNERS.get(str(row.get("winner")))
        if a_won is None or not all(isinstance(name, str) and name for name in names):
            raise DatasetError(
                f'{file}, row {number}: expected text, model_a, model_b and a winner of "a", "b" '
                f'or "tie", saw {str(row)[:120]}'
            )
        text, model_a, model_b = map(str, names)
        found.append(Preference(text, normalize_model(model_a), normalize_model(model_b), a_won))
    return found


def preference_rows(
    compared: Sequence[Preference], abilities: Mapping[str, float]
) -> list[RoutingRow]:
    """Return comparisons as prompts with outcomes of both models.

    Args:
        compared: any number; of models with fewer than ``FEWEST`` comparisons none is used.
        abilities: normalized model name to ability, as far as known; the others are placed by
            whom they won against.
    """
    counts = Counter(name for one in compared for name in (one.model_a, one.model_b))
    used = [
        one
        for one in compared
        if min(counts[one.model_a], counts[one.model_b]) >= FEWEST and one.model_a != one.model_b
    ]
    placed = _bradley_terry(used, abilities)
    rows = []
    for number, one in enumerate(used):
        a, b = placed[one.model_a], placed[one.model_b]
        surprise = _SURPRISE * (one.a_won - _sigmoid(a - b))
        scores = {
            one.model_a: _sigmoid(a) + surprise,
            one.model_b: _sigmoid(b) - surprise,
        }
        rows.append(_row(PREFERENCES, number, one.text, scores))
    return rows


def feedback_rows(folder: Path, abilities: Mapping[str, float]) -> list[RoutingRow]:
    """Return what callers said of answers that are still stored, as prompts with outcomes.

    The ledger keeps no prompts; their texts are the cache's. Personal texts are left out, and so is
    what can not be read there.

    Args:
        folder: a service's data folder; it may be running.
        abilities: normalized model name to ability.

    Raises:
        LedgerUnavailable, LedgerRefused: the ledger cannot be read.
    """
    with closing(open_to_read(folder)) as connection:
        words = connection.execute(
            "SELECT lines.entry_id, lines.model, feedback.kind = 'adequate' FROM feedback "
            "JOIN lines ON lines.id = feedback.line "
            "WHERE feedback.kind IN ('adequate', 'not_adequate') AND lines.entry_id > 0 "
            "ORDER BY feedback.line"
        ).fetchall()
    texts = _texts(folder / "cache.sqlite", {entry for entry, _, _ in words})
    said: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for entry, model, is_adequate in words:
        if entry in texts:
            said[normalize_model(model)].append((texts[entry], float(is_adequate)))
    rows: list[RoutingRow] = []
    for model, of_model in sorted(said.items()):
        if len(of_model) < FEWEST:
            continue
        usual = sum(worth for _, worth in of_model) / len(of_model)
        middle = _sigmoid(abilities.get(model, 0.0))
        for text, worth in of_model:
            scores = {model: middle + _SURPRISE * (worth - usual)}
            rows.append(_row(FEEDBACK, len(rows), text, scores))
    return rows


def _texts(file: Path, entries: set[int]) -> dict[int, str]:
    """Return the texts of stored entries by id."""
    if not file.is_file():
        return {}
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
        found = connection.execute("SELECT id, text FROM entries").fetchall()
    return {
        entry: text
        for entry, text in found
        if entry in entries and isinstance(text, str) and not is_personal(text)
    }


def _bradley_terry(
    compared: Iterable[Preference], abilities: Mapping[str, float]
) -> dict[str, float]:
    """Place models by whom they won against, those that are known near where they are known."""
    compared = list(compared)
    names = sorted({name for one in compared for name in (one.model_a, one.model_b)})
    placed = {name: abilities.get(name, 0.0) for name in names}
    for _ in range(_STEPS):
        gradient: dict[str, float] = defaultdict(float)
        weight: dict[str, float] = defaultdict(float)
        for one in compared:
            p = _sigmoid(placed[one.model_a] - placed[one.model_b])
            for name, missed in ((one.model_a, one.a_won - p), (one.model_b, p - one.a_won)):
                gradient[name] += missed
                weight[name] += p * (1 - p)
        for name in names:
            anchor = _ANCHOR if name in abilities else 0.1
            pull = anchor * (abilities.get(name, 0.0) - placed[name])
            placed[name] += 0.5 * (gradient[name] + pull) / (weight[name] + anchor)
    return placed


def _row(benchmark: str, number: int, text: str, scores: Mapping[str, float]) -> RoutingRow:
    return RoutingRow(
        id=f"{benchmark}-{number}",
        benchmark=benchmark,
        domain=benchmark,
        prompt=text,
        outcomes={
            model: Outcome(score=min(max(score, 0.0), 1.0), cost_usd=None, output_tokens=None)
            for model, score in scores.items()
        },
        tools=(),
        dialogue=f"{benchmark}-{number}",
        contaminated=False,
    )


def _sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))
