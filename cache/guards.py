"""Vetoes on reuse: what makes two texts ask for different answers however near their vectors are.

An encoder puts "pause my plan" beside "cancel my plan" and "3 mg" beside "30 mg". The guards
compare what it blurs. They are symmetric, deterministic and know no probability: none overrides
them. They are no judge of sameness either: two texts without a difference here may still differ.

Where a rule cannot tell, it vetoes if the difference would change the answer, and stays silent if
it would only change the words; ``tests/unit/cache/test_guards.py`` holds both kinds of pair.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from cache.facts import Facts, Negation, Number, facts_of, plain_letters, stem
from cache.lexicon import (
    CONVERSIONS,
    FUNCTION_WORDS,
    POLAR_GROUPS,
    SENSES,
    SOFT_NEGATORS,
    SYMMETRIC,
    UNITS,
    Side,
)
from cache.types import MissReason

__all__ = [
    "Facts",
    "GuardFinding",
    "compare",
    "compare_facts",
    "differences",
    "facts_of",
    "findings",
    "other_entity",
]


@dataclass(frozen=True, slots=True)
class GuardFinding:
    """One difference between two texts.

    Attributes:
        guard: the reason a lookup would miss for.
        query: what the query had, readable; empty when it had nothing to set against.
        candidate: the same for the candidate.
        is_veto: False for a difference that is worth showing and vetoes only where the reuse
            decision is unsure (``other_entity``).
    """

    guard: MissReason
    query: str
    candidate: str
    is_veto: bool = True


def compare(query: str, candidate: str) -> MissReason | None:
    """Return the first guard that forbids one text's answer to serve the other, or None.

    Symmetric: the order of the two canonical texts does not change the result.
    """
    if query == candidate:
        return None
    return compare_facts(facts_of(query), facts_of(candidate))


def compare_facts(a: Facts, b: Facts) -> MissReason | None:
    """Do as ``compare`` does, for texts whose facts are known already."""
    if a.text == b.text and a.rest == b.rest:
        return None
    if a.rest != b.rest:
        return MissReason.BEYOND_WINDOW
    for guard, rules in _GUARDS:
        for rule in rules:
            if rule(a, b) is not None:
                return guard
    return None


def differences(query: str, candidate: str) -> list[GuardFinding]:
    """Return everything the guards see between two canonical texts, vetoes first; to explain."""
    return findings(facts_of(query), facts_of(candidate))


def findings(a: Facts, b: Facts) -> list[GuardFinding]:
    """Do as ``differences`` does, for texts whose facts are known already."""
    if a.text == b.text and a.rest == b.rest:
        return []
    found = []
    if a.rest != b.rest:
        found.append(GuardFinding(MissReason.BEYOND_WINDOW, a.rest[:80], b.rest[:80]))
    for guard, rules in _GUARDS:
        for rule in rules:
            sides = rule(a, b)
            if sides is not None:
                found.append(GuardFinding(guard, *sides))
    if not any(finding.guard is MissReason.GUARD_ENTITY for finding in found):
        mine, theirs = _other_names(a, b), _other_names(b, a)
        if mine or theirs:
            guard = MissReason.GUARD_ENTITY
            found.append(GuardFinding(guard, _listed(mine), _listed(theirs), is_veto=False))
    return found


def other_entity(a: Facts, b: Facts) -> bool:
    """Tell whether a name stands on one side only.

    Weaker than the GUARD_ENTITY veto, which needs two names that exclude each other: this also
    sees a name that the other text merely lacks, and capitalised words it does not know. To be
    used as a veto where the reuse decision is unsure.
    """
    return bool(_other_names(a, b) or _other_names(b, a))


Difference = tuple[str, str]
Rule = Callable[[Facts, Facts], Difference | None]


def _listed(items: Iterable[str]) -> str:
    return ", ".join(sorted(items))


# ------------------------------------------------------------------------------------- numbers


def _other_numbers(a: Facts, b: Facts) -> Difference | None:
    """Numbers that the other text lacks. Words that often are no number may be left out."""
    if not a.numbers and not b.numbers:
        return None
    mine, theirs = _unpaired(a.numbers, b.numbers)
    mine = [number for number in mine if not _is_article(number, b)]
    theirs = [number for number in theirs if not _is_article(number, a)]
    if not mine and not theirs:
        return None
    hard = any(not number.is_soft for number in (*mine, *theirs))
    if hard or (mine and theirs):
        return _said(mine), _said(theirs)
    return None


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
    return (
        number.value == "1"
        and number.unit != ""
        and any(
            word in _ONE_OF and UNITS.get(following) == number.unit
            for word, following in pairwise(other.words)
        )
    )


def _said(numbers: Iterable[Number]) -> str:
    return ", ".join(f"{number.value} {number.unit}".strip() for number in numbers)


def _numbers_moved(a: Facts, b: Facts) -> Difference | None:
    """The same numbers of one kind in another order: Tom has 3 and Ann 5, Tom has 5 and Ann 3."""
    if len(a.numbers) < 2 or len(b.numbers) < 2 or _is_symmetric(a, b):
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
        return _said(one), _said(two)
    return None


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


# ------------------------------------------------------------------------------------- polarity


def _other_polarity(a: Facts, b: Facts) -> Difference | None:
    """Another number of negations, a moved negation, or an opposite word."""
    flips = _flips(a, b)
    if not flips and not a.negations and not b.negations:
        return _affix_flip(a, b)
    flipped = {word for pair in flips for word in pair}
    mine = [negation for negation in a.negations if negation.word not in flipped]
    theirs = [negation for negation in b.negations if negation.word not in flipped]
    excess = len(mine) - len(theirs)
    if flips:
        if _is_cancelled(a, b, flips, mine, theirs):
            return None
        return _listed(pair[0] for pair in flips), _listed(pair[1] for pair in flips)
    affix = _affix_flip(a, b)
    if affix is not None:
        scopes = {negation.scope for negation in (*mine, *theirs)}
        if abs(excess) == 1 and scopes & {stem(affix[0]), stem(affix[1])}:
            return None  # "not happy" and "unhappy"
        return affix
    if excess == 0:
        return _negation_moved(a, b, mine, theirs)
    longer, shorter, other = (mine, a, b) if excess > 0 else (theirs, b, a)
    if abs(excess) == 1 and _is_balanced(longer, shorter, other):
        return None
    return _negated(mine), _negated(theirs)


def _flips(a: Facts, b: Facts) -> list[tuple[str, str]]:
    """Pairs of opposite words, one of each text, where neither stands in the other text."""
    only_a = a.sides - b.sides
    only_b = b.sides - a.sides
    if not only_a or not only_b:
        return []
    words_a, words_b = set(a.words), set(b.words)
    theirs: dict[str, list[Side]] = {}
    sides_a = {(side.group, side.side) for side in a.sides}
    sides_b = {(side.group, side.side) for side in b.sides}
    for side in only_b:
        theirs.setdefault(side.group, []).append(side)
    flips = set()
    for mine in only_a:
        if mine.group not in POLAR_GROUPS or mine.word in words_b:
            continue
        if (mine.group, mine.side) in sides_b:
            continue
        for other in theirs.get(mine.group, ()):
            if other.side != mine.side and other.word not in words_a:
                if (other.group, other.side) in sides_a:
                    continue
                if _is_aligned(a, b, mine.word, other.word) and not (
                    mine.group.startswith("a:")
                    and _is_measured(a.words, mine.word)
                    and _is_measured(b.words, other.word)
                ):
                    flips.add((mine.word, other.word))
    return sorted(flips)


_PARTICLES = frozenset("up down on off in out over under for against even must no".split())


def _is_aligned(a: Facts, b: Facts, mine: str, theirs: str) -> bool:
    """Small words are opposites only beside the same word: "scale up" and "scale down"."""
    if mine not in _PARTICLES and theirs not in _PARTICLES:
        return True
    return bool(_beside(a.words, mine) & _beside(b.words, theirs))


def _is_measured(words: Sequence[str], word: str) -> bool:
    """Tell whether a scale is asked for: "how hard is it" and "how easy is it" are one question."""
    at = words.index(word)
    return at > 0 and words[at - 1] == "how"


def _beside(words: Sequence[str], word: str) -> set[str]:
    at = words.index(word)
    near = set(words[max(0, at - 1) : at]) | set(words[at + 1 : at + 2])
    return {stem(other) for other in near - {"the", "a", "an", "my", "i", "to"}}


def _is_cancelled(
    a: Facts,
    b: Facts,
    flips: list[tuple[str, str]],
    mine: list[Negation],
    theirs: list[Negation],
) -> bool:
    """Tell whether two opposites make the same again: "not false" and "true"."""
    words = {word for pair in flips for word in pair}
    excess = abs(len(mine) - len(theirs))
    if excess == 0 and len(flips) == 1 and _is_lessened(a, b, flips[0]):
        return True
    if excess == 1 and len({pair[0] for pair in flips}) == 1:
        scopes = {negation.scope for negation in (mine if len(mine) > len(theirs) else theirs)}
        return bool(scopes & {stem(word) for word in words})
    if excess == 0 and len(flips) == 2:  # "more visible" and "less invisible"
        return _neighbours(a.words, [pair[0] for pair in flips]) and _neighbours(
            b.words, [pair[1] for pair in flips]
        )
    if excess == 0 and len(flips) == 1:
        affix = _affix_flip(a, b)
        if affix is not None and affix[0] != flips[0][0]:
            return _neighbours(a.words, [flips[0][0], affix[0]]) and _neighbours(
                b.words, [flips[0][1], affix[1]]
            )
        # "is A better than B" and "is B worse than A"
        return _is_comparison(a, b) and _governed_swapped(a, b)
    return False


def _is_lessened(a: Facts, b: Facts, flip: tuple[str, str]) -> bool:
    """Tell whether just one text turns its word by "less" or "least": "cheap", "less expensive"."""
    mine, theirs = (
        at > 0 and facts.words[at - 1] in ("less", "least")
        for facts, at in ((a, a.words.index(flip[0])), (b, b.words.index(flip[1])))
    )
    return mine != theirs


def _is_comparison(a: Facts, b: Facts) -> bool:
    return "than" in a.words and "than" in b.words


def _neighbours(words: Sequence[str], two: list[str]) -> bool:
    if len(two) != 2 or two[0] not in words or two[1] not in words:
        return False
    return abs(words.index(two[0]) - words.index(two[1])) == 1


_PREFIXES = ("un", "non", "in", "im", "ir", "il", "dis", "mis", "de", "anti")
_FALSE_PREFIX = frozenset(
    "invaluable inflammable inform inside into income install investment invest discover display "
    "discount disease dispatch dispose distance district unit union under until instead instance "
    "interest internal intern increase indeed individual infinite industry input "
    "inspire intend intention intense impress improve important import imply impact image "
    "immediate "
    "depart department depend deliver design desire detail develop determine demand decide degree "
    "delete default describe deserve despite desert debate invent involve infer infuse missing "
    "mission mister universe university uniform unique ironic illness intent interview antique "
    "impart impend deform inhabit inherent".split()
)


def _affix_flip(a: Facts, b: Facts) -> Difference | None:
    """A word against itself with "un-", "non-", "-less" and the like before or behind it."""
    mine, theirs = set(a.words) - set(b.words), set(b.words) - set(a.words)
    if not mine or not theirs:
        return None
    for word in mine:
        for other in _stripped(word):
            if other in theirs:
                return word, other
    for word in theirs:
        for other in _stripped(word):
            if other in mine:
                return other, word
    return None


def _stripped(word: str) -> list[str]:
    if len(word) < 6 or word in _FALSE_PREFIX:
        return []
    found = []
    if word.startswith(_PREFIXES):  # most words have none, and one look tells
        found = [
            word[len(prefix) :]
            for prefix in _PREFIXES
            if word.startswith(prefix) and len(word) - len(prefix) >= 4
        ]
    if word.endswith("less") and len(word) > 7:
        found += [word[:-4], word[:-4] + "ful", word[:-4] + "s"]
    return found


def _negation_moved(
    a: Facts, b: Facts, mine: list[Negation], theirs: list[Negation]
) -> Difference | None:
    """As many negations, of other words, while both texts hold both words."""
    scopes_a = {negation.scope for negation in mine} - {""}
    scopes_b = {negation.scope for negation in theirs} - {""}
    moved_a, moved_b = scopes_a - scopes_b, scopes_b - scopes_a
    if (
        moved_a
        and moved_b
        and moved_a <= set(b.stems)
        and moved_b <= set(a.stems)
        and not ({"or", "nor"} & set(a.words) & set(b.words))  # "not killed or poisoned"
    ):
        return _negated(mine), _negated(theirs)
    return None


def _is_balanced(longer: list[Negation], text: Facts, other: Facts) -> bool:
    """Tell whether the text with fewer negations says the missing one in a softer word."""
    return any(word in SOFT_NEGATORS for word in set(other.words) - set(text.words))


def _negated(negations: Iterable[Negation]) -> str:
    return ", ".join(f"{negation.word} {negation.scope}".strip() for negation in negations)


# ---------------------------------------------------------------------------------------- roles

_DIRECTED = frozenset("to into from than by before after without over of".split())
_GOVERNING = _DIRECTED - {"of", "over"}
_MAX_ROLE_WORDS = 64


def _roles_swapped(a: Facts, b: Facts) -> Difference | None:
    """The same words in other roles: "from A to B", "does A love B", "A before B"."""
    if not a.words or not b.words or _is_symmetric(a, b):
        return None
    if _is_comparison(a, b) and _flips(a, b):
        return None  # "A better than B" and "B worse than A": judged with the opposites
    if _governed_swapped(a, b) or _is_swapped(a, b):
        return " ".join(a.stems[:24]), " ".join(b.stems[:24])
    return None


def _is_symmetric(a: Facts, b: Facts) -> bool:
    return any(word in SYMMETRIC for word in a.words) or any(word in SYMMETRIC for word in b.words)


def _governed(words: Sequence[str]) -> dict[str, set[str]]:
    """Return each directed preposition's objects: the next word that carries meaning."""
    objects: dict[str, set[str]] = {}
    for at, word in enumerate(words):
        if word in _GOVERNING:
            for follower in words[at + 1 : at + 4]:
                if follower not in FUNCTION_WORDS:
                    objects.setdefault("to" if word == "into" else word, set()).add(stem(follower))
                    break
    return objects


