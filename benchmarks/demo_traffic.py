"""Traffic for the demo: rows of a file, and the order in which they are asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.datasets import Grouped, read_rows
from benchmarks.errors import UnusableInput

_ZIPF_EXPONENT = 0.6


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A prompt of the traffic.

    Attributes:
        text: the prompt.
        labels: its group, where it has one.
        user: who asks; empty: nobody in particular.
        feature: of the app; may be empty.
        kind: what the file calls it; may be empty.
    """

    text: str
    labels: Grouped | None = None
    user: str = ""
    feature: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What is asked.

    Attributes:
        rows: of the file, in its order.
        order: positions in ``rows``, one per request.
        rule: how the order came about, in words.
        n_skipped: rows without a usable text.
    """

    rows: Sequence[Row]
    order: Sequence[int]
    rule: str
    n_skipped: int = 0

    @property
    def n_distinct(self) -> int:
        """How many different texts are asked."""
        return len({self.rows[position].text for position in self.order})

    @property
    def is_labelled(self) -> bool:
        """Whether hits can be judged."""
        return any(row.labels for row in self.rows)


def read_traffic(path: Path, n_requests: int, seed: int) -> Traffic:
    """Read a file and decide what is asked.

    Args:
        path: rows {text | prompt, group?, different?, user?, feature?, kind?}; others are skipped.
        n_requests: how many requests, at least 1.
        seed: of the shuffle and the draws.

    Raises:
        DatasetError: the file cannot be read.
        UnusableInput: it holds no usable row.
    """
    found = [read_row(row) for row in read_rows(path)]
    rows = [row for row in found if row is not None]
    if not rows:
        raise UnusableInput(
            f"{path} has no row with a 'text' or 'prompt' among its {len(found)}; expected JSON "
            "objects, one per line"
        )
    order, rule = draw(len(rows), n_requests, seed)
    return Traffic(rows=rows, order=order, rule=rule, n_skipped=len(found) - len(rows))


def read_row(row: Mapping[str, Any]) -> Row | None:
    """Return a row, None where it has no text that could be sent."""
    text = row.get("text", row.get("prompt"))
    if not isinstance(text, str) or "\0" in text:
        return None
    try:
        text.encode()
    except UnicodeEncodeError:
        return None
    group, different = row.get("group"), row.get("different")
    labels = None
    if group is not None:
        told_apart = frozenset(map(str, different)) if isinstance(different, list) else None
        labels = Grouped(text=text, group=str(group), different=told_apart)
    return Row(
        text=text,
        labels=labels,
        user=_word(row, "user"),
        feature=_word(row, "feature"),
        kind=_word(row, "kind"),
    )


def draw(n_rows: int, n_requests: int, seed: int) -> tuple[list[int], str]:
    """Return positions to ask, and the rule by which they were chosen.

    With rows enough, each is asked once at most. Otherwise a few are asked often and most rarely,
    as in real traffic: the row at rank r of a shuffle is drawn with a weight of 1 / r^0.6.
    """
    chance = np.random.default_rng(seed)
    shuffled = chance.permutation(n_rows)
    if n_rows >= n_requests:
        rule = f"the first {n_requests:,} of {n_rows:,} rows, shuffled; each once"
        return [int(row) for row in chance.permutation(n_requests)], rule
    weights = np.arange(1, n_rows + 1, dtype=np.float64) ** -_ZIPF_EXPONENT
    ranks = chance.choice(n_rows, size=n_requests, p=weights / weights.sum())
    rule = (
        f"{n_requests:,} draws from {n_rows:,} rows, the row at rank r of a shuffle with a weight "
        f"of 1/r^{_ZIPF_EXPONENT:g}"
    )
    return [int(shuffled[rank]) for rank in ranks], rule


def _word(row: Mapping[str, Any], column: str) -> str:
    value = row.get(column)
    return "" if value is None else str(value)[:200]
