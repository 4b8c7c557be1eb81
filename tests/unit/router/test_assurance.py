from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cache.calibration import Observation, Source
from cache.types import EXACT_ONLY, OperatingPoint, ReusePolicy
from router import assurance as module
from router.assurance import Assurance
from router.ledger.evidence import KEEP_S
from router.ledger.sqlite_ledger import SqliteLedger
from router.ledger.types import AssuranceState
from router.metrics import Metrics

POLICY = ReusePolicy(max_error_rate=0.02)
PRIOR = OperatingPoint(min_p_right=0.95)


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now_s = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now_s


class House:
    """An Assurance with its ledger and metrics, that can be left and entered again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Clock()
        self._opened: list[SqliteLedger] = []

    async def open(self, verifier: str = "pair-1") -> Assurance:
        """Start the service, anew."""
        await self.aclose()
        ledger = SqliteLedger.open(self.folder, on_failure=lambda e: pytest.fail(str(e)))
        self._opened.append(ledger)
        self.metrics = Metrics()
        made = Assurance(
            store=ledger,
            prior=lambda target: 0.95 if target >= 0.01 else None,
            verifier=verifier,
            metrics=self.metrics,
            now_s=self.clock,
        )
        await made.load()
        return made

    async def aclose(self) -> None:
        """Stop the service."""
        while self._opened:
            await self._opened.pop().aclose()

    def shown(self) -> dict[str, float]:
        """Return what a scrape shows of near-duplicates."""
        return {
            f"{sample.name}{{{','.join(sample.labels.values())}}}": sample.value
            for family in text_string_to_metric_families(self.metrics.exposition().decode())
            for sample in family.samples
        }


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    made = House(tmp_path)
    yield made
    await made.aclose()


def audit(n: int, *, is_right: bool = True, traits: tuple[str, ...] = ()) -> Observation:
    return Observation(
        p_right=0.99, is_right=is_right, weight=20.0, traits=traits, at_s=1_800_000_000.0 + n
    )


def observe_slot(assurance: Assurance, n_wrong: int, source: Source = Source.AUDIT) -> None:
    for n in range(n_wrong):
        wrong = audit(n, is_right=False, traits=("slot:for", f"words:a|b{n}", "kind:name"))
        assurance.observe("shop", replace(wrong, source=source))


async def test_a_namespace_starts_from_the_shipped_calibration(house: House) -> None:
    """And where that knows nothing for the target, or the target is 0, exact hits only."""
    assurance = await house.open()

    assert assurance.point("shop", POLICY) == PRIOR
    assert assurance.point("strict", ReusePolicy(max_error_rate=0.001)) == EXACT_ONLY
    assert assurance.point("exact", ReusePolicy(max_error_rate=0.0)) == EXACT_ONLY


async def test_clean_audits_certify(house: House) -> None:
    """149 of them, and the report counts down to it."""
    assurance = await house.open()
    assurance.point("shop", POLICY)
    for n in range(100):
        assurance.observe("shop", audit(n))
    await assurance.refresh()
    halfway = assurance.report("shop")
    for n in range(49):
        assurance.observe("shop", audit(100 + n))
    await assurance.refresh()
    done = assurance.report("shop")

    assert halfway is not None
    assert (halfway.state, halfway.labels_still_needed) == (AssuranceState.UNCERTIFIED, 49)
    assert done is not None
    assert (done.state, done.labels_still_needed) == (AssuranceState.CERTIFIED, 0)
    assert assurance.point("shop", POLICY).is_certified
    assert done.error_rate is not None
    assert (done.error_rate.value, done.error_rate.n) == (0.0, 149)


async def test_without_audits_the_error_rate_is_not_measured(house: House) -> None:
    """Not 0: None, and no gauge."""
    assurance = await house.open()
    assurance.point("shop", POLICY)
    assurance.observe("shop", replace(audit(0), source=Source.SHADOW))
    await assurance.refresh()

    report = assurance.report("shop")

    assert report is not None
    assert report.error_rate is None
    assert not any(name.startswith("scrimp_near_error_rate") for name in house.shown())


async def test_a_target_beyond_what_is_known_is_thin_evidence(house: House) -> None:
    """No audit could help; the report says so with None."""
    assurance = await house.open()
    assurance.point("shop", ReusePolicy(max_error_rate=0.001))
    await assurance.refresh()

    report = assurance.report("shop")

    assert report is not None
    assert (report.state, report.min_p_right) == (AssuranceState.THIN_EVIDENCE, None)
    assert report.labels_still_needed is None


async def test_wrong_hits_bar_their_trait(house: House) -> None:
    """From reports too, three of them; one moves nothing."""
    assurance = await house.open()
    assurance.point("shop", POLICY)
    observe_slot(assurance, 1, Source.FEEDBACK)
    await assurance.refresh()
    after_one = assurance.point("shop", POLICY)
    observe_slot(assurance, 3, Source.FEEDBACK)
    await assurance.refresh()

    assert after_one == PRIOR
    assert assurance.point("shop", POLICY).barred == {"slot:for"}


async def test_what_was_learned_survives_a_restart(house: House) -> None:
    """The very first lookup knows what is barred, before anything is worked out again."""
    first = await house.open()
    first.point("shop", POLICY)
    observe_slot(first, 5)
    first.twin("shop", is_different=False)
    await first.refresh()
    before, report = first.point("shop", POLICY), first.report("shop")

    second = await house.open()
    at_once = second.point("shop", POLICY)
    await second.refresh()

    assert before.barred == {"slot:for"}
    assert at_once == before
    assert second.point("shop", POLICY) == before
    assert second.report("shop") == report


async def test_evidence_that_was_not_worked_out_is_after_the_restart(house: House) -> None:
    """Killed between an observation and the next round, it is not lost."""
    first = await house.open()
    first.point("shop", POLICY)
    observe_slot(first, 5)

    second = await house.open()
    second.point("shop", POLICY)
    await second.refresh()

    assert second.point("shop", POLICY).barred == {"slot:for"}


async def test_a_new_verifier_starts_anew(house: House) -> None:
    """Its P(right) is on another scale."""
    first = await house.open()
    first.point("shop", POLICY)
    for n in range(149):
        first.observe("shop", audit(n))
    await first.refresh()
    assert first.point("shop", POLICY).is_certified

    second = await house.open(verifier="pair-2")
    second.point("shop", POLICY)
    await second.refresh()

    assert second.point("shop", POLICY) == PRIOR


async def test_another_target_is_another_point(house: House) -> None:
    """The old one is not served under the new; what is barred stays barred meanwhile."""
    assurance = await house.open()
    assurance.point("shop", POLICY)
    observe_slot(assurance, 5)
    for n in range(1_000):
        assurance.observe("shop", audit(10 + n))
    await assurance.refresh()
    assert assurance.point("shop", POLICY).is_certified

    stricter = assurance.point("shop", ReusePolicy(max_error_rate=0.01))

    assert stricter == OperatingPoint(min_p_right=0.95, barred=frozenset({"slot:for"}))


async def test_namespaces_learn_apart(house: House) -> None:
    """One's traps are not another's."""
    assurance = await house.open()
    assurance.point("other", POLICY)
    assurance.point("shop", POLICY)
    observe_slot(assurance, 5)
    await assurance.refresh()

    assert assurance.point("other", POLICY) == PRIOR


async def test_evidence_ages(house: House) -> None:
    """After thirty days it counts no more, traffic or none."""
    assurance = await house.open()
    assurance.point("shop", POLICY)
    observe_slot(assurance, 5)
    await assurance.refresh()
    house.clock.now_s += KEEP_S + 10
    await assurance.refresh()

    assert assurance.point("shop", POLICY) == PRIOR


async def test_the_window_is_bounded(house: House) -> None:
    """In memory, however much comes."""
    assurance = await house.open()
    assurance.point("shop", POLICY)
    for n in range(module.WINDOW + 10):
        assurance.observe("shop", audit(n))
    await assurance.refresh()

    report = assurance.report("shop")

    assert report is not None
    assert report.n_observations == module.WINDOW


async def test_more_namespaces_than_the_bound_are_served_as_shipped(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their evidence is not kept, and that is counted."""
    monkeypatch.setattr(module, "MAX_NAMESPACES", 1)
    assurance = await house.open()
    assurance.point("shop", POLICY)

    assurance.observe("other", audit(0))

    assert assurance.point("other", POLICY) == PRIOR
    assert assurance.report("other") is None
    assert house.shown()["scrimp_degraded_total{assurance}"] > 0


