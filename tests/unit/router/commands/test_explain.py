"""``scrimp explain``: what it says of a pair is what the service does with it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from fakes import FakeClock
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from cache.normalize import canonical
from cache.types import MissReason, OperatingPoint
from router.__main__ import main
from router.app import App, build
from router.commands.explain import explanation
from router.commands.explain_report import render, stretches
from router.gateway import Answered
from router.ledger.types import LedgerLine, Outcome
from router.providers.scripted import ScriptedProvider
from router.settings import parse
from router.types import Attribution, ChatRequest, Message, Part, Role

with_the_app = pytest.mark.asyncio(loop_scope="module")

LONG = "Please read this report with care. " + "We sold {} lamps in every shop of the town. " * 30
PAIRS = {
    "an exact repeat": ("How do volcanoes form?", "  How do   volcanoes form? "),
    "a near-duplicate": (
        "How do I bake sourdough bread at home?",
        "how do I bake sourdough bread at home",
    ),
    "another number": ("How do I convert 3 miles to km?", "How do I convert 30 miles to km?"),
    "an antonym": ("How do I enable two-factor login?", "How do I disable two-factor login?"),
    "another quote": (
        'How do I make a folder called "Photos" on a shared drive?',
        'How do I make a folder called "Pictures" on a shared drive?',
    ),
    "other code": ("What does `git pull` do?", "What does `git push` do?"),
    "another address": ("Is https://a.example/x safe?", "Is https://a.example/y safe?"),
    "another place": (
        "How do I change a flat tyre on a wet Monday?",
        "How do I change a flat tyre on a wet Friday?",
    ),
    "other words": (
        "What are the effects of skipping breakfast?",
        "Is skipping breakfast bad?",
    ),
    "far apart": ("How do volcanoes form?", "Write a birthday card for a nurse"),
    "both time-bound": ("What is the weather in Oslo?", "How is the weather in Oslo?"),
    "only the stored one time-bound": ("Who was king of Spain today?", "Who was king of Spain?"),
    "only the asked one time-bound": ("Who was king of Spain?", "Who was king of Spain today?"),
    "both personal": ("Where is the parcel I ordered?", "Where is the parcel that I ordered?"),
    "only one personal": ("Where is my parcel kept?", "Where is a parcel kept?"),
    "content-free": ("yes please", "yes"),
    "content-free against content": ("yes", "How do volcanoes form?"),
    "not English": ("Wie backe ich ein gutes Brot?", "Wie backe ich gutes Brot?"),
    "only the stored one not English": ("Wie backe ich Brot?", "How do I bake bread?"),
    "beyond the window": (LONG.format(*[3] * 30), LONG.format(*[3] * 12, 4, *[3] * 17)),
    "empty": ("", "   "),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def app(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[App]:
    """The service's parts on a folder of their own."""
    folder = tmp_path_factory.mktemp("explain")
    defaults = parse("", {}, overrides={"service.data_folder": str(folder)})
    providers = dict.fromkeys(defaults.providers, ScriptedProvider())
    async with build(defaults, providers, now_s=FakeClock()) as running:
        yield running


def point_of(app: App) -> OperatingPoint:
    return app.point("default", app.settings.default_policy)


async def answered(app: App, namespace: str, text: str) -> LedgerLine:
    request = ChatRequest(
        namespace=namespace,
        caller="test",
        messages=(Message(role=Role.USER, parts=(Part(text=text),)),),
        attribution=Attribution(user="ann"),
    )
    async for event in app.gateway.complete(request, None, is_streamed=False):
        if isinstance(event, Answered):
            return event.line
    raise AssertionError("a request ends with its answer")


@with_the_app
@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS.keys())
async def test_the_service_does_what_the_explanation_says(
    app: App, request: pytest.FixtureRequest, pair: tuple[str, str]
) -> None:
    """The first prompt is answered and kept, the second one asks: outcome and reason are those."""
    stored, asked = pair
    namespace = request.node.name

    found = explanation(app.cache, app.settings.default_policy, point_of(app), stored, asked)

    await answered(app, namespace, stored)
    line = await answered(app, namespace, asked)
    assert line.miss_reason == (found.reason or "")
    expected = Outcome.EXACT if found.is_exact else Outcome.NEAR
    assert line.outcome is (expected if found.is_served else Outcome.MISS)
    if line.p_right is not None:
        assert line.p_right == pytest.approx(found.p_right, abs=0.01)
        assert line.similarity == pytest.approx(
            1.0 if found.is_exact else found.similarity, abs=0.01
        )


@with_the_app
async def test_the_pairs_take_every_way_out(app: App) -> None:
    """The agreement above is tried on exact and near hits and on every reason that a text gives."""
    found = [
        explanation(app.cache, app.settings.default_policy, point_of(app), *pair)
        for pair in PAIRS.values()
    ]

    assert {one.is_exact for one in found if one.is_served} == {True, False}
    assert {one.reason for one in found if one.reason} == {
        MissReason.TIME_BOUND,
        MissReason.CONTENT_FREE,
        MissReason.LANGUAGE,
        MissReason.NOTHING_SIMILAR,
        MissReason.BEYOND_WINDOW,
        MissReason.GUARD_NUMBER,
        MissReason.GUARD_NEGATION,
        MissReason.GUARD_QUOTE,
        MissReason.GUARD_CODE,
        MissReason.GUARD_URL,
        MissReason.GUARD_ENTITY,
        MissReason.BELOW_THRESHOLD,
    }


