"""Do two answers to one prompt, or to two alike, say the same? Pure but for an encoder.

Deterministic evidence first, in this order; the first that speaks decides:

=============  ==================================================================================
``equal``      the same words, whatever markup and punctuation surround them: same
``refusal``    one declines and the other answers: different; both decline: same
``polarity``   one begins with yes, the other with no: different
``result``     both state a result ("the answer is 12", a boxed figure), and not the same: different
a guard        the shorter answer is short, and states a number, name, quote, code or address where
               the other states another; or opposite words stand in two answers that are not long;
               or a negation in one of two short ones: different
``subject``    each says a name twice or more that the other never says: different
``contained``  all that a very short answer says stands in the other: same
=============  ==================================================================================

Then meaning: the cosine of the two whole answers, and how well each sentence of one is found among
those of the other; see ``SAME_FROM`` and ``DIFFERENT_BELOW``. What lies between is unsure.

It need not be perfect: how often it tells two right answers apart is measured where it is used, by
asking the model twice for one prompt (``router.audits``), and corrected for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from cache.admission import AdmissionRefusal, declines, refusal_reason
from cache.guards import facts_of, findings
from cache.normalize import canonical
from cache.types import MissReason, Vectors
from router.types import Answer

SAME_FROM = 0.645
"""Closeness (see ``_closeness``) from which two answers are the same."""

DIFFERENT_BELOW = 0.55
"""Closeness below which they are different.

Both were chosen on the 88 answer pairs of the tests with the shipped encoder; what they are worth
elsewhere, twin calls measure in production.
"""

SHORT_WORDS = 20
"""An answer of so many words or fewer is short: each number and name in it is what was asked for.
In a longer one they vary from telling to telling."""

READ_WORDS = 80
"""Opposite words ("import", "export") are looked for in answers of so many words or fewer."""

_MAX_CHARS = 8_000  # of an answer; what lies behind is not compared
_MAX_SENTENCES = 16  # of an answer: they bound the runs of the encoder
_MIN_SENTENCE_CHARS = 12

Encode = Callable[[Sequence[str]], Vectors]
"""Texts to unit vectors, one row for each. Sync and slow: called off the event loop."""


class Verdict(StrEnum):
    """What a comparison came to."""

    SAME = "same"
    DIFFERENT = "different"
    UNSURE = "unsure"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A verdict with its grounds.

    Attributes:
        reason: one word: which evidence decided.
        closeness: in [-1, 1]; None where meaning was not looked at.
    """

    verdict: Verdict
    reason: str
    closeness: float | None = None


def is_comparable(answer: Answer) -> bool:
    """Tell whether an answer is whole: neither cut off nor a call of tools; a refusal is whole."""
    reason = refusal_reason(
        answer.refusal or answer.text, answer.finish_reason, bool(answer.tool_calls)
    )
    return reason in (None, AdmissionRefusal.REFUSED)


def said(answer: Answer) -> str:
    """Return what an answer says, its refusal included."""
    return answer.refusal or answer.text


class Comparator:
    """Compares answers. Sync: call it in a worker thread.

    Args:
        encode: for the meaning of what no rule decides; None: that is unsure.
    """

    def __init__(self, encode: Encode | None) -> None:
        self._encode = encode

    def compare(self, one: str, other: str) -> Comparison:
        """Compare two answers; their order does not matter."""
        one, other = sorted((_plain(one), _plain(other)))
        for rule in _RULES:
            found = rule(one, other)
            if found is not None:
                return found
        return self._by_meaning(one, other)

    def _by_meaning(self, one: str, other: str) -> Comparison:
        if self._encode is None:
            return Comparison(verdict=Verdict.UNSURE, reason="meaning")
        closeness = _closeness(one, other, self._encode)
        verdict = Verdict.UNSURE
        if closeness >= SAME_FROM:
            verdict = Verdict.SAME
        elif closeness < DIFFERENT_BELOW:
            verdict = Verdict.DIFFERENT
        return Comparison(verdict=verdict, reason="meaning", closeness=closeness)


# ------------------------------------------------------------------------------------ plain text