async def test_every_namespace_gets_its_turn(house: House) -> None:
    """However many have new evidence in every round."""
    assurance = await house.open()
    names = [f"shop-{n}" for n in range(45)]
    for name in names:
        assurance.point(name, POLICY)
    for round_ in range(3):
        for name in names:
            assurance.observe(name, audit(round_))
        await assurance.refresh()

    assert [name for name in names if assurance.report(name) is None] == []


async def test_drift_raises_one_alarm(house: House) -> None:
    """When the share of right ones falls, once, not with every round."""
    assurance = await house.open()
    assurance.point("shop", POLICY)
    for n in range(400):
        assurance.observe("shop", audit(n))
    await assurance.refresh()
    for n in range(100):
        assurance.observe("shop", audit(400 + n, is_right=n % 2 == 0))
        if n % 10 == 9:
            await assurance.refresh()

    report = assurance.report("shop")

    assert report is not None
    assert report.drift is not None
    assert report.drift.recent < report.drift.before
    assert house.shown()["scrimp_drift_alarms_total{shop}"] == 1


async def test_metrics_show_how_a_namespace_stands(house: House) -> None:
    """The rate with its ends, the threshold, the certificate."""
    assurance = await house.open()
    assurance.point("shop", POLICY)
    for n in range(200):
        assurance.observe("shop", audit(n, is_right=n != 100))
    await assurance.refresh()
    report = assurance.report("shop")

    shown = house.shown()
    assert report is not None
    assert report.error_rate is not None
    assert shown["scrimp_near_error_rate{high,shop}"] == report.error_rate.high
    assert shown["scrimp_near_error_rate{value,shop}"] == pytest.approx(0.005)
    assert shown["scrimp_near_min_p_right{shop}"] == 0.95
    assert shown["scrimp_near_certified{shop}"] == 0
