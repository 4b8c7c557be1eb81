"""What a prompt's words say about reusing its answer."""
# ruff: noqa: E501  (word lists and tables are read as text)

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache.text_rules import is_content_free, is_personal, is_time_bound

CONTENT_FREE = [
    "", "?", "...", "!!!", "👍", "😀😀", "yes", "Yes.", "yes please", "no", "No, thanks", "nope", "ok", "OK!",
    "okay then", "k", "sure", "sure please", "continue", "please continue", "go on", "go ahead", "keep going",
    "next", "next please", "more", "more please", "thanks", "thank you", "thank you very much", "thx", "great",
    "perfect, thanks", "got it", "sounds good", "do it", "try again", "again", "why?", "why not?", "how?", "what?",
    "really?", "and then?", "the first one", "the second option", "2", "1.", "a", "B", "both", "neither", "stop",
    "wait", "hello", "hi", "hey", "bye", "good", "I see", "that's right", "explain more", "shorter please",
    "something else", "anything else?", "elaborate", "yes, do it", "no, not that", "let's go", "what is that?",
    "show me more", "tell me more", "give me another one",
]  # fmt: skip
CONTENTFUL = [
    "yes minister cast", "what is photosynthesis", "2 + 2", "2+2?", "x > y", "continue in French",
    "next year's elections", "Who is Ada?", "python", "weather", "Paris", "translate hello", "why is the sky blue",
    "good restaurants in Rome", "thank you letter to a teacher", "go to the moon", "$5", "50%",
    "explain recursion", "more books by Kafka", "hello world in C", "how do magnets work", "stop words in English",
    "1914-1918", "first world war", "write a poem",
]  # fmt: skip
PERSONAL = [
    "When does the trial end for me?", "Has it shipped?", "List recent orders",
    "Show me all open tickets", "Where do I work?", "Delete my data", "Am I pregnant?",
    "my A1C is 7.2, what does it mean", "Hi, this is John Smith, can you check the balance?",
    "Can you tell me how many vacation days remain?",
    "Where is my order?", "where's my package", "cancel my subscription", "What is my account balance?",
    "How do I reset my password?", "update my shipping address", "my credit card was declined", "show my invoices",
    "our invoice is wrong", "When will my refund arrive?", "what's on my calendar tomorrow", "I ordered a lamp last week",
    "I was charged twice", "I've paid already", "did I pay the rent", "how much do I owe", "am I eligible",
    "remind me to call Anna", "who am I?", "I live in Berlin, what should I see?", "I am 34 years old, can I run?",
    "my doctor prescribed ibuprofen", "what do my test results mean", "mail me at anna@example.org",
    "call +49 30 1234567", "call (212) 555-0187", "my number is 555-123-4567", "card 4111 1111 1111 1111",
    "IBAN DE89 3704 0044 0532 0130 00", "SSN 078-05-1120", "order #48213", "order number 48213", "ticket INC-48213",
    "account number: 12345678", "invoice 2024-0312", "booking reference XK12345", "track RR123456785",
    "Track parcel RR123456785DE", "where is 1Z999AA10123456784", "Please track RR123456785DE",
    "What did my boss mean?", "is my flight on time", "change my pin", "my latest bill", "my savings account",
    "what is my name", "that card is mine", "my wife's birthday",
    "Has the refund gone through?", "Did the payment go through?", "Has the parcel arrived?", "Was the transfer processed?",
    "When do I get the refund?", "The payment I made is missing", "Where's the parcel?", "Show me the open invoices",
    "How many sick days do I have?", "How many points do I have?", "Do I still have credit?", "How many points have I earned?",
    "Why was I logged out?", "Why can't I log in?", "Why can’t I log in?", "I cannot access the portal", "Am I enrolled in it?",
    "Did I pass?", "Was I overcharged?", "You charged me twice", "I never received it", "I want a refund",
    "Tell me who I am", "What did I tell you earlier?", "What did we agree on?", "as I said before, use it", "What do you know about me?",
    "Where is mine?", "I lost the card",
]  # fmt: skip
IMPERSONAL = [
    "What is the order of operations?", "Who was it shipped by?", "This is Spinal Tap review",
    "fix my code", "review my essay", "my python script fails with a KeyError", "my dog eats grass, why?",
    "What is the capital of France?", "how do orders work in SQL", "write a poem about the sea",
    "Explain e-mail protocols", "what is an account balance", "2 + 2", "1024 * 768", "in 1984, who wrote it",
    "the year 2020", "1000000 in words", "my favorite color is blue, write a haiku", "improve my sentence",
    "print(12345678 + 1)", "where is the Eiffel tower", "who is Ada Lovelace", "Python 3.11.4",
    "how do I sort a list", "what did Einstein say", "can I use flour instead?", "how do I say hello in French", "what should I cook",
    "how do I cancel a subscription?", "how do payments work", "do I have to peel ginger", "how can I learn Spanish fast", "who was the first king of Spain",
    "What is the population of 10,000,000 people?", "gold mine safety", "is 3.14159265358979 pi",
]  # fmt: skip
TIME_BOUND = [
    "What is the dollar to euro rate?", "what movies are out?", "gas near 94103",
    "How many days until Christmas?",
    "What's the weather in Paris?", "weather today", "latest news", "stock price of Apple", "price of gold",
    "who won last night", "current president of Chile", "exchange rate dollar euro", "is the museum open now",
    "What time is it?", "what day is it", "news", "score of the game", "what happened yesterday",
    "will it rain tomorrow", "recent papers on attention", "What is the latest version of Python?",
    "who is the president of France", "who is the CEO of Apple", "how much is a Tesla", "this week's events",
    "bitcoin price", "flights to Rome next week", "is the site down right now", "currently trending songs",
    "restaurants near me", "when is the next election", "the newest iPhone", "what are people doing these days",
    "how old is Madonna", "is Pelé still alive", "what is Bezos' net worth", "happening now", "as of today",
    "movies this weekend", "upcoming games", "who won the match", "traffic in London", "release date of the sequel",
    "how is the market doing now", "2 days ago", "tonight's show",
]  # fmt: skip
TIMELESS = [
    "What is the capital of France?", "Explain photosynthesis", "write a poem about the sea", "now write a poem",
    "Now translate it to French", "now give me an example", "2 + 2", "how do I sort a list in Python",
    "Who wrote Hamlet?", "define entropy", "difference between TCP and UDP", "who was the first man on the moon",
    "what is a snowflake made of", "HTTP status code 404", "how do tides work", "summarize the plot of Dune",
    "what does 'renowned' mean", "where do otters sleep", "convert 5 km to miles", "causes of World War II",
]  # fmt: skip


