"""What the upstream of ``faults`` does to whom: drawn from a seed, known to upstream and judge.

A case is one prompt. For each model it lists what the calls come to, in order; the last stays.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from benchmarks.load_texts import distinct_texts

MODELS: Final = ("small", "medium", "large")
"""Those that somebody serves, in the order of the chain."""

GONE: Final = "gone"
"""The model whose provider refuses every connection."""

KINDS: Final = (
    "refuse", "stall", "reset", "half_stream", "429", "500", "402", "malformed_sse", "trickle",
    "wrong_json",
)  # fmt: skip
OK: Final = "ok"

_LATE: Final = frozenset({"half_stream", "malformed_sse_late"})
"""Where a stream has said something before it fails."""

_FAILS_NOBODY: Final = frozenset({OK, "trickle"})
_REPEAT_SHARE: Final = 0.12
_REPEATS_OF_LAST: Final = 6
_FLAVOURS: Final = ("text", "text", "text", "json", "tools")

PATIENT_S: Final = 30.0
IMPATIENT_S: Final = 0.3
"""Shorter than any limit of the service: only the caller's own deadline ends such a call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One prompt.

    Attributes:
        number: stands in the prompt; the upstream finds the case by it.
        prompt: the whole text.
        flavour: ``text``, ``json`` or ``tools``: what is asked for.
        steps: by model, what its calls come to, in order; the last stays.
        models: those that may answer.
        is_impatient: its caller leaves before any upstream answers.
    """

    number: int
    prompt: str
    flavour: str
    steps: Mapping[str, Sequence[str]]
    models: tuple[str, ...]
    is_impatient: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One request: a case, and how it is asked."""

    case: Case
    is_streamed: bool

    @property
    def deadline_s(self) -> float:
        """Seconds that the caller waits."""
        return IMPATIENT_S if self.case.is_impatient else PATIENT_S

    @property
    def is_recoverable(self) -> bool:
        """Whether some healthy path can serve it, whichever way the service takes.

        Not so where a stream may say something and then fail: nothing may be spliced on. Such a
        request may end well, or with the failure.
        """
        if self.case.is_impatient:
            return False
        steps = [self.case.steps[model] for model in MODELS]
        if self.is_streamed and any(step in _LATE for one in steps for step in one):
            return False
        return any(one[-1] in _FAILS_NOBODY for one in steps)


def planned(n: int, seed: int) -> list[Planned]:
    """Return the requests; the same for the same seed."""
    rng = random.Random(seed)
    texts = distinct_texts(seed)
    kinds = _deck(rng)
    requests: list[Planned] = []
    for number in range(n):
        recent = [one.case for one in requests[-_REPEATS_OF_LAST:] if not one.case.is_impatient]
        if recent and rng.random() < _REPEAT_SHARE:
            case = rng.choice(recent)
        else:
            case = _case(number, next(texts), rng, kinds)
        requests.append(Planned(case=case, is_streamed=rng.random() < 0.5))
    return requests


def _case(number: int, text: str, rng: random.Random, kinds: Iterator[str]) -> Case:
    prompt = f"{text} (case {number})"
    flavour = rng.choice(_FLAVOURS)
    draw = rng.random()
    if draw < 0.03:
        steps: dict[str, tuple[str, ...]] = dict.fromkeys(MODELS, ("stall",))
        return Case(
            number=number, prompt=prompt, flavour=flavour, steps=steps, models=MODELS,
            is_impatient=True,
        )  # fmt: skip
    models: tuple[str, ...] = MODELS
    if draw < 0.07:  # nobody serves it
        steps = {model: (_failing(rng, kinds),) for model in MODELS}
    else:
        n_faults = 0 if draw < 0.50 else 1 if draw < 0.85 else 2
        steps = dict.fromkeys(MODELS, (OK,))
        for model, kind in zip(MODELS, islice(kinds, n_faults), strict=False):
            if kind == "refuse":
                models = (GONE, *MODELS)
            else:
                steps[model] = (kind,) if rng.random() < 0.5 else (kind, OK)
        steps = {model: tuple(_placed(rng, step) for step in one) for model, one in steps.items()}
    return Case(number=number, prompt=prompt, flavour=flavour, steps=steps, models=models)


def _deck(rng: random.Random) -> Iterator[str]:
    """Yield every kind as often; more often those that circuits keep off, or that fail nobody."""
    while True:
        deck = [*KINDS, "refuse", "refuse", "trickle"]
        rng.shuffle(deck)
        yield from deck


def _failing(rng: random.Random, kinds: Iterator[str]) -> str:
    return _placed(rng, next(kind for kind in kinds if kind not in ("refuse", "trickle")))


def _placed(rng: random.Random, kind: str) -> str:
    """Half of the nonsense comes before a stream has said anything, half after."""
    return f"{kind}_late" if kind == "malformed_sse" and rng.random() < 0.5 else kind


def words_of(number: int, model: str) -> str:
    """Return what a model says to a case: no two say the same."""
    rng = random.Random(f"{number} {model}")
    return " ".join(
        [
            f"[{model} {number}]",
            *(rng.choice(("rock", "steam", "über", "🌋", "ash")) for _ in range(12)),
        ]
    )


def n_tokens(text: str) -> int:
    """Return how the upstream counts: words."""
    return len(text.split())
