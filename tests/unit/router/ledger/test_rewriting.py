"""A ledger's tables of texts, written anew while its lines stay where they are."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from fakes_ledger import NOW_MS, a_line, a_ticket, an_open_line

from cache.embedded.resealing import reseal
from cache.embedded.sqlite_schema import Schema, open_database
from cache.embedded.vault import PLAIN, AesVault, Vault
from classifier.local import Origin
from router.ledger.errors import LedgerRefused
from router.ledger.kept import key_bytes
from router.ledger.retention import Retention
from router.ledger.schema import SCHEMA, TEXT_TABLES, ledger_path
from router.ledger.sqlite_ledger import SqliteLedger
from router.ledger.types import KeptOutcome, RequestKey
from router.ledger.verdicts import Verdict
from router.types import Attribution

DAY_S = 86_400.0
SEALED = AesVault([b"k" * 32])
KEY = RequestKey(namespace="shop", caller="app", request_id="r-1")


def open_ledger(folder: Path, vault: Vault = PLAIN, **retention: object) -> SqliteLedger:
    return SqliteLedger.open(
        folder,
        on_failure=lambda error: None,
        vault=vault,
        retention=Retention(**retention),  # type: ignore[arg-type]
    )


def word(n: int) -> str:
    return f"<{random.Random(n).randbytes(12).hex()}>"


def files(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir())


def dump(folder: Path) -> dict[str, list[object]]:
    with closing(sqlite3.connect(ledger_path(folder))) as connection:
        return {
            table: connection.execute(f"SELECT * FROM {table}").fetchall()
            for table in (*TEXT_TABLES, "lines")
        }


async def test_expired_texts_leave_the_file(tmp_path: Path) -> None:
    """Of 800 tickets with random tokens no byte of those that ended is left."""
    ledger = open_ledger(tmp_path, keep_s=lambda _: 30 * DAY_S, rewrite_every_s=DAY_S)
    rng = random.Random(3)
    for n in range(800):
        line = an_open_line(n)
        lives = n % 10 == 0
        ticket = a_ticket(
            line,
            rng.randbytes(16),
            text=word(n) * rng.randint(1, 30),
            expires_at_ms=2**60 if lives else NOW_MS,
        )
        await ledger.open_ticket(ticket, line)
    await ledger.expire_tickets(NOW_MS + 1)  # as all is new the file is rewritten at once
    while await ledger.expire_tickets(NOW_MS + 1):
        pass
    await ledger.expire_tickets(NOW_MS + 2 + int(DAY_S * 1e3))

    data = files(tmp_path)
    await ledger.aclose()
    left = [n for n in range(800) if word(n).encode() in data]
    assert left == list(range(0, 800, 10))


def a_verdict(n: int, **changes: object) -> Verdict:
    values: dict[str, object] = {
        "line_id": a_line(n).line_id,
        "namespace": "shop",
        "model": "small",
        "at_s": NOW_MS / 1e3 + 60,
        "origin": Origin.TOLD,
        "worth": 1.0,
        "propensity": None,
        "scores": (0.5,),
        "vector": np.full(8, 0.25 + n, dtype=np.float32),
    }
    return Verdict(**{**values, **changes})  # type: ignore[arg-type]


def packed(n: int) -> bytes:
    """The bytes of such a verdict's vector, as it is kept where nothing is sealed."""
    return a_verdict(n).vector.astype(np.float16).tobytes()


