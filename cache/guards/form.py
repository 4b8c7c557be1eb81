"""Rules on form that is meaning: the case of letters, and marks, where the words are the same.

The encoder reads no case and hardly a mark, so "-d" and "-D", 5 mW and 5 MW, "1,2" and "1;2" look
alike to it. In plain prose case and sentence marks say nothing: a first word or a name in capitals
or not, a comma more or less, no question mark. Nor does the case of a text that has but one, for
nobody can tell what its writer would have written large.
"""

from __future__ import annotations

import re

from cache.facts import Facts
from cache.guards.finding import Difference, listed

_MAX_TOKENS = 512
_MAX_MARKS = 32  # more or less on one side
_EDGES = ".,;:!?\"“”'()[]{}`*"
_PLAIN_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*\Z")
_NAME_LIKE = re.compile(r"(?:[$€£](?=\d))?[^\W_]+(?:[-'’/&.,:+][^\W_]+)*[+#%]*\Z")
_AMOUNT = re.compile(r"[$€£]?\d[\d.,:]*(?=[^\W\d_])")
# Letters that are as often written small: "vitamin c", "the c language".
_OF_LETTERS = frozenset(
    "vitamin class grade type hepatitis plan language programming section group option".split()
)
# 5 mW and 5 MW, 1 Mb and 1 MB; all small they are one of the two, and nobody can tell which.
_MILLI_MEGA = re.compile(r"[mM](?:W|Wh|m|g|s|Hz|V|A|bar|Pa|N|J|eV|l|L|ol|Ω)\Z")
_BITS_BYTES = re.compile(r"[kKMGT]i?([bB])(?:/s|ps)?\Z")
# Capitals make other words of these; a first word is written large anyway.
_OTHER_IN_CAPITALS = frozenset({"us", "it", "who", "aids"})
_OTHER_WITH_A_CAPITAL = frozenset({"polish", "turkey", "china", "chile", "march"})
_SYMBOLS = frozenset({"Co", "CO", "Hf", "HF", "Cs", "CS", "Os", "OS"})
_ABOUT_MARKS = re.compile(
    r"\b(?:punctuat\w+|proofread\w*|apostrophes?|semicolons?|commas?|grammar of|grammatical\w*|"
    r"spelling of|quotation marks?)\b",
    re.IGNORECASE,
)
_ABOUT_CASE = re.compile(
    r"\b(?:uppercase|lowercase|capitali[sz]\w+|case[- ]sensitive)\b", re.IGNORECASE
)
# What stands before a colon where the text behind it is worked on, to the letter.
_WORK_ON = re.compile(
    r"\b(?:translate|fix|correct|rewrite|rephrase|proofread|punctuate|format|parse|convert|debug|"
    r"evaluate|edit|encode|decode|this|string|text|code|regex|expression|sentence)\b[^:]*: ",
    re.IGNORECASE,
)


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
        if one and two and one[0] != two[0] and _PLAIN_WORD.match(one[0]):
            pairs.discard((one[0], two[0]))
    else:
        mine, theirs = set(one[1:]) - set(two), set(two[1:]) - set(one)
        by_sound = {token.casefold(): token for token in theirs}
        pairs = {(x, by_sound[x.casefold()]) for x in mine if x.casefold() in by_sound}
    has_both = _has_both_cases(a.text) and _has_both_cases(b.text)
    telling = [
        (x, y)
        for x, y in pairs
        if _is_other_unit(x, y)
        or (has_both and (is_case_all or len(x) > 1) and _is_other_word(x, y, a.text, b.text))
        or _is_other_code(x, y)
    ]
    if not telling:
        return None
    return Difference(listed(x for x, _ in telling), listed(y for _, y in telling), is_firm=True)


def _tokens(text: str) -> list[str]:
    """Return the words as they are written, without marks at their ends."""
    return [token.strip(_EDGES) for token in text.split()[:_MAX_TOKENS]]