def _governed_swapped(a: Facts, b: Facts) -> bool:
    """Tell whether a preposition's object changed places with another word of both texts."""
    words_a, words_b = set(a.words), set(b.words)
    if not (words_a & _GOVERNING and words_b & _GOVERNING):
        return False
    mine, theirs = _governed(a.words), _governed(b.words)
    is_conversion = bool(words_a & CONVERSIONS or words_b & CONVERSIONS or "from" in words_a)
    stems_a, stems_b = set(a.stems), set(b.stems)
    for word in mine.keys() & theirs.keys():
        if (word == "to" and not is_conversion) or (word == "by" and stems_a != stems_b):
            continue
        only_a = (mine[word] - theirs[word]) & stems_b
        only_b = (theirs[word] - mine[word]) & stems_a
        if any(_is_inverted(a, b, x, y) for x in only_a for y in only_b):
            return True
    if is_conversion:  # "from A" against "to A"
        for one, other in ((mine, theirs), (theirs, mine)):
            to_from = one.get("to", set()) & other.get("from", set())
            if to_from - one.get("from", set()) - other.get("to", set()):
                return True
    return False


def _is_inverted(a: Facts, b: Facts, x: str, y: str) -> bool:
    """Tell whether two stems changed order, unless they stand side by side: "airport in Denver"."""
    orders = []
    for facts in (a, b):
        stems = [stem(word) for word in facts.words]
        if x not in stems or y not in stems:
            return False
        distance = stems.index(y) - stems.index(x)
        if abs(distance) == 1:
            return False
        orders.append(distance > 0)
    return orders[0] != orders[1]


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
        return a.stems == b.stems and len(a.stems) >= 3
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
            return words[at + 1]
    return ""


