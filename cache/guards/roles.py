"""Rules on who does what to whom: the same words in other places, "and" for "or"."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise

from cache.facts import Facts
from cache.guards.finding import Difference, is_symmetric, n_other
from cache.guards.grammar import DIRECTED, converts, governed_swapped
from cache.guards.polarity import flips_between, is_comparison
from cache.lexicon import FUNCTION_WORDS

_WORDS_COMMAS = re.compile(r"\w+|,")
_MAX_ROLE_WORDS = 64


def roles_swapped(a: Facts, b: Facts) -> Difference | None:
    """The same words in other roles: "from A to B", "does A love B", "A before B"."""
    if not a.words or not b.words or is_symmetric(a, b):
        return None
    if is_comparison(a, b) and flips_between(a, b):
        return None  # "A better than B" and "B worse than A": judged with the opposites
    is_swapped = _is_swapped(a, b)
    if not is_swapped and not governed_swapped(a, b):
        return None
    is_veto = is_swapped or converts(a, b) or n_other(a, b) <= 1
    return Difference(" ".join(a.stems[:24]), " ".join(b.stems[:24]), is_veto)


_NO_ORDER = frozenset(
    "a an the do does did is are was were be been has have had will would can could".split()
)
_SUBJECT = {"him": "he", "his": "he", "her": "she", "hers": "she", "me": "i", "my": "i"}


def _is_swapped(a: Facts, b: Facts) -> bool:
    """Tell whether the texts differ in two words or names that changed places, or in the voice."""
    if len(a.stems) != len(b.stems) or not 2 <= len(a.stems) <= _MAX_ROLE_WORDS:
        return False
    if sorted(_subjects(a.stems)) != sorted(_subjects(b.stems)):
        return False
    voice_a, voice_b = _agent(a), _agent(b)
    if bool(voice_a) != bool(voice_b):  # "did A hit B", "was A hit by B"
        active, agent = (b, voice_a) if voice_a else (a, voice_b)
        return a.stems == b.stems and len(a.stems) >= 3 and not _has_preposition(active, agent)
    raw = [word for word in a.words if word not in _NO_ORDER]
    one = _subjects(raw)
    two = _subjects(word for word in b.words if word not in _NO_ORDER)
    if len(one) != len(two) or one == two:
        return False
    start = 0
    while one[start] == two[start]:
        start += 1
    end = len(one)
    while one[end - 1] == two[end - 1]:
        end -= 1
    core, other = one[start:end], two[start:end]
    for size in (1, 2, 3):
        if len(core) <= 2 * size:
            return False
        if core[:size] == other[-size:] and core[-size:] == other[:size]:
            return core[size:-size] == other[size:-size] and not (
                _is_list(one, two, core[size:-size]) or _has_comma(a.text, raw[start], raw[end - 1])
            )
    return False


def _subjects(words: Iterable[str]) -> list[str]:
    return [_SUBJECT.get(word, word) for word in words]


def _agent(text: Facts) -> str:
    """Return the word after "by" in a passive ("was hit by John", "books written by"), if any."""
    words = text.words
    for at, word in enumerate(words[1:-1], start=1):
        if word == "by" and words[at - 1] not in FUNCTION_WORDS and _looks_past(words[at - 1]):
            follower = words[at + 1]
            return "" if follower in _NO_AGENT or not follower.isalpha() else follower
    return ""


_NO_AGENT = frozenset("itself himself herself themselves myself yourself".split())
_PREPOSITIONS = frozenset("at by for from in into of on to with".split())


def _has_preposition(text: Facts, word: str) -> bool:
    """Tell whether a word follows a preposition: "annoyed by Quora" is "annoyed on Quora"."""
    words = [other for other in text.words if other not in ("a", "an", "the")]
    return any(one in _PREPOSITIONS and other == word for one, other in pairwise(words))


def _looks_past(word: str) -> bool:
    return word.endswith(
        ("ed", "en", "wn", "ght", "nt", "ld", "ade", "ung", "it", "pt", "een", "ft")
    )


def _is_list(one: list[str], two: list[str], between: list[str]) -> bool:
    """Tell whether the swap only reorders a list: "A and B", "load current and load voltage"."""
    if all(word in FUNCTION_WORDS for word in between):
        return not DIRECTED & set(between)
    for word in ("and", "or", "vs"):
        if word in between:
            at, to = one.index(word), two.index(word)
            for size in range(1, 5):
                left, right = one[max(0, at - size) : at], one[at + 1 : at + 1 + size]
                if left == two[to + 1 : to + 1 + size] and right == two[max(0, to - size) : to]:
                    return True
    return False


def _has_comma(text: str, first: str, last: str) -> bool:
    lowered = f" {' '.join(_WORDS_COMMAS.findall(text.lower()))} "
    start, end = lowered.find(f" {first} "), lowered.rfind(f" {last} ")
    return 0 <= start < end and "," in lowered[start:end]


def other_direction(a: Facts, b: Facts) -> Difference | None:
    """From one place to another, against between the two in the other order.

    In one order people mean the same by both; turned round, some mean the way back.
    """
    if ("between" in a.vocabulary) is ("between" in b.vocabulary):
        return None
    one, two = (
        (_ends(a, "between", "and"), _ends(b, "from", "to"))
        if "between" in a.vocabulary
        else (_ends(a, "from", "to"), _ends(b, "between", "and"))
    )
    if not one or not two or one == two or one != two[::-1]:
        return None
    return Difference(" ".join(one), " ".join(two), is_firm=True)


_MOST_BETWEEN = 6  # words of a place's name


def _ends(text: Facts, before: str, amid: str) -> tuple[str, str] | None:
    """Return the first words of two places that "from ... to", "between ... and" name."""
    words = text.words
    if before not in text.vocabulary:
        return None
    start = words.index(before) + 1
    within = words[start : start + _MOST_BETWEEN]
    if amid not in within[1:]:
        return None
    end = start + within.index(amid, 1) + 1
    return (words[start], words[end]) if end < len(words) else None


_JOINED = re.compile(r"\b([^\W\d_]{3,}) (and|or) ([^\W\d_]{3,})\b")


def other_joiner(a: Facts, b: Facts) -> Difference | None:
    """The same two words joined by "and" and by "or"."""
    if " or " not in a.text and " or " not in b.text:
        return None
    mine, theirs = _joined_in(a.text), _joined_in(b.text)
    for pair in mine.keys() & theirs.keys():
        if mine[pair] != theirs[pair]:
            one, two = sorted(pair)
            return Difference(f"{one} {mine[pair]} {two}", f"{one} {theirs[pair]} {two}")
    return None


def _joined_in(text: str) -> dict[frozenset[str], str]:
    return {frozenset((m[1], m[3])): m[2] for m in _JOINED.finditer(text.lower())}
