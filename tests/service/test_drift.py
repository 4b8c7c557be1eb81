"""A calibrated namespace whose traffic goes elsewhere, through the whole service."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from service.harness import serving

from router.commands.report import report
from router.ledger.types import SavingsQuery
from scrimp.v1 import feedback_pb2

pytestmark = pytest.mark.asyncio(loop_scope="session")

CALIBRATED = {
    "routing.calibrated": {
        "quality_target": 1.0,
        "prompts": 200,
        "chosen": {"large": 200, "small": 0},
        "adequate": {"large": 200.0},
    }
}


async def test_traffic_that_left_its_calibration_is_told_and_remembered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the metrics, in the report, and after a restart."""
    folder = tmp_path / "data"
    async with serving(folder, overrides=CALIBRATED) as service, service.client("acme") as client:
        for n in range(60):
            done = await client.complete(f"Name the river number {n} of that list, please.")
            assert done.report.model == "small"
        await client.report(done.report.response_id, feedback_pb2.VERDICT_NOT_ADEQUATE)
        await service.running.app.drift.refresh()
        shown = service.running.app.metrics.exposition().decode()

    assert 'scrimp_route_drift_alarms_total{namespace="acme"} 1.0' in shown
    assert 'scrimp_route_share{model="small",namespace="acme",which="now"} 1.0' in shown
    async with serving(folder, overrides=CALIBRATED) as service:
        again = service.running.app.drift.report("acme")
    assert again is not None
    assert again.n_requests == 60
    assert [one.short for one in again.models if one.model == "small"] == [1 / 60]

    assert report(folder, SavingsQuery(), as_json=True) == 0
    (found,) = json.loads(capsys.readouterr().out)["drift"]
    assert found["namespace"] == "acme"
    assert "of the requests go to" in found["alarm"]
    assert report(folder, SavingsQuery(), as_json=False) == 0
    assert "drifted:" in capsys.readouterr().out
