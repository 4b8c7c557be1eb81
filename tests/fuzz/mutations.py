"""Strange bytes out of good ones, by a seed: what a fuzzer does, without watching the code."""

from __future__ import annotations

import json
from random import Random
from typing import Any, Final

_ODD: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, -1, 1.5, 10**30, float("inf"), float("nan"), ""),
    *("\ud800", "\0", "text", "tool_use", "thinking", [], {}, [[]], [None], {"type": "text"}),
    *({"": None}, "x" * 300, ["a"], {"error": 5}, {"index": -1}),
)


def mutated(rng: Random, data: bytes) -> bytes:
    """Return bytes that are like ``data`` and, mostly, still JSON."""
    if rng.random() < 0.3:
        return _bytes(rng, data)
    events = data.split(b"\n\n")
    for n, event in enumerate(events):
        head, mark, body = event.rpartition(b"data: ")
        try:
            value = json.loads(body)
        except ValueError:
            continue
        if len(events) == 1 or rng.random() < 0.4:
            for _ in range(rng.randint(1, 3)):
                value = _value(rng, value)
            events[n] = head + mark + json.dumps(value).encode()
    if len(events) > 2 and rng.random() < 0.3:
        at = rng.randrange(len(events))
        events[at : at + rng.randint(0, 2)] = [rng.choice(events)]
    return b"\n\n".join(events)


def _value(rng: Random, value: Any) -> Any:
    if isinstance(value, dict) and value and rng.random() < 0.9:
        name = rng.choice([*value])
        changed = dict(value)
        if rng.random() < 0.1:
            del changed[name]
        elif rng.random() < 0.1:
            changed[f"x_{name}"] = rng.choice(_ODD)
        else:
            changed[name] = _value(rng, value[name])
        return changed
    if isinstance(value, list) and value and rng.random() < 0.9:
        at = rng.randrange(len(value))
        return [*value[:at], _value(rng, value[at]), *value[at + rng.randint(0, 1) :]]
    return rng.choice(_ODD)


def _bytes(rng: Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(changed) + 1)
        changed[at : at + rng.randint(0, 3)] = rng.randbytes(rng.randint(0, 3))
    return bytes(changed)
