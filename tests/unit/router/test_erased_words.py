"""Words of texts, in what was learned of pairs: they go with their user, and the rest counts on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fakes import FakeClock
from fakes_ledger import a_line

from cache.calibration import Observation
from router.assurance import Assurance
from router.ledger.sqlite_ledger import SqliteLedger
from router.ledger.types import AssuranceReport, AssuranceState
from router.metrics import Metrics

ANNS, BENS = a_line(1, entry_id=11), a_line(2, entry_id=22)
WORDS = ("words:acme|globex", "kind:name")


def seen(line_id: str, entry_id: int) -> Observation:
    return Observation(
        p_right=0.9,
        is_right=False,
        traits=WORDS,
        at_s=FakeClock().now_s,
        line_id=line_id,
        entry_id=entry_id,
    )


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[SqliteLedger]:
    ledger = SqliteLedger.open(tmp_path, on_failure=lambda error: None)
    await ledger.record(ANNS)
    yield ledger
    await ledger.aclose()


async def assured(ledger: SqliteLedger) -> Assurance:
    assurance = Assurance(
        store=ledger,
        prior=lambda _: 0.8,
        verifier="v",
        metrics=Metrics(),
        now_s=FakeClock(),
    )
    await assurance.load()
    return assurance


async def traits_in(ledger: SqliteLedger) -> list[tuple[str, ...]]:
    kept = (await ledger.evidence("v", FakeClock().now_s))["shop"]
    return [one.traits for one in kept.observations]


@pytest.mark.parametrize("one", [seen(ANNS.line_id, 22), seen(BENS.line_id, 11)])
async def test_words_go_with_whoever_wrote_one_of_the_texts(
    ledger: SqliteLedger, one: Observation
) -> None:
    """The user asked, or the entry was the user's; that the pair was wrong stays known."""
    assurance = await assured(ledger)
    assurance.observe("shop", one)
    assurance.observe("shop", seen(BENS.line_id, 22))

    copies = await ledger.erase_copies({11}, "ann", "shop")
    lines = await ledger.erase_user("ann", "shop")
    await assurance.relearn()

    assert (copies + lines).n_observations == 1
    assert await traits_in(ledger) == [("kind:name",), WORDS]
    assert assurance._namespaces["shop"].observations[0].is_right is False


async def test_a_report_names_no_words_that_nobody_vouches_for(ledger: SqliteLedger) -> None:
    """In memory and in the file: what was barred by erased words is not any more."""
    report = AssuranceReport(
        namespace="shop",
        state=AssuranceState.UNCERTIFIED,
        target=0.02,
        min_p_right=0.9,
        barred=WORDS,
    )
    ledger.note_assurance("v", report, FakeClock().now_s)
    ledger.note_observation("shop", "v", seen(ANNS.line_id, 22))
    assurance = await assured(ledger)
    before = assurance.report("shop")

    await ledger.erase_user("ann", "shop")
    await assurance.relearn()

    after, kept = assurance.report("shop"), (await ledger.evidence("v", 0.0))["shop"].report
    assert before is not None
    assert before.barred == WORDS
    assert after is not None
    assert kept is not None
    assert after.barred == kept.barred == ("kind:name",)
