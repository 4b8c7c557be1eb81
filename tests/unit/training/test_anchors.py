from collections import Counter

from training.anchors import DIFFICULTIES, anchors
from training.word_problems import MOST_STEPS, word_problems


def test_anchors_are_ours_and_cover_every_level() -> None:
    """Each level has prompts, and none is repeated."""
    rows = anchors({"m": 0.0})

    assert set(DIFFICULTIES) < set(Counter(row.domain for row in rows))
    assert len({row.prompt for row in rows}) == len(rows) >= 100


def test_a_word_problem_is_harder_with_every_step() -> None:
    """The assumed outcomes fall with the steps, and each step is a sentence more."""
    rows = {row.domain: row for row in anchors({"m": 0.0})}

    scores = [rows[f"{steps} steps"].outcomes["m"].score for steps in range(1, MOST_STEPS + 1)]
    assert scores == sorted(scores, reverse=True)
    for prompt, steps in word_problems():
        assert sum(map(prompt.count, (". ", "? "))) + 1 == steps + 1


def test_an_abler_model_does_better_and_a_harder_level_worse() -> None:
    """The assumed outcomes are a Rasch model's."""
    rows = anchors({"weak": -1.0, "strong": 1.0})
    easy = next(row for row in rows if row.domain == "easy").outcomes
    hard = next(row for row in rows if row.domain == "hard").outcomes

    assert easy["weak"].score < easy["strong"].score
    assert hard["weak"].score < easy["weak"].score
