"""Complexity by rules: what scores when the fitted model is missing or unfit.

A difficulty is added up from what a prompt looks like, and each tier answers what lies below it.
The weights are set by hand on the scale of the fitted model; no accuracy is claimed beyond "longer,
more technical prompts need abler models". Whoever uses these scores says so (``scorer_id``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from classifier.abilities import Abilities
from classifier.shape import FEATURE_NAMES, PromptShape, features

_TIERS: Final = (-1.0, -0.3, 0.2, 0.7, 1.2, 2.5)

# The prior of the fitted model's card, rounded: a scale without a single known model.
_ABILITIES: Final = Abilities(known={}, prior_intercept=0.45, prior_slope=0.7, low=-1.0, high=2.5)

_EASY: Final = -2.0  # a short plain question: the least tier answers it with P of about .6
_WEIGHTS: Final[dict[str, float]] = {
    "log_chars": 0.12,
    "log_chars_elsewhere": 0.03,
    "log_turns": 0.15,
    "log_tools": 0.2,
    "log_options": 0.25,
    "log_maths_marks": 0.5,
    "log_code_marks": 0.3,
    "digit_share": 2.0,
    "asks_reasoning": 0.6,
    "asks_explanation": 0.1,
    "asks_writing": 0.2,
}


class RuleScorer:
    """Scores prompts by their shape alone; needs no artifact and cannot fail.

    Attributes:
        scorer_id: ``rules-1``.
        tiers: abilities for which ``score`` gives probabilities, ascending.
        models: none has a score of its own.
    """

    scorer_id: str = "rules-1"
    models: tuple[str, ...] = ()

    def __init__(self, tiers: Sequence[float] = _TIERS) -> None:
        """Line the weights up with the features.

        Args:
            tiers: those of the model that the rules stand in for, so that both can be read alike.
        """
        self.tiers: tuple[float, ...] = tuple(tiers)
        self._weights = np.array(
            [_WEIGHTS.get(name, 0.0) for name in FEATURE_NAMES], dtype=np.float32
        )

    def score(
        self, vectors: npt.NDArray[np.float32], shapes: Sequence[PromptShape]
    ) -> npt.NDArray[np.float32]:
        """Return P(adequate) per prompt and tier, rising along the tiers.

        Args:
            vectors: not looked at; here so that both scorers are called alike.
            shapes: n prompts.

        Returns:
            Shape (n, T), float32, in [0, 1].
        """
        if not len(shapes):
            return np.zeros((0, len(self.tiers)), dtype=np.float32)
        seen = np.stack([features(shape) for shape in shapes])
        difficulty = _EASY + seen @ self._weights
        return np.asarray(
            1.0 / (1.0 + np.exp(difficulty[:, None] - np.array(self.tiers, dtype=np.float32))),
            dtype=np.float32,
        )

    def head(self, model_name: str) -> int | None:
        """Return None: rules know no model."""
        return None

    def ability(self, model_name: str) -> float | None:
        """Return None: rules know no model."""
        return None

    def ability_prior(
        self, input_usd_per_mtok: float | None, output_usd_per_mtok: float | None
    ) -> float:
        """Return the ability that a price suggests, in US dollars per million tokens."""
        return _ABILITIES.prior(input_usd_per_mtok, output_usd_per_mtok)
