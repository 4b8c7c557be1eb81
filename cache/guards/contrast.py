"""Rules on what a request is about: phrases that exclude each other, counting against listing.

What single words cannot tell: "turn on" and "disable", "read-only" and "with edit rights", "once it
is over" and "during it", "all chats" and "a single chat", "how many authors" and "which authors".
"""

from __future__ import annotations

import re
from functools import lru_cache

from cache.facts import Facts
from cache.guards.finding import Difference

_SIDES: tuple[tuple[str, str], ...] = (
    (
        r"(?:turn|switch)(?:s|ed|es|ing)?(?: [\w-]+){0,4} on|enabl\w+|activat\w+|unmut\w+|unhid\w+",
        r"(?:turn|switch)(?:s|ed|es|ing)?(?: [\w-]+){0,4} off|disabl\w+|deactivat\w+|"
        r"mut(?:e|ed|ing)|hid(?:e|den|ing)",
    ),
    (
        r"keep(?:ing)?|preserv\w+|retain\w*|without losing",
        r"discard\w*|throw(?:ing)?(?: \w+){0,3} away|get(?:ting)? rid of|lose|losing|wip(?:e|ing)",
    ),
    (
        r"edit(?:ing|able|or)?(?! history)|write access|read[- ]?write|modify|change it",
        r"view(?:ing|er)?[- ]only|only (?:be able to )?(?:view|look|read|see)|read[- ]only|"
        r"just (?:view|look|read)",
    ),
    (
        r"all|every|each|everything|everyone",
        r"(?:a |one |just |only )?single|(?:just|only|for|of) one|one (?:specific|particular)|"
        r"an? (?:specific|particular|individual)",
    ),
    (
        r"after|(?<!at )once|finished|"
        r"(?:is|are|has|have|when it|when they) (?:over|end\w*|finish\w*)",
        r"during|while|within|still in|still on|in the middle of|in (?:my |the )?probation",
    ),
    (r"remote(?:ly)?|(?:on|from) origin|upstream", r"local(?:ly)?|on my (?:machine|computer|disk)"),
    (
        r"ascending|(?:small|low|old|earl)\w*(?: \w+)? to (?:large|big|high|new|late)\w*|"
        r"increasing order|oldest first|smallest first|a to z",
        r"descending|(?:large|big|high|new|late)\w*(?: \w+)? to (?:small|low|old|earl)\w*|"
        r"decreasing order|newest first|largest first|z to a",
    ),
    (
        r"by (?:\w+ )?(?:value|revenue|amount|turnover|price|spend\w*|worth)",
        r"by (?:\w+ )?(?:count|number|quantity|frequency)",
    ),
    (r"distance|how far", r"routes?|directions|travel time|how long"),
    (r"buy|buying|purchas\w+", r"rent\w*|leas(?:e|ing)|borrow\w*|sell\w*"),
    (r"upgrad\w+", r"downgrad\w+|roll(?:ing)? back"),
    (r"pros|advantages?|benefits?|upsides?", r"cons|disadvantages?|drawbacks?|downsides?"),
    (r"pay ?back|repay\w*|pay(?:ing)? off", r"take out|apply for|get(?:ting)? a"),
)
# How phrases begin. Looking there first is what makes the search cheap: no other word goes further.
_BEGINNINGS = (
    "a |ac|ad|af|al|an |ap|ar|as|be|bi|bo|bu|by|ch|co|de|di|do|dr|du|ea|ed|en|ev|fi|fo|fr|ge|ha|hi|"
    "ho|in|is|ju|ke|la|le|lo|mo|mu|ne|of|ol|on|pa|pr|pu|re|ro|se|si|sm|st|sw|ta|th|tr|tu|un|up|vi|"
    "wh|wi|wr|z "
)
_ANY_SIDE = re.compile(
    rf"\b(?={_BEGINNINGS})(?:"
    + "|".join(
        f"(?P<{side}{n}>{pattern})"
        for n, sides in enumerate(_SIDES)
        for side, pattern in zip("ab", sides, strict=True)
    )
    + r")\b"
)
# "not lose" keeps, "all into a single file" joins: of these, some pairs say the same.
_DOUBTED = frozenset(
    n
    for n, (side, _) in enumerate(_SIDES)
    if side.startswith(("keep", "all|", "after", "distance", "pros", "pay"))
)
_MOST_CHARS = 600
_ARROW = re.compile(r"(\w+) ?(?:->|→|=>) ?(\w+)")