_FENCE = re.compile(r"^\s*```\w*\s*$", re.MULTILINE)
_MARKUP = re.compile(r"^\s*(?:[-*•>]|#{1,6}(?!\s*[$€£]?-?\d)|\d{1,2}[.)])\s+", re.MULTILINE)
_LINK = re.compile(r"\[([^\]]{1,200})\]\((?:[^)\s]{1,500})\)")
_EMPHASIS = re.compile(r"\*{1,3}|(?<!\w)_{1,2}(?=\w)|(?<=\w)_{1,2}(?!\w)")
_PLEASANTRY = re.compile(
    r"(?:(?:sure|certainly|of course|absolutely|great question|good question|happy to help"
    r"|thanks? (?:you )?for (?:asking|reaching out|your (?:question|message)))\b"
    r"[^.!?:\n]{0,40}[.!:,]"
    r"|(?:hi|hello)(?: there)?[!,.])\s*",
    re.IGNORECASE,
)


def _plain(text: str) -> str:
    """Return an answer without markup and opening pleasantries."""
    text = _FENCE.sub("", text[:_MAX_CHARS])
    text = _EMPHASIS.sub("", _LINK.sub(r"\1", _MARKUP.sub("", text)))
    text = "\n".join(line for line in map(canonical, text.splitlines()) if line)
    while (opening := _PLEASANTRY.match(text)) is not None and opening.end() < len(text):
        text = text[opening.end() :]
    return text


_WORD = re.compile(r"\w+(?:[.,:/'’-]\w+)*|[-+*/=<>%$€£]+")


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


# ------------------------------------------------------------------------------------------ rules


def _equal(one: str, other: str) -> Comparison | None:
    if _words(one) == _words(other):
        return Comparison(verdict=Verdict.SAME, reason="equal")
    return None


def _refusal(one: str, other: str) -> Comparison | None:
    mine, theirs = declines(one), declines(other)
    if not mine and not theirs:
        return None
    verdict = Verdict.SAME if mine and theirs else Verdict.DIFFERENT
    return Comparison(verdict=verdict, reason="refusal")


_YES = re.compile(
    r"(?:yes|yeah|yep|true|correct|indeed|that(?:'s| is) (?:right|correct|true))\b(?! and no\b)",
    re.IGNORECASE,
)
_NO = re.compile(
    r"(?:no\b(?!\.\s*\d|\s+(?:one|problem|worries|matter|doubt))|nope\b|false\b|incorrect\b"
    r"|not (?:really|quite|exactly|necessarily)\b"
    r"|that(?:'s| is) (?:wrong|incorrect|false|not (?:right|correct|true))\b)",
    re.IGNORECASE,
)


def _polarity(one: str, other: str) -> Comparison | None:
    mine, theirs = _opening(one), _opening(other)
    if mine and theirs and mine != theirs:
        return Comparison(verdict=Verdict.DIFFERENT, reason="polarity")
    return None


def _opening(text: str) -> str:
    if _YES.match(text):
        return "yes"
    return "no" if _NO.match(text) else ""


_RESULT = re.compile(
    r"(?:\\boxed\{|####\s*|\b(?:final answer|answer|result|total)(?:\s+is|\s*[:=])\s*(?:about\s+)?)"
    r"[$€£]?\s*(-?\d[\d,]*(?:\.\d+)?)",
    re.IGNORECASE,
)


def _result(one: str, other: str) -> Comparison | None:
    mine, theirs = _stated(one), _stated(other)
    if mine is not None and theirs is not None and mine != theirs:
        return Comparison(verdict=Verdict.DIFFERENT, reason="result")
    return None


def _stated(text: str) -> float | None:
    results = _RESULT.findall(text)
    return float(results[-1].replace(",", "")) if results else None


def _facts(one: str, other: str) -> Comparison | None:
    """Facts that exclude each other; what one of the two merely leaves out is no difference."""
    n_short, n_long = sorted((len(_words(one)), len(_words(other))))
    if n_short > READ_WORDS:
        return None
    is_agreed = _opening(one) != "" and _opening(one) == _opening(other)
    for finding in findings(facts_of(canonical(one)), facts_of(canonical(other))):
        mine, theirs = finding.query, finding.candidate
        if finding.guard is not MissReason.GUARD_NEGATION:
            speaks = n_short <= SHORT_WORDS and bool(mine and theirs)
        elif _is_words(mine) and _is_words(theirs):
            speaks = n_long <= READ_WORDS  # opposite words
        else:  # a negation; "No, you can't" and "No, that is impossible" are no difference
            speaks = n_long <= SHORT_WORDS and not is_agreed
        is_telling = finding.is_veto or finding.guard in _TELLING
        if speaks and is_telling:
            return Comparison(verdict=Verdict.DIFFERENT, reason=finding.guard.value)
    return None


