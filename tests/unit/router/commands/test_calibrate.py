import json
from pathlib import Path

import pytest

from router.__main__ import main
from router.commands.labelled import UnusableLabels, read_labelled

SETTINGS = """
[routing]
baseline = "gpt-4o"
[providers.p]
kind = "scripted"
[models.gpt-4o]
provider = "p"
input_usd_per_mtok = 2.5
output_usd_per_mtok = 10.0
[models.gpt-4o-mini]
provider = "p"
input_usd_per_mtok = 0.15
output_usd_per_mtok = 0.6
[models.new]
provider = "p"
input_usd_per_mtok = 0.05
output_usd_per_mtok = 0.1
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A settings file of three models."""
    file = tmp_path / "scrimp.toml"
    file.write_text(SETTINGS, encoding="utf-8")
    return file


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """Prompts that the small model gets right nine times in ten; the new one, one in ten."""
    file = tmp_path / "labels.jsonl"
    lines = [
        {
            "prompt": f"How many days are there in {n} weeks and {n % 5} days?",
            "outcomes": {
                "gpt-4o": {"score": 1.0},
                "gpt-4o-mini": float(n % 10 > 0),
                "new": float(n % 10 == 0),
            },
        }
        for n in range(300)
    ]
    file.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return file


def test_the_operating_point_is_printed_and_written(
    config: Path, labels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the file then says is what was printed, and the service still loads it."""
    status = main(
        ["calibrate", "--config", str(config), "--data", str(labels), "--target", "0.7", "--json"]
    )

    found = json.loads(capsys.readouterr().out)
    assert status == 0
    assert found["written"]
    assert found["low"] <= found["share"] <= found["high"]
    assert found["cost_nanos"] <= found["baseline_cost_nanos"]
    assert f"quality_target = {found['target']:g}  # calibrated" in config.read_text()
    assert main(["check", str(config)]) == 0


def test_a_dry_run_writes_nothing(config: Path, labels: Path) -> None:
    """The figures alone."""
    given = ["--config", str(config), "--data", str(labels), "--dry-run"]

    assert main(["calibrate", *given, "--target", "0.7"]) == 0
    assert main(["probe", "new", *given]) == 0
    assert config.read_text() == SETTINGS


def test_a_share_that_cannot_be_kept_for_sure_changes_nothing(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """60 labels with a strong model that is often wrong show no 100 %."""
    file = tmp_path / "few.jsonl"
    rows = [
        {"prompt": f"p {n}", "outcomes": {"gpt-4o": n % 2, "gpt-4o-mini": (n // 2) % 2}}
        for n in range(60)
    ]
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")

    status = main(["calibrate", "--config", str(config), "--data", str(file), "--target", "1.0"])

    assert status == 1
    assert "more labels narrow the interval" in capsys.readouterr().err
    assert config.read_text() == SETTINGS


def test_a_probed_model_is_placed_and_its_interval_kept(
    config: Path, labels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A model right one time in ten is placed low; the file says how sure that is."""
    status = main(["probe", "new", "--config", str(config), "--data", str(labels), "--json"])

    found = json.loads(capsys.readouterr().out)
    assert status == 0
    assert found["ability"] < 0
    assert found["n"] == 300
    (line,) = [line for line in config.read_text().splitlines() if line.startswith("ability")]
    assert f"# probed: {found['low']:.2f} to {found['high']:.2f}, 300 prompts" in line


def test_a_line_that_is_no_label_is_named(tmp_path: Path) -> None:
    """File, line and what was expected."""
    file = tmp_path / "x.jsonl"
    file.write_text('{"prompt": "a", "outcomes": {"m": 1}}\n{"prompt": "b", "outcomes": {"m": 7}}')

    with pytest.raises(UnusableLabels, match=r"x.jsonl:2: expected .* score"):
        read_labelled(file)
