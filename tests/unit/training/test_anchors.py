from collections import Counter

from training.anchors import DIFFICULTIES, anchors


def test_anchors_are_ours_and_cover_every_level() -> None:
    """Each level has prompts, and none is repeated."""
    rows = anchors({"m": 0.0})

    assert set(Counter(row.domain for row in rows)) == set(DIFFICULTIES)
    assert len({row.prompt for row in rows}) == len(rows) >= 100


def test_an_abler_model_does_better_and_a_harder_level_worse() -> None:
    """The assumed outcomes are a Rasch model's."""
    rows = anchors({"weak": -1.0, "strong": 1.0})
    easy = next(row for row in rows if row.domain == "easy").outcomes
    hard = next(row for row in rows if row.domain == "hard").outcomes

    assert easy["weak"].score < easy["strong"].score
    assert hard["weak"].score < easy["weak"].score
