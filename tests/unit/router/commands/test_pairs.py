from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from fakes_ledger import NOW_MS, a_line

from cache.calibration import Source
from router.commands.pairs import export
from router.ledger.sqlite_ledger import SqliteLedger
from router.ledger.types import LabelledPair


async def a_folder(folder: Path) -> Path:
    ledger = SqliteLedger.open(folder, on_failure=lambda error: None)
    ledger.label(
        LabelledPair(
            line_id=a_line().line_id,
            namespace="shop",
            asked="wie geht's?",
            stored="how are you, Zoë?",
            is_same=False,
            source=Source.AUDIT,
            at_ms=NOW_MS,
            expires_at_ms=4_000_000_000_000,
        )
    )
    await ledger.aclose()
    return folder


async def test_pairs_are_written_as_training_reads_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line each, its owner's alone; what stood in the file before is gone."""
    to = tmp_path / "pairs.jsonl"
    to.write_text("old")
    data = tmp_path / "data"
    data.mkdir()

    status = export(await a_folder(data), to)

    assert status == 0
    assert [json.loads(line) for line in to.read_text().splitlines()] == [
        {
            "a": "how are you, Zoë?",
            "b": "wie geht's?",
            "duplicate": 0,
            "source": "audit",
            "expires_at": 4_000_000_000,
        }
    ]
    assert stat.S_IMODE(to.stat().st_mode) == 0o600
    assert "1 labelled pairs" in capsys.readouterr().out


def test_without_a_ledger_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A sentence, status 1, and no file."""
    status = export(tmp_path, tmp_path / "pairs.jsonl")

    assert status == 1
    assert "holds no ledger" in capsys.readouterr().err
    assert not (tmp_path / "pairs.jsonl").exists()
