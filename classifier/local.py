"""P(adequate) of one model, put right by labels of the very traffic it is scored for; numpy only.

A Gaussian process on what the shipped model gets wrong: P = p0 + f, where p0 is what it says of the
prompt. f is a level, a slope in the logit of p0, and what is alike in the texts (a kernel of their
vectors), each small beforehand; so few labels move little, and far from all labels only the level
moves. Linear in the labels, and so is their bias, which is why labels of different origin have a
level of their own that is left out when P is told:

=========  ========================================================================================
traffic    drawn at random from the requests themselves: no bias, all of it is believed
probe      prompts of somebody's choosing, so their level may be off by some ``_PROBE``
told       callers' words. They speak when they are displeased, and how much more often nobody
           knows: their level is free (``_TOLD``), so that they tell which prompts are harder than
           others, and never how many are
=========  ========================================================================================

Labels that compare a model with the baseline are worth p_base - 1 where the two answers differ and
p_base where they agree: on average P(baseline adequate) - P(they differ), which is at most what the
model's own P(adequate) is. So such labels may call a model worse than it is, never better.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from classifier.curve import LEAST_P

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

FEWEST: Final = 50
"""Labels of traffic and probes together, below which nothing is put right."""

MOST: Final = 400
"""Labels of one fit, the latest: a prompt is compared with each of them when it is scored."""

_LEVEL: Final = 0.3
_SLOPE: Final = 0.15
_TEXTS: Final = 0.25
_SHARPNESS: Final = 3.0
_PROBE: Final = 0.15
_TOLD: Final = 1.0
_NOISE: Final = 0.45
_MOST_LOGIT: Final = 3.0


class Origin(StrEnum):
    """Where a label comes from."""

    TRAFFIC = "traffic"
    PROBE = "probe"
    TOLD = "told"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalLabel:
    """What became known of one answer of a model.

    Attributes:
        vector: of the prompt, shape (dim,), unit length.
        p: what the shipped model says of it.
        worth: of the answer; in [0, 1], or less where it was compared with another's (see above).
        origin: where this is from.
    """

    vector: Floats
    p: float
    worth: float
    origin: Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """A model's mean P(adequate) over the prompts it was fitted on, with a 95 % interval.

    Attributes:
        mean, low, high: of P.
        n: labels, callers' words not counted.
    """

    mean: float
    low: float
    high: float
    n: int


class LocalFit:
    """A fitted correction. Made by ``fit``; safe to call from several threads at once.

    Attributes:
        level: see ``Level``.
        usual_shift: what it adds on average: for prompts of which only p0 is known.
    """

    def __init__(
        self, vectors: Floats, logits: Floats, weights: Floats, level: Level, usual: float
    ) -> None:
        """Hold what ``fit`` found."""
        self._vectors = vectors
        self._weights = weights
        self._level_weight = float(_LEVEL**2 * weights.sum())
        self._slope_weight = float(_SLOPE**2 * (weights @ logits))
        self.level = level
        self.usual_shift = usual

    @classmethod
    def fit(cls, labels: Sequence[LocalLabel]) -> LocalFit | None:
        """Fit on the latest ``MOST`` labels, oldest first; None where there are too few."""
        labels = labels[-MOST:]
        told = np.array([label.origin is Origin.TOLD for label in labels], dtype=bool)
        if (~told).sum() < FEWEST:
            return None
        probe = np.array([label.origin is Origin.PROBE for label in labels], dtype=bool)
        vectors = np.stack([label.vector for label in labels]).astype(np.float32)
        p = np.array([label.p for label in labels], dtype=np.float64)
        logits = _logits(p)
        prior = _kernel(vectors, logits)
        origins = _PROBE**2 * np.outer(probe, probe) + _TOLD**2 * np.outer(told, told)
        seen = prior + origins + _NOISE**2 * np.eye(len(p))
        inverse = np.linalg.inv(seen)
        missed = np.array([label.worth for label in labels]) - p
        weights = inverse @ missed
        # The interval: of the mean over the prompts whose labels are believed, traffic if there is.
        of = ~told & ~probe if (~told & ~probe).sum() >= FEWEST else ~told
        share = of / of.sum()
        toward = prior @ share
        shift = float(toward @ weights)
        variance = float(share @ toward - toward @ inverse @ toward)
        mean, half = float(p @ share) + shift, 1.96 * max(variance, 0.0) ** 0.5
        low, middle, high = np.clip([mean - half, mean, mean + half], 0, 1).tolist()
        level = Level(mean=middle, low=low, high=high, n=int((~told).sum()))
        return cls(vectors, logits.astype(np.float32), weights.astype(np.float32), level, shift)

    def p(self, vector: Floats, p: float) -> float:
        """Return P(adequate) for a prompt.

        Args:
            vector: shape (dim,), unit length.
            p: what the shipped model says.
        """
        alike = np.exp(_SHARPNESS * (self._vectors @ vector - 1)) @ self._weights
        slope = self._slope_weight * _logit(p)
        return _within(p + self._level_weight + slope + _TEXTS**2 * float(alike))

    def p_unseen(self, p: float) -> float:
        """Return P(adequate) for a prompt whose vector is not at hand."""
        return _within(p + self.usual_shift)


def _kernel(vectors: Floats, logits: Doubles) -> Doubles:
    alike = np.exp(_SHARPNESS * (vectors @ vectors.T - 1)).astype(np.float64)
    found = _LEVEL**2 + _TEXTS**2 * alike + _SLOPE**2 * np.outer(logits, logits)
    return np.asarray(found)


def _logit(p: float) -> float:
    p = min(max(p, 1e-4), 1 - 1e-4)
    return min(max(math.log(p / (1 - p)), -_MOST_LOGIT), _MOST_LOGIT)


def _logits(p: Doubles) -> Doubles:
    p = np.clip(p, 1e-4, 1 - 1e-4)
    return np.asarray(np.clip(np.log(p / (1 - p)), -_MOST_LOGIT, _MOST_LOGIT))


def _within(p: float) -> float:
    return min(max(p, LEAST_P), 1 - LEAST_P)
