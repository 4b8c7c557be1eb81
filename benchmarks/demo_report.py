"""What came of the demo's requests: judged by the labels, and laid out in tables. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.box import SIMPLE
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from benchmarks.demo_traffic import Row, Traffic
from benchmarks.metrics import clopper_pearson_upper, share
from benchmarks.replay import Verdict, verdict
from router.commands.report import as_object, render
from router.ledger.types import SavingsReport

_HITS = {
    "exact": "exact hits",
    "near": "near-duplicate hits",
    "shared": "shared calls in flight",
}
SCRIPTED = (
    "No model was called: the provider is scripted. Answers are made up, tokens counted as one per "
    "four bytes; prices are the real ones, so shares mean more than sums."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request and what came back.

    Attributes:
        row: position in the traffic's rows.
        outcome: exact, near, shared, miss or bypass; empty when it failed.
        entry_id: the entry served, or made; may be empty.
        similarity: of a hit.
        p_right: of a hit.
        ms: as the client saw it.
        error: what the client was told when it failed; empty otherwise.
    """

    row: int
    outcome: str = ""
    entry_id: str = ""
    similarity: float | None = None
    p_right: float | None = None
    ms: float = 0.0
    error: str = ""


@dataclass(frozen=True, slots=True)
class WrongHit:
    """A hit that the labels call wrong: what was asked, and for which row the answer was made.

    Attributes:
        asked: the request; the surest of those with the same two rows.
        stored: the row.
        n: how often these two rows came together.
    """

    asked: Asked
    stored: int
    n: int


@dataclass(frozen=True, slots=True)
class Judged:
    """Hits by outcome and verdict; the wrong near-duplicates, each pair once, surest first."""

    counts: Counter[tuple[str, Verdict]]
    wrong: Sequence[WrongHit]


def judge(rows: Sequence[Row], asked: Sequence[Asked]) -> Judged:
    """Judge every hit by the row that its entry was made for."""
    makers = {one.entry_id: one.row for one in asked if one.outcome == "miss" and one.entry_id}
    counts: Counter[tuple[str, Verdict]] = Counter()
    wrong: dict[tuple[int, int], list[Asked]] = {}
    for one in asked:
        if one.outcome not in _HITS:
            continue
        stored = makers.get(one.entry_id)
        found = Verdict.UNJUDGED if stored is None else row_verdict(rows[one.row], rows[stored])
        counts[one.outcome, found] += 1
        if found is Verdict.WRONG and one.outcome == "near" and stored is not None:
            wrong.setdefault((one.row, stored), []).append(one)
    hits = [
        WrongHit(max(ones, key=_sureness), stored, len(ones)) for (_, stored), ones in wrong.items()
    ]
    return Judged(counts, sorted(hits, key=lambda hit: -_sureness(hit.asked)))


def _sureness(asked: Asked) -> float:
    return asked.p_right or 0.0


def row_verdict(asked: Row, stored: Row) -> Verdict:
    """Return whether the stored row's answer serves the asked one, by labels and users."""
    if asked.labels is None or stored.labels is None:
        return Verdict.UNJUDGED
    is_personal = "personal" in (asked.kind, stored.kind)
    if is_personal and asked.user != stored.user:
        return Verdict.WRONG
    return verdict(asked.labels, stored.labels)


def figures(
    traffic: Traffic, asked: Sequence[Asked], savings: SavingsReport, wall_s: float
) -> dict[str, Any]:
    """Return the result as it stands in ``--json``; holds no text of the traffic."""
    judged = judge(traffic.rows, asked)
    near = {found: judged.counts["near", found] for found in Verdict}
    n_judged = near[Verdict.RIGHT] + near[Verdict.WRONG]
    ms = [one.ms for one in asked if not one.error]
    return {
        "requests": len(asked),
        "rows": len(traffic.rows),
        "rows_skipped": traffic.n_skipped,
        "distinct_prompts": traffic.n_distinct,
        "rule": traffic.rule,
        "outcomes": dict(Counter(one.outcome or "failed" for one in asked).most_common()),
        "near": {
            **{found.value: n for found, n in near.items()},
            "error_rate": share(near[Verdict.WRONG], n_judged),
            "error_rate_upper95": clopper_pearson_upper(near[Verdict.WRONG], n_judged),
        },
        "exact_wrong": judged.counts["exact", Verdict.WRONG],
        "shared_wrong": judged.counts["shared", Verdict.WRONG],
        "wrong_rows": [[hit.asked.row, hit.stored, hit.n] for hit in judged.wrong[:200]],
        "savings": as_object(savings),
        "wall_s": wall_s,
        "requests_per_s": len(asked) / wall_s,
        "latency_ms": percentiles(ms),
        "errors": dict(Counter(one.error for one in asked if one.error).most_common(20)),
        "provider": SCRIPTED,
    }


def percentiles(ms: Sequence[float], ranks: Iterable[int] = (50, 99)) -> dict[str, float | None]:
    """Return percentiles by their names, None without any value."""
    return {f"p{rank}": float(np.percentile(ms, rank)) if ms else None for rank in ranks}


def tables(
    traffic: Traffic,
    asked: Sequence[Asked],
    savings: SavingsReport,
    result: dict[str, Any],
    complaints: Sequence[str],
) -> RenderableType:
    """Return the demo's end: hits and how right they were, savings, speed, what went wrong."""
    ms = result["latency_ms"]
    speed = (
        f"{len(asked):,} requests ({traffic.n_distinct:,} distinct prompts) in "
        f"{result['wall_s']:.1f} s: {result['requests_per_s']:.0f} per second, "
        f"{ms['p50']:.1f} ms p50, {ms['p99']:.1f} ms p99 as the client saw it"
        if ms["p50"] is not None
        else f"{len(asked):,} requests, none was answered"
    )
    parts: list[RenderableType] = [
        render(savings),
        Text(f"* traffic: {traffic.rule}", style="dim"),
        Text(f"* {SCRIPTED}", style="dim"),
        *([hits_table(judge(traffic.rows, asked))] if traffic.is_labelled else ()),
        Text(speed, style="bold"),
    ]
    parts += [Text(f"notice: {words}", style="yellow") for words in complaints[:20]]
    parts += [
        Text(f"error ({n} requests): {words}", style="red")
        for words, n in list(result["errors"].items())[:5]
    ]
    return Group(*parts)


def hits_table(judged: Judged) -> Table:
    """Return how many hits the labels call right and wrong."""
    table = Table(
        title="Hits by the traffic's labels",
        title_justify="left",
        title_style="bold",
        box=SIMPLE,
        pad_edge=False,
    )
    table.add_column("", overflow="fold")
    for name in ("hits", *(found.value for found in Verdict)):
        table.add_column(name, justify="right", no_wrap=True)
    for outcome, words in _HITS.items():
        counts = [judged.counts[outcome, found] for found in Verdict]
        table.add_row(words, *(f"{n:,}" for n in (sum(counts), *counts)))
    return table
