"""What became known of single answers of models, for ``router.learned``; no texts."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from classifier.local import Origin

MAX_VERDICTS = 20_000
"""Kept, the latest: about 1 KB each."""

KEEP_S = 90 * 24 * 3_600

TABLE = """
CREATE TABLE verdicts (                    -- answers of models, and what they were worth
    id INTEGER PRIMARY KEY,
    line_id BLOB NOT NULL,                 -- the request
    namespace TEXT NOT NULL, model TEXT NOT NULL, at_s REAL NOT NULL,
    origin TEXT NOT NULL,                  -- traffic: drawn at random; told: by a caller
    scorer TEXT NOT NULL,                  -- what gave the scores
    worth REAL NOT NULL, propensity REAL,  -- of being drawn; NULL: nobody drew
    scores BLOB NOT NULL, vector BLOB NOT NULL     -- two bytes a number
)
"""

CAME_S = "coalesce((SELECT at_ms / 1e3 FROM lines WHERE lines.line_id = {line_id}), {at_s})"
"""When the request of a label came, in seconds: its vector is as old."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A label of one answer.

    Attributes:
        line_id: of the request.
        model: whose answer.
        at_s: seconds since the epoch.
        worth: see ``classifier.local.LocalLabel``.
        propensity: how probable this label was to be drawn, in (0, 1]; None: a caller spoke.
        scores: of the prompt.
        vector: of the prompt, shape (dim,).
    """

    line_id: str
    namespace: str
    model: str
    at_s: float
    origin: Origin
    worth: float
    propensity: float | None
    scores: tuple[float, ...]
    vector: npt.NDArray[np.float32]


def write_verdict(
    connection: sqlite3.Connection, scorer: str, verdict: Verdict, keep_s: float = KEEP_S
) -> None:
    """Keep a label, for as long after its request as vectors of texts may be."""
    connection.execute(
        "INSERT INTO verdicts (line_id, namespace, model, at_s, origin, scorer, worth, propensity, "
        "scores, vector, until_s) VALUES (?1, ?, ?, ?, ?, ?, ?, ?, ?, "
        f"seal(?, 'verdicts.vector', ?1), {CAME_S.format(line_id='?1', at_s='?4')} + ?)",
        (
            bytes.fromhex(verdict.line_id),
            verdict.namespace,
            verdict.model,
            verdict.at_s,
            verdict.origin.value,
            scorer,
            verdict.worth,
            verdict.propensity,
            np.array(verdict.scores, dtype=np.float16).tobytes(),
            verdict.vector.astype(np.float16).tobytes(),
            min(keep_s, KEEP_S),
        ),
    )


def read_verdicts(connection: sqlite3.Connection, scorer: str) -> list[Verdict]:
    """Return the labels under a scorer, oldest first."""
    rows = connection.execute(
        "SELECT hex(line_id), namespace, model, at_s, origin, worth, propensity, scores, "
        "unseal(vector, 'verdicts.vector', line_id) FROM verdicts WHERE scorer = ? ORDER BY id",
        (scorer,),
    )
    return [
        Verdict(
            line_id=line_id.lower(),
            namespace=namespace,
            model=model,
            at_s=at_s,
            origin=Origin(origin),
            worth=worth,
            propensity=propensity,
            scores=tuple(np.frombuffer(scores, dtype=np.float16).astype(float).tolist()),
            vector=np.frombuffer(vector, dtype=np.float16).astype(np.float32),
        )
        for line_id, namespace, model, at_s, origin, worth, propensity, scores, vector in rows
    ]


def trim_verdicts(connection: sqlite3.Connection, now_s: float, most: int = MAX_VERDICTS) -> None:
    """Forget what is too old or too much; ids only grow."""
    connection.execute(
        "DELETE FROM verdicts WHERE id <= (SELECT max(id) FROM verdicts) - ? OR id IN "
        "(SELECT id FROM verdicts WHERE until_s <= ? LIMIT 500)",
        (most, now_s),
    )