async def test_vectors_of_judged_answers_end_with_their_prompts(tmp_path: Path) -> None:
    """Counted from the request and not from the word on it; also where the bound is lowered."""
    ledger = open_ledger(tmp_path, keep_s=lambda _: 2 * DAY_S, rewrite_every_s=1.0)
    for n in (1, 2):
        await ledger.record(a_line(n, at_ms=NOW_MS))
        ledger.note_verdict("s", a_verdict(n, namespace=("shop", "lab")[n - 1]))
    bounds = {"shop": DAY_S, "lab": 2 * DAY_S}
    await ledger.aclose()
    ledger = open_ledger(tmp_path, keep_s=lambda of: bounds[of], rewrite_every_s=1.0)

    left = []
    for days in (0.99, 1.0, 2.0):
        await ledger.expire_tickets(NOW_MS + int(days * DAY_S * 1e3))
        await ledger.expire_tickets(NOW_MS + int(days * DAY_S * 1e3) + 1_100)
        known = [one.namespace for one in await ledger.verdicts("s")]
        in_file = [packed(n) in files(tmp_path) for n in (1, 2)]
        left.append((known, in_file))
    await ledger.aclose()

    assert left == [
        (["shop", "lab"], [True, True]),
        (["lab"], [False, True]),
        ([], [False, False]),
    ]


async def test_vectors_of_judged_answers_are_sealed_and_erased(tmp_path: Path) -> None:
    """They can be read again with the key only, and go with the user whose prompts they are of."""
    ledger = open_ledger(tmp_path, SEALED)
    await ledger.record(a_line(1))
    await ledger.record(a_line(2, attribution=Attribution(user="ben")))
    for n in (1, 2):
        ledger.note_verdict("s", a_verdict(n))
    before = [one.vector.tolist() for one in await ledger.verdicts("s")]
    in_file = [packed(n) in files(tmp_path) for n in (1, 2)]

    dry = await ledger.erase_user("ann", "", is_dry=True)
    erased = await ledger.erase_user("ann", "")

    assert before == [a_verdict(n).vector.tolist() for n in (1, 2)]
    assert in_file == [False, False]
    assert dry == erased
    assert erased.n_verdicts == 1
    assert [one.line_id for one in await ledger.verdicts("s")] == [a_line(2).line_id]
    await ledger.aclose()


async def test_a_bound_that_is_lowered_while_it_is_open_holds_for_what_is_there(
    tmp_path: Path,
) -> None:
    """In the file, at hand for retries, and for a ticket whose request came before the bound."""
    ledger = open_ledger(tmp_path)
    kept = KeptOutcome(body_digest=b"b" * 32, response=word(1).encode(), expires_at_ms=2**60)
    await ledger.record(a_line(1, request_id="r-1"), key=KEY, kept=kept)
    before = await ledger.kept(KEY, NOW_MS + 1)

    ledger.keep(Retention(keep_s=lambda _: DAY_S, rewrite_every_s=1.0))
    line = an_open_line(2)
    await ledger.open_ticket(a_ticket(line, b"1" * 16, text=word(2), expires_at_ms=2**60), line)
    await ledger.expire_tickets(NOW_MS)
    late = an_open_line(3)
    await ledger.open_ticket(a_ticket(late, b"2" * 16, text=word(3), expires_at_ms=2**60), late)
    end_ms = max(NOW_MS, late.at_ms) + int(DAY_S * 1e3)
    until = await ledger.kept(KEY, NOW_MS + 1)
    after = await ledger.kept(KEY, end_ms)
    n_expired = await ledger.expire_tickets(end_ms)
    await ledger.expire_tickets(end_ms + 2_000)

    data = files(tmp_path)
    await ledger.aclose()
    assert (before, after, n_expired) == (kept, None, 2)
    assert until is not None
    assert until.expires_at_ms <= end_ms
    assert [word(n).encode() in data for n in (1, 2, 3)] == [False, False, False]
    with closing(sqlite3.connect(ledger_path(tmp_path))) as connection:
        (rewritten_at_s,) = connection.execute("SELECT rewritten_at_s FROM upkeep").fetchone()
    assert rewritten_at_s == end_ms / 1e3 + 2


