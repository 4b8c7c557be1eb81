"""What past requests would have cost: priced call by call, and compared only where it can be."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from fakes_ledger import USAGE, a_hit, a_line, an_attempt

from router.commands.what_if import instead_of, what_if
from router.ledger.reader import open_to_read
from router.ledger.sqlite_ledger import SqliteLedger
from router.ledger.types import Cause, Choice, LedgerLine, LineState, Outcome
from router.ledger.what_if import Answer, WhatIf, read_what_if
from router.settings import Settings, parse

SETTINGS = """
[routing]
baseline = "large"
[providers.p]
kind = "scripted"
[models.small]
provider = "p"
input_usd_per_mtok = 0.4
output_usd_per_mtok = 0.8
[models.large]
provider = "p"
input_usd_per_mtok = 2.0
output_usd_per_mtok = 4.0
[models.free]
provider = "p"
input_usd_per_mtok = 0.0
output_usd_per_mtok = 0.0
[models.unpriced]
provider = "p"
"""
SMALL = 900 * 400 + 200 * 800
"""What ``USAGE`` costs at ``small``: what the ledger's lines say, too."""
LARGE = 5 * SMALL


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return parse(SETTINGS, {}, overrides={"service.data_folder": str(tmp_path)})


async def kept(folder: Path, *lines: LedgerLine) -> None:
    ledger = SqliteLedger.open(folder, on_failure=lambda _: None)
    try:
        for line in lines:
            await ledger.record(line)
    finally:
        await ledger.aclose()


def asked(settings: Settings, question: WhatIf) -> Answer:
    with closing(open_to_read(settings.service.data_folder)) as connection:
        return read_what_if(connection, settings.prices, question)


async def test_the_same_prices_change_nothing(settings: Settings) -> None:
    """A miss and a hit: the ledger's own amounts."""
    await kept(settings.service.data_folder, a_line(1), a_hit(2))

    found = asked(settings, WhatIf())

    assert (found.cost.n, found.cost.then, found.cost.would_be) == (2, SMALL, SMALL)
    assert (found.baseline.then, found.baseline.would_be) == (2 * LARGE, 2 * LARGE)
    assert found.n_incomparable == 0


async def test_calls_go_to_the_model_instead(settings: Settings) -> None:
    """Hits stay hits: nothing was called."""
    await kept(settings.service.data_folder, a_line(1), a_hit(2))

    found = asked(settings, WhatIf(instead={"small": "large"}))

    assert (found.cost.then, found.cost.would_be) == (SMALL, LARGE)
    both = found.by_model["small", "large"]
    assert (both.n, both.then, both.would_be) == (1, SMALL, LARGE)


async def test_another_baseline_is_measured_against(settings: Settings) -> None:
    """The delivered tokens at its price."""
    await kept(settings.service.data_folder, a_line(1))

    found = asked(settings, WhatIf(baseline="small"))

    assert (found.baseline.then, found.baseline.would_be) == (LARGE, SMALL)


async def test_what_has_no_price_is_not_compared(settings: Settings) -> None:
    """Unknown is never 0; free is 0."""
    await kept(settings.service.data_folder, a_line(1), a_line(2, usage=None, cost_nanos=None))

    unknown = asked(settings, WhatIf(instead={"small": "unpriced"}))
    free = asked(settings, WhatIf(instead={"small": "free"}))

    assert (unknown.cost.n, unknown.n_incomparable, unknown.unpriced) == (0, 2, {"unpriced"})
    assert (free.cost.n, free.cost.would_be, free.n_incomparable) == (1, 0, 1)


async def test_failed_requests_are_paid_for_too(settings: Settings) -> None:
    """They delivered nothing, so their baseline is 0 then and now."""
    failed = a_line(
        1, outcome=Outcome.FAILED, cause=Cause.FAILED, usage=None, baseline_nanos=0,
        attempts=(replace(an_attempt(), usage=USAGE, cost_nanos=SMALL),), cost_nanos=SMALL,
    )  # fmt: skip
    await kept(settings.service.data_folder, failed)

    found = asked(settings, WhatIf(instead={"small": "large"}))

    assert (found.cost.then, found.cost.would_be, found.baseline.would_be) == (SMALL, LARGE, 0)


async def test_a_failed_request_that_knows_its_usage_has_no_baseline_either(
    settings: Settings,
) -> None:
    """An app may say what its failed call used."""
    failed = a_line(1, outcome=Outcome.FAILED, cause=Cause.FAILED, baseline_nanos=0)
    await kept(settings.service.data_folder, failed)

    found = asked(settings, WhatIf())

    assert (found.baseline.then, found.baseline.would_be) == (0, 0)
    assert found.cost.then == found.cost.would_be == SMALL