@with_the_app
async def test_the_verdict_and_what_led_there_are_shown(app: App) -> None:
    """Reason, differing words, what the guard found, the rules and the figures."""
    found = explanation(app.cache, app.settings.default_policy, point_of(app), *PAIRS["an antonym"])
    console = Console(width=120, color_system=None)

    with console.capture() as capture:
        console.print(render(found))

    lines = [" ".join(line.split()) for line in capture.get().splitlines()]
    assert lines[0].startswith("not served: guard_negation.")
    assert "stored How do I enable two-factor login?" in lines
    assert "enable disable" in lines, "the words"
    assert "negation enable disable" in lines, "the guard"
    assert "time-bound: only within freshness_s no no" in lines
    assert f"cosine {found.similarity:.3f} 0.8" in lines
    assert f"P(right) 0.000 {point_of(app).min_p_right:g}" in lines


@with_the_app
async def test_a_personal_prompt_is_marked_as_its_users_own(app: App) -> None:
    """The verdict on such a pair holds between requests of one user only."""
    policy = app.settings.default_policy

    assert not explanation(app.cache, policy, point_of(app), *PAIRS["both personal"]).is_shared
    assert explanation(app.cache, policy, point_of(app), *PAIRS["a near-duplicate"]).is_shared


_WORDS = st.lists(st.sampled_from("how do I pause Pause pause, cancel my plan now ?".split()))


def _plain(words: str) -> str:
    return words.lower().replace(",", "")


@settings(deadline=None)
@given(_WORDS, _WORDS)
def test_no_word_is_lost_side_by_side(a: list[str], b: list[str]) -> None:
    """Each side's pieces joined are its text, and what is called the same is."""
    stored, asked = " ".join(a), " ".join(b)

    found = stretches(stored, asked)

    assert " ".join(one.stored for one in found if one.stored) == stored
    assert " ".join(one.asked for one in found if one.asked) == asked
    for one in found:
        assert not one.is_same or _plain(one.stored) == _plain(one.asked)


def test_long_texts_are_put_side_by_side_without_a_word_lost() -> None:
    """Beyond what is compared word by word, the rest stands as a whole."""
    stored, asked = (canonical(f"{start} " + "word " * 2_000) for start in ("one", "two"))

    found = stretches(stored, asked)

    assert [one.is_same for one in found] == [False, True, True]
    assert " ".join(one.asked for one in found) == asked


def shown(capsys: pytest.CaptureFixture[str], *args: str) -> dict[str, Any]:
    assert main(["explain", *args, "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def test_json_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    """From the command line: verdict, figures, words, findings and traits."""
    found = shown(capsys, *PAIRS["another number"])

    assert (found["is_served"], found["reason"]) == (False, "guard_number")
    assert found["findings"] == [
        {"guard": "guard_number", "stored": "3 mile", "asked": "30 mile", "is_veto": True}
    ]
    assert found["differ_by"] == ["slot:convert", "words:3|30", "kind:number"]
    assert {"stored": "3", "asked": "30", "is_same": False} in found["words"]
    assert found["traits"]["asked"]["is_english"]
    assert found["min_similarity"] == 0.8


def test_a_target_takes_the_place_of_the_policys(capsys: pytest.CaptureFixture[str]) -> None:
    """The same pair, judged more strictly and more leniently."""
    pair = PAIRS["a near-duplicate"]

    assert shown(capsys, *pair, "--target", "0.1")["is_served"]
    strict = shown(capsys, *pair, "--target", "0")

    assert (strict["is_served"], strict["reason"]) == (False, "thin_evidence")
    assert strict["min_p_right"] is None


def test_the_namespaces_own_rules_are_applied(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A namespace that lets time-bound answers live a minute serves them."""
    file = tmp_path / "scrimp.toml"
    file.write_text("[namespaces.news]\nfreshness_s = 60\n", encoding="utf-8")
    same = "What is the weather in Oslo?"

    news = shown(capsys, same, same, "--config", str(file), "--namespace", "news")
    others = shown(capsys, same, same, "--config", str(file))

    assert news["is_exact"]
    assert others["reason"] == "time_bound"


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["--target", "3"], "max_error_rate is a share in [0, 1], got 3.0"),
        (["--config", "/nowhere/scrimp.toml"], "/nowhere/scrimp.toml"),
    ],
)
def test_a_mistake_is_told_in_a_sentence(
    capsys: pytest.CaptureFixture[str], args: list[str], sentence: str
) -> None:
    """No traceback, and nothing on standard output."""
    assert main(["explain", "a", "b", *args]) == 1

    said = capsys.readouterr()
    assert sentence in said.err
    assert not said.out
