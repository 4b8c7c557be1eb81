"""Why a text that was asked before was not found: which part of its request had changed.

A timestamp in a system prompt, or tools in a random order, makes every request a partition of its
own and the cache useless. Whoever pays should be told, and by name.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable

from cache.normalize import canonical
from cache.types import PartitionKey
from router.metrics import Bounded
from router.reuse import Reuse

_MAX_TEXTS = 20_000
_Seen = tuple[PartitionKey, tuple[int, ...]]  # with a digest per field, and no text


class Churn:
    """Remembers under which fields a text was last asked, and counts what changed since.

    Args:
        on_churn: told namespace and field of every miss that another partition would have answered.
    """

    def __init__(self, on_churn: Callable[[str, str], None]) -> None:
        self._on_churn = on_churn
        self._last: OrderedDict[int, _Seen] = OrderedDict()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._label = Bounded()

    def note(self, namespace: str, reuse: Reuse) -> None:
        """Take a miss; of its texts only digests are kept."""
        divided = reuse.split
        if not divided.text:
            return
        key = hash((namespace, canonical(divided.text)))
        before = self._last.pop(key, None)
        self._last[key] = divided.partition, tuple(digest for _, digest in divided.fields)
        if len(self._last) > _MAX_TEXTS:
            self._last.popitem(last=False)
        if before is None or before[0] == divided.partition:
            return
        label = self._label(namespace)
        for was, (name, now) in zip(before[1], divided.fields, strict=True):
            if was != now:
                self._counts[label, name] += 1
                self._on_churn(label, name)

    def counts(self) -> list[tuple[str, str, int]]:
        """Return namespace, field and number of misses since the start, most first."""
        return [(namespace, name, n) for (namespace, name), n in self._counts.most_common()]