async def test_requests_of_unknown_usage_are_counted_apart(settings: Settings) -> None:
    """They happened, and nobody knows what they cost."""
    unknown = a_line(
        2, state=LineState.USAGE_UNKNOWN, usage=None, cost_nanos=None, baseline_nanos=None
    )
    await kept(settings.service.data_folder, a_line(1), unknown)

    found = asked(settings, WhatIf())

    assert (found.cost.n, found.n_incomparable) == (1, 1)


async def test_the_question_narrows_by_namespace_and_time(settings: Settings) -> None:
    """From a moment on, of one namespace."""
    early, late = a_line(1), a_line(500)
    await kept(settings.service.data_folder, early, late, a_line(600, namespace="other"))

    assert asked(settings, WhatIf(since_ms=late.at_ms)).cost.n == 2
    assert asked(settings, WhatIf(since_ms=late.at_ms, namespace="shop")).cost.n == 1


async def test_the_command_prints_what_it_rests_on(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """Tables for people, one object for programs."""
    await kept(settings.service.data_folder, a_line(1))
    question = WhatIf(instead={"small": "large"})

    assert what_if(settings, question, as_json=False) == 0
    shown = capsys.readouterr().out
    assert "+400.0%" in shown
    assert "with the same tokens" in shown

    assert what_if(settings, question, as_json=True) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["cost_nanos"] == {"then": SMALL, "would_be": LARGE}
    assert told["saved_nanos"] == {"then": LARGE - SMALL, "would_be": 0}


def test_a_model_that_is_not_configured_is_named(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """With those that are."""
    assert what_if(settings, WhatIf(instead={"small": "huge"}), as_json=False) == 1
    assert "no model 'huge' in the settings; there are: small, large" in capsys.readouterr().err


def test_a_word_that_names_no_two_models_is_refused() -> None:
    """What was seen, and what is expected."""
    assert instead_of(["a=b"]) == {"a": "b"}
    with pytest.raises(ValueError, match=r"takes OLD=NEW, two models of the settings, got 'a'"):
        instead_of(["a"])


def a_choice(small: float | None, large: float, chosen: str = "small") -> Choice:
    return Choice(models=("small", "large"), p=(small, large), chosen=chosen)


@pytest.mark.parametrize(
    ("target", "would_be", "expected"),
    [(0.9, SMALL, 0.8), (0.95, LARGE, 0.9), (1.0, LARGE, 0.9)],
)
async def test_another_target_routes_by_the_probabilities_that_were(
    settings: Settings, target: float, would_be: int, expected: float
) -> None:
    """Small is .1 below large: adequate down to a target of .9."""
    await kept(settings.service.data_folder, a_line(1, choice=a_choice(0.8, 0.9)))

    found = asked(settings, WhatIf(target=target))

    assert (found.cost.then, found.cost.would_be) == (SMALL, would_be)
    assert found.adequate.n == 1
    assert found.adequate.then == pytest.approx(0.8, abs=1e-4)
    assert found.adequate.would_be == pytest.approx(expected, abs=1e-4)


async def test_a_model_that_did_not_fit_is_chosen_by_no_target(settings: Settings) -> None:
    """Constraints come first, always."""
    line = a_line(1, choice=a_choice(None, 0.9, "large"), model="large", cost_nanos=LARGE)
    line = replace(line, attempts=(replace(line.attempts[0], model="large", cost_nanos=LARGE),))
    await kept(settings.service.data_folder, line)

    assert asked(settings, WhatIf(target=0.01)).cost.would_be == LARGE


async def test_what_a_target_does_not_decide_stays_as_it_was(settings: Settings) -> None:
    """Hits, pinned models, and requests that took several calls."""
    several = a_line(3, choice=a_choice(0.5, 0.9))
    several = replace(several, attempts=(*several.attempts, *several.attempts))
    several = replace(several, cost_nanos=2 * SMALL)
    await kept(settings.service.data_folder, a_line(1), a_hit(2), several)

    found = asked(settings, WhatIf(target=1.0))

    assert found.cost.would_be == found.cost.then == 3 * SMALL
    assert found.adequate.n == 0


async def test_the_command_tells_what_to_expect_of_a_target(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """Cost, and quality by P(adequate), side by side; a target out of range is refused."""
    await kept(settings.service.data_folder, a_line(1, choice=a_choice(0.8, 0.9)))

    assert what_if(settings, WhatIf(target=1.0), as_json=False) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "expects 90.0% to be adequate; then 80.0%" in said
    assert what_if(settings, WhatIf(target=1.0), as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["n_routed"] == 1
    assert what_if(settings, WhatIf(target=1.5), as_json=True) == 1
    assert "in (0, 1], got 1.5" in capsys.readouterr().err
