from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from classifier.shape import PromptShape
from router.choose import Pool
from router.prices import PriceList
from router.scales import Scale
from router.settings import ModelSpec

TIERS_ALONE = (0.2, 0.8)
WITH_HEADS = (0.2, 0.8, 0.35)


class OneHead:
    """Two tiers, and a score of its own for one model of ability 0."""

    scorer_id = "one-head"
    tiers = (-1.0, 1.0)
    models = ("own",)

    def score(
        self, vectors: NDArray[np.float32], shapes: Sequence[PromptShape]
    ) -> NDArray[np.float32]:
        """Return the same for all."""
        return np.tile(np.array(WITH_HEADS, dtype=np.float32), (len(shapes), 1))

    def head(self, model_name: str) -> int | None:
        """Know one."""
        return 2 if model_name == "own" else None

    def ability(self, model_name: str) -> float | None:
        """Place it in the middle."""
        return 0.0 if model_name == "own" else None

    def ability_prior(self, *_: Any) -> float:
        """Place any other at the upper tier."""
        return 1.0


def _scale(**stated: float) -> Scale:
    models = tuple(
        ModelSpec(name=name, provider="p", provider_model=name, ability=stated.get(name))
        for name in ("own", "other")
    )
    return Scale(Pool(models=models, prices=PriceList.of({}), baseline="own"), OneHead())


def test_a_known_model_is_read_off_its_own_score_and_others_off_the_tiers() -> None:
    """One ability cannot say what a model is good at; its own score can."""
    assert _scale().p_adequate(WITH_HEADS) == pytest.approx((0.35, 0.8))


def test_a_stated_ability_wins_over_the_own_score() -> None:
    """What the operator (or a probe) wrote is meant."""
    assert _scale(own=-1.0).p_adequate(WITH_HEADS) == pytest.approx((0.2, 0.8))


def test_scores_of_the_tiers_alone_serve_too() -> None:
    """Rules know no model; abilities then place all."""
    assert _scale().p_adequate(TIERS_ALONE) == pytest.approx((0.5, 0.8))


def test_scores_of_another_scorer_are_read_by_their_tiers() -> None:
    """Kept with an entry by an earlier classifier, a third score would be another model's."""
    assert _scale().p_adequate((*TIERS_ALONE, 0.9, 0.9)) == pytest.approx((0.5, 0.8))


@pytest.mark.parametrize("scores", [(), (0.5,)])
def test_too_few_scores_say_nothing(scores: tuple[float, ...]) -> None:
    """Nothing is guessed from a part of the tiers."""
    assert _scale().p_adequate(scores) == ()
