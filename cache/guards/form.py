"""Rules on form that is meaning: the case of letters, and marks, where the words are the same.

The encoder reads no case and hardly a mark, so "-d" and "-D", 5 mW and 5 MW, "1,2" and "1;2" look
alike to it. In plain prose case and sentence marks say nothing: a first word or a name in capitals
or not, a comma more or less, no question mark.
"""

from __future__ import annotations

import re

from cache.facts import Facts
from cache.guards.finding import Difference, listed

_MAX_TOKENS = 512
_MAX_MARKS = 32  # more or less on one side
_EDGES = ".,;:!?\"“”'()[]{}`*"
_PLAIN_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*\Z")
# Letters that are as often written small: "vitamin c", "the c language".
_OF_LETTERS = frozenset(
    "vitamin class grade type hepatitis plan language programming section group option".split()
)
# 5 mW and 5 MW, 1 Mb and 1 MB; all small they are one of the two, and nobody can tell which.
_MILLI_MEGA = re.compile(r"[mM](?:W|Wh|m|g|s|Hz|V|A|bar|Pa|N|J|eV|l|L|ol|Ω)\Z")
_BITS_BYTES = re.compile(r"[kKMGT]i?([bB])(?:/s|ps)?\Z")
_ABOUT_FORM = re.compile(
    r"\b(?:punctuat\w+|grammar|grammatical\w*|spell\w*|capital\w*|uppercase|lowercase|comma|commas|"
    r"semicolons?|colons?|apostrophes?|quotation|quotes?|proofread\w*|case[- ]sensitive)\b",
    re.IGNORECASE,
)
_INNER_MARK = re.compile(r"(?:(?<=\d)|(?<=\b[^\W\d_]))([.,;:])(?=\s?(?:\d|[^\W\d_]\b))")


def other_case(a: Facts, b: Facts) -> Difference | None:
    """Flags, units, variables and single letters that differ in case alone."""
    if (a.text[1:].islower() and b.text[1:].islower()) or (
        a.bag and b.bag and a.bag.isdisjoint(b.bag)
    ):
        return None  # nothing but a first letter, or nothing in common
    one, two = _tokens(a.text), _tokens(b.text)
    is_case_all = [token.casefold() for token in one] == [token.casefold() for token in two]
    if is_case_all:
        pairs = {(x, y) for x, y in zip(one, two, strict=True) if x != y}
    else:
        mine, theirs = set(one) - set(two), set(two) - set(one)
        by_sound = {token.casefold(): token for token in theirs}
        pairs = {(x, by_sound[x.casefold()]) for x in mine if x.casefold() in by_sound}
    telling = [
        (x, y)
        for x, y in pairs
        if (is_case_all or len(x) > 1) and _is_telling(x, y, a.text, b.text)
    ]
    if not telling:
        return None
    return Difference(listed(x for x, _ in telling), listed(y for _, y in telling), is_firm=True)


def _tokens(text: str) -> list[str]:
    """Return the words as they are written, without marks at their ends."""
    return [token.strip(_EDGES) for token in text.split()[:_MAX_TOKENS]]


def _is_telling(one: str, other: str, a: str, b: str) -> bool:
    """Tell whether a word written in two cases is two words."""
    if _MILLI_MEGA.match(one) and _MILLI_MEGA.match(other):
        return one[0] != other[0]
    bits, others = _BITS_BYTES.match(one), _BITS_BYTES.match(other)
    if bits and others:
        return bits[1] != others[1]
    if not _PLAIN_WORD.match(one):
        return not _is_name_like(one)
    if len(one) == 1:
        if one.casefold() in ("i", "a"):
            return False
        beside = rf"(?i)\b(?:{'|'.join(_OF_LETTERS)}) {one}\b|\b{one} (?:{'|'.join(_OF_LETTERS)})\b"
        return not (re.search(beside, a) and re.search(beside, b))
    if _is_element(one, other):
        return True
    if one.casefold() in _OTHER_IN_CAPITALS:  # not where all of a text shouts
        return (one.isupper() != other.isupper()) and not (a.isupper() or b.isupper())
    return False


_OTHER_IN_CAPITALS = frozenset({"us", "it", "who", "aids"})


def _is_element(one: str, other: str) -> bool:
    """Tell "Co" and "CO" apart: cobalt is no carbon monoxide. "Pc" and "PC" are one."""
    return one.istitle() != other.istitle() and {one, other} <= _SYMBOLS


_SYMBOLS = frozenset("Co CO No NO Cs CS Hf HF Os OS Po PO Sc SC Sn SN Si SI In IN".split())


def _is_name_like(token: str) -> bool:
    """Tell a word with a mark or a digit within, as names of things have: "Wi-Fi", "ASP.NET"."""
    return _NAME_LIKE.match(token) is not None


_NAME_LIKE = re.compile(r"[^\W_]+(?:[-'’/&.+][^\W_]+)*[+#]*\Z")


def other_marks(a: Facts, b: Facts) -> Difference | None:
    """Marks that are no sentence marks, or any where marks are what is asked about."""
    if abs(len(a.text) - len(b.text)) > _MAX_MARKS or a.bag != b.bag:
        return None  # most pairs end here, at the cost of a comparison
    if _WORD.findall(a.text.casefold()) != _WORD.findall(b.text.casefold()):
        return None
    mine, theirs = _inner_marks(a.text), _inner_marks(b.text)
    if mine != theirs:
        return Difference(" ".join(mine), " ".join(theirs), is_firm=True)
    if _quoted(a.text) != _quoted(b.text):
        return Difference(_quoted(a.text), _quoted(b.text), is_firm=True)
    return None


_WORD = re.compile(r"\w+")


def _inner_marks(text: str) -> list[str]:
    """Return the marks that join digits or single letters: in "1,2", "1;2", "a.b", "a, b"."""
    return _INNER_MARK.findall(text)


def _quoted(text: str) -> str:
    """Return what has to be taken to the letter: behind a colon, or all where form is the topic."""
    if _ABOUT_FORM.search(text):
        return text.strip()
    return text.translate(_STRAIGHT).partition(": ")[2].strip()


_STRAIGHT = str.maketrans("“”’‘", "\"\"''")