@pytest.mark.parametrize("text", CONTENT_FREE)
def test_a_message_without_content_is_known(text: str) -> None:
    """Alone these mean nothing: no other prompt may be answered by their answer."""
    assert is_content_free(text)


@pytest.mark.parametrize("text", CONTENTFUL)
def test_a_short_question_has_content(text: str) -> None:
    """Short is not empty."""
    assert not is_content_free(text)


@pytest.mark.parametrize("text", PERSONAL)
def test_a_personal_text_is_known(text: str) -> None:
    """Another user's answer to these would be wrong, or a leak."""
    assert is_personal(text)


@pytest.mark.parametrize("text", IMPERSONAL)
def test_what_the_text_itself_holds_is_not_personal(text: str) -> None:
    """Two users who paste the same code get the same answer; plain numbers identify nobody."""
    assert not is_personal(text)


@pytest.mark.parametrize("text", TIME_BOUND)
def test_a_time_bound_text_is_known(text: str) -> None:
    """The right answer to these is another one tomorrow."""
    assert is_time_bound(text)


@pytest.mark.parametrize("text", TIMELESS)
def test_a_timeless_text_is_not_time_bound(text: str) -> None:
    """Filler words like "now write" and past years are no sign of time."""
    assert not is_time_bound(text)


RULES = [is_content_free, is_personal, is_time_bound]


@pytest.mark.parametrize("rule", RULES)
@given(text=st.text())
def test_every_text_is_judged(rule: Callable[[str], bool], text: str) -> None:
    """No text raises."""
    assert rule(text) in (True, False)


@pytest.mark.parametrize("rule", [is_personal, is_time_bound])
@given(text=st.sampled_from(PERSONAL + TIME_BOUND + TIMELESS))
def test_case_does_not_hide_words(rule: Callable[[str], bool], text: str) -> None:
    """A shouted question is judged as a quiet one wherever the quiet one is marked."""
    if rule(text.lower()):
        assert rule(text.upper())


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    "unit", ["a ", "1", "1-", "my ", "my a ", "is a a ", "a@", "AB12 ", "now ", "last ", "0 ",
     "i ", "i the ", "the order ", "did i ", "i am 30 \t", "@a.", "how much a "],
)  # fmt: skip
def test_a_hostile_text_is_judged_in_bounded_time(rule: Callable[[str], bool], unit: str) -> None:
    """Neither a megabyte nor the longest text that is read makes a rule slow."""
    start = time.process_time()

    rule(unit * (1_000_000 // len(unit)))
    rule((unit * 65_536)[:65_536])

    assert time.process_time() - start < 1.0


def test_a_text_too_long_to_be_read_is_personal() -> None:
    """What was not looked at is not shared."""
    assert is_personal("word " * 20_000)


@pytest.mark.parametrize("rule", [is_personal, is_time_bound])
@pytest.mark.parametrize(
    "text", ["my " * 20_000, "i am 30" + " " * 60_000, "is" + " a" * 30_000], ids=lambda t: t[:7]
)
def test_the_longest_text_that_is_read_stalls_nobody(
    rule: Callable[[str], bool], text: str
) -> None:
    """The rules run on the event loop: words are read at a text's ends, and gaps count as one."""
    start = time.process_time()

    rule(text)

    assert time.process_time() - start < 0.04


@pytest.mark.parametrize("text", ["where is my order? ", "call (212) 555-0187 "])
def test_a_long_texts_end_is_read(text: str) -> None:
    """The question stands at the end of a pasted page."""
    assert is_personal("word " * 6_000 + text)


def test_an_identifier_is_found_amid_a_long_text() -> None:
    """A pasted mail thread holds its addresses anywhere."""
    assert is_personal("word " * 5_000 + "ann@example.org " + "word " * 5_000)
