from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from benchmarks.faults import (
    Books,
    Outcome,
    fault_of,
    figures,
    injected_of,
    ledger_books,
    settings_text,
    upstream_books,
)
from benchmarks.faults_plan import KINDS, MODELS, OK, Case, Planned, n_tokens, planned, words_of
from router.settings import parse
from scrimp.v1 import chat_pb2, gateway_pb2


def request(
    *steps: Sequence[str], is_streamed: bool = False, is_impatient: bool = False
) -> Planned:
    case = Case(
        number=7,
        prompt="Why is lava hot? (case 7)",
        flavour="text",
        steps=dict(zip(MODELS, steps, strict=True)),
        models=MODELS,
        is_impatient=is_impatient,
    )
    return Planned(case=case, is_streamed=is_streamed)


FINE = request([OK], [OK], [OK])
LOST = request(["500"], ["stall"], ["reset"])


def test_a_plan_is_the_same_for_the_same_seed() -> None:
    """And another for another."""
    assert planned(50, 1) == planned(50, 1) != planned(50, 2)


def test_a_plan_holds_every_kind_often_enough() -> None:
    """None of the ten is rare, whatever the seed; a run tells the shares of its calls."""
    for seed in range(3):
        cases = {one.case.number: one.case for one in planned(1_000, seed)}.values()
        steps = [
            step.removesuffix("_late") for c in cases for one in c.steps.values() for step in one
        ]
        counted = Counter(steps)
        counted["refuse"] = sum("gone" in case.models for case in cases)
        n_calls = sum(counted.values())

        assert all(counted[kind] >= 0.01 * n_calls for kind in KINDS), counted


@pytest.mark.parametrize(
    ("asked", "is_recoverable"),
    [
        (FINE, True),
        (LOST, False),
        (request(["500"], ["stall"], ["reset", OK]), True),
        (request(["500"], ["trickle"], ["reset"]), True),
        (request(["half_stream"], [OK], [OK]), True),
        (request(["half_stream"], [OK], [OK], is_streamed=True), False),
        (request([OK], ["malformed_sse_late"], [OK], is_streamed=True), False),
        (request([OK], ["malformed_sse"], [OK], is_streamed=True), True),
        (request(["stall"], ["stall"], ["stall"], is_impatient=True), False),
    ],
)
def test_what_a_healthy_path_could_serve(asked: Planned, is_recoverable: bool) -> None:
    """Some model ends in an answer, and no stream can speak and then fail."""
    assert asked.is_recoverable is is_recoverable


def done(text: str, model: str = "small", **usage: int) -> gateway_pb2.CompleteResponse:
    response = gateway_pb2.CompleteResponse(answer=chat_pb2.Answer(text=text))
    response.report.provider_model = f"{model}-2026"
    response.report.usage.input_tokens = usage.get("n_in", n_tokens(FINE.case.prompt))
    response.report.usage.output_tokens = usage.get("n_out", n_tokens(words_of(7, model)))
    return response


def test_the_right_answer_has_no_fault() -> None:
    """Said by the model it names, billed as that model bills; in pieces that add up."""
    text = words_of(7, "small")
    streamed = replace(FINE, is_streamed=True)

    assert fault_of(FINE, done(text), []) == ""
    assert fault_of(streamed, done(text), [text[:9], text[9:]]) == ""


@pytest.mark.parametrize(
    ("response", "pieces", "fault"),
    [
        (done(words_of(8, "small")), None, "not what the model said"),
        (done(words_of(7, "large")), None, "not what the model said"),
        (done(words_of(7, "small")[:-1]), None, "not what the model said"),
        (done(words_of(7, "small"), n_out=1), None, "usage"),
        (done(words_of(7, "small"), model="gone"), None, "answered by"),
        (done(words_of(7, "small")), ["[small"], "pieces"),
    ],
)
def test_wrong_answers_are_found(
    response: gateway_pb2.CompleteResponse, pieces: list[str] | None, fault: str
) -> None:
    """Another's answer, a spliced or cut one, another bill, pieces that are not the answer."""
    asked = FINE if pieces is None else replace(FINE, is_streamed=True)

    assert fault in fault_of(asked, response, pieces or [])
    assert fault_of(asked, response, pieces or [])


def test_both_books_are_summed_alike() -> None:
    """Calls whose usage was not told are counted, and are no tokens; refusals are no calls."""
    rows: list[dict[str, Any]] = [
        {"call": 1, "kind": OK, "model": "small"},
        {"call": 2, "kind": "500", "model": "small"},
        {"told": 1, "input": 6, "output": 13},
    ]
    attempts = [("ok", 6, 13), ("http_500", None, None), ("connect", None, None)]

    assert upstream_books(rows) == Books(calls=2, tokens=19, untold=1)
    assert ledger_books(attempts) == Books(calls=2, tokens=19, untold=1, refused=1)
    assert injected_of(rows) == {"500": 1}


def test_figures_tell_lost_from_unlucky() -> None:
    """Only what some path could serve counts against us."""
    outcomes = [
        Outcome(status="OK", seconds=0.1, is_joined=True),
        Outcome(status="UNAVAILABLE", seconds=31.0),
        Outcome(status="UNAVAILABLE", seconds=0.2),
        Outcome(status="OK", seconds=0.2, fault="spliced"),
    ]
    books = Books(calls=9, tokens=90, untold=1)

    result = figures([FINE, FINE, LOST, LOST], outcomes, {"500": 4}, books, books)

    assert result["recoverable_ok"] == 0.5
    assert result["outcomes"] == {"ok": 2, "error": {"UNAVAILABLE": 2}}
    assert (result["wrong_outcomes"], result["past_deadline"], result["joined"]) == (1, 1, 1)
    assert result["least_injected_share"] == 0
    assert result["upstream_tokens"] == result["ledger_tokens"] == 90


def test_its_settings_are_valid() -> None:
    """The file is no mistake, once addresses and keys are filled in."""
    keys = {"SCRIMP_FAULTS_KEY_A": "a", "SCRIMP_FAULTS_KEY_B": "b"}

    settings = parse(settings_text(1, 2), keys)

    assert [len(provider.keys) for provider in settings.providers.values()] == [1, 2, 2]