def other_contrast(a: Facts, b: Facts) -> Difference | None:
    """Each text has a phrase that the other's excludes; none where a text has both."""
    mine, theirs = _phrases(a.text[:_MOST_CHARS]), _phrases(b.text[:_MOST_CHARS])
    for side, said in mine.items():
        other = f"{'b' if side[0] == 'a' else 'a'}{side[1:]}"
        if other in theirs and other not in mine and side not in theirs:
            return Difference(said, theirs[other], is_veto=int(side[1:]) not in _DOUBTED)
    return None


@lru_cache(maxsize=4_096)
def _phrases(text: str) -> dict[str, str]:
    """Return by side of a contrast what a text says of it."""
    found = _ANY_SIDE.finditer(text.lower())
    return {match.lastgroup: match[0] for match in found if match.lastgroup is not None}


def other_way(a: Facts, b: Facts) -> Difference | None:
    """An arrow between the same two things that points the other way."""
    if not any(sign in text.text for text in (a, b) for sign in "→>"):
        return None
    one, two = (_ARROW.search(text.text[:_MOST_CHARS].lower()) for text in (a, b))
    if one and two and (one[1], one[2]) == (two[2], two[1]):
        return Difference(one[0], two[0], is_firm=True)
    return None


_COUNTS = re.compile(r"\b(?:how many|numbers? of|count(?:s|ed|ing)?|tally)\b", re.IGNORECASE)
_COUNTING = frozenset("many number numbers count counts counted counting tally".split())
_QUANTITY = re.compile(
    r"\b(?:how (?:much|often|large|big)|amount|total|population|size|percent\w*|share|rate|"
    r"quantity|frequency|average|sum)\b",
    re.IGNORECASE,
)


def counts_alone(a: Facts, b: Facts) -> Difference | None:
    """One asks how many there are and the other which; a doubt, for some say one and mean both."""
    if _COUNTING.isdisjoint(a.vocabulary) and _COUNTING.isdisjoint(b.vocabulary):
        return None
    one, two = (_COUNTS.search(text.text[:_MOST_CHARS]) for text in (a, b))
    if bool(one) is bool(two):
        return None
    without = b if one else a
    if _QUANTITY.search(without.text[:_MOST_CHARS]):
        return None
    return Difference(one[0] if one else "", two[0] if two else "", is_veto=False)


_TIMES = frozenset(
    "monday tuesday wednesday thursday friday saturday sunday mondays tuesdays wednesdays "
    "thursdays fridays saturdays sundays weekday weekdays weekend weekends morning mornings "
    "afternoon afternoons evening evenings night nights noon midday midnight dawn dusk tomorrow "
    "yesterday today tonight january february april june july august september october november "
    "december spring autumn winter semester".split()
)
_NARROWER = frozenset(
    "latest earliest cheapest fastest slowest shortest longest nearest newest oldest lowest "
    "highest largest smallest biggest first last second third next previous direct nonstop "
    "connecting roundtrip daily weekly monthly yearly annual annually hourly nightly only "
    "except without excluding besides both either neither".split()
)
_MONEY = re.compile(
    r"\b(?:how much (?:is|are|does|do|would|will|for)|fares?|prices?|pric(?:e|ed|ing)|costs?|"
    r"cheap\w*|expensive|fees?)\b"
)


def _lopsided(words: frozenset[str], a: Facts, b: Facts) -> Difference | None:
    """Doubt where one text has some of these words that the other lacks."""
    mine, theirs = words & a.vocabulary, words & b.vocabulary
    if mine == theirs:
        return None
    said = (" ".join(sorted(mine - theirs)), " ".join(sorted(theirs - mine)))
    return Difference(*said, is_veto=False)


def other_time(a: Facts, b: Facts) -> Difference | None:
    """A day, a time of day or a season that the other text lacks: a doubt, some are only told."""
    return _lopsided(_TIMES, a, b)


def narrower(a: Facts, b: Facts) -> Difference | None:
    """A word that picks some of what is asked for, or a price, in one text alone: a doubt."""
    found = _lopsided(_NARROWER, a, b)
    if found is not None:
        return found
    one, two = (_MONEY.search(text.text[:_MOST_CHARS].lower()) for text in (a, b))
    if bool(one) is bool(two):
        return None
    return Difference(one[0] if one else "", two[0] if two else "", is_veto=False)
