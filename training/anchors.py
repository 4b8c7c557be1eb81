"""Everyday prompts of our own, so that the model does not think all the world an exam.

The routing data are benchmarks, chosen to be hard; a greeting looks like none of them. The prompts
in anchors.jsonl were written here and put into four levels by judgement; ``word_problems`` adds
some that are put together, harder with every step. Nothing was measured on them: the outcomes are
what a Rasch model gives at the level's difficulty, and the card says so. They are trained on and
never judged with.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from benchmarks.datasets import Outcome, RoutingRow, read_rows
from training.word_problems import difficulty, word_problems

BENCHMARK: Final = "anchors"
EMPHASIS: Final = 4.0  # some 4 % of all weight; with 1.0 a greeting still looks like an exam
DIFFICULTIES: Final[Mapping[str, float]] = {
    "easy": -3.0,
    "plain": -1.8,
    "demanding": -0.2,
    "hard": 1.2,
}
_FILE = Path(__file__).with_name("anchors.jsonl")


def anchors(abilities: Mapping[str, float]) -> list[RoutingRow]:
    """Return the anchors with assumed outcomes of the models given.

    Args:
        abilities: normalized model name to ability; a dozen spread over the scale is enough.
    """
    levels = [
        *((row["prompt"], row["level"], DIFFICULTIES[row["level"]]) for row in read_rows(_FILE)),
        *((text, f"{steps} steps", difficulty(steps)) for text, steps in word_problems()),
    ]
    return [
        RoutingRow(
            id=f"{BENCHMARK}-{number}",
            benchmark=BENCHMARK,
            domain=level,
            prompt=prompt,
            outcomes={
                model: Outcome(
                    score=1 / (1 + math.exp(hardness - ability)),
                    cost_usd=None,
                    output_tokens=None,
                )
                for model, ability in abilities.items()
            },
            tools=(),
            dialogue=f"{BENCHMARK}-{number}",
            contaminated=False,
        )
        for number, (prompt, level, hardness) in enumerate(levels)
    ]
