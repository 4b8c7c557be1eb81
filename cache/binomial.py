"""Exact statements on shares: tails of the binomial, Clopper-Pearson bounds, Fisher's test. Pure.

The service carries no scipy; what it needs of it is here.
"""

from __future__ import annotations

import math

import numpy as np

_EPSILON = 3e-15
_TINY = 1e-300
_MAX_STEPS = 10_000  # about sqrt(n) are needed


def at_most(k: int, n: int, p: float) -> float:
    """Return P(X <= k) for X of Binomial(n, p)."""
    if k < 0:
        return 0.0
    if k >= n or p <= 0:
        return 1.0
    return 0.0 if p >= 1 else _incomplete_beta(n - k, k + 1, 1 - p)


def at_least(k: int, n: int, p: float) -> float:
    """Return P(X >= k) for X of Binomial(n, p)."""
    if k <= 0:
        return 1.0
    if k > n or p <= 0:
        return 0.0
    return 1.0 if p >= 1 else _incomplete_beta(k, n - k + 1, p)


def upper_bound(k: int, n: int, confidence: float) -> float:
    """Return the one-sided Clopper-Pearson upper bound of a share, k of n seen; 1 for no n."""
    if k >= n:
        return 1.0
    low, high = k / n, 1.0
    while high - low > _EPSILON * high:
        middle = (low + high) / 2
        low, high = (middle, high) if at_most(k, n, middle) > 1 - confidence else (low, middle)
    return high


def lower_bound(k: int, n: int, confidence: float) -> float:
    """Return the one-sided Clopper-Pearson lower bound of a share, k of n seen; 0 for no n."""
    return 1 - upper_bound(n - k, n, confidence) if k > 0 else 0.0


def p_of_same_share(k: int, n: int, other_k: int, other_n: int) -> float:
    """Return Fisher's two-sided p that two samples, k of n each, are of one share.

    The probability, at fixed margins, of what was seen and of all that is no likelier.
    """
    hits, everyone = k + other_k, n + other_n
    least, most = max(0, hits - other_n), min(hits, n)
    logs = np.concatenate(([0.0], np.cumsum(np.log(np.arange(1, everyone + 1)))))  # of factorials
    ways = np.arange(least, most + 1)
    log_p = (
        (logs[n] - logs[ways] - logs[n - ways])
        + (logs[other_n] - logs[hits - ways] - logs[other_n - hits + ways])
        - (logs[everyone] - logs[hits] - logs[everyone - hits])
    )
    seen = log_p[k - least]
    return min(1.0, float(np.exp(log_p[log_p <= seen + 1e-7]).sum()))


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """Return the regularized incomplete beta I_x(a, b), for x in [0, 1], by Lentz's fraction."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):  # where the fraction converges slowly, take the other tail
        return 1 - _incomplete_beta(b, a, 1 - x)
    log_front = (
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    return math.exp(log_front) * _fraction(a, b, x) / a


def _fraction(a: float, b: float, x: float) -> float:
    c, d = 1.0, 1 / _away_from_zero(1 - (a + b) * x / (a + 1))
    found = d
    for m in range(1, _MAX_STEPS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / _away_from_zero(1 + term * d)
            c = _away_from_zero(1 + term / c)
            found *= c * d
        if abs(c * d - 1) < _EPSILON:
            break
    return found


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
