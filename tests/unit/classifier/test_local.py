"""P(adequate) put right by labels of the traffic: what moves it, how far, and how sure that is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from classifier.local import FEWEST, LocalFit, LocalLabel, Origin

DIM = 16
Vector = npt.NDArray[np.float32]


def drawn(
    n: int, truth: float, *, p: float = 0.7, origin: Origin = Origin.TRAFFIC, seed: int = 0
) -> list[LocalLabel]:
    """Labels of answers that are adequate with probability ``truth``; the model says ``p``."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n, DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return [
        LocalLabel(vector=vector, p=p, worth=float(rng.random() < truth), origin=origin)
        for vector in vectors
    ]


def somewhere() -> Vector:
    return drawn(1, 0.5, seed=99)[0].vector


def fitted(labels: list[LocalLabel]) -> LocalFit:
    fit = LocalFit.fit(labels)
    assert fit is not None
    return fit


def test_too_few_labels_move_nothing() -> None:
    """Whatever they say."""
    assert LocalFit.fit(drawn(FEWEST - 1, 0.0)) is None
    assert LocalFit.fit([]) is None


def test_the_level_follows_the_traffic() -> None:
    """The classifier said .7, three in ten are adequate."""
    fit = fitted(drawn(200, 0.3))

    elsewhere = [fit.p(label.vector, 0.7) for label in drawn(100, 0.5, seed=99)]
    assert np.mean(elsewhere) == pytest.approx(0.3, abs=0.1)
    assert fit.p_unseen(0.7) == pytest.approx(0.3, abs=0.1)


@pytest.mark.parametrize("n_fair", [0, FEWEST - 1])
def test_words_of_callers_alone_move_nothing(n_fair: int) -> None:
    """They speak when they are displeased."""
    labels = [*drawn(n_fair, 0.7), *drawn(300, 0.0, origin=Origin.TOLD)]

    assert LocalFit.fit(labels) is None


def test_callers_complaints_do_not_lower_the_level() -> None:
    """Beside fair labels they tell which prompts are hard, not how many."""
    fair = drawn(100, 0.7)
    without, with_words = fitted(fair), fitted([*fair, *drawn(250, 0.0, origin=Origin.TOLD)])

    assert with_words.level.mean == pytest.approx(without.level.mean, abs=0.04)


def test_complaints_about_one_kind_of_prompt_lower_that_kind() -> None:
    """Alike texts share what is said of one of them."""
    rng = np.random.default_rng(1)
    kinds = rng.normal(size=(2, DIM)).astype(np.float32)
    kinds /= np.linalg.norm(kinds, axis=1, keepdims=True)

    def near(kind: int) -> Vector:
        vector = kinds[kind] + 0.1 * rng.normal(size=DIM).astype(np.float32)
        return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)

    words = [
        LocalLabel(vector=near(n % 2), p=0.7, worth=float(n % 2), origin=Origin.TOLD)
        for n in range(200)
    ]
    fit = fitted([*drawn(60, 0.7), *words])

    assert fit.p(kinds[0], 0.7) + 0.1 < fit.p(kinds[1], 0.7)


def test_the_interval_covers_what_is_true_in_most_draws() -> None:
    """95 % is said; 200 draws of 80 labels, the truth itself drawn from around the prior."""
    rng = np.random.default_rng(3)
    covered = 0
    for seed in range(200):
        truth = float(np.clip(0.6 + 0.25 * rng.normal(), 0.05, 0.95))
        level = fitted(drawn(80, truth, p=0.6, seed=seed)).level
        covered += level.low <= truth <= level.high

    assert covered / 200 >= 0.92


def test_a_probability_stays_one() -> None:
    """However low the labels pull."""
    fit = fitted(drawn(100, 0.0, p=0.05))

    assert 0 < fit.p(somewhere(), 0.01) < 1
    assert 0 < fit.p_unseen(0.01) < 1
