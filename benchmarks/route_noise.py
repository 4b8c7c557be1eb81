"""Harmless noise on prompts, and how often it changes which model is called."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from benchmarks.metrics import Floats

N_NOISED: Final = 300  # prompts put through each noise

_POLITE = ("Please help me with this: ", "Hi! Could you answer this for me? ", "Thank you. ")


def lower_case(text: str, draw: np.random.Generator) -> str:
    """Write all in lower case."""
    return text.lower()


def spaces(text: str, draw: np.random.Generator) -> str:
    """Double some spaces and pad the ends."""
    words = text.split(" ")
    gaps = np.where(draw.random(len(words)) < 0.1, "  ", " ")
    return " " + "".join(w + str(g) for w, g in zip(words, gaps, strict=True))


def typo(text: str, draw: np.random.Generator) -> str:
    """Swap two neighbouring letters of a word, about once in forty letters, never a digit."""
    letters = list(text)
    for _ in range(max(len(letters) // 40, 1)):
        at = int(draw.integers(0, max(len(letters) - 1, 1)))
        if at + 1 < len(letters) and letters[at].isalpha() and letters[at + 1].isalpha():
            letters[at], letters[at + 1] = letters[at + 1], letters[at]
    return "".join(letters)


def politeness(text: str, draw: np.random.Generator) -> str:
    """Put a polite phrase in front."""
    return _POLITE[int(draw.integers(len(_POLITE)))] + text


NOISES: Final[Mapping[str, Callable[[str, np.random.Generator], str]]] = {
    "case": lower_case,
    "spaces": spaces,
    "typos": typo,
    "politeness": politeness,
}


def noised(texts: Sequence[str], seed: int) -> dict[str, list[str]]:
    """Return each noise's version of the texts."""
    return {
        name: [noise(text, np.random.default_rng([seed, at])) for at, text in enumerate(texts)]
        for name, noise in NOISES.items()
    }


def flip_rate(before: Floats, after: Floats, threshold: float) -> float:
    """Return the share of prompts that cross a threshold on the predicted gap."""
    return float(np.mean((before >= threshold) != (after >= threshold)))
