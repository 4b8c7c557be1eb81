"""Who was erased lately: what was under way then keeps nothing of them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import Final

_MOST_USERS: Final = 1_000
_MOST_ENTRIES: Final = 10_000


class Forgotten:
    """Users and entries, as long as a check or a comparison of theirs may be under way; bounded.

    Args:
        now_s: seconds since the epoch.
    """

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._users: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._entries: set[int] = set()

    def forget(self, user: str, namespace: str, entries: Collection[int]) -> None:
        """Note an erasure: of a user's requests so far, and of entries.

        Args:
            user: whose.
            namespace: only there; empty: everywhere.
            entries: their ids, which are never given again.
        """
        self._users[user, namespace] = int(self._now_s() * 1e3)
        while len(self._users) > _MOST_USERS:
            self._users.popitem(last=False)
        if len(self._entries) > _MOST_ENTRIES:
            self._entries.clear()  # what was under way is long over by then
        self._entries.update(entries)

    def holds(self, user: str, namespace: str, at_ms: int, entry_id: int = 0) -> bool:
        """Tell whether a request of this moment, or the entry that served it, was erased."""
        if entry_id in self._entries:
            return True
        erased_ms = max(self._users.get((user, namespace), -1), self._users.get((user, ""), -1))
        return at_ms <= erased_ms
