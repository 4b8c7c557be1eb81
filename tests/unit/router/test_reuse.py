from __future__ import annotations

import pytest
from fakes_requests import chat, message

from cache.types import MissReason
from router.reuse import Reuse, judge
from router.settings import parse
from router.types import Attribution, CacheControl, ChatRequest, Role

FRESH = "[namespaces.acme]\nfreshness_s = 300\n"
PRIVATE = '[namespaces.acme]\nshare = "user"\n'
ANN, BOB = Attribution(user="ann"), Attribution(user="bob")


def judged(request: ChatRequest, settings: str = "") -> Reuse:
    return judge(request, parse(settings, {}).policy(request.namespace))


def test_ordinary_text_is_shared_in_the_namespace() -> None:
    """What anybody might ask is answered once for everybody."""
    ann, bob = (judged(chat("what is DNS?", attribution=user)) for user in (ANN, BOB))

    assert ann.split.partition == bob.split.partition
    assert ann.barrier is None


def test_personal_text_stays_with_its_user() -> None:
    """One user's order is never another's."""
    ann, bob = (judged(chat("where is my order?", attribution=user)) for user in (ANN, BOB))

    assert ann.split.partition != bob.split.partition
    assert ann.barrier is None


def test_personal_text_without_a_user_is_not_reused_at_all() -> None:
    """There is nobody to keep it for."""
    assert judged(chat("where is my order?")).barrier is MissReason.PERSONAL_WITHOUT_USER


def test_an_earlier_personal_turn_makes_the_conversation_personal() -> None:
    """The turn "and when will it come?" is about the order of the one who asked."""
    request = chat(
        messages=(
            message("where is my order?"),
            message("on its way", Role.ASSISTANT),
            message("when will it come?"),
        )
    )

    assert judged(request).barrier is MissReason.PERSONAL_WITHOUT_USER


def test_a_personal_word_in_the_system_prompt_makes_nothing_personal() -> None:
    """The app's own instructions are the same for all of its users."""
    system = message("Send complaints to help@example.com.", Role.SYSTEM)

    assert judged(chat(messages=(system, message("what is DNS?")))).barrier is None


def test_share_user_keeps_everything_apart() -> None:
    """Under that policy the most ordinary text stays with its user, or with nobody."""
    ann, bob = (judged(chat("what is DNS?", attribution=user), PRIVATE) for user in (ANN, BOB))

    assert ann.split.partition != bob.split.partition
    assert judged(chat("what is DNS?"), PRIVATE).barrier is MissReason.PERSONAL_WITHOUT_USER


def test_time_bound_text_is_not_reused_without_a_configured_freshness() -> None:
    """Yesterday's "today" is wrong today."""
    assert judged(chat("what is the weather in Oslo today?")).barrier is MissReason.TIME_BOUND


def test_time_bound_text_lives_as_long_as_the_freshness_says() -> None:
    """Both the fresh answer's life and the oldest stored answer are bounded by it."""
    reuse = judged(chat("what is the weather in Oslo today?"), FRESH)

    assert reuse.barrier is None
    assert (reuse.ttl_s, reuse.max_age_s) == (300, 300)


def test_the_callers_max_age_counts_when_it_is_shorter() -> None:
    """The stricter of the two bounds holds."""
    request = chat("weather today?", cache_control=CacheControl(max_age_s=10))

    assert judged(request, FRESH).max_age_s == 10


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("yes", MissReason.CONTENT_FREE),
        ("continue", MissReason.CONTENT_FREE),
        ("", MissReason.CONTENT_FREE),
        ("Wie kündige ich das Abonnement?", MissReason.LANGUAGE),
        ("how do I cancel a subscription?", None),
    ],
    ids=repr,
)
def test_what_cannot_be_compared_is_only_repeated_exactly(
    text: str, reason: MissReason | None
) -> None:
    """Without content, or outside the calibrated language, alike means nothing."""
    assert judged(chat(text)).exact_only is reason


FOREIGN = [
    "Wo ist meine Bestellung?",
    "¿Dónde está mi pedido?",
    "Wie ist das Wetter heute in Berlin?",
]


@pytest.mark.parametrize("text", FOREIGN)
def test_a_text_in_another_language_stays_with_its_user(text: str) -> None:
    """The rules read English: what they cannot read may be personal."""
    ann, bob = (judged(chat(text, attribution=user)) for user in (ANN, BOB))

    assert ann.split.partition != bob.split.partition
    assert ann.barrier is None


@pytest.mark.parametrize("text", FOREIGN)
def test_a_text_in_another_language_without_a_user_is_not_reused(text: str) -> None:
    """There is nobody to keep it for."""
    assert judged(chat(text)).barrier is MissReason.LANGUAGE


def test_a_text_in_another_language_lives_an_hour_at_most() -> None:
    """It may ask for the weather; within an hour its user may have the same answer again."""
    reuse = judged(chat(FOREIGN[-1], attribution=ANN))

    assert (reuse.ttl_s, reuse.max_age_s) == (3_600, 3_600)


def test_an_earlier_turn_in_another_language_counts_as_the_last_one() -> None:
    """A bare "and when?" is about the order nobody could read of."""
    turns = (message(FOREIGN[0]), message("Unterwegs.", Role.ASSISTANT), message("and when?"))

    assert judged(chat(messages=turns)).barrier is MissReason.LANGUAGE


@pytest.mark.parametrize("text", ["yes", "", "ok", "print(sorted(xs)[::-1])", "SELECT * FROM t"])
def test_text_without_language_is_shared_as_before(text: str) -> None:
    """Code and bare assent are in no language."""
    reuse = judged(chat(text))

    assert (reuse.barrier, reuse.max_age_s) == (None, None)


def test_an_earlier_time_bound_turn_makes_the_conversation_time_bound() -> None:
    """A bare "and in Bergen?" asks for today's weather, too."""
    turns = (
        message("what is the weather in Oslo today?"),
        message("Rain.", Role.ASSISTANT),
        message("and in Bergen?"),
    )

    assert judged(chat(messages=turns)).barrier is MissReason.TIME_BOUND


def test_turns_too_long_ago_to_be_read_keep_the_conversation_with_its_user() -> None:
    """What was not looked at is not shared."""
    turns = tuple(message(f"explain theorem {n}") for n in range(30))

    assert judged(chat(messages=turns)).barrier is MissReason.PERSONAL_WITHOUT_USER
    assert judged(chat(messages=turns[-20:])).barrier is None
