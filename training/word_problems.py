"""Word problems of our own with a known number of steps: more steps, more to go wrong.

The routing data holds hardly any plain word problem, and what makes them hard is not what makes an
exam question hard. These are put together from sentences written here; as with the other anchors
the difficulty is assumed, not measured: it rises with the steps.
"""

from __future__ import annotations

import random
from typing import Final

MOST_STEPS: Final = 8
_PER_STEPS: Final = 24

_NAMES = ("Ines", "Tariq", "Oskar", "Mei", "Paula", "Jonas", "Aisha", "Luca", "Freya", "Kofi")
_THINGS = ("stickers", "eggs", "pencils", "tickets", "plants", "books", "cookies", "bricks")
_STARTS = (
    "{name} has {a} {things}.",
    "{name} packs {a} boxes with {b} {things} in each.",
    "Every morning {name} collects {a} {things}, and does so for {b} days.",
    "A shop sells {things} in packs of {a}, and {name} takes {b} packs.",
)
_STEPS = (
    "Then {name} gives {a} of them to a friend.",
    "{name} buys {a} more at ${b} each.",
    "A neighbour has twice as many as {name}.",
    "{name}'s brother brings {a} fewer than a third of what {name} has now.",
    "On the next day the number goes up by {p} percent.",
    "Half of the rest is put aside for school.",
    "Every {a} of them are worth ${b} at the market.",
    "{name} pays a fee of ${a} per hour for {b} hours.",
    "Of those left, {p} percent turn out to be broken and are thrown away.",
    "Another {a} are lost on each of the {b} trips home.",
)
_ENDS = (
    "How many {things} does {name} have left?",
    "How much money does {name} have in the end, in dollars?",
    "How many {things} are there altogether?",
)


def word_problems(seed: int = 0) -> list[tuple[str, int]]:
    """Return (prompt, steps), the same for the same seed; some two dozen for each number."""
    draw = random.Random(seed)
    return [
        (_problem(draw, steps), steps)
        for steps in range(1, MOST_STEPS + 1)
        for _ in range(_PER_STEPS)
    ]


def difficulty(steps: int) -> float:
    """Return the assumed difficulty on the scale of abilities."""
    return -2.2 + 0.4 * steps


def _problem(draw: random.Random, steps: int) -> str:
    name, things = draw.choice(_NAMES), draw.choice(_THINGS)
    lines = [draw.choice(_STARTS), *draw.sample(_STEPS, steps - 1), draw.choice(_ENDS)]
    return " ".join(
        line.format(
            name=name,
            things=things,
            a=draw.randint(3, 60),
            b=draw.randint(2, 12),
            p=draw.choice((10, 15, 20, 25, 40, 50)),
        )
        for line in lines
    )
