"""Numbers in English text: digits, number words, ordinals, Roman numerals, their units.

Works on the tokens of ``cache.facts``. Every reader takes the position of a token and returns a
``Reading``: the numbers found and where reading goes on. Values are canonical strings, so that
"1,000", "1k" and "one thousand" are equal and "3.10" and "3.1", which may be versions, are not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from cache.lexicon import (
    CARDINALS,
    CURRENCY_SIGNS,
    MAGNITUDES,
    MONTHS,
    ORDINALS,
    ROMAN_AFTER,
    SOFT_NUMBERS,
    UNIT_SIGNS,
    UNITS,
)


class Amount(NamedTuple):
    """One number: canonical value, canonical unit (may be empty), see ``facts.Number``."""

    value: str
    unit: str = ""
    is_soft: bool = False


class Reading(NamedTuple):
    """What was read: the numbers, the index of the next token, the words that were used up."""

    amounts: tuple[Amount, ...]
    end: int
    words: tuple[str, ...] = ()


_DIGITS = re.compile(
    r"(?P<sign>-?)(?P<number>\.?\d+(?:[.,:/]\d+)*)(?P<tail>[^\W\d_]*)(?P<more>[^\W_]*)\Z"
)
_GROUPED = re.compile(r"\d{1,3}(?:,\d{2,3})*,\d{3}(?:\.\d+)?\Z")
_ROMAN = re.compile(r"(?=[IVX])X{0,3}(?:IX|IV|V?I{0,3})\Z")
_ROMAN_VALUES = {"I": 1, "V": 5, "X": 10}
_WORLD_WARS = frozenset({"WWI", "WWII", "WWIII"})
_NO_ROMAN = frozenset({"IV", "VI", "XX", "XI"})  # infusion, editor, chromosomes, a name
_CURRENCY_FACTORS = {"m": 10**6, "b": 10**9, "t": 10**12}
_MAX_DIGITS = 30  # longer ones are names, not amounts
_MAX_VALUE = 10**18
_MAX_MAGNITUDES = 3


def read_number_word(tokens: Sequence[str], at: int) -> Reading:
    """Read the run of number words that begins at ``at``: "twenty-five thousand", "third"."""
    word = tokens[at].lower()
    if word in SOFT_NUMBERS:
        return Reading((Amount(SOFT_NUMBERS[word], "", True),), at + 1, (word,))
    run = _Run()
    end = at
    while end < len(tokens) and not run.is_ordinal:
        low = tokens[end].lower()
        if not (run.take(low) or (run.words and _joins(low, tokens, end, run))):
            break
        end += 1
    words = tuple(run.words)
    value = run.total + run.current
    if not words or (value == 0 and word != "zero"):  # "thousands of"
        return Reading((), max(end, at + 1), words or (word,))
    if run.is_ordinal:
        amount = ordinal(tokens, end, value, is_soft=word in ORDINALS and value <= 3)
        return Reading((amount,), end, words)
    if words in (("one",), ("zero",)):  # often no number: "which one", "zero gravity"
        return Reading((Amount(str(value), "", True),), end, words)
    return _with_unit(tokens, end, str(value), "", words)


class _Run:
    """The sum of a run of number words."""

    def __init__(self) -> None:
        self.total = 0
        self.current = 0
        self.words: list[str] = []
        self.is_ordinal = False

    def take(self, word: str) -> bool:
        """Add a word; return False where it begins another number or is none."""
        fits = (
            self._take_cardinal(word)
            if word in CARDINALS
            else self._take_magnitude(word)
            if word in MAGNITUDES
            else self._take_ordinal(word)
        )
        if fits:
            self.words.append(word)
        return fits and self.current < _MAX_VALUE

    def _take_cardinal(self, word: str) -> bool:
        value = CARDINALS[word]
        if word == "dozen" and self.words:
            self.current = (self.current or 1) * 12
            return True
        last = self.current % 100
        if self.words and not (last == 0 or (last >= 20 and last % 10 == 0 and value < 10)):
            return False  # "two three": two numbers
        self.current += value
        return True

    def _take_magnitude(self, word: str) -> bool:
        if not self.words and (word == "k" or word.endswith("s")):
            return word != "k"  # "thousands of people": no number
        magnitude = MAGNITUDES[word]
        if magnitude == 100:
            self.current = (self.current or 1) * 100
        else:
            self.total += (self.current or 1) * magnitude
            self.current = 0
        return True

    def _take_ordinal(self, word: str) -> bool:
        if word not in ORDINALS or (self.words and self.current % 100 not in range(20, 100, 10)):
            return False
        self.current += ORDINALS[word]
        self.is_ordinal = True
        return True


def _joins(low: str, tokens: Sequence[str], at: int, run: _Run) -> bool:
    """Tell whether a hyphen or "and" goes on with the number: "twenty-five", "hundred and six"."""
    if low not in ("-", "and") or at + 1 >= len(tokens):
        return False
    following = tokens[at + 1].lower()
    if low == "-":
        return following in CARDINALS or following in ORDINALS or following in MAGNITUDES
    is_round = run.current % 100 == 0 and bool(run.current or run.total)
    return following in CARDINALS and is_round and any(w in MAGNITUDES for w in run.words)


def read_digits(tokens: Sequence[str], at: int) -> Reading:
    """Read the token at ``at``, which begins with a digit, a sign or a decimal point."""
    token = tokens[at].lower().replace("’", "'")
    words = (token,)
    end = at + 1
    if token.endswith("'s"):  # "the 90's", "season 2's"
        token = token[:-2] + ("s" if token[-3:-2] == "0" else "")
    match = _DIGITS.match(token)
    if match is None or match["more"] or len(token) > _MAX_DIGITS:  # "4x4", other scripts' digits
        return Reading((Amount(token),), end, words)
    *listed, value = _values(match["number"])
    unit = CURRENCY_SIGNS.get(tokens[at - 1], "") if at else ""
    if unit and "." in value:
        value = value.rstrip("0").rstrip(".")
    value = match["sign"] + value
    tail = match["tail"]
    if not tail:
        value, end = _magnified(tokens, end, value)
        reading = _with_unit(tokens, end, value, unit, words)
    elif tail in ("st", "nd", "rd", "th"):
        whole = int(value) if value.isdecimal() else 0
        reading = Reading((ordinal(tokens, end, whole, is_soft=False),), end, words)
    else:
        reading = _glued(tokens, end, value, tail, unit, words)
    if not listed:
        return reading
    return reading._replace(amounts=(*map(Amount, listed), *reading.amounts))


def _values(number: str) -> list[str]:
    """Return the canonical values of digits with separators; several for a list: "1,2,3"."""
    if "," in number:
        if not _GROUPED.match(number):
            return [_plain(part) for part in number.split(",")]
        number = number.replace(",", "")
    return [_plain(number)]


def _plain(number: str) -> str:
    """Strip leading zeros of whole numbers and dates; "3.10" stays, it may be a version."""
    if number.isdecimal():
        return number.lstrip("0") or "0"
    if number[0] == ".":
        return "0" + number
    if "/" in number:
        return "/".join(part.lstrip("0") or "0" for part in number.split("/"))
    return number


def _magnified(tokens: Sequence[str], at: int, value: str) -> tuple[str, int]:
    """Multiply by the words that follow: "5 hundred thousand"."""
    for _ in range(_MAX_MAGNITUDES):
        low = tokens[at].lower() if at < len(tokens) else ""
        if low not in MAGNITUDES or low == "k":
            break
        value = _times(value, MAGNITUDES[low])
        at += 1
    return value, at


def _glued(
    tokens: Sequence[str], at: int, value: str, tail: str, unit: str, words: tuple[str, ...]
) -> Reading:
    """Read digits with letters behind them: "5k", "3pm", "16gb", "1990s"."""
    if tail in ("am", "pm"):
        return Reading((Amount(_clock(value, tail)),), at, words)
    factor = MAGNITUDES.get(tail) or (_CURRENCY_FACTORS.get(tail) if unit else None)
    if factor:
        return _with_unit(tokens, at, _times(value, factor), unit, words)
    sign = UNITS.get(tail) or (UNIT_SIGNS.get(tail) if tail != "s" else None)
    if sign:
        return Reading((Amount(value, sign),), at, words)
    if len(tail) > 3:  # "300grain": glued by mistake
        return Reading((Amount(value),), at, (*words, tail))
    is_decade = tail == "s" and len(value) == 2 and value[-1] == "0" and value >= "20"
    return Reading((Amount(("19" if is_decade else "") + value + tail),), at, words)


def _with_unit(
    tokens: Sequence[str], at: int, value: str, unit: str, words: tuple[str, ...]
) -> Reading:
    """Add the unit that stands at ``at``, perhaps behind a hyphen: "5-km", "19-year-old"."""
    k = at + 1 if at + 1 < len(tokens) and tokens[at] == "-" else at
    low = tokens[k].lower() if k < len(tokens) else ""
    after = tokens[k + 1].lower() if k + 1 < len(tokens) else ""
    if low in ("am", "pm", "a.m.", "p.m."):
        return Reading((Amount(_clock(value, low.replace(".", ""))),), k + 1, words)
    if low == "%" or (low == "per" and after == "cent"):
        return Reading((Amount(value, "percent"),), k + 1 + (low == "per"), words)
    if low == "°":
        is_scale = after in ("c", "f")
        scale = {"c": "celsius", "f": "fahrenheit"}.get(after, "degree")
        return Reading((Amount(value, scale),), k + 1 + is_scale, words)
    if low in ("degree", "degrees") and UNITS.get(after) in ("celsius", "fahrenheit"):
        return Reading((Amount(value, UNITS[after]),), k + 2, words)
    if unit and low in _CURRENCY_FACTORS:
        return Reading((Amount(_times(value, _CURRENCY_FACTORS[low]), unit),), k + 1, words)
    named = UNITS.get(low) or (UNIT_SIGNS.get(low) if low not in _WORD_SIGNS else None)
    if named:
        return Reading((Amount(value, unit or named),), k + 1, (*words, low))
    return Reading((Amount(value, unit),), at, words)


_WORD_SIGNS = frozenset({"a", "x", "d", "s", "c"})  # "5 a day", "vitamin 5 c": too often words


def ordinal(tokens: Sequence[str], end: int, value: int, *, is_soft: bool) -> Amount:
    """Return "#3" for "third"; a plain number in dates and in "second world war"."""
    near = [token.lower() for token in tokens[max(0, end - 3) : end + 2]]
    is_date = value <= 31 and any(word in MONTHS for word in near)
    if is_date or [token.lower() for token in tokens[end : end + 2]] == ["world", "war"]:
        return Amount(str(value))
    return Amount(f"#{value}", "", is_soft)


def roman(token: str, previous: str) -> Amount | None:
    """Return the number that capitals stand for, or None: "II", "Part V", but "I" and "IV"."""
    if token in _WORLD_WARS:
        return Amount(str(len(token) - 2))
    if not _ROMAN.match(token):
        return None
    if previous not in ROMAN_AFTER and (len(token) == 1 or token in _NO_ROMAN):
        return None
    total = 0
    for letter, following in zip(token, token[1:] + " ", strict=True):
        value = _ROMAN_VALUES[letter]
        total += -value if value < _ROMAN_VALUES.get(following, 0) else value
    return Amount(str(total))


def _clock(value: str, half: str) -> str:
    """Return "3:00pm" for "3 pm" and "3.00 p.m."."""
    value = value.replace(".", ":")
    return (value if ":" in value else f"{value}:00") + half


def _times(value: str, factor: int) -> str:
    """Multiply decimal digits without rounding."""
    whole, _, decimals = value.partition(".")
    if not (whole.lstrip("-") + decimals).isdecimal() or len(value) > _MAX_DIGITS:
        return f"{value}x{factor}"
    digits = int(whole + decimals) * factor
    scale = 10 ** len(decimals)
    return str(digits // scale) if digits % scale == 0 else f"{digits}/{scale}"
