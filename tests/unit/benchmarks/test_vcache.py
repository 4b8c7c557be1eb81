from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import cli, vcache
from benchmarks.datasets import Grouped
from benchmarks.nearest import NearestEarlier
from benchmarks.replay import Tally
from benchmarks.vcache import Replayed
from benchmarks.vcache_rule import EPSILONS, N_OBSERVATIONS, Fit, Observations, fitted, p_explore
from cache.types import Vectors

# The rule


def test_an_entry_with_too_few_observations_always_explores() -> None:
    """Four labels beside the two it starts with; until then no similarity and no delta serves."""
    observations = Observations()

    for _ in range(3):
        observations.add(0.99, is_right=True)
        assert observations.p_explore(1.0, 0.99) == 1.0
    observations.add(0.99, is_right=True)

    assert len(observations.similarities) == N_OBSERVATIONS
    assert observations.p_explore(1.0, 0.5) < 1.0


def test_with_separated_observations_it_comes_to_exploit() -> None:
    """Right above 0.8, wrong below 0.7: above it serves, below it goes on exploring."""
    observations = Observations()
    for step in range(20):
        observations.add(0.8 + step / 100, is_right=True)
        observations.add(0.5 + step / 100, is_right=False)

    assert observations.p_explore(0.95, 0.05) == 0.0
    assert observations.p_explore(0.6, 0.05) > 0.9


def test_a_prompt_surely_unlike_is_still_served_with_probability_delta() -> None:
    """Where P(right) is 0 the rule explores with 1 - delta: its bound is over all requests."""
    fit = Fit(slope=200.0, midpoint=0.9, variance=1e-6)

    assert p_explore(fit, 0.2, 0.1) == pytest.approx(0.9)


def test_the_formula_by_hand() -> None:
    """The 26th of the 50 values of e is 0.5102, its z(1 - e) -0.02558: t' = 0.8 - 0.02558 * 0.1.

    For g = 10 and s = 0.9 that is a(e) = 0.4898 sigma(1.02558) = 0.3605, a candidate of the least;
    the least over all fifty is worked out with scipy's quantiles, apart from the code.
    """
    from scipy.stats import norm

    e = EPSILONS[25]
    a = (1 - e) / (1 + math.exp(-10 * (0.9 - (0.8 + norm.ppf(1 - e) * 0.1))))
    every = [
        1 - 0.05 / (1 - (1 - e) / (1 + math.exp(-10 * (0.9 - min(1, max(0, 0.8 + z * 0.1))))))
        for e, z in zip(EPSILONS, norm.ppf(1 - EPSILONS), strict=True)
    ]

    found = p_explore(Fit(slope=10.0, midpoint=0.8, variance=0.01), 0.9, 0.05)

    assert len(EPSILONS) == 50
    assert a == pytest.approx(0.3605, abs=1e-4)
    assert found == pytest.approx(min(every))
    assert found <= 1 - 0.05 / (1 - a)


def test_an_entry_for_which_more_similar_is_worse_always_explores() -> None:
    """A falling curve says nothing of what is safe."""
    assert p_explore(Fit(slope=-3.0, midpoint=0.5, variance=0.01), 0.1, 0.5) == 1.0


@given(
    st.floats(0.1, 100), st.floats(0, 1), st.floats(0, 0.1), st.floats(0, 1),
    st.floats(0.001, 0.9), st.floats(0.001, 0.9),
)  # fmt: skip
def test_a_laxer_delta_never_explores_more(
    slope: float, midpoint: float, variance: float, s: float, one: float, other: float
) -> None:
    """And a probability is a probability."""
    strict, lax = sorted((one, other))
    fit = Fit(slope, midpoint, variance)

    assert 0 <= p_explore(fit, s, lax) <= p_explore(fit, s, strict) <= 1


