from __future__ import annotations

import argparse
import json
import math
import subprocess
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks import cli, console, every
from benchmarks.errors import UnusableInput


def _scenario(result: dict[str, Any] | Exception) -> SimpleNamespace:
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--seed", type=int, default=0)

    def run(args: argparse.Namespace) -> dict[str, Any]:
        if isinstance(result, Exception):
            raise result
        console.say("on the way")
        return result

    return SimpleNamespace(add_arguments=add_arguments, run=run)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("{}\n", encoding="utf-8")
    return path


def test_json_holds_stdout_alone_with_the_common_keys(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One object on stdout and nothing else; progress is on stderr; NaN is null."""
    monkeypatch.setattr(cli, "_load", lambda _: _scenario({"n": np.int64(3), "ap": math.nan}))

    code = cli.main(["pairs", str(file), "--json", "--seed", "5"])

    out = capsys.readouterr().out
    found = json.loads(out)
    assert code == 0
    assert (found["n"], found["ap"], found["seed"]) == (3, None, 5)
    assert found["data_sha256"] == sha256(file.read_bytes()).hexdigest()
    assert found["machine"]["cores"] >= 1
    assert {"commit", "artifacts"} <= set(found)
    assert out.lstrip().startswith("{")
    assert "on the way" not in out


def test_out_keeps_the_same_object(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Folders are made; the file holds what --json prints."""
    monkeypatch.setattr(cli, "_load", lambda _: _scenario({"n": 1}))
    out = tmp_path / "new" / "result.json"

    cli.main(["stream", str(file), "--json", "--out", str(out)])

    assert json.loads(out.read_text()) == json.loads(capsys.readouterr().out)


def test_without_json_a_table_is_shown(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nested figures are named by their path."""
    monkeypatch.setattr(cli, "_load", lambda _: _scenario({"default": {"served": 7}}))

    cli.main(["pairs", str(file)])

    assert "default.served" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [["pairs", "missing.jsonl"], ["stream", "missing.jsonl", "--max-error-rate", "0.1"]],
    ids=["pairs", "stream"],
)
def test_a_missing_file_is_named_and_exits_2(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Unusable input: a sentence on stderr, nothing on stdout."""
    code = cli.main([*words, "--json"])

    captured = capsys.readouterr()
    assert code == 2
    assert captured.out == ""
    assert "missing.jsonl" in captured.err


def test_a_file_of_another_kind_is_refused_with_its_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The wrong file for the scenario: which column is missing, and what was seen."""
    path = tmp_path / "other.jsonl"
    path.write_text('{"text": "hello"}\n', encoding="utf-8")

    code = cli.main(["pairs", str(path)])

    assert code == 2
    assert "'duplicate'" in capsys.readouterr().err


def test_what_a_scenario_cannot_use_exits_2(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sentence is the scenario's."""
    refusal = UnusableInput("--weak names no model of the file")
    monkeypatch.setattr(cli, "_load", lambda _: _scenario(refusal))

    assert cli.main(["route", str(file)]) == 2
    assert "--weak names no model of the file" in capsys.readouterr().err


def test_a_programming_error_is_no_unusable_input(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is raised, with its traceback."""
    monkeypatch.setattr(cli, "_load", lambda _: _scenario(KeyError("figures")))

    with pytest.raises(KeyError):
        cli.main(["route", str(file)])


@pytest.mark.parametrize("words", [[], ["unknown"]], ids=["none", "unknown"])
def test_an_unknown_scenario_exits_2(words: list[str]) -> None:
    """Argparse names those that exist."""
    with pytest.raises(SystemExit) as end:
        cli.main(words)

    assert end.value.code == 2


def test_the_overview_names_every_scenario_without_importing_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """``--help`` is instant."""
    monkeypatch.setattr(cli, "_load", lambda name: pytest.fail(f"imported {name}"))

    with pytest.raises(SystemExit) as end:
        cli.main(["--help"])

    assert end.value.code == 0
    assert all(name in capsys.readouterr().out for name in ["pairs"])


def test_without_a_checkout_the_commit_is_null(tmp_path: Path) -> None:
    """An installed package has no commit; that is no error."""
    assert cli.commit(tmp_path) is None


def test_a_changed_checkout_is_marked(tmp_path: Path) -> None:
    """Figures of files that differ from the commit carry a plus."""
    module = tmp_path / "module.py"
    module.write_text("1\n", encoding="utf-8")
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        author = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "core.hooksPath=/dev/null"]
        subprocess.run(["git", "-C", str(tmp_path), *author, *words], check=True)

    clean = cli.commit(tmp_path)
    module.write_text("2\n", encoding="utf-8")

    assert clean is not None
    assert len(clean) == 40
    assert cli.commit(tmp_path) == f"{clean}+"


# all


def test_every_result_has_a_name_of_its_own_and_a_scenario_that_exists() -> None:
    """No run overwrites another's result; names begin with the scenario."""
    names = [job.name for job in every.jobs()]

    assert len(set(names)) == len(names)
    assert {job.scenario for job in every.jobs()} == set(cli.SCENARIOS) - {"demo", "all"}
    assert all(job.name.partition("-")[0] == job.scenario for job in every.jobs())


def test_without_the_data_folder_all_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2 and the variable's name."""
    monkeypatch.setattr(every, "data_dir", lambda: None)

    assert cli.main(["all", "--results", str(tmp_path)]) == 2
    assert "SCRIMP_DATA" in capsys.readouterr().err


def test_a_job_that_fails_is_named_and_stops_no_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All the others ran; ``failed`` holds the exit code."""
    ran: list[str] = []

    def run(job: every.Job, *_: object, **__: object) -> int:
        ran.append(job.name)
        return 2 if job.name == "pairs-pairs_qqp" else 0

    monkeypatch.setattr(every, "data_dir", lambda: tmp_path)
    monkeypatch.setattr(every, "_run", run)

    code = cli.main(["all", "--only", "pairs", "--json", "--results", str(tmp_path)])

    assert code == 0
    assert json.loads(capsys.readouterr().out)["failed"] == {"pairs-pairs_qqp": 2}
    assert len(ran) == 7