def _looks_past(word: str) -> bool:
    return word.endswith(
        ("ed", "en", "wn", "ght", "nt", "ld", "ade", "ung", "it", "pt", "een", "ft")
    )


def _is_list(one: list[str], two: list[str], between: list[str]) -> bool:
    """Tell whether the swap only reorders a list: "A and B", "load current and load voltage"."""
    if all(word in FUNCTION_WORDS for word in between):
        return not _DIRECTED & set(between)
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


# ------------------------------------------------------------------------- quotes, code, addresses

_WORDS = re.compile(r"\w+")
_NAME_ONLY = re.compile(r"[\w./@~ -]{1,100}\Z")  # `ls`, `setup.py`: may stand unmarked
_WORDS_COMMAS = re.compile(r"\w+|,")


def _spaced(text: str) -> str:
    return f" {' '.join(_WORDS.findall(text.lower()))} "


def _lacking(items: Iterable[str], others: Iterable[str], text: Facts) -> list[str]:
    """Return the items that the other text holds neither marked nor plain."""
    known = set(others)
    missing = [item for item in items if item not in known]
    if not missing:
        return []
    plain = _spaced(text.text)
    joined = plain.replace(" ", "")
    out = []
    for item in missing:
        spaced = _spaced(item)
        if spaced.strip() == "" or (spaced not in plain and not _joins(spaced, joined)):
            out.append(item)
    return out


