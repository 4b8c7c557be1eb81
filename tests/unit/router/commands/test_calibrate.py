import json
from pathlib import Path

import pytest

from router.__main__ import main
from router.choose import Pool
from router.commands.labelled import UnusableLabels, fits_of, load_models, read_labelled
from router.scales import Scale
from router.settings import load

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


def test_a_namespace_gets_a_point_of_its_own_and_the_service_uses_it(
    config: Path, labels: Path
) -> None:
    """Its table is made, nobody else's target changes, and what it led to stands beside it."""
    given = ["--config", str(config), "--data", str(labels), "--target", "0.7"]

    assert main(["calibrate", *given, "--namespace", "help desk"]) == 0

    settings = load(config, {})
    own = settings.policy("help desk")
    assert own.quality_target < settings.default_policy.quality_target == 0.95
    assert own.calibrated is not None
    assert own.calibrated.n == 150
    assert sum(n for _, n in own.calibrated.chosen) == 150
    assert settings.default_policy.calibrated is None
    assert config.read_text().startswith(SETTINGS.rstrip()), "all else stays as it was"


def test_calibrating_again_replaces_what_was_written(config: Path, labels: Path) -> None:
    """One table, whatever was there before."""
    given = ["--config", str(config), "--data", str(labels), "--target", "0.7"]

    for seed in ("0", "1"):
        assert main(["calibrate", *given, "--seed", seed]) == 0

    assert config.read_text().count("[routing.calibrated]") == 1
    assert config.read_text().count("quality_target") == 2
    assert load(config, {}).default_policy.calibrated is not None


def test_only_the_models_of_the_namespace_are_chosen_among(
    config: Path, labels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its rules hold as they do in the service."""
    text = SETTINGS + '[namespaces.acme]\nallowed_models = ["gpt-4o", "new"]\n'
    config.write_text(text, encoding="utf-8")
    given = ["--config", str(config), "--data", str(labels), "--target", "0.5", "--json"]

    assert main(["calibrate", *given, "--namespace", "acme"]) == 0

    assert json.loads(capsys.readouterr().out)["chosen"]["gpt-4o-mini"] == 0


def test_a_prompt_that_nothing_is_claimed_of_counts_for_the_baseline(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in the service: another language goes to the baseline at any target."""
    file = tmp_path / "german.jsonl"
    rows = [
        {
            "prompt": f"Wie viele Tage haben {n} Wochen und {n % 5} Tage, wenn man sie addiert?",
            "outcomes": {"gpt-4o": 1.0, "gpt-4o-mini": 1.0},
        }
        for n in range(60)
    ]
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    given = ["--config", str(config), "--data", str(file), "--target", "0.5", "--json"]

    assert main(["calibrate", *given]) == 0

    assert json.loads(capsys.readouterr().out)["chosen"] == {"gpt-4o": 30, "gpt-4o-mini": 0}


def test_a_pinned_namespace_has_nothing_to_calibrate(
    config: Path, labels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One model is no choice."""
    config.write_text(SETTINGS + '[namespaces.acme]\npinned_model = "new"\n', encoding="utf-8")
    given = ["--config", str(config), "--data", str(labels), "--namespace", "acme"]

    assert main(["calibrate", *given]) == 1
    assert "nothing to choose" in capsys.readouterr().err


def test_figures_of_another_target_are_not_used_and_check_says_so(
    config: Path, labels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever changes the target by hand has no measured figures for it."""
    given = ["--config", str(config), "--data", str(labels), "--target", "0.7"]
    assert main(["calibrate", *given]) == 0
    target = load(config, {}).default_policy.quality_target
    text = config.read_text().replace(f"quality_target = {target:g}  #", "quality_target = 0.5  #")
    config.write_text(text, encoding="utf-8")

    assert load(config, {}).default_policy.calibrated is None
    assert main(["check", str(config)]) == 0
    assert "run scrimp calibrate again" in capsys.readouterr().out


def test_what_a_probe_found_is_left_for_the_service_and_counts_in_calibration(
    tmp_path: Path, config: Path, labels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The data folder of a service, running or not; a dry run leaves nothing."""
    folder = tmp_path / "data"
    folder.mkdir()
    text = f'[service]\ndata_folder = "{folder}"\n' + SETTINGS
    config.write_text(text, encoding="utf-8")
    given = ["--config", str(config), "--data", str(labels), "--json"]

    assert main(["probe", "new", *given, "--dry-run"]) == 0
    assert list(folder.iterdir()) == []
    assert main(["probe", "new", *given]) == 0
    config.write_text(text, encoding="utf-8")  # without the ability that was written, too
    (file,) = folder.iterdir()
    assert file.stat().st_mode & 0o077 == 0

    settings = load(config, {})
    _, scorer = load_models()
    scale = Scale(Pool.of(settings), scorer)
    fits = fits_of(settings, "", scale.p_adequate, scorer.scorer_id)

    assert list(fits) == ["new"]
    assert fits["new"].level.n == 300
    assert fits["new"].level.low <= 0.1 <= fits["new"].level.high
    chosen = []
    for kept in (True, False):
        capsys.readouterr()
        assert main(["calibrate", *given, "--target", "0.7", "--dry-run"]) == 0
        chosen.append(json.loads(capsys.readouterr().out)["chosen"])
        if kept:
            file.unlink()
    assert chosen[0] != chosen[1], "calibration routes by it"
