"""Searches of our own: what is asked of which things, under which conditions.

"Which hotels near the station have a pool?" and "show me hotels with a pool, close to the station"
want one answer. One condition more, one less or another one, or asking for the number, the owner or
the cheapest, wants another, though nearly all words stay.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

Said = Sequence[str]  # the ways to say one thing


@dataclass(frozen=True, slots=True)
class _World:
    """Things that are searched for; ``parts`` are what one may ask of them instead.

    Each row of ``conditions`` is one property; its members exclude each other.
    """

    things: Said
    parts: Sequence[str]
    conditions: Sequence[Sequence[Said]]


_PLACES: Sequence[Said] = tuple(
    (f"in {city}", f"{city}")
    for city in ("Leeds", "Porto", "Osaka", "Lyon", "Tampa", "Bergen", "Quito", "Graz")
)
_IN_CITY = tuple((said[0], f"located {said[0]}") for said in _PLACES)
_DAYS: Sequence[Said] = tuple(
    (f"on {day}", f"{day}", f"for {day}")
    for day in ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
)
_PARTS_OF_DAY: Sequence[Said] = (
    ("in the morning",), ("in the afternoon",), ("in the evening",), ("at noon",), ("after 6 pm",),
    ("before 9 am",), ("at night",),
)  # fmt: skip
_YEARS: Sequence[Said] = tuple(
    said
    for year in (1998, 2004, 2011, 2016, 2019)
    for said in ((f"after {year}", f"since {year}"), (f"before {year}",), (f"in {year}",))
)
_ORDER: Sequence[Said] = (
    ("sorted by date", "in order of date"), ("sorted by name", "in alphabetical order"),
)  # fmt: skip

_WORLDS = (
    _World(
        ("hotels", "places to stay"),
        ("prices", "phone numbers", "owners", "addresses", "ratings"),
        (
            _IN_CITY, _DAYS,
            (("with a pool", "that have a pool"), ("with parking",), ("with breakfast",),
             ("that allow dogs", "where dogs are allowed"), ("without stairs",)),
            (("near the station", "close to the station"), ("near the beach",),
             ("near the airport",), ("in the old town",)),
            (("under 90 euros", "for less than 90 euros"), ("under 150 euros",),
             ("over 150 euros", "for more than 150 euros")),
        ),
    ),
    _World(
        ("trains", "train connections"),
        ("fares", "operators", "platforms", "departure times", "arrival times", "durations"),
        (
            tuple((f"to {city[1]}",) for city in _PLACES), _DAYS, _PARTS_OF_DAY,
            (("without changes", "that are direct"), ("with one change",), ("with a sleeping car",),
             ("with first class",), ("that take bikes",), ("that serve dinner",)),
        ),
    ),
    _World(
        ("courses", "classes"),
        ("teachers", "rooms", "credits", "times", "departments"),
        (
            (("about databases", "on databases"), ("about statistics",), ("about ethics",),
             ("about compilers",), ("about drawing",)),
            (("for beginners",), ("for advanced students",), ("for exchange students",)),
            (("without an exam",), ("with a final exam",), ("with a project",), ("with a lab",)),
            _DAYS, (("this fall",), ("next spring",), ("over the summer",)),
        ),
    ),
    _World(
        ("papers", "articles"),
        ("authors", "journals", "citations", "titles", "abstracts"),
        (
            (("about robots", "on robots"), ("about malaria",), ("about soil",), ("about trade",)),
            (("by Okafor", "written by Okafor"), ("by Lindqvist",), ("by Marchetti",)),
            _YEARS, _ORDER,
            (("with more than 50 citations",), ("with fewer than 50 citations",),
             ("with at least 10 citations",), ("without citations",)),
        ),
    ),
    _World(
        ("employees", "people on staff"),
        ("salaries", "managers", "offices", "birthdays", "e-mail addresses"),
        (
            (("in sales", "of the sales team"), ("in legal",), ("in support",), ("in finance",)),
            (("who work part time",), ("who work full time",), ("on parental leave",)),
            (("older than 40", "over 40"), ("younger than 40", "under 40"), ("aged 40",)),
            (("hired last year",), ("hired this month",), ("who left last year",)), _IN_CITY,
        ),
    ),
    _World(
        ("films", "movies"),
        ("directors", "actors", "budgets", "lengths", "ratings", "producers", "writers"),
        (
            (("by Agnes Varda", "directed by Agnes Varda"), ("written by Agnes Varda",),
             ("with Toshiro Mifune", "starring Toshiro Mifune"), ("produced by Ismail Merchant",)),
            _YEARS, _ORDER,
            (("set in Paris",), ("set in Lagos",), ("shot in Lagos",), ("set in space",)),
            (("for children",), ("without subtitles",), ("with subtitles",), ("in colour",)),
        ),
    ),
    _World(
        ("orders", "purchases"),
        ("totals", "customers", "addresses", "invoices", "items"),
        (
            (("that are late", "that are overdue"), ("that were cancelled",), ("that were paid",),
             ("that are not paid", "that are unpaid"), ("that were returned",)),
            (("from Norway",), ("from Chile",), ("from Kenya",)),
            (("over 500 euros", "above 500 euros"), ("under 500 euros", "below 500 euros")),
            (("placed last week",), ("placed last month",), ("placed this week",)), _ORDER,
        ),
    ),
    _World(
        ("restaurants", "places to eat"),
        ("menus", "opening hours", "reviews", "neighborhoods", "phone numbers", "prices"),
        (
            (("that serve ramen",), ("that serve tapas",), ("that serve vegan food",)),
            _IN_CITY, _DAYS, _PARTS_OF_DAY,
            (("with a terrace",), ("with live music",), ("with wifi",), ("for large groups",)),
            (("rated above 4",), ("rated below 4",), ("rated exactly 4",)),
        ),
    ),
    _World(
        ("rivers", "streams"),
        ("lengths", "sources", "depths", "names", "basins"),
        (
            (("in Peru", "that are in Peru"), ("in Laos",), ("in Spain",), ("in Gabon",)),
            (("that cross a border",), ("that stay within one country",)),
            (("longer than 300 km",), ("shorter than 300 km",)),
            (("that flow into the sea",), ("that flow into a lake",)),
        ),
    ),
    _World(
        ("tickets", "issues"),
        ("owners", "priorities", "labels", "comments", "due dates"),
        (
            (("that are open",), ("that are closed",), ("that are blocked",)),
            (("assigned to me",), ("assigned to nobody",), ("reported by me",)),
            (("with high priority",), ("with low priority",)),
            (("due this week",), ("due next week",), ("created this week",)), _ORDER,
        ),
    ),
)  # fmt: skip

_LISTED = (
    "which {things} {where}?", "what {things} are there {where}?", "show me {things} {where}",
    "list {things} {where}", "list all the {things} {where}", "I need {things} {where}",
    "find {things} {where}", "give me the {things} {where}", "are there {things} {where}?",
    "please show {things} {where}", "what are the {things} {where}?", "{things} {where}",
    "I'd like to see {things} {where}", "find me all {things} {where}",
    "do you have {things} {where}?",
)  # fmt: skip
_ANSWERS: dict[str, Sequence[str]] = {
    "count": (
        "how many {things} {where}?", "how many {things} are there {where}?",
        "what is the number of {things} {where}?", "number of {things} {where}",
        "count the {things} {where}", "show me the number of {things} {where}",
    ),
    "cheapest": (
        "what is the cheapest of the {things} {where}?", "show me the cheapest {things} {where}",
    ),
    "newest": ("show me the newest {things} {where}", "which {things} {where} are the newest?"),
    "oldest": ("show me the oldest {things} {where}", "which {things} {where} are the oldest?"),
    "first": (
        "show me only the first of the {things} {where}",
        "what is the first of the {things} {where}?",
    ),
    "last": (
        "show me only the last of the {things} {where}",
        "what is the last of the {things} {where}?",
    ),
}  # fmt: skip
_PART = (
    "what are the {part} of the {things} {where}?", "show me the {part} of {things} {where}",
    "list the {part} of all {things} {where}", "give me the {part} of the {things} {where}",
    "{part} of {things} {where}", "find the {part} of {things} {where}",
)  # fmt: skip

_Where = tuple[tuple[int, int], ...]  # (row of conditions, member)


def search_pairs(n: int, chance: random.Random) -> Iterator[tuple[str, str, bool]]:
    """Yield ``n`` pairs of searches, and whether one answer serves both; 2 in 5 want the same."""
    for _ in range(n):
        world = chance.choice(_WORLDS)
        asked, where = _drawn_answer(world, chance), _drawn_where(world, chance)
        one = _said(world, asked, where, chance)
        if chance.random() < 0.4:
            yield one, _said(world, asked, where, chance), True
            continue
        other, elsewhere = asked, where
        if chance.random() < 0.35:
            while other == asked:
                other = _drawn_answer(world, chance)
        else:
            elsewhere = _changed(world, where, chance)
        yield one, _said(world, other, elsewhere, chance), False


def _drawn_answer(world: _World, chance: random.Random) -> str:
    return chance.choice(("list", "list", *_ANSWERS, *chance.sample(list(world.parts), 4)))


def _drawn_where(world: _World, chance: random.Random) -> _Where:
    rows = chance.sample(range(len(world.conditions)), chance.choice((1, 2, 2, 3)))
    return tuple((row, chance.randrange(len(world.conditions[row]))) for row in rows)


def _changed(world: _World, where: _Where, chance: random.Random) -> _Where:
    """Add a condition, drop one, or put another in its place."""
    free = [row for row in range(len(world.conditions)) if row not in dict(where)]
    match chance.choice(("add", "add", "drop", "other")):
        case "add" if free:
            row = chance.choice(free)
            return (*where, (row, chance.randrange(len(world.conditions[row]))))
        case "drop" if len(where) > 1:
            gone = chance.choice(where)
            return tuple(one for one in where if one != gone)
        case _:
            at = chance.randrange(len(where))
            row, member = where[at]
            others = [i for i in range(len(world.conditions[row])) if i != member]
            return (*where[:at], (row, chance.choice(others)), *where[at + 1 :])


def _said(world: _World, asked: str, where: _Where, chance: random.Random) -> str:
    """Say it in one of its ways, the conditions in any order."""
    forms = _LISTED if asked == "list" else _ANSWERS.get(asked, _PART)
    order = chance.sample(where, len(where)) if chance.random() < 0.5 else where
    said = chance.choice(forms).format(
        things=chance.choice(world.things),
        part=asked,
        where=" ".join(chance.choice(world.conditions[row][member]) for row, member in order),
    )
    return said if chance.random() < 0.6 else said.lower().rstrip("?")
