"""Rules on what is marked off in a text: quotes, code, names of things in code, addresses."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from cache.facts import Facts, stem
from cache.guards.finding import Difference, is_symmetric, listed
from cache.lexicon import FUNCTION_WORDS, SENSES

_WORDS = re.compile(r"\w+")
_NAME_ONLY = re.compile(r"[\w./@~ -]{1,100}\Z")  # `ls`, `setup.py`: may stand unmarked


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


def other_quotes(a: Facts, b: Facts) -> Difference | None:
    """Quoted text that the other lacks."""
    if a.quotes == b.quotes:
        return None
    mine, theirs = _lacking(a.quotes, b.quotes, b), _lacking(b.quotes, a.quotes, a)
    if mine or theirs:
        is_veto = bool(mine and theirs) or not (_is_told(mine, b) and _is_told(theirs, a))
        return Difference(listed(mine), listed(theirs), is_veto)
    both = set(a.quotes) & set(b.quotes)
    if [q for q in a.quotes if q in both] != [q for q in b.quotes if q in both] and not (
        is_symmetric(a, b)
    ):
        return Difference(", ".join(a.quotes), ", ".join(b.quotes))
    recased = {q for q in set(a.quotes) - both if " " not in q}
    if {q.lower() for q in recased} & {q.lower() for q in set(b.quotes) - both}:
        return Difference(listed(a.quotes), listed(b.quotes), is_veto=False)  # "Polish", "polish"
    return None


def _is_told(quotes: Sequence[str], other: Facts) -> bool:
    """Tell whether the other text has most words of what is quoted, in whatever form."""
    words = [stem(word) for quote in quotes for word in _WORDS.findall(quote.lower())]
    carrying = [word for word in words if word not in FUNCTION_WORDS]
    return 2 * sum(word in other.bag for word in carrying) >= len(carrying)


def other_code(a: Facts, b: Facts) -> Difference | None:
    """Code that the other lacks."""
    if a.codes == b.codes:
        return None
    mine, theirs = _lacking_code(a.codes, b), _lacking_code(b.codes, a)
    if mine or theirs:
        return Difference(listed(mine), listed(theirs))
    both = set(a.codes) & set(b.codes)
    if [code for code in a.codes if code in both] != [code for code in b.codes if code in both]:
        return Difference(", ".join(a.codes), ", ".join(b.codes))
    return None


def _lacking_code(codes: Sequence[str], other: Facts) -> list[str]:
    """Return the code that the other text does not hold; its signs count, not only its words."""
    missing = [code for code in codes if code not in other.codes]
    bare = [code for code in missing if _NAME_ONLY.match(code)]
    return [code for code in missing if code not in bare and code not in other.text] + _lacking(
        bare, other.codes, other
    )


def other_identifiers(a: Facts, b: Facts) -> Difference | None:
    """Names in code style, where each text has one of its own."""
    if a.identifiers == b.identifiers:
        return None
    mine = _lacking(_unknown(a.identifiers), b.identifiers, b)
    theirs = _lacking(_unknown(b.identifiers), a.identifiers, a)
    return Difference(listed(mine), listed(theirs)) if mine and theirs else None


def _unknown(identifiers: Iterable[str]) -> list[str]:
    return [name for name in identifiers if name.lower() not in SENSES]  # those are entities


def other_operators(a: Facts, b: Facts) -> Difference | None:
    """Another sign of arithmetic or comparison."""
    if a.operators == b.operators:
        return None
    return Difference(" ".join(a.operators), " ".join(b.operators))


def other_urls(a: Facts, b: Facts) -> Difference | None:
    """Another address, or one where the other has none."""
    if a.urls == b.urls:
        return None
    mine = _unnamed(set(a.urls) - set(b.urls), b)
    theirs = _unnamed(set(b.urls) - set(a.urls), a)
    return Difference(listed(mine), listed(theirs)) if mine or theirs else None


def _unnamed(urls: set[str], other: Facts) -> set[str]:
    """Drop bare hosts whose name the other text holds: "amazon.com" and "Amazon"."""
    return {url for url in urls if "/" in url or url.split(".")[0] not in other.vocabulary}