def _joins(spaced: str, joined: str) -> bool:
    """Tell whether a longer name stands in the text in separate or joined words ("YouTube")."""
    name = spaced.replace(" ", "")
    return len(name) >= 6 and name in joined


def _other_quotes(a: Facts, b: Facts) -> Difference | None:
    if a.quotes == b.quotes:
        return None
    mine, theirs = _lacking(a.quotes, b.quotes, b), _lacking(b.quotes, a.quotes, a)
    if mine or theirs:
        return _listed(mine), _listed(theirs)
    both = set(a.quotes) & set(b.quotes)
    if [q for q in a.quotes if q in both] != [q for q in b.quotes if q in both] and not (
        _is_symmetric(a, b)
    ):
        return ", ".join(a.quotes), ", ".join(b.quotes)
    recased = {q for q in set(a.quotes) - both if " " not in q}
    if {q.lower() for q in recased} & {q.lower() for q in set(b.quotes) - both}:
        return _listed(a.quotes), _listed(b.quotes)  # "Polish" and "polish", both quoted
    return None


def _other_code(a: Facts, b: Facts) -> Difference | None:
    if a.codes != b.codes:
        mine, theirs = _lacking_code(a.codes, b), _lacking_code(b.codes, a)
        if mine or theirs:
            return _listed(mine), _listed(theirs)
        both = set(a.codes) & set(b.codes)
        if [code for code in a.codes if code in both] != [code for code in b.codes if code in both]:
            return ", ".join(a.codes), ", ".join(b.codes)
    return None


