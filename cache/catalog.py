"""What is in the cache now: every head in memory, found by id or by partition and text.

Changed by one thread (the event loop); ``head``, ``find`` and ``visit`` may be called by any.
"""

from __future__ import annotations

from hashlib import blake2b

from cache.eviction import ExpiryQueue, Sieve
from cache.types import EntryId, Head, PartitionKey, Selector

_DIGEST_BYTES = 16


class Catalog:
    """Heads of the entries that may be found. What is not in here is not in the cache."""

    def __init__(self) -> None:
        self._heads: dict[EntryId, Head] = {}
        self._keys: dict[EntryId, bytes] = {}
        self._by_key: dict[bytes, Head] = {}
        self._n_in: dict[PartitionKey, int] = {}
        self._sieve = Sieve()
        self._expiry = ExpiryQueue()
        self.n_bytes = 0

    def __len__(self) -> int:
        return len(self._heads)

    def __repr__(self) -> str:
        """Show how much is in it."""
        return f"Catalog({len(self)} entries, {self.n_bytes} bytes, {self.n_partitions} partitions)"

    @property
    def n_partitions(self) -> int:
        """Partitions with at least one entry."""
        return len(self._n_in)

    def head(self, entry_id: EntryId) -> Head | None:
        """Return the head of an entry, None when it is not in the cache."""
        return self._heads.get(entry_id)

    def heads(self) -> list[Head]:
        """Return all heads as they are now, in the order in which they came."""
        return list(self._heads.values())

    def find(self, partition: PartitionKey, text: str) -> Head | None:
        """Return the head of the partition's entry with this canonical text, by its digest."""
        head = self._by_key.get(_key(partition, text))
        return head if head is not None and head.partition == partition else None

    def holds_any(self, partition: PartitionKey) -> bool:
        """Tell whether a partition has an entry."""
        return partition in self._n_in

    def visit(self, entry_id: EntryId) -> None:
        """Note that an entry was served."""
        self._sieve.visit(entry_id)

    def add(self, head: Head, text: str) -> EntryId | None:
        """Add an entry; return the one that gives way to it, which is the lower id of the two."""
        key = _key(head.partition, text)
        present = self._by_key.get(key)
        if present is not None:
            if present.id >= head.id:
                return head.id
            self.remove(present.id)
        self._heads[head.id] = head
        self._keys[head.id] = key
        self._by_key[key] = head
        self._n_in[head.partition] = self._n_in.get(head.partition, 0) + 1
        self.n_bytes += head.n_bytes
        self._sieve.add(head.id)
        self._expiry.add(head.id, head.expires_at_s)
        return None if present is None else present.id

    def end_earlier(self, head: Head) -> None:
        """Put in place of an entry's head one that expires before it; unknown: nothing is done."""
        key = self._keys.get(head.id)
        if key is None:
            return
        self._heads[head.id] = self._by_key[key] = head
        self._expiry.add(head.id, head.expires_at_s)  # the later moment finds nobody

    def remove(self, entry_id: EntryId) -> Head | None:
        """Forget an entry and return its head, None when it was unknown."""
        head = self._heads.pop(entry_id, None)
        if head is None:
            return None
        del self._by_key[self._keys.pop(entry_id)]
        self._sieve.remove(entry_id)
        self.n_bytes -= head.n_bytes
        left = self._n_in[head.partition] - 1
        if left:
            self._n_in[head.partition] = left
        else:
            del self._n_in[head.partition]
        if len(self._expiry) > 2 * len(self._heads) + 1024:
            self._expiry.keep_only({h.id: h.expires_at_s for h in self._heads.values()})
        return head

    def pop_expired(self, now_s: float) -> Head | None:
        """Forget one entry that has expired by ``now_s`` and return its head."""
        while (entry_id := self._expiry.pop(now_s)) is not None:
            head = self.remove(entry_id)
            if head is not None:
                return head
        return None

    def evict(self) -> Head | None:
        """Forget the entry that the policy chooses and return its head, None when it is empty."""
        entry_id = self._sieve.evict()
        return None if entry_id is None else self.remove(entry_id)


def matches(selector: Selector, head: Head, now_s: float) -> bool:
    """Tell whether every condition of ``selector`` holds for ``head``."""
    return (
        (not selector.ids or head.id in selector.ids)
        and selector.namespace in ("", head.namespace)
        and (not selector.tag or selector.tag in head.tags)
        and selector.model in ("", head.model)
        and selector.user in ("", head.user)
        and selector.conversation in ("", head.conversation)
        and (selector.older_than_s is None or now_s - head.created_at_s >= selector.older_than_s)
    )


def _key(partition: PartitionKey, text: str) -> bytes:
    data = text.encode("utf-8", "surrogatepass")
    return blake2b(data, digest_size=_DIGEST_BYTES, key=partition[:64]).digest()