# Of prompts other words beside them leave a doubt; a short answer is little else.
_TELLING = frozenset({MissReason.GUARD_CODE, MissReason.GUARD_ENTITY})


def _asked_back(one: str, other: str) -> Comparison | None:
    """A question back is no answer."""
    if one.endswith("?") != other.endswith("?"):
        return Comparison(verdict=Verdict.DIFFERENT, reason="question")
    return None


def _is_words(listed: str) -> bool:
    """Tell whether a finding lists single words: those are opposites; negations have a scope."""
    return bool(listed) and all(" " not in word for word in listed.split(", "))


_NAME = re.compile(r"(?<=[a-z,] )[A-Z][\w-]*\w")  # a capital inside a sentence


def _subject(one: str, other: str) -> Comparison | None:
    """Names that one answer keeps saying and the other never says, both ways."""
    mine, theirs = _often(one), _often(other)
    if mine - set(_words(other)) and theirs - set(_words(one)):
        return Comparison(verdict=Verdict.DIFFERENT, reason="subject")
    return None


def _often(text: str) -> set[str]:
    said_words = _words(text)
    names = {name.casefold() for name in _NAME.findall(text)}
    return {name for name in names if said_words.count(name) > 1}


_CONTAINED_WORDS = 6
_BARE_WORDS = 2  # "Yes.", "That's correct."
_FILLER = frozenset("answer it its they that this there here is are was were be".split())


def _contained(one: str, other: str) -> Comparison | None:
    """Nothing in a very short answer that the other does not say."""
    short, long = sorted((one, other), key=len)
    if len(_words(short)) > _CONTAINED_WORDS:
        return None
    mine, theirs = facts_of(canonical(short)), facts_of(canonical(long))
    numbers = {number.value for number in mine.numbers}
    stems = set(mine.stems) - _FILLER
    is_contained = (
        bool(stems or numbers)
        and stems <= set(theirs.stems)
        and numbers <= {number.value for number in theirs.numbers}
    )
    is_bare = len(_words(short)) <= _BARE_WORDS and _opening(short) != ""
    if is_contained or (is_bare and _opening(short) == _opening(long)):
        return Comparison(verdict=Verdict.SAME, reason="contained")
    return None


_RULES: tuple[Callable[[str, str], Comparison | None], ...] = (
    _equal,
    _refusal,
    _asked_back,
    _polarity,
    _result,
    _facts,
    _subject,
    _contained,
)


# ---------------------------------------------------------------------------------------- meaning

_BREAK = re.compile(r"(?<=[.!?])\s+|\n+|;\s+")


def _closeness(one: str, other: str, encode: Encode) -> float:
    """Return how close two answers are: the mean of two cosines.

    That of the wholes, and, sentence by sentence, that of the nearest sentence of the other answer,
    weighted by length; of both directions the better one, so that an answer that says more than the
    other, and all of it, is close to it.
    """
    mine, theirs = _sentences(one), _sentences(other)
    vectors = encode([one, other, *mine, *theirs])
    whole = float(vectors[0] @ vectors[1])
    nearest = vectors[2 : 2 + len(mine)] @ vectors[2 + len(mine) :].T
    covered = max(
        float(np.average(nearest.max(axis=1), weights=[len(text) for text in mine])),
        float(np.average(nearest.max(axis=0), weights=[len(text) for text in theirs])),
    )
    return (whole + covered) / 2


def _sentences(text: str) -> list[str]:
    """Return the first sentences; a very short one joins the next."""
    found: list[str] = []
    for piece in _BREAK.split(text):
        if found and len(found[-1]) < _MIN_SENTENCE_CHARS:
            found[-1] = f"{found[-1]} {piece}"
        else:
            found.append(piece)
    return found[:_MAX_SENTENCES] or [text]