def _lacking_code(codes: Sequence[str], other: Facts) -> list[str]:
    """Return the code that the other text does not hold; its signs count, not only its words."""
    missing = [code for code in codes if code not in other.codes]
    bare = [code for code in missing if _NAME_ONLY.match(code)]
    return [code for code in missing if code not in bare and code not in other.text] + _lacking(
        bare, other.codes, other
    )


def _other_identifiers(a: Facts, b: Facts) -> Difference | None:
    """Names in code style, where each text has one of its own."""
    if a.identifiers == b.identifiers:
        return None
    mine = _lacking(_unknown(a.identifiers), b.identifiers, b)
    theirs = _lacking(_unknown(b.identifiers), a.identifiers, a)
    return (_listed(mine), _listed(theirs)) if mine and theirs else None


def _unknown(identifiers: Iterable[str]) -> list[str]:
    return [name for name in identifiers if name.lower() not in SENSES]  # those are entities


def _other_operators(a: Facts, b: Facts) -> Difference | None:
    if a.operators == b.operators:
        return None
    return " ".join(a.operators), " ".join(b.operators)


def _other_urls(a: Facts, b: Facts) -> Difference | None:
    if a.urls == b.urls:
        return None
    mine = _unnamed(set(a.urls) - set(b.urls), b)
    theirs = _unnamed(set(b.urls) - set(a.urls), a)
    return (_listed(mine), _listed(theirs)) if mine or theirs else None


