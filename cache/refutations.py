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
        self._pairs: OrderedDict[Marks, None] = OrderedDict()
        self._n_asked: dict[bytes, int] = {}

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self._pairs)

    def load(self, pairs: Iterable[Marks]) -> None:
        """Add pairs, oldest first."""
        for stored, asked in pairs:
            self.add(stored, asked)

    def add(self, stored: bytes, asked: bytes) -> None:
        """Remember a pair."""
        if (stored, asked) in self._pairs:
            return
        self._pairs[stored, asked] = None
        self._n_asked[stored] = self._n_asked.get(stored, 0) + 1
        while len(self._pairs) > MOST_REFUTED:
            (forgotten, _), _ = self._pairs.popitem(last=False)
            self._n_asked[forgotten] -= 1
            if not self._n_asked[forgotten]:
                del self._n_asked[forgotten]

    def of(self, namespace: str, stored: str, asked: str) -> tuple[int, bool]:
        """Return for how many texts a stored one was wrong, and whether for this one."""
        if not self._n_asked:
            return 0, False
        mark = stored_mark(namespace, stored)
        n = self._n_asked.get(mark, 0)
        return n, n > 0 and (mark, asked_mark(asked)) in self._pairs
