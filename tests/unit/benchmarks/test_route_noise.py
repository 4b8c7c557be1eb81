import numpy as np
import pytest

from benchmarks.route_noise import NOISES, flip_rate, noised

TEXTS = ["What is 12 * 7 in the base that Anna uses on 3 May?", "", "x", "def f(x): return x + 10"]


@pytest.mark.parametrize("name", list(NOISES))
def test_noise_is_harmless_and_the_same_for_a_seed(name: str) -> None:
    """No digit is lost, added or moved; texts stay about as long."""
    before, again = noised(TEXTS, 3)[name], noised(TEXTS, 3)[name]

    assert before == again
    for text, noisy in zip(TEXTS, before, strict=True):
        assert [c for c in text if c.isdigit()] == [c for c in noisy if c.isdigit()]
        assert abs(len(noisy) - len(text)) <= 45


def test_a_flip_is_a_prompt_that_crosses_the_threshold() -> None:
    """Moves on one side of it call the same model."""
    before, after = np.array([0.1, 0.2, 0.6, 0.7]), np.array([0.4, 0.6, 0.9, 0.4])

    assert flip_rate(before, after, 0.5) == 0.5
