"""``[encryption]``: where keys are looked for, and that they are shown nowhere."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from router.settings import SettingsError, parse

OLD, NEW = base64.b64encode(b"o" * 32).decode(), (b"n" * 32).hex()


@pytest.mark.parametrize(
    ("table", "environ", "words"),
    [
        ('key_env = "DATA_KEY"', {}, "DATA_KEY is not set"),
        ('key_env = "DATA_KEY"', {"DATA_KEY": "c2hvcnQ="}, "32 random bytes"),
        ('key_env = "DATA_KEY"', {"DATA_KEY": f"{OLD},{OLD}"}, "different keys"),
        ('key_env = "DATA_KEY"', {"DATA_KEY": "#"}, "no key"),
        (f'key_env = "{OLD}"', {}, "never the key itself"),
        (f'key_env = "{NEW}"', {}, "never the key itself"),
        ('key_file = "/nowhere/keys"', {}, "/nowhere/keys cannot be read"),
        ('key_env = "DATA_KEY"\nkey_file = "keys"', {"DATA_KEY": OLD}, "one of the two"),
    ],
)
def test_a_key_that_is_none_is_a_mistake(table: str, environ: dict[str, str], words: str) -> None:
    """It says what is wrong, and never shows what was there."""
    with pytest.raises(SettingsError) as caught:
        parse(f"[encryption]\n{table}\n", environ)

    told = str(caught.value)
    assert words in told
    assert OLD not in told
    assert NEW not in told
    assert "c2hvcnQ" not in told


def test_without_the_extra_the_settings_say_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before anything is opened."""
    monkeypatch.setattr("router.settings.privacy.find_spec", lambda name: None)

    with pytest.raises(SettingsError, match=r"pip install 'scrimp\[encryption\]'"):
        parse('[encryption]\nkey_env = "DATA_KEY"\n', {"DATA_KEY": OLD})


def test_settings_hold_keys_and_show_none(tmp_path: Path) -> None:
    """In order, whatever they are written in; a file that others can read is warned of."""
    path = tmp_path / "keys"
    path.write_text(f"# the first one writes\n{NEW}\n{OLD}\n")
    path.chmod(0o644)

    settings = parse(f'[encryption]\nkey_file = "{path}"\n', {})

    assert settings.data_keys.reveal() == (b"n" * 32, b"o" * 32)
    assert NEW not in repr(settings)
    assert "nnnn" not in repr(settings)
    assert any("can be read by others" in warning.seen for warning in settings.warnings)
