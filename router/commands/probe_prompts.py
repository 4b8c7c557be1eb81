"""Probe prompts of our own, from easy to hard, whose answers are known by computing them.

A program writes question and answer together, so grading needs no judge: the last line of the
model's answer is compared. Kinds differ in what they ask for; each has four levels of size.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

LEVELS: Final = (1, 2, 3, 4)
PER_LEVEL: Final = 4

_ENDING = "\nThink if you need to, then give the result alone on the last line, as: Answer: RESULT"
_ANSWER = re.compile(r"answer\s*[:=]\s*(.+?)\s*$", re.IGNORECASE | re.MULTILINE)
_NOISE = str.maketrans("", "", " \"'`*$\\")
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_NAMES = ("Anouk", "Bela", "Chidi", "Dagny", "Emre", "Fiona", "Goran", "Hana", "Imre", "Jana")
_WORDS = (
    "lantern", "orchard", "viaduct", "meadow", "compass", "harvest", "thimble", "quarry",
    "parsley", "trellis", "canister", "hedgerow", "saddle", "turbine", "walnut", "zeppelin",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ProbePrompt:
    """A question and its one right answer.

    Attributes:
        kind: what it asks for.
        level: 1 to 4, harder.
        text: as the model gets it.
        answer: what the last line must say; case, spaces and quotes aside.
    """

    kind: str
    level: int
    text: str
    answer: str

    def is_right(self, reply: str) -> bool:
        """Tell whether a reply's last stated answer is the right one."""
        stated: list[str] = _ANSWER.findall(reply)
        if not stated:
            return False
        return _plain(stated[-1]) == _plain(self.answer)


def probe_prompts(seed: int = 0) -> list[ProbePrompt]:
    """Return the prompts, the same for the same seed."""
    draw = random.Random(seed)
    found: dict[str, ProbePrompt] = {}
    for kind, make in _KINDS.items():
        for level in LEVELS:
            wanted = len(found) + PER_LEVEL
            while len(found) < wanted:
                text, answer = make(draw, level)
                found.setdefault(text, ProbePrompt(kind, level, text + _ENDING, answer))
    return list(found.values())


def _plain(text: str) -> str:
    return text.translate(_NOISE).rstrip(".").lower()


def _stock(draw: random.Random, level: int) -> tuple[str, str]:
    left = draw.randint(40, 90)
    lines = [f"A depot holds {left} crates."]
    for _ in range(2 * level):
        n = draw.randint(2, 9)
        act = draw.choice(("in", "out", "times", "trucks"))
        if act == "in":
            lines.append(f"A ship brings {n * 7} more.")
            left += n * 7
        elif act == "out":
            lines.append(f"{n} are sent back as broken.")
            left -= n
        elif act == "times":
            lines.append("A second depot with just as many is merged into it.")
            left *= 2
        else:
            lines.append(f"{n} trucks bring {n + 3} crates each.")
            left += n * (n + 3)
    return " ".join([*lines, "How many crates does it hold now?"]), str(left)


def _weekday(draw: random.Random, level: int) -> tuple[str, str]:
    start, days = draw.randrange(7), draw.randint(2, 6) * 9**level
    text = f"Today is {_DAYS[start]}. Which day of the week is it in {days:,} days?"
    return text, _DAYS[(start + days) % 7]


def _backwards(draw: random.Random, level: int) -> tuple[str, str]:
    words = draw.sample(_WORDS, level)
    joined = "-".join(words)
    return f"Write {joined} backwards, letter by letter.", joined[::-1]


def _letters(draw: random.Random, level: int) -> tuple[str, str]:
    words, letter = draw.sample(_WORDS, 2 * level), draw.choice("aer")
    text = f"How many times does the letter {letter} occur in: {', '.join(words)}?"
    return text, str("".join(words).count(letter))


def _sorting(draw: random.Random, level: int) -> tuple[str, str]:
    numbers = draw.sample(range(-500, 500), 4 * level)
    text = f"Sort from the least to the greatest, divided by commas: {numbers}."
    return text, ",".join(map(str, sorted(numbers)))


def _equation(draw: random.Random, level: int) -> tuple[str, str]:
    x, a, b = draw.randint(-9, 9), draw.randint(2, 9), draw.randint(1, 30)
    left = f"{a}x + {b}"
    value = a * x + b
    for _ in range(level - 1):
        factor, shift = draw.randint(2, 4), draw.randint(1, 9)
        left, value = f"{factor}({left}) - {shift}", factor * value - shift
    return f"Solve for x: {left} = {value}", str(x)


def _loop(draw: random.Random, level: int) -> tuple[str, str]:
    start, step, turns = draw.randint(1, 9), draw.randint(2, 5), 3 * level
    total = start
    for i in range(turns):
        total = total + i * step if i % 2 else total * 2 - i
    code = (
        f"total = {start}\nfor i in range({turns}):\n    if i % 2:\n"
        f"        total = total + i * {step}\n    else:\n        total = total * 2 - i\n"
        "print(total)"
    )
    return f"What does this Python program print?\n\n{code}", str(total)


def _order(draw: random.Random, level: int) -> tuple[str, str]:
    names = draw.sample(_NAMES, level + 3)
    facts = [f"{older} is older than {younger}." for older, younger in pairwise(names)]
    draw.shuffle(facts)
    place = draw.randint(1, len(names) - 2)
    text = f"{' '.join(facts)} Sorted from the oldest to the youngest, who is number {place + 1}?"
    return text, names[place]


def _form(draw: random.Random, level: int) -> tuple[str, str]:
    record = {draw.choice(_WORDS): draw.randint(1, 99) for _ in range(2 * level)}
    told = "; ".join(f"{key} costs {value}" for key, value in record.items())
    text = (
        f"As JSON on one line, an object of name to price, names from a to z, only prices above "
        f"30: {told}."
    )
    kept = {key: value for key, value in sorted(record.items()) if value > 30}
    return text, json.dumps(kept)


_KINDS: Final[dict[str, Callable[[random.Random, int], tuple[str, str]]]] = {
    "stock": _stock,
    "weekday": _weekday,
    "backwards": _backwards,
    "letters": _letters,
    "sorting": _sorting,
    "equation": _equation,
    "loop": _loop,
    "order": _order,
    "form": _form,
}
