from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from classifier.complexity_fit import FitSettings, fit, link_abilities, shape_of


@dataclass(frozen=True)
class Score:
    """How one model did."""

    score: float


@dataclass(frozen=True)
class Row:
    """A labelled prompt."""

    benchmark: str
    prompt: str
    outcomes: dict[str, Score]
    tools: tuple[Any, ...] = field(default=())
    domain: str = "one"


def _rows(n: int = 600, seed: int = 0) -> tuple[list[Row], np.ndarray]:
    """Return prompts whose first coordinate is their difficulty, and three models' outcomes."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = []
    for i, vector in enumerate(vectors):
        logit = -6 * vector[0]
        p = {"weak": logit - 1, "middle": logit, "strong": logit + 1}
        outcomes = {m: Score(float(rng.random() < 1 / (1 + np.exp(-x)))) for m, x in p.items()}
        rows.append(Row("made", f"prompt {i:04}", outcomes))
    return rows, vectors


def _link_row(benchmark: str, n: int, accuracies: dict[str, float]) -> list[Row]:
    return [
        Row(benchmark, f"{benchmark} {i}", {m: Score(a) for m, a in accuracies.items()})
        for i in range(n)
    ]


def test_models_that_never_met_are_linked_through_a_third() -> None:
    """If a beats b on one benchmark and b beats c on another, a is abler than c."""
    linked = link_abilities(
        _link_row("easy", 50, {"a": 0.9, "b": 0.7}) + _link_row("hard", 50, {"b": 0.5, "c": 0.2})
    ).abilities

    assert linked["a"] > linked["b"] > linked["c"]


def test_the_best_variant_stands_for_a_model() -> None:
    """A model measured with and without native tool calls would be deployed the better way."""
    linked = link_abilities(_link_row("x", 50, {"gpt-4o": 0.1, "gpt-4o-FC": 0.8, "b": 0.5}))

    assert linked.chosen["x", "gpt-4o"] == "gpt-4o-FC"


def test_a_benchmark_that_could_not_parse_a_model_is_left_out() -> None:
    """One cell far off the scale says nothing about the prompts."""
    names = ("anna", "bert", "carl", "dora", "emil", "fritz")
    good = {name: 0.5 + i / 20 for i, name in enumerate(names)}
    rows = (
        _link_row("x", 50, good)
        + _link_row("y", 50, good)
        + _link_row("z", 50, {**good, "fritz": 0.01})
    )

    linked = link_abilities(rows)

    assert ("z", "fritz") not in linked.chosen
    assert ("x", "fritz") in linked.chosen
    assert linked.abilities["fritz"] > linked.abilities["anna"]


def test_the_fit_finds_what_makes_prompts_hard() -> None:
    """On made data with a known difficulty, scores on unseen prompts follow it."""
    rows, vectors = _rows()
    unseen, unseen_vectors = _rows(seed=1)

    fitted = fit(rows, vectors, settings=FitSettings.for_one_traffic())
    scores = fitted.score(unseen_vectors, [shape_of(row) for row in unseen])

    assert np.corrcoef(scores[:, 2], -unseen_vectors[:, 0])[0, 1] > 0.9
    assert (np.diff(scores[:, : len(fitted.tiers)], axis=1) >= 0).all()


def test_a_model_has_a_score_of_its_own() -> None:
    """A model that fails where others do well is not described by an ability; its score is."""
    rows, vectors = _rows()
    odd = [
        Row(row.benchmark, row.prompt, {**row.outcomes, "odd": Score(float(vector[1] > 0))})
        for row, vector in zip(rows, vectors, strict=True)
    ]

    fitted = fit(odd, vectors, settings=replace(FitSettings.for_one_traffic(), ridge=1.0))
    unseen = _rows(seed=1)[1]
    own = fitted.head("odd")

    assert own is not None
    scores = fitted.score(unseen, [shape_of(row) for row in rows])[:, own]
    assert scores[unseen[:, 1] > 0.2].mean() > scores[unseen[:, 1] < -0.2].mean() + 0.4


def test_far_from_training_a_correction_fades() -> None:
    """What was learnt of some prompts is not said of prompts like none of them."""
    rows, vectors = _rows()
    half = np.concatenate([vectors, np.zeros_like(vectors)], axis=1)
    elsewhere = np.concatenate([np.zeros_like(vectors), vectors], axis=1)
    shapes = [shape_of(rows[0])] * len(rows)

    fitted = fit(rows, half, settings=FitSettings(ridge=1.0))
    near, far = fitted.score(half, shapes), fitted.score(elsewhere, shapes)

    assert far[:, 0].std() < near[:, 0].std() / 5


def test_the_fit_is_deterministic() -> None:
    """The same rows and seed: the same weights."""
    rows, vectors = _rows(300)

    one, other = (fit(rows, vectors, seed=3, settings=FitSettings(landmarks=50)) for _ in range(2))

    assert np.array_equal(one.curve.corrections, other.curve.corrections)
    assert one.abilities == other.abilities


def test_tiers_that_no_model_is_near_are_left_out() -> None:
    """Without strong models in the data nothing is claimed about strong models."""
    rows, vectors = _rows(300)

    fitted = fit(rows, vectors)

    assert max(fitted.tiers) < 2.0
    assert fitted.curve.corrections.shape[1] == len(fitted.tiers) + len(fitted.models)


def test_one_vector_per_row_is_required() -> None:
    """A shifted table would train every prompt on its neighbour's outcome."""
    rows, vectors = _rows(10)

    with pytest.raises(ValueError, match="one vector per row"):
        fit(rows, vectors[:-1])
