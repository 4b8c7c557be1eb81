"""From scores per tier of ability to P(adequate) per configured model."""

from __future__ import annotations

from functools import lru_cache

from classifier.complexity import p_adequate
from router.choose import Pool
from router.understand import Scorer


class Scale:
    """The pool's models placed on a scorer's scale of ability.

    Args:
        pool: the configured models.
        scorer: gives scores per tier, and knows the abilities of models it met.
    """

    def __init__(self, pool: Pool, scorer: Scorer) -> None:
        self._tiers = tuple(scorer.tiers)
        self._abilities = pool.abilities(scorer.ability, scorer.ability_prior)

        self.p_adequate = lru_cache(maxsize=4_096)(self._p_adequate)  # hits ask again and again

    def _p_adequate(self, scores: tuple[float, ...]) -> tuple[float, ...]:
        """Return P(adequate) per model, in the pool's order; empty for scores of another scale."""
        if len(scores) != len(self._tiers):
            return ()
        return tuple([p_adequate(scores, self._tiers, ability) for ability in self._abilities])

    def typical(self) -> tuple[float, ...]:
        """Return P(adequate) per model for a prompt of which nothing is known: rising with ability.

        Each tier answers half of what the tier below it leaves open; only the order matters, for
        an unscored prompt must go to a model that is strong enough.
        """
        n = len(self._tiers)
        return self.p_adequate(tuple([1 - 0.5 ** (k + 1) for k in range(n)]))
