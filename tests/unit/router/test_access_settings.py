"""``[auth]``: mistakes are told with line and remedy, and no key is ever shown."""

from __future__ import annotations

import tomllib
from hashlib import sha256

import pytest

from router.__main__ import main
from router.commands.key import fresh_key
from router.faces.keys import Keys
from router.settings import SettingsError, parse

ENVIRON = {"HOME": "/home/ada", "OPENAI_API_KEY": "sk-test-0123456789abcdef"}
HASH = sha256(b"a key").hexdigest()
OPEN_PORT = '[service]\nlisten = "0.0.0.0:50051"\n'


def a_table(**changes: str) -> str:
    values = {"name": '"web"', "sha256": f'"{HASH}"', "namespaces": '["acme"]'} | changes
    return "\n".join(["[[auth.keys]]", *(f"{key} = {value}" for key, value in values.items()), ""])


@pytest.mark.parametrize(
    ("changes", "place", "line", "words"),
    [
        ({"sha256": '"abc"'}, "auth.keys[0].sha256", 3, "64 hex digits"),
        ({"sha256": '"my-secret-key-pasted"'}, "auth.keys[0].sha256", 3, "scrimp key NAME"),
        ({"sha256": f'"{"g" * 64}"'}, "auth.keys[0].sha256", 3, "64 hex digits"),
        ({"sha256": "7"}, "auth.keys[0].sha256", 3, "a text"),
        ({"name": '""'}, "auth.keys[0].name", 2, "a name of 1 to"),
        ({"namespaces": "[]"}, "auth.keys[0].namespaces", 4, "at least one"),
        ({"namespaces": '[""]'}, "auth.keys[0].namespaces[0]", 4, "a name of 1 to"),
        ({"roles": "[]"}, "auth.keys[0].roles", 5, "at least one"),
        ({"roles": '["admn"]'}, "auth.keys[0].roles[0]", 5, "did you mean 'admin'?"),
        ({"role": '["call"]'}, "auth.keys[0].role", 5, "did you mean 'roles'?"),
        ({"roles": '["metrics"]'}, "auth.keys[0].roles", 5, "--metrics"),
        ({"user": '"a\\u0007"'}, "auth.keys[0].user", 5, "a name of 1 to"),
    ],
)
def test_a_mistake_is_told_once_with_its_line_and_remedy(
    changes: dict[str, str], place: str, line: int, words: str
) -> None:
    """And what stands where the hash belongs is not repeated: it may be the key."""
    with pytest.raises(SettingsError) as caught:
        parse(a_table(**changes), ENVIRON)

    (mistake,) = caught.value.mistakes
    assert (mistake.key, mistake.line) == (place, line)
    assert words in str(mistake)
    assert "pasted" not in str(mistake)


def test_one_key_stands_in_one_table() -> None:
    """Else which rights hold would depend on the order; upper case does not hide it."""
    with pytest.raises(SettingsError) as caught:
        parse(a_table() + a_table(sha256=f'"{HASH.upper()}"', name='"other"'), ENVIRON)

    (mistake,) = caught.value.mistakes
    assert (mistake.key, mistake.line) == ("auth.keys[1].sha256", 7)
    assert "auth.keys[0]" in mistake.seen


def test_a_successor_may_bear_the_same_name() -> None:
    """A key is changed without its caller losing tickets and request ids."""
    settings = parse(a_table() + a_table(sha256=f'"{"0" * 64}"'), ENVIRON)

    assert [key.name for key in settings.access_keys] == ["web", "web"]


def test_a_successor_is_bound_to_the_same_user() -> None:
    """Tickets and request ids go by the name: another user must not come by them."""
    one, other = a_table(user='"ada"'), a_table(sha256=f'"{"0" * 64}"', user='"bob"')

    with pytest.raises(SettingsError) as caught:
        parse(one + other, ENVIRON)

    (mistake,) = caught.value.mistakes
    assert (mistake.key, mistake.seen) == ("auth.keys[1].user", "'bob'")
    assert "'ada'" in mistake.expected


def test_an_admin_is_bound_to_no_user() -> None:
    """It governs all of its namespaces' users."""
    with pytest.raises(SettingsError) as caught:
        parse(a_table(roles='["call", "admin"]', user='"ada"'), ENVIRON)

    (mistake,) = caught.value.mistakes
    assert (mistake.key, mistake.line) == ("auth.keys[0].user", 6)


def test_in_a_closed_set_a_key_names_what_is_there() -> None:
    """A misspelled namespace would lock its caller out; "*" always stands for all."""
    closed = '[namespaces]\nclosed = true\n[namespaces.acme]\nmode = "on"\n'

    with pytest.raises(SettingsError) as caught:
        parse(a_table(namespaces='["acne"]') + closed, ENVIRON)

    assert "did you mean 'acme'?" in str(caught.value)
    assert parse(a_table(namespaces='["*"]') + closed, ENVIRON).access_keys


def test_listening_beyond_this_machine_is_warned_of() -> None:
    """Without keys for what anyone can do, with them for what anyone on the way can read."""
    (unkeyed,) = parse(OPEN_PORT, ENVIRON).warnings
    (keyed,) = parse(OPEN_PORT + a_table(), ENVIRON).warnings

    assert "scrimp key NAME" in unkeyed.remedy
    assert "TLS" in keyed.remedy


def test_a_fresh_key_is_let_in_by_its_lines() -> None:
    """Names may hold quotes and other letters; every key is another."""
    key, lines = fresh_key('the "Wéb" 𝔸pp', ["acme", "*"], roles=["call", "admin"])
    text = "\n".join(lines)

    access = Keys(parse(text, ENVIRON).access_keys).admit(f"Bearer {key}")

    assert tomllib.loads(text)["auth"]["keys"][0]["name"] == 'the "Wéb" 𝔸pp'
    assert access.governs("anything") == "anything"
    assert key not in text
    assert key != fresh_key("web", ["acme"])[0]


def test_the_key_is_printed_apart_from_the_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """``scrimp key web >> scrimp.toml`` puts no key into the file."""
    assert main(["key", "web", "--namespace", "acme"]) == 0

    printed = capsys.readouterr()
    key = printed.err.split()[-1]
    (known,) = parse(printed.out, ENVIRON).access_keys
    assert known.digest == sha256(key.encode()).digest()
    assert (set(known.namespaces), set(known.roles)) == ({"acme"}, {"call"})
    assert key not in printed.out


@pytest.mark.parametrize(
    ("said", "rights"),
    [
        (["--user", "ada"], ({"default"}, {"call"}, "ada")),
        (["--metrics"], ({"*"}, {"metrics"}, "")),
        (["--admin", "--namespace", "acme"], ({"acme"}, {"call", "admin"}, "")),
    ],
)
def test_scrimp_key_makes_the_key_that_is_asked_for(
    said: list[str], rights: tuple[set[str], set[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    """With lines that are valid as they stand."""
    assert main(["key", "web", *said]) == 0

    (known,) = parse(capsys.readouterr().out, ENVIRON).access_keys
    assert (set(known.namespaces), set(known.roles), known.user) == rights


@pytest.mark.parametrize("said", [["--metrics", "--admin"], ["--admin", "--user", "ada"]])
def test_scrimp_key_makes_no_key_that_the_settings_refuse(
    said: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """It says what does not go together, and prints no lines."""
    assert main(["key", "web", *said]) == 2

    printed = capsys.readouterr()
    assert printed.out == ""
    assert "scrimp key:" in printed.err
