"""From scores per tier of ability to P(adequate) per configured model."""

from __future__ import annotations

from functools import lru_cache

from classifier.complexity import p_adequate
from router.choose import Pool
from router.understand import Scorer


class Scale:
    """The pool's models placed on a scorer's scale of ability.

    A model that the scorer knows is read off its own score, unless the operator stated an ability;
    any other off the tiers, by its ability.

    Args:
        pool: the configured models.
        scorer: gives scores per tier and per known model, and knows abilities.
    """

    def __init__(self, pool: Pool, scorer: Scorer) -> None:
        self._tiers = tuple(scorer.tiers)
        self._abilities = pool.abilities(scorer.ability, scorer.ability_prior)
        self._heads = pool.heads(scorer.head)
        self._n_scores = len(self._tiers) + len(scorer.models)

        self.p_adequate = lru_cache(maxsize=4_096)(self._p_adequate)  # hits ask again and again

    def _p_adequate(self, scores: tuple[float, ...]) -> tuple[float, ...]:
        """Return P(adequate) per model, in the pool's order; empty where the tiers are not there.

        Scores of another number were kept under another scorer: their tiers are read alone.
        """
        n_tiers = len(self._tiers)
        if len(scores) < n_tiers:
            return ()
        tiers = scores[:n_tiers]
        has_heads = len(scores) == self._n_scores
        return tuple(
            [
                scores[head]
                if has_heads and head is not None
                else p_adequate(tiers, self._tiers, ability)
                for head, ability in zip(self._heads, self._abilities, strict=True)
            ]
        )

    def typical(self) -> tuple[float, ...]:
        """Return P(adequate) per model for a prompt of which nothing is known: rising with ability.

        Each tier answers half of what the tier below it leaves open; only the order matters, for
        an unscored prompt must go to a model that is strong enough.
        """
        n = len(self._tiers)
        return self.p_adequate(tuple([1 - 0.5 ** (k + 1) for k in range(n)]))
