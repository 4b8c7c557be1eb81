"""What there was to choose from, kept beside the lines."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from fakes_ledger import a_line

from router.ledger.entry import entry_of
from router.ledger.routing import choice_row, read_p, trim_choices
from router.ledger.schema import SCHEMA
from router.ledger.types import Choice

CHOICE = Choice(models=("large", "small"), p=(0.91, None), chosen="large")


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as opened:
        for step in SCHEMA.migrations:
            step(opened)
        yield opened


def test_probabilities_are_kept_in_two_bytes_a_model(connection: sqlite3.Connection) -> None:
    """To a ten-thousandth, which no decision turns on; names stand in the file once."""
    for n in range(3):
        entry_of(a_line(n, choice=CHOICE)).write(connection)

    rows = connection.execute(
        "SELECT models, p FROM choices JOIN pools ON pools.id = pool"
    ).fetchall()
    assert [len(p) for _, p in rows] == [4, 4, 4]
    ((model, p),) = read_p(*rows[0])
    assert model == "large"
    assert p == pytest.approx(0.91, abs=1e-4)
    assert connection.execute("SELECT count(*) FROM pools").fetchone() == (1,)


def test_the_oldest_choices_give_way(connection: sqlite3.Connection) -> None:
    """Their lines stay."""
    for n in range(10):
        entry_of(a_line(n, choice=CHOICE)).write(connection)

    trim_choices(connection, most=4)

    kept = connection.execute("SELECT line FROM choices ORDER BY line").fetchall()
    assert kept == [(7,), (8,), (9,), (10,)]
    assert connection.execute("SELECT count(*) FROM lines").fetchone() == (10,)


def test_a_pool_beyond_the_bound_is_not_kept() -> None:
    """Nor a choice of a model that was not there."""
    many = tuple(f"model-{n}" for n in range(300))

    assert choice_row(Choice(models=many, p=(0.5,) * 300, chosen="model-1")) is None
    assert choice_row(Choice(models=("a",), p=(0.5,), chosen="b")) is None
    assert choice_row(None) is None
