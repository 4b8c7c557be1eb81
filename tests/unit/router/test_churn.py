from __future__ import annotations

import gc

from fakes_requests import chat, message

from router.churn import Churn
from router.reuse import judge
from router.settings import parse
from router.types import ChatRequest, Role, Sampling

POLICY = parse("", {}).policy("acme")


def noted(*requests: ChatRequest) -> list[tuple[str, str, int]]:
    churn = Churn(lambda *_: None)
    for request in requests:
        churn.note(request.namespace, judge(request, POLICY))
    return churn.counts()


def test_a_changed_system_prompt_is_named_as_the_cause() -> None:
    """Whoever puts the time into the system prompt is told that this empties the cache."""
    at = [
        chat(messages=(message(f"It is {hour} o'clock.", Role.SYSTEM), message("what is DNS?")))
        for hour in (1, 2, 3)
    ]

    assert noted(*at) == [("acme", "system", 2)]


def test_a_text_that_is_new_is_no_churn() -> None:
    """Different questions are different questions."""
    assert noted(chat("what is DNS?"), chat("what is TCP?", sampling=Sampling(seed=1))) == []


def test_the_same_miss_again_is_no_churn() -> None:
    """A text that missed twice in one partition (expired, say) has another cause."""
    assert noted(chat("what is DNS?"), chat("what is DNS?")) == []


def test_no_text_is_kept() -> None:
    """A request that must not be stored leaves no word behind."""
    churn = Churn(lambda *_: None)
    text = "a secret that no-store shall keep from " + "memory"
    churn.note("acme", judge(chat(text), POLICY))

    assert text not in strings_within(churn)


def strings_within(root: object) -> set[str]:
    found, left, seen = set(), [root], set()
    while left:
        one = left.pop()
        if id(one) in seen or isinstance(one, type) or callable(one):
            continue
        seen.add(id(one))
        if isinstance(one, str):
            found.add(one)
        left += gc.get_referents(one)
    return found
