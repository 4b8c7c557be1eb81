"""Past lines priced anew: the same calls and tokens, at other prices, models or quality targets."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple

from router.ledger.routing import read_p
from router.ledger.types import Outcome
from router.prices import PriceList

ASSUMPTIONS = (
    "The same requests, hits and calls, with the same tokens: another model might have said more "
    "or less, and would have counted tokens its own way.",
    "Input that came from a provider's prompt cache is charged as cached at the other model too.",
    "Only requests of which all four amounts are known are compared; the others are counted apart.",
)

ON_TARGETS = (
    "Routed anew are requests that nothing but their namespace's rules and scores had decided, and "
    "that took one call; those of mode shadow as if it had been on. All others stay as they were.",
    "P(adequate) as it was when they came; stored answers that a higher target would not have "
    "served count as served.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """What is asked.

    Attributes:
        since_ms: milliseconds since the epoch, None: from the first line on.
        namespace: of this one only; empty: of all.
        instead: model to the model that would have been called for it.
        baseline: measured against this model; empty: against each line's own.
        target: the quality target that requests would have been routed by, in (0, 1]; None: they
            stay with their models.
    """

    since_ms: int | None = None
    namespace: str = ""
    instead: Mapping[str, str] = field(default_factory=dict)
    baseline: str = ""
    target: float | None = None


@dataclass(slots=True)
class Expected:
    """How many answers P(adequate) expects to be adequate, of requests routed anew.

    Attributes:
        n: requests.
        then: of the models that were called.
        would_be: of those that would have been.
    """

    n: int = 0
    then: float = 0.0
    would_be: float = 0.0


@dataclass(slots=True)
class Both:
    """Two amounts in nano-dollars and on how much they rest.

    Attributes:
        n: calls, or requests.
        then: what the ledger says.
        would_be: what it would have been.
    """

    n: int = 0
    then: int = 0
    would_be: int = 0

    def add(self, then: int, would_be: int) -> None:
        """Count one more."""
        self.n += 1
        self.then += then
        self.would_be += would_be


@dataclass(slots=True, kw_only=True)
class Answer:
    """What it would have come to.

    Attributes:
        cost: of all comparable requests.
        baseline: of the same.
        by_model: cost of single calls by (model called, model instead), comparable ones only.
        n_incomparable: requests of which an amount is unknown, then or now.
        unpriced: models that would have been called and have no known price.
        adequate: where a target was asked for.
    """

    cost: Both = field(default_factory=Both)
    baseline: Both = field(default_factory=Both)
    by_model: dict[tuple[str, str], Both] = field(default_factory=lambda: defaultdict(Both))
    n_incomparable: int = 0
    unpriced: set[str] = field(default_factory=set)
    adequate: Expected = field(default_factory=Expected)


def read_what_if(connection: sqlite3.Connection, prices: PriceList, asked: WhatIf) -> Answer:
    """Price the lines that the connection sees anew.

    Args:
        connection: to a ledger.
        prices: of the models that would have been called.
        asked: which lines, and what instead.

    Raises:
        sqlite3.Error: as it comes.
    """
    found = Answer()
    sql, values = _query(asked)
    connection.execute("BEGIN")
    try:
        rows = connection.execute(sql, values)
        for head, of_line in groupby(rows, key=lambda row: row[:_N_HEAD]):
            calls = [_Call(*row[_N_HEAD:]) for row in of_line if row[_N_HEAD] is not None]
            _add(found, _Line(*head), calls, prices, asked)
    finally:
        connection.execute("COMMIT")
    return found


class _Line(NamedTuple):
    id: int
    outcome: str
    baseline_model: str
    cost: int | None
    baseline: int | None
    n_input: int | None
    n_output: int | None
    n_read: int | None
    n_write: int | None
    pool: str | None
    p: bytes | None


class _Call(NamedTuple):
    model: str
    n_input: int | None
    n_output: int | None
    n_read: int | None
    n_write: int | None
    cost: int | None


_N_HEAD = len(_Line._fields)
_ROUTED = (Outcome.MISS, Outcome.BYPASS)
_SQL = """
    SELECT lines.id, outcome, baseline_model, lines.cost_nanos, baseline_nanos, lines.input_tokens,
           lines.output_tokens, lines.cache_read_tokens, lines.cache_write_tokens,
           pools.models, choices.p, attempts.model, attempts.input_tokens, attempts.output_tokens,
           attempts.cache_read_tokens, attempts.cache_write_tokens, attempts.cost_nanos
    FROM lines LEFT JOIN attempts ON attempts.line = lines.id
    LEFT JOIN choices ON choices.line = lines.id LEFT JOIN pools ON pools.id = choices.pool
    WHERE state > 0 {more} ORDER BY lines.id, n
