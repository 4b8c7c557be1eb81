"""vCache's rule for one stored prompt: explore, or serve its answer? Pure; see FIELD.md.

Each stored prompt has observations (similarity, was its answer right?), and among them from the
start (0, no) and (1, yes). From them it learns P(right | s) = sigma(g (s - t)), how sure t is, and
from both how often it must go on exploring so that at most ``delta`` of all requests are answered
wrongly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np

from benchmarks.metrics import Floats

N_OBSERVATIONS = 6
"""Fewer, the two from the start among them: explore."""

RIDGE = 1e-4
"""Weight of the penalty g^2 / 2: without it, observations that one similarity separates have no
finite g. Of 1e-2 to 1e-5 the one with which vCache has most right hits at 5 % wrong ones on
groups_text2sql."""

EPSILONS = np.linspace(1e-6, 1 - 1e-6, 50)
_SURE_SIDE = np.array([NormalDist().inv_cdf(1 - e) for e in EPSILONS])
_MAX_STEPS = 25
_CONVERGED = 1e-6
_MAX_LOGIT = 500.0


@dataclass(frozen=True, slots=True)
class Fit:
    """P(right | s) = sigma(slope (s - midpoint)), and the variance of the midpoint."""

    slope: float
    midpoint: float
    variance: float


@dataclass(slots=True)
class Observations:
    """What is known of a stored prompt."""

    similarities: list[float] = field(default_factory=lambda: [0.0, 1.0])
    is_right: list[bool] = field(default_factory=lambda: [False, True])
    _fit: Fit | None = None
    _is_stale: bool = True

    def add(self, similarity: float, is_right: bool) -> None:
        """Learn from an exploration."""
        self.similarities.append(similarity)
        self.is_right.append(is_right)
        self._is_stale = True

    def p_explore(self, similarity: float, delta: float) -> float:
        """Return how probably a prompt of this similarity must be explored."""
        if len(self.similarities) < N_OBSERVATIONS:
            return 1.0
        if self._is_stale:
            self._fit = fitted(self.similarities, self.is_right, start=self._fit)
            self._is_stale = False
        assert self._fit is not None
        return p_explore(self._fit, similarity, delta)


def p_explore(fit: Fit, similarity: float, delta: float) -> float:
    """Return tau, in [0, 1].

    For each e: t'(e) = clip(t + z(1 - e) sqrt(V)), a(e) = (1 - e) sigma(g (s - t'(e))). Then tau =
    min over e of 1 - delta / (1 - a(e)). Where a higher similarity is no better (g <= 0): 1.
    """
    if fit.slope <= 0:
        return 1.0
    midpoints = np.clip(fit.midpoint + _SURE_SIDE * math.sqrt(fit.variance), 0.0, 1.0)
    logits = np.clip(fit.slope * (similarity - midpoints), -_MAX_LOGIT, _MAX_LOGIT)
    at_least = (1 - EPSILONS) / (1 + np.exp(-logits))
    tau = float(np.min(1 - delta / (1 - at_least)))
    return min(1.0, max(0.0, tau))


def fitted(similarities: list[float], is_right: list[bool], start: Fit | None = None) -> Fit:
    """Return the penalised maximum of the likelihood, by Newton's method with halved steps.

    The variance of t = -b / g is that of the delta method: the gradient of t on both sides of the
    inverse of the curvature, the penalty's included. It has no bound where one similarity separates
    right from wrong, as in most entries; there t lies anywhere between the two, and the variance is
    at most that of the uniform distribution. Without this vCache serves far less.

    Args:
        similarities: at least two different ones.
        is_right: as many.
        start: a fit to begin with, of fewer observations.
    """
    s, y = np.array(similarities), np.array(is_right, dtype=np.float64)
    slope, offset = (5.0, -2.5) if start is None else (start.slope, -start.slope * start.midpoint)
    loss = _loss(s, y, slope, offset)
    for _ in range(_MAX_STEPS):
        p = _sigma(slope * s + offset)
        miss = p - y
        at_slope, at_offset = float(miss @ s) + RIDGE * slope, float(miss.sum())
        (a, b, c), determinant = _curvature(s, p)
        step = (
            (c * at_slope - b * at_offset) / determinant,
            (a * at_offset - b * at_slope) / determinant,
        )
        size = 1.0
        while size > _CONVERGED:
            moved = slope - size * step[0], offset - size * step[1]
            moved_loss = _loss(s, y, *moved)
            if moved_loss <= loss:
                break
            size /= 2
        else:
            break
        gained, (slope, offset), loss = loss - moved_loss, moved, moved_loss
        if gained < _CONVERGED:
            break
    (a, b, c), determinant = _curvature(s, _sigma(slope * s + offset))
    to_slope, to_offset = offset / slope**2, -1 / slope
    variance = (c * to_slope**2 - 2 * b * to_slope * to_offset + a * to_offset**2) / determinant
    gap = min(s[y == 1], default=1.0) - max(s[y == 0], default=0.0)
    return Fit(slope, -offset / slope, min(variance, gap**2 / 12) if gap > 0 else variance)


def _curvature(s: Floats, p: Floats) -> tuple[tuple[float, float, float], float]:
    """Return the second derivatives by slope, both, and offset, and their determinant."""
    weight = p * (1 - p) + 1e-12
    a, b, c = float(weight @ (s * s)) + RIDGE, float(weight @ s), float(weight.sum())
    return (a, b, c), a * c - b * b


def _loss(s: Floats, y: Floats, slope: float, offset: float) -> float:
    logits = slope * s + offset
    return float(np.logaddexp(0.0, logits).sum() - y @ logits) + RIDGE * slope**2 / 2


def _sigma(logits: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -_MAX_LOGIT, _MAX_LOGIT))))