async def test_rewriting_changes_no_row(tmp_path: Path) -> None:
    """Every table of texts and the lines are the same, row by row."""
    ledger = open_ledger(tmp_path)
    kept = KeptOutcome(body_digest=b"b" * 32, response=b"answer", expires_at_ms=2**60)
    await ledger.record(a_line(1, request_id="r-1"), key=KEY, kept=kept)
    line = an_open_line(2)
    await ledger.open_ticket(a_ticket(line), line)
    await ledger.aclose()
    before = dump(tmp_path)

    ledger = open_ledger(tmp_path, keep_s=lambda _: 2e15, rewrite_every_s=1.0)
    await ledger.expire_tickets(NOW_MS)
    await ledger.aclose()

    assert dump(tmp_path) == before
    assert before["kept"]
    assert before["tickets"]


@pytest.mark.parametrize(("was", "then"), [(PLAIN, SEALED), (SEALED, PLAIN)])
async def test_a_ledger_changes_its_seal(tmp_path: Path, was: Vault, then: Vault) -> None:
    """All opens afterwards under the other one only."""
    ledger = open_ledger(tmp_path, was)
    kept = KeptOutcome(body_digest=b"b" * 32, response=b"the answer", expires_at_ms=2**60)
    await ledger.record(a_line(1, request_id="r-1"), key=KEY, kept=kept)
    line = an_open_line(2)
    await ledger.open_ticket(a_ticket(line, text="the prompt"), line)
    ledger.note_verdict("s", a_verdict(1))
    await ledger.aclose()

    reseal(ledger_path(tmp_path), SCHEMA, SEALED, target=then)

    with pytest.raises(LedgerRefused):
        open_ledger(tmp_path, was)
    ledger = open_ledger(tmp_path, then)
    found = await ledger.kept(KEY, NOW_MS)
    assert found is not None
    assert found.response == b"the answer"
    async with ledger.redeem(bytes(range(16)), namespace="shop", caller="app", now_ms=NOW_MS) as r:
        assert r.ticket.text == "the prompt"
    (verdict,) = await ledger.verdicts("s")
    assert verdict.vector.tolist() == a_verdict(1).vector.tolist()
    await ledger.aclose()
    data = files(tmp_path)
    for shown in (b"the answer", b"the prompt", packed(1)):
        assert (shown in data) == (then is PLAIN)


def _key_of(request_id: str) -> bytes:
    return key_bytes(RequestKey(namespace="shop", caller="app", request_id=request_id))


async def test_a_ledger_from_before_knows_whose_its_outcomes_are(tmp_path: Path) -> None:
    """Schema 5 kept outcomes without a line; their key tells, and they go with their user."""
    old = Schema(
        name=SCHEMA.name,
        application_id=SCHEMA.application_id,
        migrations=SCHEMA.migrations[:5],
    )
    with closing(open_database(ledger_path(tmp_path), old)) as connection:
        for n, (user, request_id) in enumerate((("ann", "r-1"), ("ben", "r-2"))):
            connection.execute(
                "INSERT INTO kept (key, body_digest, response, expires_at_ms) "
                "VALUES (?, x'', ?, ?)",
                (_key_of(request_id), user.encode(), 2**60),
            )
            connection.execute(
                "INSERT INTO lines VALUES (NULL, ?, ?, 'shop', 'app', ?, '', '', '', 'gateway', "
                "'on', 2, 'miss', 'routing', ?, '', 0, NULL, NULL, NULL, 'small', 'large', "
                "1, 1, 0, 0, 1, 1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'OK', '', "
                "0, 0, 0, 0, 0, 0)",
                (bytes([n]) * 16, NOW_MS, user, request_id),
            )

    ledger = open_ledger(tmp_path)
    erased = await ledger.erase_user("ann", "shop")

    assert (erased.n_lines, erased.n_kept) == (1, 1)
    kept = await ledger.kept(RequestKey(namespace="shop", caller="app", request_id="r-2"), NOW_MS)
    assert kept is not None
    assert kept.response == b"ben"
    assert await ledger.kept(KEY, NOW_MS) is None
    await ledger.aclose()
