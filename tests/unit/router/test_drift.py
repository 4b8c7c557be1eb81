import random
from collections.abc import Mapping
from dataclasses import replace

import pytest
from fakes_ledger import a_line, an_attempt

from router.drift import FALSE_ALARM, Drift
from router.drift.evidence import ALARM_LOG_E, Evidence, claims_of
from router.ledger.routing import DriftState
from router.ledger.types import Choice, LedgerLine
from router.metrics import Metrics
from router.settings import Calibrated

SAID = Calibrated(
    n=400,
    chosen=(("large", 240), ("small", 160)),
    adequate=(("large", 225.0), ("small", 152.0)),
)


def evidence(said: Calibrated = SAID) -> Evidence:
    return Evidence(claims_of(said.n, said.chosen, said.adequate), at_ms=0)


def seen(found: Evidence, p_small: float, n: int, seed: int = 0) -> int | None:
    """Send requests, looking after every 50; returns at which there was an alarm, if any."""
    draw = random.Random(seed)
    for number in range(n):
        found.routed("small" if draw.random() < p_small else "large", number)
        if number % 50 == 49 and found.log_e() >= ALARM_LOG_E:
            return number + 1
    return None


def test_traffic_as_calibrated_raises_no_alarm_however_long_it_is_looked_at() -> None:
    """Calibration is itself a sample: both are drawn anew each time, of one share."""
    alarms = 0
    for seed in range(60):
        draw = random.Random(1_000 + seed)
        n_small = sum(draw.random() < 0.4 for _ in range(150))
        said = Calibrated(n=150, chosen=(("small", n_small), ("large", 150 - n_small)), adequate=())
        alarms += seen(evidence(said), 0.4, 3_000, seed) is not None

    assert alarms / 60 <= FALSE_ALARM


@pytest.mark.parametrize("quiet", [0, 4_000], ids=["from the start", "after a long time"])
def test_a_share_that_moved_is_noticed_within_some_hundred_requests(quiet: int) -> None:
    """A process that began after the quiet time has not lost its stake to it."""
    found = evidence()
    assert seen(found, 0.4, quiet) is None

    at = seen(found, 0.65, 1_500, seed=1)

    assert at is not None
    assert at <= 600
    loudest = found.strongest()
    assert loudest is not None
    assert not loudest.is_of_answers


def test_a_small_difference_is_no_news() -> None:
    """Within five points of the figure nothing is raised, however sure it is."""
    said = replace(SAID, n=40_000, chosen=(("large", 24_000), ("small", 16_000)), adequate=())

    assert seen(evidence(said), 0.43, 10_000) is None


def test_silence_about_answers_raises_nothing_and_many_reports_do() -> None:
    """What is reported is at most what fell short."""
    quiet, loud = evidence(), evidence()
    for number in range(1_000):
        model = "small" if number % 5 < 2 else "large"
        quiet.routed(model, number)
        loud.routed(model, number)
        if model == "small" and number % 3 == 0:
            loud.fell_short("small", number)

    assert quiet.log_e() < ALARM_LOG_E <= loud.log_e()
    loudest = loud.strongest()
    assert loudest is not None
    assert (loudest.model, loudest.is_of_answers) == ("small", True)


def test_a_late_report_counts_where_its_request_counted() -> None:
    """Said in any order, the same requests with the same words are the same evidence."""
    at_once, late = evidence(), evidence()
    short = range(0, 1_200, 4)
    for number in range(1_200):
        at_once.routed("small", number, is_short=number in short)
        late.routed("small", number)
    for number in short:
        late.fell_short("small", number)

    assert late.log_e() == pytest.approx(at_once.log_e())


def test_a_word_on_a_request_that_was_not_counted_changes_nothing() -> None:
    """There are never more bad answers than answers."""
    found = evidence()
    before = found.log_e()
    found.fell_short("small", 5)

    assert found.log_e() == before
    assert found.counts.short["small"] == 0


def test_the_number_of_processes_is_bounded() -> None:
    """A month of traffic is no heavier than a day's."""
    found = evidence()
    seen(found, 0.4, 40_000)

    assert len(found.as_object()["starts"]) <= 24


def test_evidence_survives_being_written_down() -> None:
    """Counting goes on as if nothing had happened."""
    found = evidence()
    seen(found, 0.5, 1_234)
    again = Evidence.of_object(found.claims, found.as_object())
    for one in (found, again):
        seen(one, 0.5, 700, seed=3)

    assert again.log_e() == found.log_e()


class Store:
    """Keeps states in memory."""

    def __init__(self) -> None:
        self.states: dict[str, DriftState] = {}

    async def drift_states(self) -> dict[str, DriftState]:
        return dict(self.states)

    async def latest_calls(self, most: int) -> list[tuple[str, str, int, int, int]]:
        raise AssertionError("drift knows no lengths")

    def note_drift(self, state: DriftState) -> None:
        self.states[state.report.namespace] = state


def watching(store: Store, said: Mapping[str, Calibrated]) -> Drift:
    return Drift(store=store, calibrated=said.get, metrics=Metrics(), now_s=lambda: 7.0)


def routed(n: int, model: str, **changes: object) -> LedgerLine:
    choice = Choice(models=("large", "small"), p=(0.9, 0.88), chosen=model)
    return a_line(n, **{"choice": choice, "model": model, **changes})


async def test_an_alarm_is_raised_once_and_outlives_a_restart(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It stands until the namespace is calibrated anew."""
    store, said = Store(), {"shop": SAID}
    drift = watching(store, said)
    for n in range(200):
        drift.note(routed(n, "small"))
    await drift.refresh()
    await drift.refresh()

    assert "100.0% of the requests go to small" in caplog.text
    assert caplog.text.count("has drifted") == 1
    again = watching(store, said)
    await again.load()
    report = again.report("shop")
    assert report is not None
    assert (report.n_requests, report.alarm_at_ms) == (200, 7_000)

    said["shop"] = replace(SAID, chosen=(("large", 10), ("small", 390)))
    again.note(routed(201, "small"))
    await again.refresh()
    anew = again.report("shop")
    assert anew is not None
    assert (anew.n_requests, anew.alarm) == (1, "")


async def test_only_what_the_rules_of_the_namespace_routed_counts() -> None:
    """No pinned model, no conversation that stays, nothing scored while the classifier was out."""
    drift = watching(Store(), {"shop": SAID})
    drift.note(routed(0, "small"))
    drift.note(replace(routed(1, "small"), choice=None))
    drift.note(routed(2, "small", scorer="rules-1"))
    drift.note(routed(3, "small", namespace="elsewhere"))
    await drift.refresh()

    report = drift.report("shop")
    assert report is not None
    assert report.n_requests == 1
    assert drift.report("elsewhere") is None


async def test_an_answer_that_was_set_aside_fell_short() -> None:
    """The escalation's word counts for the model that routing had chosen, nobody else's."""
    drift = watching(Store(), {"shop": SAID})
    attempts = (an_attempt(model="small", status="set_aside"), an_attempt(model="large"))
    drift.note(routed(0, "small", attempts=attempts))
    drift.fell_short(routed(0, "large"), "small")  # said of the stronger model's answer
    await drift.refresh()

    report = drift.report("shop")
    assert report is not None
    assert {one.model: one.short for one in report.models} == {"large": None, "small": 1.0}
