"""Pairs of our own, made from single prompts: a small change that turns the meaning, or does not.

A *near-miss* swaps two words, puts another name or number in place, takes the opposite word, or
adds or drops a negation: the words stay, the answer does not. A *rewording* greets, thanks, changes
case or punctuation, mistypes a letter, or asks in another form: the words change, the answer stays.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Callable, Sequence

from cache.lexicon import FUNCTION_WORDS, POLAR_GROUPS, SENSES

_WORD = re.compile(r"[A-Za-z][A-Za-z'-]*|\d[\d,.]*|[^\w\s]")
_JOINERS = frozenset("and or vs versus between with , / & nor plus than".split())
_ASKING = frozenset(
    "what how why who whom whose which when where is are was were do does did can could should "
    "would will has have had may might please tell explain describe list give show me my i you "
    "your we they it its the a an be been being get got there this that these those some any not "
    "so very just also too much many more most if as by on in at of for to from about into".split()
)

Change = Callable[[list[str], random.Random], list[str] | None]


def near_miss(text: str, chance: random.Random, names: Sequence[str]) -> str | None:
    """Return the text with another meaning, or None where no change fits.

    Args:
        text: one prompt.
        chance: draws the change.
        names: capitalised words of other prompts, to put in a name's place.
    """
    words = _WORD.findall(text)
    if not 4 <= len(words) <= 60:
        return None
    changes: list[Change] = [
        _swapped,
        _swapped,
        _opposite,
        _negated,
        lambda found, dice: _renamed(found, dice, names),
        _renumbered,
    ]
    chance.shuffle(changes)
    for change in changes:
        changed = change(list(words), chance)
        if changed is not None and changed != words:
            return _joined(changed)
    return None


def rewording(text: str, chance: random.Random) -> str:
    """Return the text in other words that want the same answer."""
    said = text.strip()
    for change in chance.sample(_REWORDINGS, k=chance.choice((1, 1, 2))):
        said = change(said, chance)
    return said


# ----------------------------------------------------------------------------------- near-misses


def _content(words: Sequence[str]) -> list[int]:
    return [
        i
        for i, word in enumerate(words)
        if word[0].isalpha()
        and len(word) > 2
        and word.lower() not in _ASKING
        and word.lower() not in FUNCTION_WORDS
    ]


def _swapped(words: list[str], chance: random.Random) -> list[str] | None:
    """Swap two content words of one kind that no "and" joins."""
    places = _content(words)
    kinds = defaultdict(list)
    for i in places:
        kinds[_kind(words[i])].append(i)
    choices = [
        (i, j)
        for same in kinds.values()
        for n, i in enumerate(same)
        for j in same[n + 1 :]
        if j - i >= 2
        and words[i].lower() != words[j].lower()
        and not any(word.lower() in _JOINERS for word in words[i + 1 : j])
    ]
    if not choices:
        return None
    i, j = chance.choice(choices)
    words[i], words[j] = words[j], words[i]
    return words


def _kind(word: str) -> str:
    if word[0].isupper():
        return "name"
    for ending in ("ing", "ed", "ly", "s"):
        if word.endswith(ending):
            return ending
    return "plain"


def _opposite(words: list[str], chance: random.Random) -> list[str] | None:
    choices = []
    for i, word in enumerate(words):
        sense = SENSES.get(word.lower())
        for side in () if sense is None else sense.sides:
            others = _OTHER_SIDE.get((side.group, side.side), ())
            choices += [(i, other) for other in others]
    if not choices:
        return None
    i, other = chance.choice(choices)
    words[i] = other.capitalize() if words[i][0].isupper() else other
    return words


def _other_sides() -> dict[tuple[str, int], list[str]]:
    """Return for each side of a polar group the forms of the opposite side."""
    forms: dict[str, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
    for form, sense in SENSES.items():
        for side in sense.sides:
            if side.group in POLAR_GROUPS:
                forms[side.group][side.side].append(form)
    return {
        (group, side): sorted(
            form for other, found in sides.items() if other != side for form in found
        )
        for group, sides in forms.items()
        for side in sides
    }


_OTHER_SIDE = _other_sides()
_NEGATABLE = frozenset(
    "is are was were do does did can could should would will has have had must may".split()
)


def _negated(words: list[str], chance: random.Random) -> list[str] | None:
    """Drop a "not", or say one after an auxiliary and its subject."""
    for i, word in enumerate(words):
        if word.lower() in ("not", "never"):
            return words[:i] + words[i + 1 :]
    places = [i for i, word in enumerate(words[:-2]) if word.lower() in _NEGATABLE]
    if not places:
        return None
    i = chance.choice(places)
    subject = i + 2 if words[i + 1].lower() in ("i", "you", "we", "they", "it", "he", "she") else i
    at = subject if subject > i else i + 1
    return [*words[:at], "not", *words[at:]]


def _renamed(words: list[str], chance: random.Random, names: Sequence[str]) -> list[str] | None:
    places = [i for i in _content(words) if words[i][0].isupper() and i > 0]
    if not places or not names:
        return None
    words[chance.choice(places)] = chance.choice(names)
    return words


def _renumbered(words: list[str], chance: random.Random) -> list[str] | None:
    places = [i for i, word in enumerate(words) if word.isdigit()]
    if not places:
        return None
    i = chance.choice(places)
    words[i] = str(max(1, int(words[i][:9]) + chance.choice((-3, -2, -1, 1, 2, 5, 10))))
    return words


def _joined(words: Sequence[str]) -> str:
    return re.sub(r"\s+([?.!,;:%)])", r"\1", " ".join(words))


def names_in(texts: Sequence[str]) -> list[str]:
    """Return the capitalised words within the texts, first words aside, each once."""
    return sorted(
        {
            word
            for text in texts
            for word in _WORD.findall(text)[1:]
            if word[0].isupper() and len(word) > 2 and not word.isupper()
        }
    )


# ------------------------------------------------------------------------------------ rewordings

_OPENINGS = (
    "please ", "hi, ", "hello, ", "hey, ", "quick question: ", "can you tell me: ",
    "i would like to know: ", "question: ", "good morning, ", "help! ",
)  # fmt: skip
_CLOSINGS = (" thanks", " please", " thank you", ", please?", " thanks in advance", " ?", "??", ".")
_FORMS = (
    (r"^how do i\b", ("how can i", "how to", "how do you", "what is the way to", "how should i")),
    (r"^how can i\b", ("how do i", "how to", "how could i", "what can i do to", "how might i")),
    (r"^how to\b", ("how do i", "how can i", "how does one")),
    (r"^what is the best way to\b", ("how do i best", "what's the best way to")),
    (r"^what is\b", ("what's", "tell me what is", "whats")),
    (r"^what are\b", ("tell me what are", "which are")),
    (r"^why (is|are|do|does|did)\b", (r"what is the reason why \1", r"how come \1")),
    (r"\bcannot\b", ("can't", "can not")),
    (r"\bcan't\b", ("cannot",)),
    (r"\bdo not\b", ("don't",)),
    (r"\bdon't\b", ("do not",)),
    (r"\bi am\b", ("i'm",)),
    (r"\bi'm\b", ("i am",)),
    (r"\bquickly\b", ("fast",)),
    (r"\bfor example\b", ("e.g.",)),
)


def _opened(text: str, chance: random.Random) -> str:
    return chance.choice(_OPENINGS) + text


def _closed(text: str, chance: random.Random) -> str:
    return text.rstrip("?. ") + chance.choice(_CLOSINGS)


def _lowered(text: str, _: random.Random) -> str:
    return text.lower()


def _unpunctuated(text: str, _: random.Random) -> str:
    return text.rstrip("?.! ")


def _mistyped(text: str, chance: random.Random) -> str:
    places = [m for m in re.finditer(r"[a-z]{5,}", text)]
    if not places:
        return text
    word = chance.choice(places)
    i = chance.randrange(word.start() + 1, word.end() - 1)
    doubled, dropped = text[:i] + text[i] + text[i:], text[:i] + text[i + 1 :]
    crossed = text[:i] + text[i + 1] + text[i] + text[i + 2 :]
    return chance.choice((doubled, dropped, crossed))


def _reformed(text: str, chance: random.Random) -> str:
    for pattern, forms in chance.sample(_FORMS, k=len(_FORMS)):
        changed, n = re.subn(pattern, chance.choice(forms), text, count=1, flags=re.IGNORECASE)
        if n:
            return changed
    return _opened(text, chance)


def _reordered(text: str, chance: random.Random) -> str:
    """Say the two sides of an "and" the other way round, where both are one word."""
    found = re.search(r"\b([A-Za-z]{3,}) (and|or) ([A-Za-z]{3,})\b", text)
    if found is None or found[1].lower() in _ASKING or found[3].lower() in _ASKING:
        return _reformed(text, chance)
    return f"{text[: found.start()]}{found[3]} {found[2]} {found[1]}{text[found.end() :]}"


_REWORDINGS = (
    _opened, _closed, _lowered, _unpunctuated, _mistyped, _reformed, _reformed, _reordered,
)  # fmt: skip
