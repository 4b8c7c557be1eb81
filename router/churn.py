"""Why a text that was asked before was not found: which part of its request had changed.

A timestamp in a system prompt, or tools in a random order, makes every request a partition of its
own and the cache useless. Whoever pays should be told, and by name.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable

from cache.normalize import canonical
from router.partition import Split
from router.reuse import Reuse

_MAX_TEXTS = 20_000
_MAX_NAMESPACES = 200
_OTHERS = "(other)"


class Churn:
    """Remembers under which fields a text was last asked, and counts what changed since.

    Args:
        on_churn: told namespace and field of every miss that another partition would have answered.
    """

    def __init__(self, on_churn: Callable[[str, str], None]) -> None:
        self._on_churn = on_churn
        self._last: OrderedDict[tuple[str, int], Split] = OrderedDict()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._namespaces: set[str] = set()

    def note(self, namespace: str, reuse: Reuse) -> None:
        """Take a miss."""
        divided = reuse.split
        if not divided.text:
            return
        key = (namespace, hash(canonical(divided.text)))
        before = self._last.pop(key, None)
        self._last[key] = divided
        if len(self._last) > _MAX_TEXTS:
            self._last.popitem(last=False)
        if before is None or before.partition == divided.partition:
            return
        label = self._label(namespace)
        for (name, was), (_, now) in zip(before.fields, divided.fields, strict=True):
            if was != now:
                self._counts[label, name] += 1
                self._on_churn(label, name)

    def counts(self) -> list[tuple[str, str, int]]:
        """Return namespace, field and number of misses since the start, most first."""
        return [(namespace, name, n) for (namespace, name), n in self._counts.most_common()]

    def _label(self, namespace: str) -> str:
        if namespace not in self._namespaces:
            if len(self._namespaces) >= _MAX_NAMESPACES:
                return _OTHERS
            self._namespaces.add(namespace)
        return namespace
