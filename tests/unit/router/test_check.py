import io
from pathlib import Path

import pytest
from rich.console import Console

from router.commands.check import check

KEY = "sk-test-0123456789abcdef"
ENVIRON = {"HOME": "/home/ada", "OPENAI_API_KEY": KEY}


def run(path: Path | None, environ: dict[str, str] | None = None) -> tuple[int, str]:
    out = io.StringIO()
    status = check(path, ENVIRON if environ is None else environ, Console(file=out, width=200))
    return status, out.getvalue()


def file_of(folder: Path, text: str) -> Path:
    path = folder / "scrimp.toml"
    path.write_text(text)
    return path


def test_every_mistake_is_printed_with_line_and_remedy(tmp_path: Path) -> None:
    """One run is enough to mend the file."""
    path = file_of(tmp_path, '[service]\nmode = "of"\n[cache]\nttl_s = -1\n[routin]\n')

    status, text = run(path)

    assert status == 1
    assert "3 mistakes" in text
    assert "line 2: service.mode" in text
    assert "did you mean 'off'?" in text
    assert "line 4: cache.ttl_s" in text
    assert "line 5: routin" in text


def test_a_good_file_says_what_would_run(tmp_path: Path) -> None:
    """Models with prices and their source, the baseline, and every policy."""
    path = file_of(tmp_path, '[namespaces.support]\nmode = "shadow"\npinned_model = "gpt-4o"\n')

    status, text = run(path)

    assert status == 0
    assert "baseline  gpt-4o" in text
    assert "price of gpt-4o-mini: genai-prices" in text
    assert "support" in text
    assert "only gpt-4o" in text
    assert "key in OPENAI_API_KEY: set" in text
    assert "warning" not in text


def test_every_key_is_told_by_the_name_of_its_variable(tmp_path: Path) -> None:
    """With its weight, where there are several; never the key."""
    text = "[providers.openai]\napi_key_envs = { KEY_A = 3.0, KEY_B = 1.0 }\n"

    status, told = run(file_of(tmp_path, text), {"KEY_A": KEY, "KEY_B": KEY})

    assert status == 0
    assert "(key in KEY_A: set, weight 3, key in KEY_B: set)" in told
    assert KEY not in told


def test_what_audits_may_cost_is_told(tmp_path: Path) -> None:
    """Share and budget where hits are audited, a plain word where none is."""
    off = run(file_of(tmp_path, ""))[1]
    on = run(file_of(tmp_path, "[audits]\nshare = 0.02\n[namespaces.a]\naudit_share = 0.1\n"))[1]

    assert "audits    none: the error rate of hits is not measured" in off
    assert "audits    share 0.02 to 0.1 of near-duplicate hits, at most $1 a day" in on


def test_warnings_stand_apart_and_do_not_fail(tmp_path: Path) -> None:
    """An unset key is told; the advisor runs without it."""
    status, text = run(file_of(tmp_path, ""), {})

    assert status == 0
    assert "1 warning" in text
    assert "OPENAI_API_KEY is not set" in text


def test_an_unknown_price_is_shown_as_unknown_and_never_as_0(tmp_path: Path) -> None:
    """The summary does not make a model look free."""
    text = '[models.mine]\nname = "nobody-knows-me"\n[routing]\nbaseline = "mine"\n'

    status, told = run(file_of(tmp_path, text))

    assert status == 0
    assert "price of mine: unknown" in told
    assert "no known price" in told


@pytest.mark.parametrize("text", ["", "[providers.openai]\napi_key = 'sk-test-0123456789abcdef'\n"])
def test_no_secret_is_printed(tmp_path: Path, text: str) -> None:
    """Neither the environment's key nor one that strayed into the file."""
    _, told = run(file_of(tmp_path, text))

    assert KEY not in told


def test_an_absent_file_is_a_mistake(tmp_path: Path) -> None:
    """A wrong path is not taken for embedded defaults."""
    status, text = run(tmp_path / "absent.toml")

    assert status == 1
    assert "check the path" in text


def test_markup_in_a_file_is_printed_as_it_is(tmp_path: Path) -> None:
    """Square brackets of a name are no formatting."""
    path = file_of(tmp_path, '[service]\nlisten = "[bold]x[/nope]"\n')

    status, text = run(path)

    assert status == 1
    assert "[bold]x[/nope]" in text
