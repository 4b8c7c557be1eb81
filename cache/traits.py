"""How two texts differ, in a few words that other pairs may share. Pure.

A namespace has its own traps: in one, "for Acme" and "for Globex" want two answers and no lexicon
knows it; in another both are the same product. A trait names the way a pair differs (what kind of
word, behind which word, which word for which), so that what was learned from a few wrong hits
holds for the pairs alike, and for those alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher

from cache.lexicon import FUNCTION_WORDS

_TOKEN = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*|\d[\d.,]*")
_MAX_TOKENS = 200
_MAX_TRAITS = 6


def traits_of_pair(stored: str, asked: str) -> tuple[str, ...]:
    """Return the traits of a pair of canonical texts, most telling first; at most six.

    Symmetric. Texts that differ in case, punctuation or function words only have the single trait
    ``form``; long or wholly different texts have ``far``.

    ==============  ==============================================================================
    ``slot:w``      one content word for another, behind the word w ("for Acme", "for Globex")
    ``kind:k``      the same, by kind of word: ``name``, ``number``, ``word``
    ``words:x|y``   the same, by the two words themselves, in alphabetical order
    ``extra:k``     a content word of kind k on one side only
    ``order``       the same words in another order
    ``form``        case, punctuation or function words only
    ``far``         more than that
    ==============  ==============================================================================
    """
    one, two = (_TOKEN.findall(text) for text in sorted((stored, asked)))
    if max(len(one), len(two)) > _MAX_TOKENS:
        return ("far",)
    lower_one, lower_two = [t.lower() for t in one], [t.lower() for t in two]
    if sorted(lower_one) == sorted(lower_two) and lower_one != lower_two:
        return ("order",)
    found: dict[str, None] = {}
    n_changed = 0
    for tag, i, i_end, j, j_end in SequenceMatcher(
        None, lower_one, lower_two, autojunk=False
    ).get_opcodes():
        if tag == "equal":
            continue
        mine = [t for t in one[i:i_end] if _is_content(t)]
        theirs = [t for t in two[j:j_end] if _is_content(t)]
        n_changed += max(len(mine), len(theirs))
        before = lower_one[i - 1] if i else "^"
        for trait in _of_span(mine, theirs, before):
            found[trait] = None
    if n_changed > max(3, len(one) // 2):
        return ("far",)
    return tuple(found)[:_MAX_TRAITS] or ("form",)


def wordless(traits: Sequence[str]) -> tuple[str, ...]:
    """Return the traits that name no word of a text."""
    return tuple(trait for trait in traits if not trait.startswith(("slot:", "words:")))


def _of_span(mine: list[str], theirs: list[str], before: str) -> list[str]:
    if mine and theirs:
        kind = max(_kind(mine[0]), _kind(theirs[0]))  # "word" where the two are of two kinds
        words = sorted((" ".join(mine).lower(), " ".join(theirs).lower()))
        return [f"slot:{before}", f"words:{words[0]}|{words[1]}", f"kind:{kind}"]
    return [f"extra:{kind}" for kind in dict.fromkeys(map(_kind, mine or theirs))]


def _kind(token: str) -> str:
    if token[0].isdigit():
        return "number"
    return "name" if token[0].isupper() else "word"


def _is_content(token: str) -> bool:
    return token.lower() not in FUNCTION_WORDS