def _unnamed(urls: set[str], other: Facts) -> set[str]:
    """Drop bare hosts whose name the other text holds: "amazon.com" and "Amazon"."""
    words = set(other.words)
    return {url for url in urls if "/" in url or url.split(".")[0] not in words}


# ------------------------------------------------------------------------------------- entities


def _rival_entities(a: Facts, b: Facts) -> Difference | None:
    """Known names that exclude each other: each text has one that the other lacks."""
    mine, theirs = a.entities - b.entities, b.entities - a.entities
    if mine and theirs:
        return _listed(mine), _listed(theirs)
    only_a = [side for side in a.sides - b.sides if side.group not in POLAR_GROUPS]
    only_b = [side for side in b.sides - a.sides if side.group not in POLAR_GROUPS]
    if not only_a or not only_b:
        return None
    sides_a = {(side.group, side.side) for side in a.sides}
    sides_b = {(side.group, side.side) for side in b.sides}
    for one in only_a:
        if (one.group, one.side) in sides_b:
            continue
        for other in only_b:
            if other.group == one.group and (other.group, other.side) not in sides_a:
                return one.word, other.word
    return None


def _rival_names(a: Facts, b: Facts) -> Difference | None:
    """Names, known or capitalised, where each text has one that the other lacks in any case."""
    mine, theirs = _other_names(a, b), _other_names(b, a)
    return (_listed(mine), _listed(theirs)) if mine and theirs else None


def _missing_names(a: Facts, b: Facts) -> set[str]:
    names = a.names - b.names
    if not names:
        return set()
    stems = {stem(plain_letters(word)) for word in b.words}
    return {name for name in names if name not in stems and not _is_variant(name, stems)}


def _is_variant(name: str, stems: set[str]) -> bool:
    """Tell whether a word of the other text is this name with an ending ("Russia", "Russian")."""
    if len(name) < 4:
        return False
    return any(
        len(other) >= 4 and (other.startswith(name) or name.startswith(other)) for other in stems
    )


def _other_names(a: Facts, b: Facts) -> frozenset[str]:
    return (a.entities - b.entities) | _missing_names(a, b)


_GUARDS: tuple[tuple[MissReason, tuple[Rule, ...]], ...] = (
    (MissReason.GUARD_NUMBER, (_other_numbers, _numbers_moved)),
    (MissReason.GUARD_NEGATION, (_other_polarity, _roles_swapped)),
    (MissReason.GUARD_QUOTE, (_other_quotes,)),
    (MissReason.GUARD_CODE, (_other_code, _other_identifiers, _other_operators)),
    (MissReason.GUARD_URL, (_other_urls,)),
    (MissReason.GUARD_ENTITY, (_rival_entities, _rival_names)),
)
