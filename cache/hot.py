"""Texts and answers kept in memory, least recently used out first, bounded in bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

from cache.policy import Wording
from cache.types import EntryId

_OVERHEAD_BYTES = 600  # the objects around a text and an answer, and what guards note about it


@dataclass(frozen=True, slots=True)
class Hot:
    """An entry's text and answer at hand."""

    wording: Wording
    answer: bytes
    n_bytes: int


class HotAnswers:
    """Thread-safe. One answer larger than an eighth of the bound is not kept."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._hot: OrderedDict[EntryId, Hot] = OrderedDict()
        self._lock = threading.Lock()
        self.n_bytes = 0

    def __len__(self) -> int:
        return len(self._hot)

    def get(self, entry_id: EntryId) -> Hot | None:
        """Return an entry and count it as just used; None when it is not here."""
        with self._lock:
            hot = self._hot.get(entry_id)
            if hot is not None:
                self._hot.move_to_end(entry_id)
            return hot

    def put(self, entry_id: EntryId, wording: Wording, answer: bytes) -> Hot:
        """Keep an entry; return it, kept or not."""
        n_bytes = len(wording.text) + len(wording.tokens) + len(answer) + _OVERHEAD_BYTES
        hot = Hot(wording, answer, n_bytes)
        if hot.n_bytes * 8 > self._max_bytes:
            return hot
        with self._lock:
            self._discard(entry_id)
            self._hot[entry_id] = hot
            self.n_bytes += hot.n_bytes
            while self.n_bytes > self._max_bytes:
                _, oldest = self._hot.popitem(last=False)
                self.n_bytes -= oldest.n_bytes
        return hot

    def discard(self, entry_id: EntryId) -> None:
        """Forget an entry; an unknown id is no error."""
        with self._lock:
            self._discard(entry_id)

    def _discard(self, entry_id: EntryId) -> None:
        hot = self._hot.pop(entry_id, None)
        if hot is not None:
            self.n_bytes -= hot.n_bytes
