"""How the service's values are written to the wire."""

from __future__ import annotations

from cache.calibration import DriftAlarm, Estimate
from router.faces.reports import savings
from router.ledger.types import AssuranceReport, AssuranceState, SavingsReport, Totals
from scrimp.v1 import savings_pb2


def written(report: AssuranceReport) -> savings_pb2.Assurance:
    found = SavingsReport(
        totals=Totals(), groups=(), stages=(), assumptions=(), assurance=(report,)
    )
    return savings(found, ()).assurance[0]


def test_how_a_namespace_stands_is_written_whole() -> None:
    """Every figure, under its own name."""
    wire = written(
        AssuranceReport(
            namespace="shop",
            state=AssuranceState.CERTIFIED,
            target=0.02,
            min_p_right=0.95,
            n_observations=300,
            labels_still_needed=0,
            error_rate=Estimate(value=0.01, low=0.001, high=0.04, n=250),
            barred=("slot:for", "words:a|b"),
            drift=DriftAlarm(before=0.98, recent=0.9, p_value=1e-5),
        )
    )

    assert wire == savings_pb2.Assurance(
        namespace="shop",
        state=savings_pb2.ASSURANCE_STATE_CERTIFIED,
        target=0.02,
        min_p_right=0.95,
        n_observations=300,
        labels_still_needed=0,
        error_rate=savings_pb2.ErrorRate(value=0.01, low=0.001, high=0.04, n_audits=250),
        barred=["slot:for", "words:a|b"],
        drift=savings_pb2.Drift(before=0.98, recent=0.9, p_value=1e-5),
    )
    assert wire.HasField("labels_still_needed"), "0 is known"


def test_what_is_not_known_stays_absent() -> None:
    """Not measured is not 0."""
    wire = written(
        AssuranceReport(
            namespace="wiki", state=AssuranceState.THIN_EVIDENCE, target=0.001, min_p_right=None
        )
    )

    assert not wire.HasField("min_p_right")
    assert not wire.HasField("labels_still_needed")
    assert not wire.HasField("error_rate")
    assert not wire.HasField("drift")