"""


def _query(asked: WhatIf) -> tuple[str, list[int | str]]:
    more, values = "", list[int | str]()
    if asked.since_ms is not None:
        more += " AND at_ms >= ?"
        values.append(asked.since_ms)
    if asked.namespace:
        more += " AND namespace = ?"
        values.append(asked.namespace)
    return _SQL.format(more=more), values


def _add(found: Answer, line: _Line, calls: list[_Call], prices: PriceList, asked: WhatIf) -> None:
    p = _p_of(line, calls, prices) if asked.target is not None else {}
    routed = [_routed(call, p, prices, asked.target) for call in calls]
    instead = [asked.instead.get(model, model) for model in routed]
    costs = [_cost(found, prices, model, call) for model, call in zip(instead, calls, strict=True)]
    known = [cost for cost in costs if cost is not None]
    baseline = _baseline(found, prices, asked.baseline or line.baseline_model, line)
    if line.cost is None or line.baseline is None or baseline is None or len(known) < len(costs):
        found.n_incomparable += 1
        return
    found.cost.add(line.cost, sum(known))
    found.baseline.add(line.baseline, baseline)
    if p and calls[0].model in p and instead[0] in p:
        found.adequate.n += 1
        found.adequate.then += p[calls[0].model]
        found.adequate.would_be += p[instead[0]]
    for call, model, cost in zip(calls, instead, known, strict=True):
        found.by_model[call.model, model].add(call.cost or 0, cost)


def _p_of(line: _Line, calls: list[_Call], prices: PriceList) -> dict[str, float]:
    """Return P(adequate) of the models that fitted a line's request, empty: it is not routed anew.

    Models that have left the settings since can be chosen no more.
    """
    if line.pool is None or line.p is None or len(calls) != 1 or line.outcome not in _ROUTED:
        return {}
    found = read_p(line.pool, line.p)
    return {model: p for model, p in found if prices.knows(model) or model == calls[0].model}


def _routed(call: _Call, p: dict[str, float], prices: PriceList, target: float | None) -> str:
    """Return the cheapest adequate model, by the rule of ``router.choose.choice``."""
    if not p or target is None:
        return call.model
    floor = max(p.values()) - (1 - target)
    n_input, n_output = call.n_input or 0, call.n_output or 0
    costs = {model: prices.cost_of(model, n_input, n_output) for model in p if p[model] >= floor}
    return min(costs, key=lambda model: (_dear(costs[model]), model))


def _dear(cost: int | None) -> float:
    return float("inf") if cost is None else cost


def _cost(found: Answer, prices: PriceList, model: str, call: _Call) -> int | None:
    if call.cost == 0 and call.n_input is None:
        return 0  # refused before it began: nothing was billable
    return _price(found, prices, model, call)


def _baseline(found: Answer, prices: PriceList, model: str, line: _Line) -> int | None:
    if line.outcome in (Outcome.FAILED, Outcome.AUDIT):
        return 0  # nothing was delivered
    return _price(found, prices, model, line)


def _price(found: Answer, prices: PriceList, model: str, used: _Line | _Call) -> int | None:
    if used.n_input is None or used.n_output is None:
        return None
    cost = prices.cost_of(model, used.n_input, used.n_output, used.n_read or 0, used.n_write or 0)
    if cost is None:
        found.unpriced.add(model)
    return cost
