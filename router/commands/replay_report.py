"""What ``scrimp replay`` shows and writes. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from rich.box import SIMPLE
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from router.commands.report import as_object, render
from router.ledger.types import SavingsReport
from router.replay_log import Malformed

MAX_NEAR_HITS = 10_000
_MAX_REASONS = 5
_REASON_CHARS = 300


@dataclass(frozen=True, slots=True)
class NearHit:
    """A near-duplicate hit: the line that asked, and the line whose answer it got (0: unknown)."""

    line: int
    stored_line: int
    similarity: float
    p_right: float
    asked: str
    stored: str


@dataclass(slots=True)
class Replayed:
    """What came of a file.

    Attributes:
        n_rows: that were replayed.
        n_failed: of them, without an answer, by the reason.
        n_malformed: rows that could not be replayed; the first few are kept.
        usage_from: how the tokens of the called rows came to be known.
        near: near-duplicate hits; of very many the least sure.
        n_near: how many there were.
        logged_cost_nanos: what the called and the served rows cost with the models of the log,
            where those are in the settings; over ``n_logged_priced`` rows.
        span_s: first and last time of the log; None where it tells none.
        n_out_of_order: rows whose time is before that of an earlier row.
    """

    n_rows: int = 0
    n_failed: Counter[str] = field(default_factory=Counter)
    n_malformed: int = 0
    malformed: list[Malformed] = field(default_factory=list)
    usage_from: Counter[str] = field(default_factory=Counter)
    near: list[NearHit] = field(default_factory=list)
    n_near: int = 0
    n_logged_priced: int = 0
    logged_cost_nanos: int = 0
    span_s: tuple[float, float] | None = None
    n_out_of_order: int = 0
    notices: list[str] = field(default_factory=list)
    savings: SavingsReport | None = None
    expected_output_tokens: int = 0

    def note_near(self, hit: NearHit) -> None:
        """Keep a near-duplicate hit; of too many the surest are let go."""
        self.near.append(hit)
        self.n_near += 1
        if len(self.near) >= 2 * MAX_NEAR_HITS:
            self.near = least_sure(self.near)


def result(found: Replayed) -> dict[str, Any]:
    """Return what came of a file, for ``--json``; holds no text of it."""
    assert found.savings is not None
    return {
        "rows": found.n_rows,
        "failed": dict(found.n_failed),
        "malformed": found.n_malformed,
        "malformed_first": [{"line": row.line, "reason": row.reason} for row in found.malformed],
        "first_at_s": found.span_s[0] if found.span_s else None,
        "last_at_s": found.span_s[1] if found.span_s else None,
        "out_of_order": found.n_out_of_order,
        "usage_from": dict(found.usage_from),
        "as_logged": {
            "rows_priced": found.n_logged_priced,
            "cost_usd_nanos": found.logged_cost_nanos,
        },
        "savings": as_object(found.savings),
        "near_hits": [
            {
                "line": hit.line,
                "stored_line": hit.stored_line or None,
                "similarity": hit.similarity,
                "p_right": hit.p_right,
            }
            for hit in least_sure(found.near)
        ],
        "notices": found.notices,
        "notes": notes(found),
    }


def tables(found: Replayed, n_shown: int) -> RenderableType:
    """Return the same for the eye, with up to ``n_shown`` near-duplicate hits."""
    assert found.savings is not None
    parts: list[RenderableType] = []
    if n_shown > 0 and found.near:
        parts.append(near_table(found, n_shown))
    parts.append(render(found.savings))
    parts += [Text(f"* {note}", style="dim") for note in notes(found)]
    parts += [Text(f"notice: {words}", style="yellow") for words in found.notices]
    for reason, n in found.n_failed.most_common(_MAX_REASONS):
        parts.append(Text(f"failed ({n:,} rows): {reason}", style="red"))
    parts += [Text(words, style="red") for words in malformed_words(found)]
    return Group(*parts)


def least_sure(near: list[NearHit]) -> list[NearHit]:
    """Return near-duplicate hits, the least sure first: these are the ones to look at."""
    return sorted(near, key=lambda hit: (hit.p_right, hit.similarity))[:MAX_NEAR_HITS]


def near_table(found: Replayed, n_shown: int) -> Table:
    """Return near-duplicate hits for the eye, the least sure first."""
    shown = least_sure(found.near)[:n_shown]
    title = f"Near-duplicate hits: the {len(shown):,} least sure of {found.n_near:,}"
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE)
    table.add_column("", justify="right")
    table.add_column("line", justify="right")
    table.add_column("prompt", overflow="fold", ratio=1)
    table.add_column("similarity", justify="right")
    table.add_column("P(right)", justify="right")
    for hit in shown:
        figures = (f"{hit.similarity:.3f}", f"{hit.p_right:.3f}")
        table.add_row("asked", str(hit.line), Text(_one_line(hit.asked)), *figures)
        table.add_row(
            "stored", str(hit.stored_line or "?"), Text(_one_line(hit.stored)), end_section=True
        )
    return table


def _one_line(text: str) -> str:
    return " ".join(text.split())


def notes(found: Replayed) -> list[str]:
    """Return what the figures take for granted."""
    known = ", ".join(f"{n:,} from {source}" for source, n in found.usage_from.most_common())
    said = [
        "Rows were replayed one after another, every namespace in mode on; no model was called.",
        f"Tokens of called rows are known: {known or 'none was called'}. Texts are counted as one "
        f"token per four bytes, an unknown answer as {found.expected_output_tokens} tokens.",
        "Whichever model is chosen is taken to give the logged answer with the logged tokens.",
    ]
    if found.span_s is None:
        said.append(
            "The log tells no times: rows are taken to have come one right after another, so a "
            "user's repeat within a conversation asks for another answer."
        )
    elif found.n_out_of_order:
        said.append(f"{found.n_out_of_order:,} rows are older than a row before them.")
    if found.n_logged_priced:
        said.append(
            f"With the models of the log, {found.n_logged_priced:,} rows cost "
            f"${found.logged_cost_nanos / 1e9:,.6f}; the others' models or tokens are unknown."
        )
    return said


def malformed_words(found: Replayed) -> Iterator[str]:
    """Yield how many rows could not be replayed, and why the first could not."""
    if found.n_malformed:
        yield f"{found.n_malformed:,} rows could not be replayed; the first:"
    for row in found.malformed:
        yield f"  line {row.line}: {row.reason[:_REASON_CHARS]}"