def test_the_fit_is_that_of_scikit_learn() -> None:
    """Overlapping observations, where the small penalty hardly matters: the same curve."""
    from sklearn.linear_model import LogisticRegression

    chance = np.random.default_rng(3)
    s = chance.uniform(0.5, 1.0, 200)
    y = chance.random(200) < 1 / (1 + np.exp(-12 * (s - 0.8)))
    theirs = LogisticRegression(C=1e6, tol=1e-10, max_iter=5_000).fit(s[:, None], y)

    ours = fitted(s.tolist(), y.tolist())

    assert ours.slope == pytest.approx(float(theirs.coef_[0, 0]), rel=0.02)
    assert ours.midpoint == pytest.approx(
        float(-theirs.intercept_[0] / theirs.coef_[0, 0]), abs=2e-3
    )


def test_the_variance_of_the_midpoint_is_that_of_repeated_draws() -> None:
    """The delta method against 400 samples of 300 observations: within a quarter."""
    chance = np.random.default_rng(5)
    fits = []
    for _ in range(400):
        s = chance.uniform(0.5, 1.0, 300)
        y = chance.random(300) < 1 / (1 + np.exp(-15 * (s - 0.75)))
        fits.append(fitted(s.tolist(), y.tolist()))

    drawn = float(np.var([fit.midpoint for fit in fits]))

    assert np.median([fit.variance for fit in fits]) == pytest.approx(drawn, rel=0.25)


def test_separated_observations_bound_the_variance_by_their_gap() -> None:
    """The midpoint lies somewhere between 0.6 and 0.9: (0.3)^2 / 12 at most, and a finite slope."""
    fit = fitted([0.0, 1.0, 0.6, 0.9], [False, True, False, True])

    assert 0 < fit.variance <= 0.3**2 / 12 + 1e-12
    assert 0.6 < fit.midpoint < 0.9
    assert math.isfinite(fit.slope)


# The stream


def _row(text: str, group: str, different: Sequence[str] | None = None) -> Grouped:
    told_apart = None if different is None else frozenset(different)
    return Grouped(text=text, group=group, different=told_apart)


def _near(vectors: Sequence[Sequence[float]]) -> NearestEarlier:
    rows = np.array(vectors, dtype=np.float32)
    unit: Vectors = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return NearestEarlier(unit)


def test_exploring_stores_a_prompt_only_where_the_match_was_wrong() -> None:
    """Row 1 agrees and is not stored, so its repeat is no exact hit; row 2 differs and is."""
    rows = [_row("a", "x"), _row("b", "x"), _row("c", "y"), _row("b", "x"), _row("c", "y")]
    near = _near([[1, 0], [0.99, 0.1], [0, 1], [0.99, 0.1], [0, 1]])

    found = vcache.replay_vcache(rows, near, 0.1, np.zeros(5))

    assert found.tally == Tally(exact_hits=1)
    assert (found.explored, found.labels_used) == (3, 3)


def test_an_entry_serves_once_four_explorations_agreed() -> None:
    """Of six other wordings the first four are explored, the last two served without a label."""
    rows = [_row(f"text {n}", "x") for n in range(7)]
    near = _near([[1, 0], *([1, 0.1 + n / 100] for n in range(6))])

    found = vcache.replay_vcache(rows, near, 0.9, np.full(7, 0.9))

    assert found.tally == Tally(near_hits=2, right=2)
    assert found.explored == 4


def test_the_draws_decide_between_exploring_and_serving() -> None:
    """A draw below tau explores: with draws of 0 nothing is served while tau is above 0."""
    rows = [_row(f"text {n}", "x") for n in range(9)]
    near = _near([[1, 0], *([1, 0.1 + n / 100] for n in range(8))])

    none = vcache.replay_vcache(rows, near, 0.001, np.zeros(9))

    assert none.tally == Tally()
    assert none.explored == 8


