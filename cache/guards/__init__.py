"""What makes two texts ask for different answers however near their vectors are.

An encoder puts "pause my plan" beside "cancel my plan" and "3 mg" beside "30 mg". The guards
compare what it blurs. They are symmetric and deterministic, and see differences of two kinds:

- a *veto*: the answers differ, and no probability overrides it. Each text has a number, a name or
  a quote of its own; a word is negated, or turned to its opposite, on one side only.
- a *doubt*: the answers often differ. A number or a name is in one text and merely missing in the
  other; a negation or an opposite stands among other new words, so that the rest may make up for
  it. Whoever judges the pair must be very sure to overlook it.

They are no judge of sameness: two texts without a difference here may still differ. Pairs of each
kind are held by ``tests/unit/cache/test_guards.py``. What became a doubt vetoed, among questions of
people that share most words, about as many paraphrases as other questions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from cache.facts import Facts, facts_of
from cache.guards.amounts import numbers_moved, other_bounds, other_numbers
from cache.guards.contrast import (
    counts_alone,
    narrower,
    other_contrast,
    other_time,
    other_way,
)
from cache.guards.finding import Difference, Guards, n_other
from cache.guards.form import other_case, other_marks
from cache.guards.names import other_name, rival_entities
from cache.guards.polarity import other_polarity
from cache.guards.roles import other_direction, other_joiner, roles_swapped
from cache.guards.spans import (
    other_code,
    other_identifiers,
    other_operators,
    other_quotes,
    other_urls,
)
from cache.types import MissReason

__all__ = [
    "Facts",
    "GuardFinding",
    "Objection",
    "compare",
    "compare_facts",
    "differences",
    "facts_of",
    "findings",
    "objection",
]

_GUARDS: Guards = (
    (MissReason.GUARD_NUMBER, (other_numbers, numbers_moved, other_bounds, other_time)),
    (
        MissReason.GUARD_NEGATION,
        (
            other_polarity,
            other_contrast,
            other_way,
            roles_swapped,
            other_direction,
            other_joiner,
            counts_alone,
            narrower,
        ),
    ),
    (MissReason.GUARD_QUOTE, (other_quotes,)),
    (MissReason.GUARD_CODE, (other_code, other_identifiers, other_operators)),
    (MissReason.GUARD_FORM, (other_case, other_marks)),
    (MissReason.GUARD_URL, (other_urls,)),
    (MissReason.GUARD_ENTITY, (rival_entities, other_name)),
)


@dataclass(frozen=True, slots=True)
class GuardFinding:
    """One difference between two texts.

    Attributes:
        guard: the reason a lookup would miss for.
        query: what the query had, readable; empty when it had nothing to set against.
        candidate: the same for the candidate.
        is_veto: False for a doubt, which a very sure judge may overlook.
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
    return next((guard for guard, found in _found(a, b) if found.is_veto), None)


class Objection(NamedTuple):
    """Why an answer should not serve another text, and whether anything may overlook it."""

    guard: MissReason
    is_veto: bool


def objection(a: Facts, b: Facts) -> Objection | None:
    """Return the first veto, as ``compare_facts`` does, else the first doubt; symmetric."""
    if a.text == b.text and a.rest == b.rest:
        return None
    if a.rest != b.rest:
        return Objection(MissReason.BEYOND_WINDOW, is_veto=True)
    doubt = None
    for guard, found in _found(a, b):
        if found.is_veto:
            return Objection(guard, is_veto=True)
        doubt = doubt or Objection(guard, is_veto=False)
    return doubt


def _found(a: Facts, b: Facts) -> Iterator[tuple[MissReason, Difference]]:
    """Yield what the rules find.

    Where one text says more than a few other words, most of what a rule finds is one difference
    among many and no longer tells that the question is another: a doubt. Numbers that stand for
    each other, strong opposites and known rivals tell it however the rest is said.
    """
    is_close = n_other(a, b) <= _FEW_OTHER_WORDS
    for guard, rules in _GUARDS:
        for rule in rules:
            found = rule(a, b)
            if found is not None:
                is_veto = found.is_veto and (is_close or found.is_firm)
                yield guard, found._replace(is_veto=is_veto)


_FEW_OTHER_WORDS = 3


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
    found += [GuardFinding(guard, *difference[:3]) for guard, difference in _found(a, b)]
    return sorted(found, key=lambda finding: not finding.is_veto)
