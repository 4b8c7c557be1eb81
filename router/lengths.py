"""How long answers are, per namespace and model: learned from the calls that were made.

Of each, the latest ``WINDOW`` calls are kept: tokens in, tokens out. The logarithm of the output is
linear in that of the input, with a slope that few calls leave near 0 (on published runs of 80
models the input tells little, and of some the reverse of what one would think); what remains is
taken as it was seen. So the mean is that of what was seen, and ``HIGH`` of the answers are within
the upper figure, whatever their distribution, as long as it stays (a split-conformal quantile).

Models are compared by cost, so they must be compared by lengths of one kind: a model that has too
few calls in a namespace is taken to answer as the namespace's others do, and where there are too
few of those, all have the length that the settings state.
"""

from __future__ import annotations

import math
from array import array
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from router.ledger.types import LedgerLine, Outcome

HIGH: Final = 0.9
"""Share of the answers that are no longer than the upper figure."""

WINDOW: Final = 128
FEWEST: Final = 20
"""Calls that must have been seen."""

MAX_KEYS: Final = 10_000
_EVERY: Final = 16  # calls after which a fit is made anew
_RIDGE: Final = 8.0  # against the slope, in calls of unit spread
_ANY: Final = ""  # no model's name is empty
_CALLED: Final = (Outcome.MISS, Outcome.BYPASS)


@dataclass(frozen=True, slots=True)
class Length:
    """Tokens of an answer: on average, and what ``HIGH`` of the answers stay within."""

    mean: float
    high: float


@dataclass(slots=True)
class _Calls:
    """Attributes: ``x``, ``y``: logarithms of tokens in and out; a ring of ``WINDOW``."""

    x: array[float] = field(default_factory=lambda: array("f"))
    y: array[float] = field(default_factory=lambda: array("f"))
    n: int = 0
    fit: tuple[float, float, float, float, float] | None = None

    def add(self, n_input: int, n_output: int) -> None:
        x, y = math.log(max(n_input, 1)), math.log(max(n_output, 1))
        if len(self.x) < WINDOW:
            self.x.append(x)
            self.y.append(y)
        else:
            self.x[self.n % WINDOW], self.y[self.n % WINDOW] = x, y
        self.n += 1
        if self.n % _EVERY == 0:
            self.fit = None

    def length(self, n_input: int) -> Length | None:
        """Return what to expect; None after too few calls."""
        if self.n < FEWEST:
            return None
        if self.fit is None:
            self.fit = _fitted(self.x, self.y)
        level, slope, middle, mean, high = self.fit
        at = math.exp(level + slope * (math.log(max(n_input, 1)) - middle))
        return Length(at * mean, at * high)


def _fitted(x: array[float], y: array[float]) -> tuple[float, float, float, float, float]:
    """Return level, slope, the middle of x, and the factors to the mean and to the upper figure."""
    xs, ys = np.array(x, dtype=np.float64), np.array(y, dtype=np.float64)
    middle, level = float(xs.mean()), float(ys.mean())
    dx = xs - middle
    slope = float(dx @ (ys - level)) / (float(dx @ dx) + _RIDGE)
    rest = np.sort(ys - level - slope * dx)
    rank = min(math.ceil((len(rest) + 1) * HIGH), len(rest)) - 1
    return level, slope, middle, float(np.exp(rest).mean()), float(np.exp(rest[rank]))


class Lengths:
    """Learns from lines; bounded. On the event loop alone.

    Args:
        since_s: when what stands behind a model's name began to, in seconds since the epoch; calls
            that are older are left out.
    """

    def __init__(self, since_s: Callable[[str], float] = lambda _: 0.0) -> None:
        self._since_s = since_s
        self._calls: OrderedDict[tuple[str, str], _Calls] = OrderedDict()

    def note(self, line: LedgerLine) -> None:
        """Learn from a call of which the provider counted the tokens; others are left out."""
        usage = line.usage
        if line.outcome not in _CALLED or usage is None or not usage.output_tokens:
            return
        if line.at_ms >= self._since_s(line.model) * 1e3:
            self.learn(line.namespace, line.model, usage.input_tokens, usage.output_tokens)

    def learn(self, namespace: str, model: str, n_input: int, n_output: int) -> None:
        """Learn from a call."""
        for key in ((namespace, model), (namespace, _ANY)):
            calls = self._calls.pop(key, None) or _Calls()
            calls.add(n_input, n_output)
            self._calls[key] = calls
        while len(self._calls) > MAX_KEYS:
            self._calls.popitem(last=False)

    def learn_all(self, calls: Iterable[tuple[str, str, int, int, int]]) -> None:
        """Learn from past calls, oldest first: namespace, model, when (ms), tokens in and out."""
        for namespace, model, at_ms, n_input, n_output in calls:
            if at_ms >= self._since_s(model) * 1e3:
                self.learn(namespace, model, n_input, n_output)

    def drop(self, models: Collection[str]) -> None:
        """Forget the lengths of names that other models stand behind now."""
        for key in [key for key in self._calls if key[1] in models]:
            del self._calls[key]

    def of(self, namespace: str, models: Sequence[str], n_input: int) -> list[Length] | None:
        """Return what to expect of each model; None where the namespace has too few calls."""
        others = self._calls.get((namespace, _ANY))
        usual = None if others is None else others.length(n_input)
        if usual is None:
            return None
        return [
            (own and own.length(n_input)) or usual
            for own in [self._calls.get((namespace, model)) for model in models]
        ]
