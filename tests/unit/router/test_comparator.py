"""Same or not: the rules on made-up answers, the meaning on 88 pairs written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import pytest
from fakes import FakeEncoder
from unit.router.answer_pairs import DIFFERENT, PAIRS, SAME, AnswerPair

from cache.types import Vectors
from classifier.encoder import OnnxEncoder
from router.comparator import Comparator, Comparison, Verdict, is_comparable
from router.types import Answer, ToolCall


def by_rules(one: str, other: str) -> Comparison:
    return Comparator(None).compare(one, other)


@cache
def shipped() -> Comparator:
    return Comparator(OnnxEncoder.load().encode)


@cache
def verdict_on(pair: AnswerPair) -> Verdict:
    return shipped().compare(pair.one, pair.other).verdict


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("**Paris**", "Paris."),
        ("# Steps\n\n1. Stop\n2. Go", "steps\n- stop\n- go"),
        ("Sure! 12", "12"),
        ("```sql\nSELECT 1;\n```", "SELECT  1"),
    ],
)
def test_markup_and_pleasantries_are_no_difference(one: str, other: str) -> None:
    """The same words are the same answer."""
    assert by_rules(one, other) == Comparison(verdict=Verdict.SAME, reason="equal")


@pytest.mark.parametrize(
    ("one", "other", "reason"),
    [
        ("I'm sorry, but I can't help with that.", "Mix both and wait an hour.", "refusal"),
        ("Yes, you can.", "No, you cannot.", "polarity"),
        ("True.", "That's incorrect.", "polarity"),
        ("It adds up.\n#### 1,200", "Adding gives: the answer is 1300.", "result"),
        ("It takes 3 days.", "It takes 5 days.", "guard_number"),
        ("Call Anna Schmidt.", "Call Boris Lehmann.", "guard_entity"),
        ("Use `sort()`.", "Use `reverse()`.", "guard_code"),
        ("See https://a.example.com/x", "See https://a.example.com/y", "guard_url"),
        ("You can change it.", "You cannot change it.", "guard_negation"),
        (
            "In general the model of Acme is older; most of what Acme sells is for farmers, who "
            "need it to be sturdy and easy to mend in the field without any tools.",
            "In general the model of Globex is older; most of what Globex sells is for farmers, "
            "who need it to be sturdy and easy to mend in the field without any tools.",
            "subject",
        ),
    ],
)
def test_what_excludes_each_other_is_different(one: str, other: str, reason: str) -> None:
    """However alike the rest is; the order of the two changes nothing."""
    expected = Comparison(verdict=Verdict.DIFFERENT, reason=reason)

    assert by_rules(one, other) == by_rules(other, one) == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Paris", "The capital of France is Paris, on the Seine, with 2.1 million inhabitants."),
        ("Seven.", "There are 7 continents."),
        ("Yes.", "Yes, you can export it from the billing page."),
        ("I cannot assist with that.", "Sorry, I can't help with this request."),
    ],
)
def test_an_answer_may_say_more_than_the_other(one: str, other: str) -> None:
    """What one of them merely adds is no difference, and neither are two ways to decline."""
    assert by_rules(one, other).verdict is Verdict.SAME


def test_without_an_encoder_meaning_is_unsure() -> None:
    """No rule speaks, and nothing is guessed."""
    found = by_rules("Open the page and press the button.", "There is a button on its page.")

    assert found == Comparison(verdict=Verdict.UNSURE, reason="meaning")


def test_a_long_answer_costs_a_bounded_run_of_the_encoder() -> None:
    """Two wholes and at most 16 sentences of each."""
    texts: list[str] = []
    encoder = FakeEncoder()

    def encode(batch: Sequence[str]) -> Vectors:
        texts.extend(batch)
        return encoder.encode(batch)

    words = ("lorem ipsum dolor sit amet consectetur. " * 2_000, "sed do eiusmod tempor. " * 2_000)
    Comparator(encode).compare(*words)

    assert len(texts) == 2 + 2 * 16
    assert max(map(len, texts)) <= 8_000


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(text="Paris"), True),
        (Answer(text="", refusal="I can't help with that."), True),
        (Answer(text="I can't help with that."), True),
        (Answer(text="Paris is", finish_reason="length"), False),
        (Answer(text=""), False),
        (
            Answer(text="", tool_calls=(ToolCall(id="1", name="f", arguments_json="{}"),)),
            False,
        ),
    ],
)
def test_only_whole_answers_are_compared(answer: Answer, expected: bool) -> None:
    """A refusal is whole; what was cut off, or asks for a tool, says nothing."""
    assert is_comparable(answer) is expected


@pytest.mark.parametrize("pair", [p for p in PAIRS if not p.is_same], ids=lambda p: p.topic)
def test_different_answers_are_never_called_the_same(pair: AnswerPair) -> None:
    """A wrong hit must not hide behind a kind comparison; unsure is as good as different."""
    assert verdict_on(pair) is not Verdict.SAME


def test_answers_that_are_the_same_are_mostly_called_so() -> None:
    """The rest are false alarms, which twins measure; a third of them would be of no use."""
    alarms = [p.topic for p in PAIRS if p.is_same and verdict_on(p) is not Verdict.SAME]

    assert len(alarms) <= 8, alarms


def test_few_comparisons_come_out_unsure() -> None:
    """Of 88 pairs at most one in eight."""
    unsure = [p.topic for p in PAIRS if verdict_on(p) is Verdict.UNSURE]

    assert len(SAME) + len(DIFFERENT) == 88
    assert len(unsure) <= 11, unsure
