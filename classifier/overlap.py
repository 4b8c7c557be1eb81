"""How much two prompts say in the same words: what token vectors blur and a word list does not.

Ten numbers from the texts alone, for the last step of the pair model. Symmetric.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

OVERLAP_VERSION = 1
N_FEATURES = 10

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_MAX_WORDS = 128
# Words of asking and of grammar; of these, hardly one changes what is asked.
_SMALL = frozenset(
    "a an the is are was were am be been being do does did doing have has had having can could "
    "will would shall should may might must i me my we us our you your he him his she her it its "
    "they them their this that these those there here what which who whom whose how why when where "
    "to of in on at by for with about as into from and or so if then than please tell explain get "
    "any some s t re ve ll m d way best thing things like".split()
)


@lru_cache(maxsize=4_096)
def _read(text: str) -> tuple[tuple[str, ...], frozenset[str], frozenset[str]]:
    """Return the content words in order, their stems' set, and the small words."""
    words = [word.lower() for word in _WORD.findall(text)[:_MAX_WORDS]]
    content = tuple(_stem(word) for word in words if word not in _SMALL)
    return content, frozenset(content), frozenset(word for word in words if word in _SMALL)


@lru_cache(maxsize=1 << 15)
def _stem(word: str) -> str:
    for ending in ("ing", "ies", "ed", "es", "s", "ly"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def forget_texts() -> None:
    """Forget the texts whose words are remembered."""
    _read.cache_clear()


def overlap(one: str, two: str) -> tuple[float, ...]:
    """Return ``N_FEATURES`` numbers; the order of the texts makes no difference.

    Shares of content words in common (of all, of the shorter side), content words on one side only
    (fewer, more), how far the common ones keep their order, small words in common and on one side
    only, lengths (shorter, longer), and whether the unshared words look like slips of each other.
    """
    a, set_a, small_a = _read(one)
    b, set_b, small_b = _read(two)
    common = set_a & set_b
    only_a, only_b = set_a - set_b, set_b - set_a
    fewer, more = sorted((len(only_a), len(only_b)))
    union = len(set_a) + len(set_b) - len(common)
    smaller = min(len(set_a), len(set_b))
    small_common = len(small_a & small_b)
    small_union = len(small_a) + len(small_b) - small_common
    return (
        len(common) / union if union else 1.0,
        len(common) / smaller if smaller else 1.0,
        float(min(fewer, 8)),
        float(min(more, 8)),
        1.0 if a == b else _order(a, b, common),
        small_common / small_union if small_union else 1.0,
        float(min(small_union - small_common, 8)),
        min(len(a), len(b)) / 16,
        max(len(a), len(b)) / 16,
        _slips(only_a, only_b),
    )


def says_same_words(said: Sequence[float]) -> bool:
    """Tell by what ``overlap`` returned whether neither text has a word for itself."""
    return said[3] == 0 and said[6] == 0


_FORM = re.compile(r"(?:\s|(?<=[^\W\d_]{2})[?.,;!]+(?=\s|\Z))+")


def is_form_only(one: str, two: str) -> bool:
    """Tell whether two texts differ in case, white space and sentence marks only.

    Sentence marks stand behind a word; signs that may mean something stay: "#" and "##", "-5" and
    "5", "5!" and "5", "a.b" and "a, b", quotes and colons. Where case means something is for the
    guards to say.
    """
    if abs(len(one) - len(two)) > 16:
        return False
    a, b = (_FORM.sub(" ", text).strip().casefold() for text in (one, two))
    return a == b and any(map(str.isalnum, a))


def _order(a: tuple[str, ...], b: tuple[str, ...], common: frozenset[str]) -> float:
    """Return the share of neighbouring common words that are neighbours in both, in one order."""
    one, two = ([word for word in words if word in common] for words in (a, b))
    if one == two or len(one) < 2 or len(two) < 2:
        return 1.0
    pairs = Counter(itertools.pairwise(one))
    others = Counter(itertools.pairwise(two))
    return (pairs & others).total() / max(len(one) - 1, len(two) - 1)


def _slips(only_a: frozenset[str], only_b: frozenset[str]) -> float:
    """Return the share of unshared words that have a like-spelt one on the other side."""
    n = len(only_a) + len(only_b)
    if n == 0 or not only_a or not only_b or n > 12:
        return 0.0
    alike = sum(any(_alike(word, other) for other in only_b) for word in only_a)
    alike += sum(any(_alike(word, other) for other in only_a) for word in only_b)
    return alike / n


def _alike(one: str, two: str) -> bool:
    if abs(len(one) - len(two)) > 1 or len(one) < 4:
        return False
    return one[:2] == two[:2] and sum((Counter(one) - Counter(two)).values()) <= 1