def test_groups_that_nobody_compared_are_wrong_to_learn_from_and_unjudged_to_serve() -> None:
    """The answers of two groups differ: stored as such; what is served so counts as unjudged."""
    rows = [_row(f"text {n}", f"group {n % 2}", []) for n in range(2)]
    near = _near([[1, 0], [1, 0.1]])

    found = vcache.replay_vcache(rows, near, 0.1, np.zeros(2))
    again = vcache.replay_vcache(
        [*rows, rows[1]], _near([[1, 0], [1, 0.1], [1, 0.1]]), 0.1, np.zeros(3)
    )

    assert found.explored == 1
    assert again.tally == Tally(exact_hits=1)  # row 1 was stored: its repeat is exact


# Figures


def test_both_sides_are_taken_at_their_best_within_the_target() -> None:
    """Most right hits among those with at most R wrong ones; ratio of the right hits."""
    theirs = {
        0.01: Replayed(tally=Tally(near_hits=10, right=10), explored=90, labels_used=90),
        0.1: Replayed(tally=Tally(near_hits=50, right=40, wrong=10), explored=50, labels_used=50),
    }
    ours = {
        0.5: Replayed(tally=Tally(near_hits=60, right=50, wrong=10)),
        0.9: Replayed(tally=Tally(near_hits=31, right=30, wrong=1)),
    }

    found = vcache.compared(theirs, ours, 0.05, repeats=100)

    assert (found["vcache"]["delta"], found["vcache"]["labels_used"]) == (0.01, 90)
    assert (found["scrimp"]["min_p_right"], found["scrimp"]["labels_used"]) == (0.9, 0)
    assert found["scrimp"]["valid_hit_rate"] == 0.3
    assert found["ratio"] == 3.0
    assert [one["right"] for one in found["vcache"]["tried"]] == [10, 40]


def test_a_side_that_cannot_meet_the_target_serves_nothing() -> None:
    """Its value is null; against none of its right hits there is no ratio."""
    wrong = {0.1: Replayed(tally=Tally(near_hits=2, right=1, wrong=1))}
    right = {0.9: Replayed(tally=Tally(near_hits=1, right=1))}

    found = vcache.compared(wrong, right, 0.05, repeats=9)

    assert (found["vcache"]["delta"], found["vcache"]["right"], found["ratio"]) == (None, 0, None)
    assert vcache.compared(right, wrong, 0.05, repeats=9)["ratio"] == 0.0


# The scenario


def test_a_file_goes_through_both_and_no_text_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every key is there; the shipped encoder and cache serve a change of case without a label."""
    monkeypatch.setattr(vcache, "MIN_P_RIGHTS", (0.5, 0.99))
    texts = [
        ("how do i export an invoice", "export"),
        ("How do I export an invoice?", "export"),
        ("why is the sky blue in summer", "sky"),
        ("how do i bake bread without yeast", "bread"),
    ]
    file, out = tmp_path / "rows.jsonl", tmp_path / "result.json"
    rows = [json.dumps({"text": text, "group": group}) for text, group in texts]
    file.write_text("\n".join(rows), encoding="utf-8")

    code = cli.main(["vcache", str(file), "--json", "--out", str(out)])

    found = json.loads(capsys.readouterr().out)
    assert code == 0
    assert (found["n"], found["repeats"], found["max_error_rate"]) == (4, 1, 0.05)
    assert (found["scrimp"]["right"], found["scrimp"]["wrong"]) == (1, 0)
    assert (found["vcache"]["right"], found["ratio"]) == (0, None)
    assert {"encoder", "verifier"} <= set(found["artifacts"])
    assert "invoice" not in out.read_text()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--max-error-rate", "1.5"], "share in [0, 1]"),
        (["--limit", "0"], "in [1, 20000]"),
        (["--limit", "20001"], "in [1, 20000]"),
    ],
)
def test_options_out_of_range_exit_2(
    words: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sentence says what would do."""
    file = tmp_path / "rows.jsonl"
    file.write_text('{"text": "a", "group": "x"}\n', encoding="utf-8")

    assert cli.main(["vcache", str(file), *words]) == 2
    assert sentence in " ".join(capsys.readouterr().err.split())
