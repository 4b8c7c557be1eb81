"""Which stored text was reported wrong for which asked one. As digests: no text is kept.

Kept by texts and not by entry: the answer that replaces a wrong one answers the same other
question, so the pair stays refuted for as long as it is remembered, within its namespace.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

MOST_REFUTED: Final = 100_000
"""Pairs remembered; beyond them the oldest are forgotten."""

Marks = tuple[bytes, bytes]
"""What stands for a pair: 16 bytes of the stored text in its namespace, 16 of the asked one."""


def marks_of(namespace: str, stored: str, asked: str) -> Marks:
    """Return what stands for two canonical texts."""
    return stored_mark(namespace, stored), asked_mark(asked)


def stored_mark(namespace: str, text: str) -> bytes:
    """Return 16 bytes that stand for a stored canonical text within its namespace."""
    return _digest(f"{len(namespace)}:{namespace}{text}")


def asked_mark(text: str) -> bytes:
    """Return 16 bytes that stand for an asked canonical text."""
    return _digest(text)


def _digest(text: str) -> bytes:
    return blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()


class Refutations:
    """The refuted pairs, oldest first. Changed on the event loop, read by any thread."""

    def __init__(self) -> None:
        self._asked: OrderedDict[bytes, frozenset[bytes]] = OrderedDict()
        self._n = 0

    def __len__(self) -> int:
        """Return the number of pairs."""
        return self._n

    def load(self, pairs: Iterable[Marks]) -> None:
        """Add pairs, oldest first."""
        for stored, asked in pairs:
            self.add(stored, asked)

    def add(self, stored: bytes, asked: bytes) -> None:
        """Remember a pair."""
        before = self._asked.get(stored, frozenset())
        if asked in before:
            return
        self._asked[stored] = before | {asked}
        self._n += 1
        while self._n > MOST_REFUTED:
            _, forgotten = self._asked.popitem(last=False)
            self._n -= len(forgotten)

    def of(self, namespace: str, stored: str, asked: str) -> tuple[int, bool]:
        """Return for how many texts a stored one was wrong, and whether for this one."""
        if not self._asked:
            return 0, False
        found = self._asked.get(stored_mark(namespace, stored))
        return (0, False) if found is None else (len(found), asked_mark(asked) in found)
