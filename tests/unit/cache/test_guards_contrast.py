"""Phrases that exclude each other, arrows, and counting: what single words cannot tell."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from cache.guards import compare, contrast, differences

VETOED = [
    ("where are hidden rows", "where are unhidden rows"),
    ("disable dark mode in app", "How do I turn on the dark mode in the app?"),
    ("eslint enable no-console", "How do I turn the no-console rule off in ESLint?"),
    ("share folder read-only", "share folder with edit rights"),
    ("git delete branch locally", "git delete branch on the remote"),
    ("sort an array smallest to largest", "sort an array in descending order"),
    ("top customers by order value", "top customers by order count"),
    ("basic -> pro, how to change plan", "pro -> basic, how to change plan"),
    ("flights between San Diego and Rome", "show me the flights from Rome to San Diego"),
]
DOUBTED = [
    ("how do I sort posts for one user", "how do I sort posts for all users"),
    ("show me flights from Rome to Oslo", "show me flights from Rome to Oslo on friday"),
    ("show me flights from Rome to Oslo", "show me direct flights from Rome to Oslo"),
    ("show me flights from Rome to Oslo", "how much is a flight from Rome to Oslo"),
    ("git: undo last commit, discard the changes", "git: undo last commit, keep the changes"),
    ("mute every chat at once", "mute a single chat at once"),
    ("notice period once probation is over", "What is the notice period during probation?"),
]
PASSING = [
    ("how do I turn on dark mode", "enable dark mode"),
    ("keep all my notes", "preserve every note of mine"),
    ("turn the lamp on and off", "switch the lamp off and on"),
    ("after my probation ends", "once my probation is over"),
    ("how many authors are there", "what is the number of authors"),
    ("how many people live in Peru", "population of Peru"),
    ("mute all chats at once", "mute all chats while driving"),
    ("flights between San Diego and Rome", "show me the flights from San Diego to Rome"),
    ("trains between Oslo and Bergen", "trains between Bergen and Oslo"),
    ("what is between", "from here to there"),
]


@pytest.mark.parametrize(("one", "two"), VETOED)
def test_phrases_that_exclude_each_other_are_vetoed(one: str, two: str) -> None:
    """Both ways round."""
    assert compare(one, two) is not None
    assert compare(two, one) is not None


@pytest.mark.parametrize(("one", "two"), DOUBTED)
def test_phrases_that_often_exclude_each_other_are_doubted(one: str, two: str) -> None:
    """One that is not lost is kept, and "all into a single file" joins."""
    assert compare(one, two) is None
    assert differences(one, two)
    assert differences(two, one)


@pytest.mark.parametrize(("one", "two"), PASSING)
def test_phrases_that_say_the_same_pass(one: str, two: str) -> None:
    """And a text that has both sides is against neither."""
    assert differences(one, two) == []


def test_counting_against_listing_is_a_doubt() -> None:
    """Some ask for one and mean both."""
    found = differences(
        "return the authors of the book", "return the number of authors of the book"
    )

    assert [(finding.candidate, finding.is_veto) for finding in found] == [("number of", False)]


def test_looking_at_beginnings_first_misses_no_phrase() -> None:
    """They only save time: on prompts, and on the words of the phrases themselves."""
    everywhere = re.compile(contrast._ANY_SIDE.pattern.replace(contrast._BEGINNINGS, "[a-z]"))
    traffic = Path("benchmarks/traffic/demo.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["text"].lower() for line in traffic]
    written = [word for pair in contrast._SIDES for side in pair for word in side.split("|")]
    texts += [re.sub(r"\\w[+*]|\W+", " ", word).strip() for word in written]

    found = [[match[0] for match in everywhere.finditer(text)] for text in texts]

    assert sum(map(len, found)) > 100
    assert found == [[m[0] for m in contrast._ANY_SIDE.finditer(text)] for text in texts]
