import string
import time

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from classifier.shape import FEATURE_NAMES, PromptShape, features


def _of(text: str, *, n_turns: int = 1, n_tools: int = 0) -> dict[str, float]:
    shape = PromptShape(text=text, n_turns=n_turns, n_chars_total=len(text), n_tools=n_tools)
    found = features(shape)
    return dict(zip(FEATURE_NAMES, found.tolist(), strict=True))


@given(st.text(), st.integers(0, 50), st.integers(0, 10**7), st.integers(0, 500))
def test_features_are_finite_for_any_prompt(text: str, turns: int, chars: int, tools: int) -> None:
    """Whatever arrives, the model reads numbers: one per name, none infinite."""
    found = features(PromptShape(text=text, n_turns=turns, n_chars_total=chars, n_tools=tools))

    assert found.shape == (len(FEATURE_NAMES),)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()


def test_a_maths_problem_looks_like_one() -> None:
    """Marks of mathematics and of reasoning are counted."""
    maths, chat = _of("Solve x^2 = 2 and prove it, $\\frac{1}{2}$."), _of("How are you today?")

    assert maths["log_maths_marks"] > 1 > chat["log_maths_marks"] == 0
    assert (maths["asks_reasoning"], chat["asks_reasoning"]) == (1, 0)


def test_code_looks_like_code() -> None:
    """Fences, definitions and brackets are counted."""
    code, chat = _of("```\ndef f(x):\n    return (x)\n```"), _of("Tell me a joke")

    assert code["log_code_marks"] > 1 > chat["log_code_marks"] == 0
    assert code["bracket_share"] > 0


def test_options_of_a_multiple_choice_question_are_counted() -> None:
    """Lines that begin with A., B., C. ... are options."""
    asked = _of("Which?\nA. one\nB. two\nC. three\nAnswer:")

    assert asked["log_options"] == np.float32(np.log1p(3))
    assert asked["asks_to_complete"] == 1


def test_tools_and_turns_are_seen() -> None:
    """What surrounds the message counts too."""
    alone, deep = _of("go on"), _of("go on", n_tools=3, n_turns=6)

    assert deep["log_tools"] > alone["log_tools"] == 0
    assert deep["log_turns"] > alone["log_turns"]


def test_a_huge_prompt_costs_no_more_than_a_long_one() -> None:
    """The work is bounded by the cut, not by the prompt."""
    page, huge = (
        PromptShape(text="lorem ipsum 3 " * 200),
        PromptShape(text="lorem ipsum 3 " * 70_000),
    )

    def best(shape: PromptShape) -> float:
        times = []
        for _ in range(9):
            started = time.perf_counter()
            features(shape)
            times.append(time.perf_counter() - started)
        return min(times)

    assert best(huge) < 4 * best(page) + 0.001


@given(text=st.text(alphabet=string.printable, max_size=300))
def test_case_changes_no_feature(text: str) -> None:
    """Who types in lower case asks the same question and gets the same model."""
    assert np.array_equal(
        features(PromptShape(text=text)), features(PromptShape(text=text.lower()))
    )
