"""``scrimp what-if``: past requests at other prices, on other models, by another quality target."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from typing import Any

from rich.box import SIMPLE
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from cache.embedded.vault import vault_of
from router.commands.report import Money
from router.ledger.errors import LedgerError
from router.ledger.reader import open_to_read
from router.ledger.what_if import ASSUMPTIONS, ON_TARGETS, Answer, Both, WhatIf, read_what_if
from router.settings import Settings


def what_if(settings: Settings, asked: WhatIf, as_json: bool) -> int:
    """Print what the ledger's requests would have cost; a service may be running on it.

    Args:
        settings: name the data folder, the models and their prices.
        asked: which requests, and what instead.
        as_json: print one JSON object instead of tables.

    Returns:
        The exit status: 0, or 1 with a sentence on stderr.
    """
    try:
        _check(settings, asked)
        vault = vault_of(settings.data_keys.reveal())
        with closing(open_to_read(settings.service.data_folder, vault)) as connection:
            found = read_what_if(connection, settings.prices, asked)
    except (LedgerError, ValueError) as error:
        Console(stderr=True, highlight=False, soft_wrap=True).print(
            f"scrimp what-if: {error}", markup=False
        )
        return 1
    if as_json:
        json.dump(as_object(found, asked.target), sys.stdout)
        sys.stdout.write("\n")
    else:
        Console(highlight=False).print(render(found, asked.target))
    return 0


def instead_of(words: list[str]) -> dict[str, str]:
    """Read ``OLD=NEW`` words.

    Raises:
        ValueError: a word is none.
    """
    found = {}
    for word in words:
        old, mark, new = word.partition("=")
        if not (old and mark and new):
            raise ValueError(f"--instead takes OLD=NEW, two models of the settings, got {word!r}")
        found[old] = new
    return found


def _check(settings: Settings, asked: WhatIf) -> None:
    if asked.target is not None and not 0 < asked.target <= 1:
        raise ValueError(f"--target is a quality target in (0, 1], got {asked.target:g}")
    for name in (*asked.instead.values(), *filter(None, (asked.baseline,))):
        if name not in settings.models:
            known = ", ".join(settings.models)
            raise ValueError(f"there is no model {name[:64]!r} in the settings; there are: {known}")


def as_object(found: Answer, target: float | None = None) -> dict[str, Any]:
    """Return the answer for JSON, amounts in integer nano-dollars."""
    expected = found.adequate
    routed = {
        "target": target,
        "n_routed": expected.n,
        "expected_adequate": {"then": expected.then, "would_be": expected.would_be},
    }
    return (routed if target is not None else {}) | {
        "n_requests": found.cost.n,
        "cost_nanos": _pair(found.cost),
        "baseline_nanos": _pair(found.baseline),
        "saved_nanos": {
            "then": found.baseline.then - found.cost.then,
            "would_be": found.baseline.would_be - found.cost.would_be,
        },
        "calls": [
            {"model": model, "instead": instead, "n": both.n, "cost_nanos": _pair(both)}
            for (model, instead), both in sorted(found.by_model.items())
        ],
        "n_incomparable": found.n_incomparable,
        "unpriced": sorted(found.unpriced),
        "assumptions": [*ASSUMPTIONS, *(ON_TARGETS if target is not None else ())],
    }


def _pair(both: Both) -> dict[str, int]:
    return {"then": both.then, "would_be": both.would_be}


def render(found: Answer, target: float | None = None) -> RenderableType:
    """Return the answer as tables, the assumptions beneath them."""
    if not found.cost.n + found.n_incomparable:
        return Text("No requests were recorded for this question.")
    money = Money()
    sums = Table(
        "", "requests", "then, USD", "would be, USD", "change", box=SIMPLE, title="What if"
    )
    saved = Both(
        found.cost.n,
        found.baseline.then - found.cost.then,
        found.baseline.would_be - found.cost.would_be,
    )
    for name, both in (("baseline", found.baseline), ("cost", found.cost), ("saved", saved)):
        sums.add_row(name, f"{both.n:,}", money(both.then), money(both.would_be), _change(both))
    if found.n_incomparable:
        sums.add_row("not compared", f"{found.n_incomparable:,}", "unknown", "unknown", "")
    calls = Table("model", "instead", "calls", "then, USD", "would be, USD", "change", box=SIMPLE)
    for (model, instead), both in sorted(found.by_model.items()):
        other = "" if instead == model else instead
        calls.add_row(
            Text(model), Text(other), f"{both.n:,}", money(both.then), money(both.would_be),
            _change(both),
        )  # fmt: skip
    notes = [f"- {one}" for one in (*ASSUMPTIONS, *(ON_TARGETS if target is not None else ()))]
    if target is not None:
        notes.insert(0, _quality(found, target))
    if found.unpriced:
        notes.append(f"- No price is known of: {', '.join(sorted(found.unpriced))}.")
    return Group(sums, calls, Text("\n".join(notes), style="dim"))


def _quality(found: Answer, target: float) -> str:
    expected = found.adequate
    if not expected.n:
        return f"No request can be routed anew by a quality target of {target:g}."
    return (
        f"At a quality target of {target:g}, of {expected.n:,} requests that it routes, "
        f"P(adequate) expects {expected.would_be / expected.n:.1%} to be adequate; then "
        f"{expected.then / expected.n:.1%}."
    )


def _change(both: Both) -> str:
    return "" if both.then == 0 else f"{both.would_be / both.then - 1:+.1%}"
