"""One parameter's best value in hindsight: a coarse grid, then finer values around the best."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from benchmarks import console

N_ROUNDS = 2
N_BETWEEN = 2

T = TypeVar("T")


def swept(
    replay: Callable[[float], T],
    coarse: Sequence[float],
    best: Callable[[Mapping[float, T]], float | None],
    what: str,
) -> dict[float, T]:
    """Replay at every coarse value, then twice at two values on each side of the best so far.

    Args:
        replay: what comes of a value; replayed in full, since nothing can be read off another.
        coarse: values to begin with.
        best: the best of those tried, None where none will do: then no finer ones are tried.
        what: the parameter, for those who wait.

    Returns:
        What came of each value, ascending.
    """
    tried: dict[float, T] = {}
    _try(replay, coarse, tried, what)
    for _ in range(N_ROUNDS):
        found = best(tried)
        if found is None:
            break
        _try(replay, around(found, sorted(tried)), tried, what)
    return dict(sorted(tried.items()))


def around(value: float, tried: Sequence[float]) -> list[float]:
    """Return values between one of those tried and its neighbours on either side, evenly spaced.

    Args:
        value: one of ``tried``.
        tried: ascending.
    """
    at = tried.index(value)
    finer = []
    for neighbour in (*tried[max(0, at - 1) : at], *tried[at + 1 : at + 2]):
        step = (value - neighbour) / (N_BETWEEN + 1)
        finer += [neighbour + step * n for n in range(1, N_BETWEEN + 1)]
    return finer


def _try(
    replay: Callable[[float], T], values: Sequence[float], tried: dict[float, T], what: str
) -> None:
    for value in values:
        if value not in tried:
            tried[value] = replay(value)
            console.say(f"replayed at {what} {value:.4g} ({len(tried)})")