def _has_both_cases(text: str) -> bool:
    return not (text.islower() or text.isupper())


def _is_other_unit(one: str, other: str) -> bool:
    """Tell milli from mega and bits from bytes, whether a number stands before it or is part."""
    one, other = _AMOUNT.sub("", one), _AMOUNT.sub("", other)
    if _MILLI_MEGA.match(one) and _MILLI_MEGA.match(other):
        return one[0] != other[0]
    bits, others = _BITS_BYTES.match(one), _BITS_BYTES.match(other)
    if bits is None or others is None or one.islower() or other.islower():
        return False
    return bits[1] != others[1]


def _is_other_code(one: str, other: str) -> bool:
    """Tell flags, variables and patterns ("-d", "$PATH") from names of things ("Wi-Fi")."""
    return not (_PLAIN_WORD.match(one) or _NAME_LIKE.match(one) or _NAME_LIKE.match(other))


def _is_other_word(one: str, other: str, a: str, b: str) -> bool:
    """Tell whether a plain word written in two cases is two words."""
    if not _PLAIN_WORD.match(one):
        return False
    small = one.casefold()
    if len(one) == 1:
        if small in ("i", "a"):
            return False
        beside = rf"(?i)\b(?:{'|'.join(_OF_LETTERS)}) {one}\b|\b{one} (?:{'|'.join(_OF_LETTERS)})\b"
        return not (re.search(beside, a) and re.search(beside, b))
    if {one, other} <= _SYMBOLS:
        return one.istitle() != other.istitle()
    if small in _OTHER_IN_CAPITALS:
        return one.isupper() != other.isupper()
    return small in _OTHER_WITH_A_CAPITAL and one.islower() != other.islower()


def other_marks(a: Facts, b: Facts) -> Difference | None:
    """Marks that are no sentence marks, or any where marks are what is asked about."""
    if abs(len(a.text) - len(b.text)) > _MAX_MARKS or a.bag != b.bag:
        return None  # most pairs end here, at the cost of a comparison
    if _WORD.findall(a.text.casefold()) != _WORD.findall(b.text.casefold()):
        return None
    mine, theirs = _telling_marks(a.text), _telling_marks(b.text)
    if mine != theirs:
        return Difference(" ".join(mine), " ".join(theirs), is_firm=True)
    one, two = _to_the_letter(a), _to_the_letter(b)
    return None if one == two else Difference(one, two, is_firm=True)


_WORD = re.compile(r"\w+")
_TELLING_MARK = re.compile(
    r"(?:(?<=\d)|(?<=\b[^\W\d_]))[.,;:](?=\s?(?:\d|[^\W\d_]\b))"  # "1,2", "1;2"; "a.b", "a, b"
    r"|(?<!\S)[^\w\s.,;:!?\"'“”‘’()…–—-]+(?!\S)"  # "&&" and "&", "[[" and "["
)
_STRAIGHT = str.maketrans("“”’‘", "\"\"''")


def _telling_marks(text: str) -> list[str]:
    return _TELLING_MARK.findall(text)


# How the words begin without which no text is about marks or case: cheaper than to search it.
_ABOUT_FORM = frozenset("punc proo apos semi comm gram spel quot uppe lowe capi case".split())


def _to_the_letter(text: Facts) -> str:
    """Return what has to be the same to the letter; empty in plain prose."""
    plain = text.text.translate(_STRAIGHT) if not text.text.isascii() else text.text
    worked_on = _WORK_ON.search(plain) if ": " in plain else None
    if worked_on is not None:
        return plain[worked_on.end() :].strip()
    if _ABOUT_FORM.isdisjoint([word[:4] for word in text.vocabulary]):
        return ""
    if _ABOUT_CASE.search(plain):
        return plain.strip()
    if _ABOUT_MARKS.search(plain):
        return plain.casefold().rstrip(".?! ")
    return ""
