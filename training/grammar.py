"""Pairs of our own about who does what to whom: the words are the same, the grammar decides.

Three rules of English, each with pairs that mean the same and pairs that do not:

- *relations*: "Is Ann married to Bob?" may be turned round, "Is Ann taller than Bob?" may not;
- *voice*: "Did Ann see the dog?" is "Was the dog seen by Ann?" and not "Was Ann seen by the dog?";
- *joining*: "Is Ann a nurse and a poet?" may be turned round and is not "a nurse or a poet".
"""

from __future__ import annotations

import random
from collections.abc import Iterator

_NAMES = (
    "Ada", "Amir", "Anna", "Bela", "Boris", "Carla", "Chen", "Clara", "Dario", "Dina", "Elif",
    "Emil", "Farah", "Felix", "Greta", "Hana", "Hugo", "Ines", "Ivan", "Jonas", "Kofi", "Lara",
    "Lena", "Malik", "Marta", "Mila", "Nadia", "Nils", "Olga", "Omar", "Paula", "Pavel", "Rosa",
    "Ruben", "Sana", "Sven", "Tara", "Theo", "Uma", "Viktor", "Wanda", "Yara", "Yusuf", "Zoe",
    "my brother", "my boss", "the doctor", "the teacher", "my landlord", "her sister",
)  # fmt: skip
_MUTUAL = (
    "married to", "engaged to", "related to", "friends with", "dating", "close to", "a cousin of",
    "a neighbour of", "a colleague of", "the same age as", "different from", "similar to",
    "an acquaintance of", "a sibling of", "divorced from", "working with", "living with",
    "compatible with", "next to", "opposite",
)  # fmt: skip
_ONE_WAY = (
    "taller than", "older than", "the boss of", "the parent of", "afraid of", "proud of",
    "jealous of", "richer than", "loyal to", "rude to", "honest with", "angry at", "in debt to",
    "faster than", "stronger than", "a fan of", "a student of", "employed by", "responsible for",
    "faithful to", "indifferent to", "interested in", "worse than", "a teacher of", "below",
    "suing", "chasing", "leaving", "paying", "training", "following", "tired of", "kinder than",
)  # fmt: skip
# An act, done and undergone.
_ACTS = (
    ("see", "seen"), ("take", "taken"), ("buy", "bought"), ("find", "found"), ("move", "moved"),
    ("follow", "followed"), ("hit", "hit"), ("hear", "heard"), ("lose", "lost"),
    ("choose", "chosen"), ("leave", "left"), ("hide", "hidden"), ("watch", "watched"),
    ("break", "broken"), ("miss", "missed"), ("remember", "remembered"), ("protect", "protected"),
    ("keep", "kept"), ("steal", "stolen"), ("admire", "admired"), ("catch", "caught"),
    ("replace", "replaced"), ("sell", "sold"), ("accept", "accepted"), ("paint", "painted"),
)  # fmt: skip
_THINGS = (
    "the dog", "the house", "the truck", "the letter", "the painting", "the boat", "the garden",
    "the report", "the bicycle", "the cat", "the company", "the farm", "the camera", "the horse",
    "the vase", "the ring", "the film", "the team", "the bird", "the shop", "the manuscript",
)  # fmt: skip
_KINDS = (
    "nurse", "poet", "lawyer", "cook", "pilot", "farmer", "singer", "judge", "baker", "coach",
    "painter", "plumber", "writer", "tailor", "chemist", "dancer", "banker", "gardener",
)  # fmt: skip
_LOOSE = ("really ", "actually ", "truly ", "indeed ", "currently ", "now ", "literally ")


def grammar_pairs(n: int, chance: random.Random) -> Iterator[tuple[str, str, bool]]:
    """Yield ``n`` pairs of questions, and whether one answer serves both."""
    makers = (_relation, _relation, _voice, _voice, _joining, _loosely)
    for _ in range(n):
        yield chance.choice(makers)(chance)


def _relation(chance: random.Random) -> tuple[str, str, bool]:
    one, two = chance.sample(_NAMES, 2)
    is_mutual = chance.random() < 0.5
    what = chance.choice(_MUTUAL if is_mutual else _ONE_WAY)
    form = chance.choice(("Is {} {} {}?", "is {} {} {}", "Is it true that {} is {} {}?"))
    return form.format(one, what, two), form.format(two, what, one), is_mutual


def _voice(chance: random.Random) -> tuple[str, str, bool]:
    who = chance.choice(_NAMES)
    whom = chance.choice(_THINGS if chance.random() < 0.6 else _NAMES)
    act, done = chance.choice(_ACTS)
    active, passive = f"Did {who} {act} {whom}?", f"Was {whom} {done} by {who}?"
    if who == whom or chance.random() < 0.45:
        return active, passive, True
    wrong = (f"Was {who} {done} by {whom}?", f"Did {whom} {act} {who}?")
    return chance.choice((active, passive)), chance.choice(wrong), False


def _joining(chance: random.Random) -> tuple[str, str, bool]:
    who, (one, two) = chance.choice(_NAMES), chance.sample(_KINDS, 2)
    joiner = chance.choice(("and", "or"))
    asked = f"Is {who} a {one} {joiner} a {two}?"
    match chance.choice(("turned", "turned", "other", "both")):
        case "turned":
            return asked, f"Is {who} a {two} {joiner} a {one}?", True
        case "other":
            return asked, f"Is {who} a {one} {'or' if joiner == 'and' else 'and'} a {two}?", False
        case _:
            both = chance.choice(("both a {} and a {}", "a {} and a {} at the same time"))
            return asked, f"Is {who} {both.format(one, two)}?", joiner == "and"


def _loosely(chance: random.Random) -> tuple[str, str, bool]:
    """A small word that changes nothing, beside one that does."""
    who, kind = chance.choice(_NAMES), chance.choice(_KINDS)
    if chance.random() < 0.5:
        return f"Is {who} a {kind}?", f"Is {who} {chance.choice(_LOOSE)}a {kind}?", True
    other = chance.choice(("former", "future", "famous", "bad", "good", "part-time", "retired"))
    return f"Is {who} a {kind}?", f"Is {who} a {other} {kind}?", False
