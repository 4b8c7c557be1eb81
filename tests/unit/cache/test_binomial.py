from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, fisher_exact

from benchmarks.metrics import clopper_pearson_lower, clopper_pearson_upper
from cache.binomial import at_least, at_most, lower_bound, p_of_same_share, upper_bound


@st.composite
def counts(draw: st.DrawFn, most: int = 20_000) -> tuple[int, int]:
    n = draw(st.integers(1, most))
    return draw(st.integers(0, n) | st.integers(0, min(n, 20))), n


@settings(deadline=None)
@given(seen=counts(), p=st.floats(0, 1))
def test_tails_are_the_binomials(seen: tuple[int, int], p: float) -> None:
    """Both tails, to 1e-9, from none to all."""
    k, n = seen

    assert at_most(k, n, p) == pytest.approx(binom.cdf(k, n, p), abs=1e-9)
    assert at_least(k, n, p) == pytest.approx(binom.sf(k - 1, n, p), abs=1e-9)


@settings(deadline=None)
@given(seen=counts(), confidence=st.sampled_from([0.8, 0.95, 0.975, 0.995]))
def test_bounds_are_clopper_and_pearsons(seen: tuple[int, int], confidence: float) -> None:
    """The benchmarks' ruler and the service's agree to 1e-9."""
    k, n = seen

    assert upper_bound(k, n, confidence) == pytest.approx(
        clopper_pearson_upper(k, n, confidence), abs=1e-9
    )
    assert lower_bound(k, n, confidence) == pytest.approx(
        clopper_pearson_lower(k, n, confidence), abs=1e-9
    )


@settings(deadline=None)
@given(one=counts(600), other=counts(600))
def test_two_shares_are_compared_by_fishers_test(
    one: tuple[int, int], other: tuple[int, int]
) -> None:
    """To 1e-9, and the same from either side."""
    (k, n), (j, m) = one, other
    p = p_of_same_share(k, n, j, m)

    assert p == pytest.approx(fisher_exact([[k, n - k], [j, m - j]])[1], abs=1e-9)
    assert p == pytest.approx(p_of_same_share(j, m, k, n), abs=1e-12)


def test_nothing_seen_says_nothing() -> None:
    """No n: a share between 0 and 1."""
    assert (lower_bound(0, 0, 0.95), upper_bound(0, 0, 0.95)) == (0.0, 1.0)
    assert (at_most(0, 0, 0.5), at_least(0, 0, 0.5)) == (1.0, 1.0)
