"""Rules on names: known rivals, and words that are capitalised within a sentence."""

from __future__ import annotations

import re

from cache.facts import Facts, plain_letters, stem
from cache.guards.finding import Difference, listed, n_other
from cache.lexicon import FUNCTION_WORDS, POLAR_GROUPS, Side


def rival_entities(a: Facts, b: Facts) -> Difference | None:
    """Known names that exclude each other: each text has one that the other lacks.

    A veto where nothing but names differs, or where both are of one kind, as two weekdays.
    """
    mine, theirs = a.entities - b.entities, b.entities - a.entities
    if mine and theirs:
        return Difference(listed(mine), listed(theirs), _differ_in_names_only(a, b, mine, theirs))
    only_b = [side for side in b.sides - a.sides if side.group not in POLAR_GROUPS]
    groups = {side.group for side in only_b}
    only_a = [side for side in a.sides - b.sides if side.group in groups]
    if not only_a:
        return None
    sides_a = {(side.group, side.side) for side in a.sides}
    sides_b = {(side.group, side.side) for side in b.sides}
    for one in only_a:
        if (one.group, one.side) in sides_b:
            continue
        for other in only_b:
            if other.group == one.group and (other.group, other.side) not in sides_a:
                is_veto = not _is_of_whole_kind(a, b, one, other)
                return Difference(one.word, other.word, is_veto, is_firm=True)
    return None


def _is_of_whole_kind(a: Facts, b: Facts, mine: Side, theirs: Side) -> bool:
    """Tell whether both end in one question about the kind that two rivals belong to.

    "My dog drinks milk. Is that normal for animals?": the dog is told of, animals are asked about.
    """
    asked, other = (_SENTENCE_END.split(text.text.rstrip(".?! "))[-1].lower() for text in (a, b))
    words = set(re.findall(r"\w+", asked))
    return (
        asked == other and f"{mine.group}s" in words and words.isdisjoint((mine.word, theirs.word))
    )


_SENTENCE_END = re.compile(r"[.?!]\s+")


def other_name(a: Facts, b: Facts) -> Difference | None:
    """Names, known or capitalised: a veto where they are all that differs, one against another.

    Or where one word alone stands for another, and one of them is a name ("in Jest", "in pytest").
    """
    if a.names == b.names and a.entities == b.entities:
        return None
    mine, theirs = _other_names(a, b), _other_names(b, a)
    if not mine and not theirs:
        return None
    if mine and theirs:
        is_veto = _differ_in_names_only(a, b, mine, theirs) and not (
            _are_misspelt(mine, theirs, a.entities | b.entities)
            or _are_initials(mine, theirs, b)
            or _are_initials(theirs, mine, a)
        )
    else:
        only_a, only_b = a.bag - b.bag, b.bag - a.bag
        is_veto = len(only_a) == 1 == len(only_b) and not _is_slip(*only_a, *only_b)
    return Difference(listed(mine), listed(theirs), is_veto)


def _differ_in_names_only(a: Facts, b: Facts, mine: frozenset[str], theirs: frozenset[str]) -> bool:
    """Tell whether no word that carries meaning differs, the names aside.

    Where others do, the two may be one question asked of one thing under two names.
    """
    return n_other(a, b) <= max(len(mine), len(theirs))


def _are_initials(names: frozenset[str], written_out: frozenset[str], text: Facts) -> bool:
    """Tell whether all names of one side are initials of names of the other: "CS"."""
    if not all(len(name) <= _MAX_INITIALS for name in names):
        return False
    words = [word for word in text.words if word not in FUNCTION_WORDS]
    initials = "".join(word[0] for word in words)
    for name in names:
        at = initials.find(name)
        if at < 0 or len(name) < 2:
            return False
        if written_out.isdisjoint(stem(word) for word in words[at : at + len(name)]):
            return False
    return True


_MAX_INITIALS = 5


def _are_misspelt(mine: frozenset[str], theirs: frozenset[str], known: frozenset[str]) -> bool:
    """Tell whether all names of one side may be those of the other: "Hilary" and "Hillary"."""
    fewer, more = sorted((mine, theirs), key=lambda names: (len(names), sorted(names)))
    return len(more) <= _MAX_MISSPELT and all(
        any(_is_slip(name, other) and not {name, other} <= known for other in more)
        for name in fewer
    )


_MAX_MISSPELT = 8


def _is_slip(one: str, two: str) -> bool:
    """Tell whether two names differ by one slip inside: a letter too much, or two changed places.

    Not at the ends, where other names differ: "Maria" and "Marie", "Christian" and "Christina".
    """
    one, two = sorted((one, two), key=len)
    if len(one) < 5 or len(two) - len(one) > 1:
        return False
    start = 0
    while start < len(one) and one[start] == two[start]:
        start += 1
    if not 1 <= start < len(one) - 1:
        return False
    if len(one) < len(two):
        return one[start:] == two[start + 1 :]
    return one[start:] == two[start + 1] + two[start] + two[start + 2 :] and start < len(one) - 2


def _missing_names(a: Facts, b: Facts) -> set[str]:
    names = a.names - b.names
    if names:
        names -= b.bag
    if not names:
        return set()
    stems = {stem(plain_letters(word)) for word in b.words}
    joined = "".join(b.words)
    return {
        name
        for name in names
        if name not in stems
        and not _is_variant(name, stems)
        and not (len(name) >= _MIN_JOINED and name in joined)  # "StarWars" and "Star Wars"
    }


_MIN_JOINED = 6


def _is_variant(name: str, stems: set[str]) -> bool:
    """Tell whether a word of the other text is this name with an ending ("Russia", "Russian")."""
    if name + "s" in stems or (name[-1] == "s" and name[:-1] in stems):
        return True  # "DJ" and "DJs"
    if len(name) < 4:
        return False
    return any(
        len(other) >= 4 and (other.startswith(name) or name.startswith(other)) for other in stems
    )


def _other_names(a: Facts, b: Facts) -> frozenset[str]:
    return (a.entities - b.entities) | _missing_names(a, b)
