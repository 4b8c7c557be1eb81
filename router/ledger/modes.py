"""Modes that were set at run time."""

from __future__ import annotations

import sqlite3

from router.types import Mode


def read_modes(connection: sqlite3.Connection) -> dict[str, Mode]:
    """Return them by namespace."""
    rows = connection.execute("SELECT namespace, mode FROM modes").fetchall()
    return {namespace: Mode(mode) for namespace, mode in rows}


def write_mode(connection: sqlite3.Connection, namespace: str, mode: Mode | None) -> None:
    """Set a namespace's mode; None forgets it."""
    if mode is None:
        connection.execute("DELETE FROM modes WHERE namespace = ?", (namespace,))
        return
    connection.execute(
        "INSERT OR REPLACE INTO modes (namespace, mode) VALUES (?, ?)", (namespace, mode.value)
    )
