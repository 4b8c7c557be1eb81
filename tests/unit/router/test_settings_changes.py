"""What of a file that was read again holds at once, and what waits for a restart."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, cast

import pytest

from router.settings import Settings, parse
from router.settings.changes import LAST_KEY, LIVE, changes
from router.settings.loading import _default_policy
from router.settings.tables import SettingsFile
from router.types import Usage

ENVIRON = {"HOME": "/home/ada", "OPENAI_API_KEY": "sk-test-0123456789abcdef"}
MODELS = """
[routing]
baseline = "large"
[models.large]
input_usd_per_mtok = 2.0
output_usd_per_mtok = 8.0
[models.small]
input_usd_per_mtok = 0.2
output_usd_per_mtok = 0.8
"""
KEY = f"""
[[auth.keys]]
name = "web"
sha256 = "{sha256(b"one").hexdigest()}"
namespaces = ["*"]
"""
TOKENS = Usage(input_tokens=1_000, output_tokens=0)


def read(text: str) -> Settings:
    return parse(text, ENVIRON)


@pytest.mark.parametrize(
    ("before", "after", "applied"),
    [
        ("", "[routing]\nquality_target = 0.8\n", {"routing.quality_target"}),
        ("", "[service]\nmode = 'shadow'\n", {"service.mode"}),
        ("", "[limits]\nmax_in_flight = 7\n", {"limits.max_in_flight"}),
        ("", "[cache]\nttl_s = 60\n", {"cache.ttl_s"}),
        ("", "[retention]\ntext_s = 7200\n", {"retention.text_s"}),
        ("", "[namespaces.a]\nttl_s = 60\n", {"namespaces.a (added)"}),
        ("[namespaces.a]\nttl_s = 60\n", "[namespaces.a]\nttl_s = 61\n", {"namespaces.a"}),
        (KEY, KEY + "roles = ['admin']\n", {"auth.keys.web"}),
        (KEY, KEY.replace("web", "app"), {"auth.keys.web (taken out)", "auth.keys.app (added)"}),
        (MODELS, MODELS.replace("0.8", "0.9"), {"models.small"}),
        (MODELS, MODELS.replace('"large"', '"small"'), {"routing.baseline"}),
        (
            MODELS,
            MODELS + "[providers.openai]\nbase_url = 'http://127.0.0.1:1/v1'\n",
            {"providers.openai"},
        ),
    ],
    ids=lambda value: str(value)[:30] if isinstance(value, set) else "",
)
def test_what_may_change_while_it_runs_is_named_and_taken(
    before: str, after: str, applied: set[str]
) -> None:
    """Models, prices, baseline, targets, namespaces, keys and the limits of single requests."""
    found = changes(read(before), read(after))

    assert set(found.applied) == applied
    assert found.needs_restart == ()
    assert found.settings.routing == read(after).routing
    assert found.settings.policies == read(after).policies
    assert found.settings.default_policy == read(after).default_policy


@pytest.mark.parametrize(
    ("after", "key"),
    [
        ("[service]\nlisten = '127.0.0.1:1'\n", "service.listen"),
        ("[service]\ndata_folder = '/elsewhere'\n", "service.data_folder"),
        ("[http]\nlisten = ''\n", "http.listen"),
        ("[limits]\nmax_message_bytes = 9000000\n", "limits.max_message_bytes"),
        ("[cache]\nmax_entries = 3\n", "cache.max_entries"),
    ],
)
def test_what_needs_a_restart_stays_and_the_rest_holds(after: str, key: str) -> None:
    """Until then the settings in use say what is so; the file's next reading says it again."""
    before = read("")
    mixed = after + "[routing]\nquality_target = 0.5\n"

    found = changes(before, read(mixed))
    again = changes(found.settings, read(mixed))
    back = changes(found.settings, read("[routing]\nquality_target = 0.5\n"))

    table, name = key.split(".")
    assert found.needs_restart == again.needs_restart == (key,)
    assert back.needs_restart == ()
    assert found.applied == ("routing.quality_target",)
    assert getattr(getattr(found.settings, table), name) == getattr(getattr(before, table), name)


def test_the_same_file_changes_nothing() -> None:
    """Read twice, word by word."""
    found = changes(read(MODELS + KEY), read(MODELS + KEY))

    assert (found.applied, found.needs_restart) == ((), ())


def test_a_secret_that_changed_is_a_change_and_is_not_shown() -> None:
    """The variable may name another key."""
    other = parse("", {**ENVIRON, "OPENAI_API_KEY": "sk-test-other-0123456789"})

    found = changes(read(""), other)

    assert found.applied == ("providers.openai",)
    assert "0123456789" not in repr(found)


def test_the_key_to_data_at_rest_needs_a_restart_and_is_not_shown() -> None:
    """Files are sealed with the key of the start; the same key again is no news."""
    sealed = "[encryption]\nkey_env = 'DATA_KEY'\n"
    with_key = [parse(sealed, {**ENVIRON, "DATA_KEY": digit * 64}) for digit in "aab"]

    other = changes(with_key[0], with_key[2])
    first = changes(read(""), with_key[0])

    assert (other.applied, other.needs_restart) == ((), ("encryption",))
    assert other.settings.data_keys == with_key[0].data_keys
    assert first.needs_restart == ("encryption",)
    assert not first.settings.data_keys
    assert changes(with_key[0], with_key[1]).needs_restart == ()
    assert "b" * 8 not in repr(other)


def test_the_last_key_taken_out_leaves_the_door_shut() -> None:
    """A service that wanted keys is not opened to everyone by a reading; the first key shuts it."""
    shut = changes(read(KEY), read("")).settings

    assert shut.wants_keys
    assert shut.access_keys == ()
    assert changes(read(KEY), read("")).needs_restart == (LAST_KEY,)
    assert changes(read(""), read(KEY)).settings.wants_keys
    assert changes(shut, read(KEY)).needs_restart == ()


def test_a_model_that_left_keeps_its_price() -> None:
    """A ticket may still name it; of one that is there the new price holds."""
    after = MODELS.replace("small", "tiny").replace(
        "input_usd_per_mtok = 2.0", "input_usd_per_mtok = 3.0"
    )

    prices = changes(read(MODELS), read(after)).settings.prices

    assert prices.cost_nanos("small", TOKENS) == 200_000
    assert prices.cost_nanos("large", TOKENS) == 3_000_000


@dataclass
class Watched:
    """Tables of which is noted what is read."""

    of: Any
    name: str = ""
    seen: set[str] = field(default_factory=set)

    def __getattr__(self, key: str) -> Any:
        found = getattr(self.of, key)
        if not self.name:
            return Watched(found, key, self.seen)
        self.seen.add(f"{self.name}.{key}")
        return found


def test_every_key_that_the_rules_of_a_namespace_come_from_is_live() -> None:
    """They hold from the next request on, and so they are not said to need a restart."""
    file = Watched(SettingsFile())

    _default_policy(cast("SettingsFile", file))

    live = {f"{table}.{key}" for table, keys in LIVE.items() for key in keys}
    assert "audits.route_share" in file.seen
    assert file.seen <= live


def test_every_key_that_is_live_is_one_of_the_tables() -> None:
    """A key that was renamed would else need a restart unnoticed."""
    for table, keys in LIVE.items():
        model = SettingsFile.model_fields[table].annotation
        assert model is not None
        assert keys <= set(model.model_fields), table
