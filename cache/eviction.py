"""Who leaves: first what has expired, then by SIEVE.

SIEVE keeps entries in the order in which they came and one bit for each, set by a hit. A hand goes
from the oldest to the newest and around again: an entry with the bit set loses the bit and stays,
the first one without it leaves. One-off prompts, most of what a cache sees, so leave soon after
the hand meets them, and what is asked again stays, without a write for any hit. The bits live in
memory only: after a restart every entry has to earn its stay anew.

Neither class is thread-safe, but ``Sieve.visit`` may be called from any thread.
"""

from __future__ import annotations

import heapq

from cache.types import EntryId


class _Node:
    __slots__ = ("entry_id", "is_visited", "newer", "older")

    def __init__(self, entry_id: EntryId) -> None:
        self.entry_id = entry_id
        self.is_visited = False
        self.newer: _Node | None = None
        self.older: _Node | None = None


class Sieve:
    """The order of entries and the hand that chooses among them; every call is O(1), amortized."""

    def __init__(self) -> None:
        self._nodes: dict[EntryId, _Node] = {}
        self._newest: _Node | None = None
        self._oldest: _Node | None = None
        self._hand: _Node | None = None

    def __len__(self) -> int:
        return len(self._nodes)

    def add(self, entry_id: EntryId) -> None:
        """Add a new entry as the newest, unvisited."""
        self.remove(entry_id)
        node = self._nodes[entry_id] = _Node(entry_id)
        node.older = self._newest
        if self._newest is not None:
            self._newest.newer = node
        self._newest = node
        if self._oldest is None:
            self._oldest = node

    def visit(self, entry_id: EntryId) -> None:
        """Note a hit; an unknown id is no error."""
        node = self._nodes.get(entry_id)
        if node is not None:
            node.is_visited = True

    def remove(self, entry_id: EntryId) -> None:
        """Forget an entry; an unknown id is no error."""
        node = self._nodes.pop(entry_id, None)
        if node is None:
            return
        if self._hand is node:
            self._hand = node.newer
        if node.newer is not None:
            node.newer.older = node.older
        else:
            self._newest = node.older
        if node.older is not None:
            node.older.newer = node.newer
        else:
            self._oldest = node.newer

    def evict(self) -> EntryId | None:
        """Choose who leaves, forget and return it; None when there is nobody."""
        node = self._hand or self._oldest
        while node is not None and node.is_visited:
            node.is_visited = False
            node = node.newer or self._oldest
        if node is None:
            return None
        self._hand = node
        self.remove(node.entry_id)
        return node.entry_id


class ExpiryQueue:
    """Entries by the moment they expire. Entries that left earlier are skipped when met."""

    def __init__(self) -> None:
        self._due: list[tuple[float, EntryId]] = []

    def __len__(self) -> int:
        return len(self._due)

    def add(self, entry_id: EntryId, expires_at_s: float) -> None:
        """Note when an entry expires."""
        heapq.heappush(self._due, (expires_at_s, entry_id))

    def pop(self, now_s: float) -> EntryId | None:
        """Return an entry that has expired by ``now_s`` and forget it; None when none has."""
        if self._due and self._due[0][0] <= now_s:
            return heapq.heappop(self._due)[1]
        return None

    def keep_only(self, live: dict[EntryId, float]) -> None:
        """Start over with these entries and moments, so that the departed take no room."""
        self._due = [(expires_at_s, entry_id) for entry_id, expires_at_s in live.items()]
        heapq.heapify(self._due)
