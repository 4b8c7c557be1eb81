"""``make audit``: what it makes of pip-audit's answers, above all of those that are none."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import audit
import pytest

ASKED = {"name": "left", "version": "1.0", "vulns": []}
SKIPPED = {"name": "right", "skip_reason": "Dependency not found on PyPI"}
BROKEN = {
    "name": "up",
    "version": "2.0",
    "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1"], "aliases": []}],
}
UNREACHED = None


def pip_audit(folder: Path, **answers: list[dict[str, Any]] | None) -> list[str]:
    """Return the arguments of a run in which each service answers so; None: it is not reached."""
    reports = {
        service: None if packages is None else json.dumps({"dependencies": packages, "fixes": []})
        for service, packages in answers.items()
    }
    program = folder / "pip-audit"
    program.write_text(
        f"#!{sys.executable}\n"
        "import sys\n"
        f"report = {reports!r}[sys.argv[-1]]\n"
        "if report is None:\n"
        "    sys.exit('Traceback\\nConnectionError: no such host')\n"
        "print(report)\n"
        "sys.exit('PYSEC' in report)\n"
    )
    program.chmod(0o755)
    pins = folder / "pins.txt"
    pins.write_text("left==1.0\n")
    return [str(program), str(pins)]


@pytest.mark.parametrize(
    ("answers", "status", "words"),
    [
        ({"pypi": [ASKED]}, 0, "none is known"),
        ({"pypi": [ASKED, BROKEN]}, 1, "up 2.0: PYSEC-1 (mended in: 2.1)"),
        ({"pypi": UNREACHED, "osv": [ASKED]}, 0, "osv: asked about all 1"),
        ({"pypi": [ASKED, SKIPPED], "osv": UNREACHED}, 2, "no answer for 1 of 2"),
        ({"pypi": [SKIPPED], "osv": UNREACHED}, 2, "NOT done"),
        ({"pypi": UNREACHED, "osv": UNREACHED}, 2, "ConnectionError: no such host"),
        ({"pypi": [SKIPPED, BROKEN], "osv": UNREACHED}, 1, "PYSEC-1"),
    ],
    ids=["clean", "found", "the other one asked", "some", "none", "unreached", "found in part"],
)
def test_only_what_was_asked_about_is_called_clean(
    tmp_path: Path,
    answers: dict[str, Any],
    status: int,
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """pip-audit itself ends with 0 where it skipped everything; this does not."""
    assert audit.main(pip_audit(tmp_path, **answers)) == status

    printed = capsys.readouterr()
    assert words in printed.out + printed.err
    assert ("none is known" in printed.out) is (status == 0)


def test_without_pip_audit_nothing_is_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As where it could not be installed."""
    assert audit.main([str(tmp_path / "absent"), str(tmp_path / "pins.txt")]) == 2
    assert "NOT done" in capsys.readouterr().err
