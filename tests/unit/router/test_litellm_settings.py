"""A provider of kind litellm in the settings."""

from __future__ import annotations

import pytest

from router.settings import SettingsError, cross, parse

TEXT = """
[models.claude]
provider = "cloud"
name = "bedrock/anthropic.claude"

[providers.cloud]
kind = "litellm"
"""


def test_a_library_that_is_missing_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    """Told by ``scrimp check``, with the command that installs it, and not by the first call."""
    monkeypatch.setattr(cross, "find_spec", lambda _: None)

    with pytest.raises(SettingsError) as caught:
        parse(TEXT, {})

    (mistake,) = caught.value.mistakes
    assert (mistake.key, mistake.seen) == ("providers.cloud.kind", "'litellm'")
    assert mistake.remedy == "pip install 'scrimp[litellm]'"


@pytest.mark.parametrize("url", ["", "http://127.0.0.1:4000/v1"])
def test_it_needs_neither_address_nor_key(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """The library knows both for most of its providers; an address is taken as for others."""
    monkeypatch.setattr(cross, "find_spec", lambda _: object())

    settings = parse(TEXT + f'base_url = "{url}"\n', {})

    provider = settings.providers["cloud"]
    assert (provider.kind, provider.base_url, provider.keys[0].env) == ("litellm", url, "")
    assert settings.models["claude"].provider_model == "bedrock/anthropic.claude"


def test_an_address_that_is_none_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for any provider."""
    monkeypatch.setattr(cross, "find_spec", lambda _: object())

    with pytest.raises(SettingsError, match="base_url"):
        parse(TEXT + 'base_url = "nowhere"\n', {})
