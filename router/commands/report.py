"""``scrimp report``: what was saved, by what, and what is still being wasted.

``render`` and ``as_object`` are pure; replay and demo show their own reports with them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from cache.embedded.vault import PLAIN, Vault
from router.ledger.errors import LedgerError
from router.ledger.reader import open_to_read
from router.ledger.savings import read_savings
from router.ledger.types import SavingsQuery, SavingsReport, Totals

_NANOS = 1_000_000_000
_TALLIES = (
    "n_by_outcome",
    "n_by_miss_reason",
    "n_by_model",
    "saved_by_cause",
    "miss_cost_by_reason",
)
_CAUSES = {
    "exact": "exact hits",
    "near": "near-duplicate hits",
    "shared": "shared calls",
    "routing": "routing to cheaper models",
    "failed": "failed requests (paid, nothing delivered)",
    "audit": "audits (paid to check hits and routing)",
}


def report(folder: Path, query: SavingsQuery, as_json: bool, vault: Vault = PLAIN) -> int:
    """Print the savings of a data folder; a service may be running on it.

    Args:
        folder: the data folder.
        query: which requests to sum.
        as_json: print one JSON object instead of tables.
        vault: what the folder is encrypted with.

    Returns:
        The exit status: 0, or 1 with a sentence on stderr.
    """
    try:
        with closing(open_to_read(folder, vault)) as connection:
            found = read_savings(connection, query)
    except (LedgerError, ValueError) as error:
        Console(stderr=True, highlight=False, soft_wrap=True).print(
            f"scrimp report: {error}", markup=False
        )
        return 1
    if as_json:
        json.dump(as_object(found), sys.stdout, ensure_ascii=False)
        sys.stdout.write("\n")
    else:
        Console(highlight=False).print(render(found))
    return 0


def as_object(found: SavingsReport) -> dict[str, Any]:
    """Return a report for JSON: amounts in integer nano-dollars, tallies as objects."""
    return {
        "group_by": list(found.group_by),
        "totals": _totals_object(found.totals),
        "groups": [
            {"keys": list(group.keys), "totals": _totals_object(group.totals)}
            for group in found.groups
        ],
        "stages": [asdict(stage) for stage in found.stages],
        "assumptions": list(found.assumptions),
        "assurance": [asdict(one) for one in found.assurance],
        "drift": [asdict(one) for one in found.drift],
    }


def render(found: SavingsReport) -> RenderableType:
    """Return a report as tables, the assumptions it rests on beneath them."""
    totals = found.totals
    if totals.n_requests + totals.n_audits == 0:
        return Text("No requests were recorded for this question.")
    money = Money.exact_for(found)
    parts = [
        totals_table(totals, money),
        causes_table(totals, money),
        outcomes_table(totals),
        misses_table(totals, money),
        models_table(totals),
        waste_table(totals, money),
        shadow_table(totals, money),
        groups_table(found, money),
        assurance_table(found),
        drift_table(found),
        stages_table(found),
        _assumptions(found),
    ]
    return Group(*(part for part in parts if part is not None))


class Money:
    """Writes nano-dollars exactly, all with the same number of decimals."""

    def __init__(self, n_decimals: int = 9) -> None:
        self.n_decimals = n_decimals

    @classmethod
    def exact_for(cls, found: SavingsReport) -> Money:
        """Return the one with the fewest decimals (at least 2) that rounds no amount away."""
        amounts = list(_amounts(found))
        n_decimals = 9
        while n_decimals > 2 and all(amount % 10 ** (10 - n_decimals) == 0 for amount in amounts):
            n_decimals -= 1
        return cls(n_decimals)

    def __call__(self, nanos: int) -> str:
        """Return, for example, ``-$1,234.50``; decimals beyond ``n_decimals`` must be 0."""
        dollars, rest = divmod(abs(nanos), _NANOS)
        sign = "-" if nanos < 0 else ""
        return f"{sign}${dollars:,}.{rest:09}"[
            : None if self.n_decimals == 9 else self.n_decimals - 9
        ]


def totals_table(totals: Totals, money: Money) -> Table:
    """Return requests, cost, baseline and saved; the identity, and what stands outside it."""
    table = _table("Savings", "", "requests", "USD")
    table.add_row(
        "baseline: its model for all, no cache",
        f"{totals.n_priced:,}",
        money(totals.baseline_nanos),
    )
    table.add_row("cost", "", money(totals.cost_nanos))
    share = totals.savings
    table.add_row(
        "saved" if share is None else f"saved ({share:.1%} of baseline)",
        "",
        Text(
            money(totals.saved_nanos), style="bold green" if totals.saved_nanos >= 0 else "bold red"
        ),
    )
    outside = (
        ("price unknown", totals.n_unpriced),
        ("usage unknown", totals.n_usage_unknown),
        ("tickets still out", totals.n_open),
    )
    for name, n in outside:
        if n:
            table.add_row(f"outside these sums: {name}", f"{n:,}", "unknown")
    if totals.unpriced_cost_nanos:
        table.add_row(
            "outside these sums: known to be spent", "", money(totals.unpriced_cost_nanos)
        )
    table.add_row("all requests", f"{totals.n_requests:,}", "")
    if totals.n_audits:
        table.add_row("beside them, audits of hits", f"{totals.n_audits:,}", "")
    table.add_row(
        "tokens billed (in / out)", "", f"{totals.input_tokens:,} / {totals.output_tokens:,}"
    )
    return table


def outcomes_table(totals: Totals) -> Table:
    """Return how requests ended."""
    return _counts_table("Requests", "outcome", totals.n_by_outcome)


def causes_table(totals: Totals, money: Money) -> Table | None:
    """Return what saved how much; the rows add up to saved."""
    if not totals.saved_by_cause:
        return None
    table = _table("Saved by", "cause", "USD")
    for cause, saved in totals.saved_by_cause:
        table.add_row(_CAUSES.get(cause, cause), money(saved))
    return table


def misses_table(totals: Totals, money: Money) -> Table | None:
    """Return why models were called although there is a cache, and what that cost."""
    if not totals.n_by_miss_reason:
        return None
    table = _table("Misses", "reason", "requests", "share", "cost, USD")
    n_misses = sum(n for _, n in totals.n_by_miss_reason)
    costs = dict(totals.miss_cost_by_reason)
    for reason, n in totals.n_by_miss_reason:
        cost = money(costs[reason]) if reason in costs else "unknown"
        table.add_row(reason or "(none given)", f"{n:,}", f"{n / n_misses:.1%}", cost)
    return table


def models_table(totals: Totals) -> Table | None:
    """Return which models answered."""
    if not totals.n_by_model:
        return None
    return _counts_table("Models", "model", totals.n_by_model)


def waste_table(totals: Totals, money: Money) -> Table | None:
    """Return what is still being paid for nothing, or paid without anyone knowing how much."""
    failed = -dict(totals.saved_by_cause).get("failed", 0)
    rows = (
        ("attempts that gave no answer", totals.n_failed_attempts, money(totals.failed_cost_nanos)),
        ("requests that failed", dict(totals.n_by_outcome).get("failed", 0), money(failed)),
        ("calls whose usage nobody told", totals.n_usage_unknown, "unknown"),
        ("calls of models without a price", totals.n_unpriced, "unknown"),
    )
    if not any(n for _, n, _ in rows):
        return None
    table = _table("Still wasted, or unseen", "", "count", "cost, USD")
    for name, n, cost in rows:
        if n:
            table.add_row(name, f"{n:,}", cost)
    return table


def shadow_table(totals: Totals, money: Money) -> Table | None:
    """Return what shadow mode would have done; it is in no other sum."""
    if not (totals.n_shadow_hits or totals.shadow_saved_nanos or totals.n_shadow_unknown):
        return None
    table = _table("Mode shadow: would have", "", "requests", "USD")
    table.add_row("served from the cache", f"{totals.n_shadow_hits:,}", "")
    table.add_row("saved, routing included", "", money(totals.shadow_saved_nanos))
    if totals.n_shadow_unknown:
        table.add_row("nobody can say", f"{totals.n_shadow_unknown:,}", "unknown")
    return table


def groups_table(found: SavingsReport, money: Money) -> Table | None:
    """Return the groups, most requests first; they add up to the totals."""
    if not found.groups:
        return None
    names = (*found.group_by, "requests", "cost, USD", "baseline, USD", "saved, USD")
    table = _table(f"By {' and '.join(found.group_by)}", *names, n_left=len(found.group_by))
    for group in found.groups:
        totals = group.totals
        table.add_row(
            *(key or "(none)" for key in group.keys),
            f"{totals.n_requests:,}",
            money(totals.cost_nanos),
            money(totals.baseline_nanos),
            money(totals.saved_nanos),
        )
    return table


def assurance_table(found: SavingsReport) -> Table | None:
    """Return how sure the near-duplicates of each namespace are."""
    if not found.assurance:
        return None
    names = ("namespace", "state", "barred, drift", "target", "wrong, by audits", "from", "missing")
    table = _table("Near-duplicates: how often they are wrong", *names, n_left=3)
    for one in found.assurance:
        rate, missing, notes = one.error_rate, one.labels_still_needed, list(one.barred)
        if one.drift is not None:
            notes.append(f"drift: {one.drift.before:.1%} right, now {one.drift.recent:.1%}")
        table.add_row(
            Text(one.namespace or "(none)"),
            one.state.value,
            Text("\n".join(notes)),
            f"{one.target:.2%}",
            "not measured"
            if rate is None
            else f"{rate.value:.2%} ({rate.low:.2%} to {rate.high:.2%} of {rate.n:,})",
            "exact only" if one.min_p_right is None else f"P {one.min_p_right:.6g}",
            "never" if missing is None else f"{missing:,} audits",
        )
    return table


def drift_table(found: SavingsReport) -> Table | None:
    """Return how the traffic of calibrated namespaces stands to their calibration."""
    if not found.drift:
        return None
    names = ("namespace", "model", "share", "calibrated", "fell short", "at most, calibrated")
    table = _table("Routing: as calibrated?", *names, n_left=2)
    for one in found.drift:
        for of in one.models:
            table.add_row(
                Text(one.namespace or "(none)"),
                Text(of.model),
                *map(_percent, (of.share, of.calibrated_share, of.short, of.calibrated_short)),
            )
        state = Text(f"drifted: {one.alarm}", style="bold red") if one.alarm else Text("no drift")
        table.add_row("", state, f"of {one.n_requests:,}", "", "", "")
    return table


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"


def stages_table(found: SavingsReport) -> Table | None:
    """Return milliseconds per stage."""
    if not found.stages:
        return None
    table = _table("Milliseconds per stage", "stage", "requests", "p50", "p99")
    for stage in found.stages:
        table.add_row(stage.stage, f"{stage.n:,}", f"{stage.p50_ms:,.2f}", f"{stage.p99_ms:,.2f}")
    return table


def _assumptions(found: SavingsReport) -> Text:
    return Text("\n".join(f"* {words}" for words in found.assumptions), style="dim")


def _table(title: str, *columns: str, n_left: int = 1) -> Table:
    """Return an empty table: ``n_left`` columns of words, the others of numbers."""
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE, pad_edge=False)
    for n, name in enumerate(columns):
        if n < n_left:
            table.add_column(name, overflow="fold")
        else:
            table.add_column(name, justify="right", no_wrap=True)
    return table


def _counts_table(title: str, name: str, counts: Iterable[tuple[str, int]]) -> Table:
    counts = list(counts)
    n_all = sum(n for _, n in counts)
    table = _table(title, name, "requests", "share")
    for label, n in counts:
        table.add_row(label, f"{n:,}", f"{n / n_all:.1%}")
    return table


def _totals_object(totals: Totals) -> dict[str, Any]:
    values = asdict(totals)
    for name in _TALLIES:
        values[name] = dict(values[name])
    values["savings"] = totals.savings
    return values


def _amounts(found: SavingsReport) -> Iterable[int]:
    for totals in (found.totals, *(group.totals for group in found.groups)):
        yield from (totals.cost_nanos, totals.baseline_nanos, totals.saved_nanos)
        yield from (totals.unpriced_cost_nanos, totals.failed_cost_nanos, totals.shadow_saved_nanos)
        yield from (amount for _, amount in totals.saved_by_cause)
        yield from (amount for _, amount in totals.miss_cost_by_reason)
