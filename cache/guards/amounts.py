"""Rules on numbers: other ones, the same ones elsewhere, other bounds."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

from cache.facts import Facts, Number, stem
from cache.guards.finding import Difference, is_symmetric
from cache.lexicon import UNITS


def other_numbers(a: Facts, b: Facts) -> Difference | None:
    """Numbers that the other text lacks. Words that often are no number may be left out."""
    if not a.numbers and not b.numbers:
        return None
    mine, theirs = _unpaired(a.numbers, b.numbers)
    mine = [number for number in mine if not _is_article(number, b)]
    theirs = [number for number in theirs if not _is_article(number, a)]
    if not mine and not theirs:
        return None
    if mine and theirs:
        return Difference(_said(mine), _said(theirs), _are_rivals(mine, theirs), is_firm=True)
    missing, other = ([*mine, *theirs], b if mine else a)
    if all(number.is_soft for number in missing):
        return None
    return Difference(_said(mine), _said(theirs), _is_needed(missing, other))


def _are_rivals(mine: Sequence[Number], theirs: Sequence[Number]) -> bool:
    """Tell whether numbers stand for each other: a soft one only where both count one thing."""
    one, two = (sorted(number.value.lstrip("#") for number in side) for side in (mine, theirs))
    if one == two and {number.unit for number in mine} == {number.unit for number in theirs}:
        return False  # "class 12" and "12th class"
    if all(any(not number.is_soft for number in numbers) for numbers in (mine, theirs)):
        return True
    return not _counted(mine).isdisjoint(_counted(theirs))


def _counted(numbers: Sequence[Number]) -> set[str]:
    return {what for number in numbers for what in (stem(number.unit), number.what) if what}


def _is_needed(missing: Sequence[Number], other: Facts) -> bool:
    """Tell whether a text must have these numbers too: to be computed with, or as a name ("B12").

    Else one text may say more exactly what both ask ("in 2016", "for my 2-year-old", "top 5").
    """
    if any(number.value[0].isalpha() or _has_unit_alone(number, other) for number in missing):
        return True
    return sum(number.value.lstrip("#") != "1" for number in other.numbers) >= _PREMISES


_PREMISES = 2  # so many numbers in the text that has fewer make a sum to be worked out


def _unpaired(a: Sequence[Number], b: Sequence[Number]) -> tuple[list[Number], list[Number]]:
    """Pair equal numbers and return what is left of each side; linear in the numbers."""
    left = Counter((number.value, number.unit) for number in b)
    waiting: list[Number] = []
    for number in a:
        key = number.value, number.unit
        if left[key]:
            left[key] -= 1
        else:
            waiting.append(number)
    rest: list[Number] = []
    for number in reversed(b):
        key = number.value, number.unit
        if left[key]:
            left[key] -= 1
            rest.append(number)
    rest.reverse()
    if not waiting or not rest:
        return waiting, rest
    # A unit on one side only is no difference: "25 years old" and "25".
    by_value: dict[str, list[Number]] = {}
    for number in rest:
        by_value.setdefault(number.value, []).append(number)
    mine = []
    for number in waiting:
        others = by_value.get(number.value, [])
        match = next((o for o in others[:8] if not o.unit or not number.unit), None)
        if match is None:
            mine.append(number)
        else:
            others.remove(match)
    return mine, [number for others in by_value.values() for number in others]


_ONE_OF = frozenset({"a", "an", "per", "every", "each", "one"})


def _is_article(number: Number, other: Facts) -> bool:
    """Tell whether the other text says this "1 month" as "a month"."""
    return number.value == "1" and _has_unit_alone(number, other)


def _has_unit_alone(number: Number, other: Facts) -> bool:
    """Tell whether the other text has one of this number's unit: "a month"."""
    return number.unit != "" and any(
        word in _ONE_OF and UNITS.get(following) == number.unit
        for word, following in pairwise(other.words)
    )


def _said(numbers: Iterable[Number]) -> str:
    return ", ".join(f"{number.value} {number.unit}".strip() for number in numbers)


def numbers_moved(a: Facts, b: Facts) -> Difference | None:
    """The same numbers of one kind in another order: Tom has 3 and Ann 5, Tom has 5 and Ann 3."""
    if len(a.numbers) < 2 or len(b.numbers) < 2 or is_symmetric(a, b):
        return None
    mine, theirs = _by_kind(a.numbers), _by_kind(b.numbers)
    for kind in mine.keys() & theirs.keys():
        one, two = mine[kind], theirs[kind]
        if len(one) != len(two) or len(one) < 2 or _is_same_order(one, two):
            continue
        counted = sorted((number.value, number.what) for number in one)
        if counted == sorted((number.value, number.what) for number in two) and len(
            {what for _, what in counted}
        ) == len(counted):
            continue  # each counts a thing of its own, wherever it stands
        return Difference(_said(one), _said(two))
    return None


_UP_TO = "before|until|till|prior to|under|below|less than|fewer than|at most|up to|no more than"
_FROM = "after|since|over|above|more than|greater than|at least|no less than|exceeding"
_YEAR = re.compile(r"1[5-9]\d\d|20\d\d")
_BOUND = re.compile(rf"(?:\b({_UP_TO})|\b({_FROM})|\b(?:in|on|of|exactly))?[ $€£]+(\d[\d.,]*)")


def other_bounds(a: Facts, b: Facts) -> Difference | None:
    """The same number as the other bound: "under 5", "over 5"; a year also as none: "in 2005".

    Beside other numbers a bound is said in too many ways ("5 or more", "larger than 5").
    """
    if not a.numbers or not b.numbers:
        return None
    mine, theirs = _bounds_of(a.text), _bounds_of(b.text)
    for number in mine.keys() & theirs.keys():
        are_bounds = mine[number] and theirs[number]
        if mine[number] != theirs[number] and (are_bounds or _YEAR.fullmatch(number)):
            return Difference(f"{mine[number]} {number}", f"{theirs[number]} {number}")
    return None


def _bounds_of(text: str) -> dict[str, str]:
    """Return how each number is a bound: "up to", "from", or neither."""
    found = {}
    for match in _BOUND.finditer(f" {text.lower()}"):
        up_to, since, number = match.groups()
        found[number.rstrip(".,")] = "up to" if up_to else "from" if since else ""
    return found


def _by_kind(numbers: Sequence[Number]) -> dict[str, list[Number]]:
    """Group numbers that could be taken for each other: by unit, years and ordinals apart."""
    kinds: dict[str, list[Number]] = {}
    for number in numbers:
        if number.is_soft:
            continue
        value = number.value
        kind = number.unit
        if not kind and value[0] == "#":
            kind = "#"
        elif not kind and len(value) == 4 and value[:2] in _CENTURIES and value.isdecimal():
            kind = "year of our Lord"
        kinds.setdefault(kind, []).append(number)
    return kinds


def _is_same_order(one: Sequence[Number], two: Sequence[Number]) -> bool:
    if [number.value for number in one] == [number.value for number in two]:
        return True
    return _in_order(one) == _in_order(two)


def _in_order(numbers: Sequence[Number]) -> list[str]:
    """Return the values as they stand, those of one list ("500 and 1000 notes") sorted."""
    values: list[str] = []
    listed: list[str] = []
    at = -1
    for number in numbers:
        if number.at == -1 or number.at != at or number.after in _ORDERED:
            values += sorted(listed)
            listed = []
        at = number.at
        listed.append(number.value)
    return values + sorted(listed)


_CENTURIES = frozenset({"15", "16", "17", "18", "19", "20"})
_ORDERED = frozenset("of to from by minus than over into divided times".split())
