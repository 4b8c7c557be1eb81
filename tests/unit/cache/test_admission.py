"""Which answers may be kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache.admission import AdmissionRefusal, declines, refusal_reason

DECLINING = [
    "I'm sorry, but I can't help with that.",
    "I’m sorry, but I can’t assist with that request.",
    "Sorry, I cannot provide medical advice.",
    "I cannot help with that.",
    "I can't assist with that.",
    "I cannot.",
    "I won't be able to help with this.",
    "I'm unable to access external websites.",
    "I am not able to browse the internet.",
    "As an AI language model, I don't have personal opinions.",
    "As an AI, I cannot predict the future.",
    "Unfortunately, I don't have access to real-time data.",
    "I apologize, but I cannot fulfill this request.",
    "I must respectfully decline.",
    "I don't have access to your account.",
    "No, I can't do that.",
    "That's not something I can help with.",
    "This request violates our content policy.",
    "I understand this is important to you, but I can't provide legal advice.",
    "I'm just an AI, so I can't give you a diagnosis.",
    "I'm sorry.",
]
ANSWERING = [
    "I'm sorry to hear that. Try turning it off and on again.",
    "Sorry is the word people use to apologise.",
    "I can't stress enough how important sleep is.",
    "I can't help but think of Paris in spring.",
    "To say you can't come, write: \"I'm sorry, but I can't attend.\"",
    "As an AI engineer you should learn Python.",
    "Paris is the capital of France.",
    "You cannot divide by zero.",
    "I'd suggest three books.",
    "No. The earth is round.",
    "Unfortunately, the war went on until 1945.",
    "We cannot know the position and the momentum at once.",
    "Refusing is a right.",
    "42",
]


@pytest.mark.parametrize("text", DECLINING)
def test_a_refusal_is_not_kept(text: str) -> None:
    """What a model declines once it may answer the next time."""
    assert refusal_reason(text, "stop", False) is AdmissionRefusal.REFUSED


@pytest.mark.parametrize("text", ANSWERING)
def test_an_answer_that_sounds_like_a_refusal_is_kept(text: str) -> None:
    """Being sorry or speaking of what cannot be done is no refusal."""
    assert refusal_reason(text, "stop", False) is None


@pytest.mark.parametrize(
    ("finish_reason", "expected"),
    [
        ("stop", None),
        ("end_turn", None),
        ("STOP", None),
        ("stop_sequence", None),
        ("length", AdmissionRefusal.TRUNCATED),
        ("max_tokens", AdmissionRefusal.TRUNCATED),
        ("MAX_TOKENS", AdmissionRefusal.TRUNCATED),
        ("incomplete", AdmissionRefusal.TRUNCATED),
        ("tool_calls", AdmissionRefusal.TOOL_CALL),
        ("tool_use", AdmissionRefusal.TOOL_CALL),
        ("function_call", AdmissionRefusal.TOOL_CALL),
        ("content_filter", AdmissionRefusal.ERROR),
        ("SAFETY", AdmissionRefusal.ERROR),
        ("error", AdmissionRefusal.ERROR),
        ("something new", AdmissionRefusal.ERROR),
        ("refusal", AdmissionRefusal.REFUSED),
        ("", AdmissionRefusal.UNFINISHED),
        ("null", AdmissionRefusal.UNFINISHED),
        ("pause_turn", AdmissionRefusal.UNFINISHED),
    ],
)
def test_only_an_answer_known_to_be_whole_is_kept(
    finish_reason: str, expected: AdmissionRefusal | None
) -> None:
    """Every provider's word for an unfinished answer keeps it out; so does an unknown word."""
    assert refusal_reason("Paris.", finish_reason, False) is expected


def test_a_tool_call_is_not_kept_whatever_the_finish_reason() -> None:
    """A tool's result is not part of the answer."""
    assert refusal_reason("Let me look.", "stop", True) is AdmissionRefusal.TOOL_CALL


@pytest.mark.parametrize("text", ["", "   ", "\n\t"])
def test_an_empty_answer_is_not_kept(text: str) -> None:
    """There is nothing to replay."""
    assert refusal_reason(text, "stop", False) is AdmissionRefusal.EMPTY


@given(st.text(), st.text(), st.booleans())
def test_every_answer_gets_a_verdict(text: str, finish_reason: str, has_tool_calls: bool) -> None:
    """No text raises."""
    reason = refusal_reason(text, finish_reason, has_tool_calls)

    assert reason is None or isinstance(reason, AdmissionRefusal)
    assert declines(text) in (True, False)
