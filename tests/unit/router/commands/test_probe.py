import numpy as np
import pytest

from router.commands.probe import place
from router.commands.probe_ask import graded
from router.commands.probe_prompts import LEVELS, PER_LEVEL, probe_prompts
from router.providers.scripted import ScriptedProvider
from router.settings import parse

TIERS = (-1.0, 0.0, 1.0, 2.0)
SETTINGS = """
[routing]
baseline = "new"
[providers.p]
kind = "scripted"
[models.new]
provider = "p"
"""


def test_probe_prompts_are_many_distinct_and_the_same_for_a_seed() -> None:
    """Each kind has every level, and no prompt comes twice."""
    prompts = probe_prompts(1)

    kinds = {prompt.kind for prompt in prompts}
    assert len(prompts) == len(kinds) * len(LEVELS) * PER_LEVEL >= 100
    assert len({prompt.text for prompt in prompts}) == len(prompts)
    assert prompts == probe_prompts(1) != probe_prompts(2)


def test_the_last_stated_answer_is_graded_whatever_its_dress() -> None:
    """Thoughts before it, bold marks, quotes and case do not matter; another value does."""
    for prompt in probe_prompts():
        assert prompt.is_right(f"First I thought Answer: 0.\nBut no.\n**Answer:** {prompt.answer}.")
        assert prompt.is_right(f'answer: "{prompt.answer.upper()}"')
        assert not prompt.is_right(f"Answer: {prompt.answer}1")
        assert not prompt.is_right(prompt.answer[:0])


def test_computed_answers_are_right() -> None:
    """Checked by other means than they were made by: the loop is run, the equation put in."""
    for prompt in probe_prompts(3):
        if prompt.kind == "equation":
            left, _, right = prompt.text.split("\n")[0].partition(": ")[2].partition(" = ")
            code = left.replace("x", f"*({prompt.answer})").replace("(", "*(").replace("**", "*")
            assert eval(code.replace("*(*(", "*((")) == int(right)
        if prompt.kind == "loop":
            printed: list[int] = []
            code = prompt.text.split("\n\n")[1].split("\nThink")[0]
            exec(code, {"print": printed.append})
            assert printed == [int(prompt.answer)]


async def test_a_model_is_asked_every_prompt_and_graded() -> None:
    """A model that always says the same is right only where that is the answer."""
    settings = parse(SETTINGS, {})
    prompts = probe_prompts()
    provider = ScriptedProvider({"new": f"Answer: {prompts[0].answer}"})

    rows = await graded(provider, settings, settings.models["new"], prompts)

    assert len(provider.calls) == len(prompts)
    assert rows[0].scores == {"new": 1.0}
    assert [row.prompt for row in rows] == [prompt.text for prompt in prompts]
    assert sum(row.scores["new"] for row in rows) < len(rows) / 4


@pytest.mark.parametrize("true", [-0.5, 0.5, 1.5])
def test_the_interval_covers_the_ability_that_made_the_outcomes(true: float) -> None:
    """Of 40 probes of 150 prompts each, most state an interval that holds the truth, and narrow."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(40):
        difficulty = rng.normal(size=(150, 1))
        table = (1 / (1 + np.exp(difficulty - np.array(TIERS)))).astype(np.float32)
        scores = (rng.random(150) < 1 / (1 + np.exp(difficulty[:, 0] - true))).astype(float)

        found = place(table, TIERS, scores, start=0.5)

        covered += found.low <= true <= found.high
        assert found.high - found.low < 1.2
    assert covered >= 35
