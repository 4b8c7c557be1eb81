"""What a text states that an encoder blurs: numbers, negations, opposites, names, quotes, code.

``facts_of`` reads a canonical text once, in time linear in its length and at most ``MAX_CHARS`` of
it; what lies behind is kept as it is and must be equal. It knows no grammar: everything here is
counted from words and their neighbours, and whatever it cannot tell stays out of the facts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple
from unicodedata import combining, normalize

from cache.lexicon import (
    CARDINALS,
    FUNCTION_WORDS,
    MAGNITUDES,
    NEGATORS,
    ORDINALS,
    PHRASES,
    SENSES,
    SOFT_NUMBERS,
    Sense,
    Side,
)
from cache.numbers import Amount, Reading, read_digits, read_number_word, roman

MAX_CHARS = 16_384
"""Characters that are read; a longer text must be equal behind them."""


class Number(NamedTuple):
    """A number of a text.

    Attributes:
        value: canonical digits ("1000", "3.11"); ordinals begin with "#", times hold a colon.
        unit: canonical unit, empty when none was given.
        what: the next word that carries meaning, stemmed: what is counted.
        is_soft: said in a word that is often no number ("one", "first", "half"): it differs from
            another number, but may be left out.
        at: how many words that carry meaning stand before ``what``: numbers of one list share it.
        after: the word before it, empty at the start.
    """

    value: str
    unit: str
    what: str
    is_soft: bool
    at: int = -1
    after: str = ""


class Negation(NamedTuple):
    """A negating word and the stem of the word it negates (empty at the end of a text)."""

    word: str
    scope: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What the guards compare. Made by ``facts_of`` only.

    Attributes:
        text: what was read of the canonical text.
        rest: what was not read.
        words: every word in lower case, in order.
        stems: words that carry meaning, stemmed, in order.
        vocabulary: the words, each once.
        bag: the stems, each once.
        numbers: numbers in order.
        negations: negating words in order.
        sides: memberships in groups of opposites and rivals.
        entities: known names, canonical.
        names: other capitalised words, in lower case.
        quotes: quoted texts in order.
        codes: code spans, paths, flags, calls, hashes and mail addresses in order.
        identifiers: words that look like code but may be a product ("getName", "iPhone").
        operators: operator signs in order.
        urls: addresses in order, without scheme and "www.".
    """

    text: str
    rest: str = ""
    words: tuple[str, ...] = ()
    stems: tuple[str, ...] = ()
    vocabulary: frozenset[str] = frozenset()
    bag: frozenset[str] = frozenset()
    numbers: tuple[Number, ...] = ()
    negations: tuple[Negation, ...] = ()
    sides: frozenset[Side] = frozenset()
    entities: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    quotes: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    identifiers: frozenset[str] = frozenset()
    operators: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()


# --------------------------------------------------------------------------------- marked spans

_TLD = "com|org|net|io|dev|gov|edu|co|uk|de|fr|in|us|ca|au|info|biz|me|tv|ai|app|xyz|eu|ru|jp|cn|br"
_EXT = (
    "py|js|ts|tsx|jsx|java|c|cc|cpp|h|hpp|cs|rs|go|rb|php|pl|sh|bat|ps1|txt|csv|tsv|json|xml|ya?ml"
    "|toml|ini|cfg|conf|md|html?|css|sql|log|exe|dll|so|jar|zip|gz|tar|deb|rpm|iso|pdf|docx?|xlsx?"
    "|pptx?|png|jpe?g|gif|svg|mp3|mp4|ipynb|lock|env|service|list|dat|db"
)

# Signs without which a text has no marked span; the second needs capitals inside a text.
_SIGNS = re.compile(r"[`\"“«‘_@\\(/#{'.-]")
_MARKS = re.compile(r"[`\"“«‘_@\\(/#{]|(?:^|[\s(])'|\w\.\w|(?:^|\s)-")
_CAMEL = re.compile(r"[a-z][A-Z]")

_QUOTED = re.compile(
    r"(?<!\w)\"+([^\"]{1,400})\"+|“([^”]{1,400})”|«([^»]{1,400})»|‘([^’]{1,400})’"
    r"|(?<![^\s(])'([^']{1,400})'(?!\w)"
)

_SPANS = re.compile(
    r"(?P<code>```.*?(?:```|\Z)|`[^`]{1,2000}`)"
    r"|(?P<url>(?:https?|ftp)://[^\s<>\"'`]+|(?<![\w.])www\.[^\s<>\"'`]+"
    rf"|(?<![\w@./-])(?:[A-Za-z0-9-]{{1,63}}\.){{1,8}}(?:{_TLD})(?![\w-])(?:[/?:][^\s<>\"'`]*)?)"
    r"|(?P<mail>(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8})"
    r"|(?P<path>(?<![\w/<.~])(?:~|\.{1,2})?(?:/[\w.@%+-]+){2,}/?|(?<![\w/<.])(?:~|\.{1,2})/[\w.@%+-]+"
    r"|(?<!\w)[A-Za-z]:\\[^\s\"'<>|]*)"
    rf"|(?P<file>(?<![\w./-])(?:[\w-]+/){{0,16}}[\w-]+(?:\.[\w-]+){{0,4}}\.(?:{_EXT})(?!\w))"
    r"|(?P<flag>(?<![\w-])--[A-Za-z][\w-]*|(?<![^\s(])-[A-Za-z]{1,4}(?![\w'’]))"
    r"|(?P<hex>(?<!\w)0[xX][0-9a-fA-F]+|(?<![\w&])#[0-9a-fA-F]{6}(?!\w))"
    r"|(?P<call>(?<![\w.])[A-Za-z_][\w.]{0,80}\((?!\d[\w/:.-]*\))"  # no "Baahubali(2015)"
    r"(?:\)|[^()\s]{0,80}[,=_\"'\[\]\d][^()]{0,80}\)))"
    r"|(?P<snake>(?<!\w)_*[A-Za-z][A-Za-z0-9]*_[\w]+|(?<!\w)__\w+)"
    r"|(?P<camel>(?<!\w)(?:[a-z]+[A-Z]|(?:[A-Z][a-z0-9]+){2}|[A-Z]+[a-z]+[A-Z])[A-Za-z0-9]*)",
    re.DOTALL,
)

_TOKEN = re.compile(
    r"(?:[^\W\d_]\.){2,}|(?:[A-Z]\.)+[A-Z](?![\w.])"
    r"|[CcFf](?:\+\+|#)(?!\w)"
    r"|(?:(?<![\w)\].-])-(?=\d))?(?:(?<![\w.])\.(?=\d))?[^\W_]+(?:['’][^\W_]+|(?<=\d)[.,:/]\d+)*"
    r"|[.?!;:](?=\s|$)"
    r"|[$€£¥₹₽₩₿%°½¼¾+=<>^*|~≤≥≠√∞∑∫×÷/-]"
)
_MIXED = re.compile(r"([^\W\d_]{2,})(\d+(?:[.,:/]\d+)*)\Z")
_LEADING_ZEROS = re.compile(r"(?<=[^\W\d_])0+(?=\d)")
_ENDS = frozenset(".?!;:")
_OPERATORS = frozenset("+=<>^*|~≤≥≠√∞∑∫×÷/-")
_STRICT_OPERATORS = frozenset("*/-|~")  # operators only between numbers or single letters
_FRACTIONS = {"½": "1/2", "¼": "1/4", "¾": "3/4"}
_NO_NAME = frozenset(
    "i ok okay yes no hi hello dear mr mrs ms dr sir prof pls please thanks also how what why when "
    "where who which is are can do does the a an ii iii iv ww wwi wwii wwiii "
    "ps fyi faq asap btw etc "
    "president director secretary department university college school prime minister pm "
    "professor king queen lord movie book song state government company inc ltd llc app".split()
)
_ARTICLES = frozenset({"a", "an", "the"})
_NO_AS_WORD = frozenset({"matter", "doubt", "."})
_ANSWERED = frozenset({"if", "or", "yes"})  # "yes/no?", "if no, why?"
_AFTER_NO = frozenset({".", "?", "!", ";", ":", "why", "how", "what", "then"})
_TAG_PRONOUNS = frozenset("it he she they you we i there that this".split())
# "Isn't it late?" asks what "Is it late?" asks; "Don't go" is no such question.
_RHETORICAL = frozenset(
    "isn't aren't wasn't weren't doesn't didn't can't couldn't won't wouldn't shouldn't "
    "hasn't haven't hadn't isnt arent doesnt didnt couldnt wouldnt shouldnt".split()
)
_PLAIN_AUXILIARIES = frozenset("don't dont cannot cant wont".split())
_AFTER_IF_NOT = frozenset({".", "?", "!", ";", ":", "why", "how", "what"})
_ASKING = frozenset("why how what when where who which and so but".split())
_SKIPPED_SCOPE = FUNCTION_WORDS | {
    "even", "ever", "yet", "longer", "want", "able", "going", "go", "he", "she", "his", "her",
    "him", "using", "use", "us", "people", "someone", "anyone", "one",
}  # fmt: skip
_MEMO_CHARS = 24
_UPPER = frozenset({"i", "i'm", "i've", "i'd", "i'll", "us", "it", "am", "me"})
_NUMBER_WORDS = frozenset(
    CARDINALS.keys() | MAGNITUDES.keys() | ORDINALS.keys() | SOFT_NUMBERS.keys()
)
_OFTEN_NO_MONTH = frozenset("may march mar jan dec jun sep".split())
_DEPENDENT = _NUMBER_WORDS | PHRASES.keys() | NEGATORS | _OFTEN_NO_MONTH
_RHETORICAL_REACH = 48  # tokens in which the question mark of a rhetorical question must stand


@dataclass(slots=True)
class _Draft:
    """Facts while they are read."""

    words: list[str] = field(default_factory=list)
    stems: list[str] = field(default_factory=list)
    numbers: list[Number] = field(default_factory=list)
    open_numbers: int = 0  # numbers at the end of ``numbers`` still waiting for what they count
    negations: list[Negation] = field(default_factory=list)
    open_negations: int = 0  # the same for the word they negate
    is_waiting: bool = False  # whether one of both is open
    sides: set[Side] = field(default_factory=set)
    entities: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    operators: list[str] = field(default_factory=list)
    is_formula: bool = False  # "=" or "+" somewhere: then "-" is minus


@dataclass(slots=True)
class _Case:
    """How a text uses capitals, to tell names from titles.

    Attributes:
        n_low: words that carry meaning and begin with a small letter.
        names: capitalised words inside a sentence, in lower case.
        has_title_words: function words are capitalised inside a sentence.
    """

    n_low: int = 0
    names: list[str] = field(default_factory=list)
    has_title_words: bool = False


def stem(word: str) -> str:
    """Return the word without the endings of plural, past and -ing; crude, but the same for all."""
    n = len(word)
    if n > 3 and word[-1] == "s" and word[-2] not in "su":
        word = word[:-3] + "y" if n > 4 and word.endswith("ies") else word[:-1]
        n = len(word)
    if n > 5 and word.endswith("ing"):
        word = word[:-3]
    elif n > 4 and word.endswith("ed"):
        word = word[:-2]
    else:
        return word[:-1] if n > 3 and word[-1] == "e" else word
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "ls":
        word = word[:-1]
    return word[:-1] if len(word) > 3 and word[-1] == "e" else word


def plain_letters(word: str) -> str:
    """Return the word without accents: "Pokémon" is the name "Pokemon"."""
    if word.isascii():
        return word
    return "".join(char for char in normalize("NFD", word) if not combining(char))


def facts_of(text: str) -> Facts:
    """Return the facts of a canonical text. Never raises."""
    rest = ""
    if len(text) > MAX_CHARS:
        text, rest = text[:MAX_CHARS], text[MAX_CHARS:]
    plain = text
    quotes: list[str] = []
    codes: list[str] = []
    identifiers: set[str] = set()
    urls: list[str] = []
    if _has_marks(text):
        quotes = _quotes_of(text)
        plain = _SPANS.sub(lambda match: _take_span(match, codes, identifiers, urls), text)
    draft = _read_words(plain)
    return Facts(
        text=text,
        rest=rest,
        words=tuple(draft.words),
        stems=tuple(draft.stems),
        vocabulary=frozenset(draft.words),
        bag=frozenset(draft.stems),
        numbers=tuple(draft.numbers),
        negations=tuple(draft.negations),
        sides=frozenset(draft.sides),
        entities=frozenset(draft.entities),
        names=frozenset(draft.names),
        quotes=tuple(quotes),
        codes=tuple(codes),
        identifiers=frozenset(identifiers),
        operators=tuple(draft.operators),
        urls=tuple(urls),
    )


def _has_marks(text: str) -> bool:
    """Tell whether a text may hold quotes, code or addresses; cheap, for most texts hold none."""
    if _SIGNS.search(text, 0, len(text) - 1) and _MARKS.search(text):
        return True
    return "0x" in text or (not text[1:].islower() and _CAMEL.search(text) is not None)


def _quotes_of(text: str) -> list[str]:
    if '""' in text:  # quoted twice over, as in CSV: the outer pair quotes the whole text
        text = text.strip('"').replace('""', '"')
    elif text.startswith('"') and text.endswith('"') and text.count('"') == 2:
        return []  # all of it is quoted: it is the question
    found = []
    for match in _QUOTED.finditer(text):
        inner = match[match.lastindex or 0].strip(" .,;:!?'\"")
        if inner:
            found.append(inner)
    return found


def _take_span(
    match: re.Match[str], codes: list[str], identifiers: set[str], urls: list[str]
) -> str:
    """File a marked span; return what stands for it among the words."""
    kind, span = match.lastgroup, match[0]
    if kind == "url":
        urls.append(_bare_url(span))
        return " "
    if kind == "code":
        codes.append(span.strip("` "))
        return " "
    if kind == "camel":
        if span[-1] == "s" and span[:-1].isupper():  # "PCs", "MBAs": a plural, no identifier
            return span
        identifiers.add(span.removesuffix("s") if span[0].isupper() else span)
        return span
    if kind == "file":
        identifiers.add(span)
        return span
    codes.append(span.lower() if kind in ("mail", "hex") else span)
    return " "


def _bare_url(url: str) -> str:
    url = url.rstrip(".,;:!?)]}>'\"/")
    scheme, mark, rest = url.partition("://")
    if not mark:
        rest = scheme
    host, slash, path = rest.partition("/")
    return host.lower().removeprefix("www.") + slash + path


# ------------------------------------------------------------------------------------- the words


class _Plain(NamedTuple):
    """What can be told of a lower-case word without its neighbours; an empty stem counts not."""

    stem: str
    sense: Sense | None


@lru_cache(maxsize=1 << 15)
def _plain_of(token: str) -> _Plain | None:
    """Return what a word means wherever it stands, or None if that depends on its neighbours."""
    if not (token.isalpha() and token.islower()) or token in _DEPENDENT:
        return None
    return _Plain("" if token in FUNCTION_WORDS else stem(token), SENSES.get(token))


def _read_words(text: str) -> _Draft:
    draft = _Draft(is_formula="=" in text or "+" in text or "^" in text)
    tokens = _TOKEN.findall(text)
    words = draft.words
    case = _Case()
    at_start = True
    i, n = 0, len(tokens)
    while i < n:
        token = tokens[i]
        i += 1
        # Most words are plain: they are read here, without a call each.
        if len(token) <= _MEMO_CHARS:
            plain = _plain_of(token)
            if plain is not None:
                at_start = False
                words.append(token)
                if plain.sense is not None:
                    _add_sense(draft, plain.sense)
                if plain.stem:
                    case.n_low += 1
                    _count(draft, plain.stem)
                continue
        if token[0].isalpha():
            i = _read_lettered(draft, tokens, i, token, case, at_start)
            n = len(tokens)
        elif token[0].isdigit() or (len(token) > 1 and token[0] in "-."):
            i = _take(draft, read_digits(tokens, i - 1))
        else:
            _read_sign(draft, tokens, i, token)
        at_start = token in _ENDS
    if (
        case.n_low or len(case.names) < 4
    ) and not case.has_title_words:  # else a title: capitals say nothing
        draft.names.update(stem(plain_letters(word)) for word in case.names)
    _drop_tag(draft, text)
    return draft


def _read_lettered(
    draft: _Draft, tokens: list[str], i: int, token: str, case: _Case, is_first: bool
) -> int:
    """Read a token that begins with a letter; return the index of the next token to read."""
    word = token.lower()
    if not token.isalpha():
        word = word.replace("’", "'")
        if word.endswith("'s"):
            word = word[:-2]
        elif token[1] == ".":  # "U.S.", "U.K"
            word = word.replace(".", "")
        if word not in SENSES:  # "mp3" is a name
            mixed = _MIXED.match(token)
            if mixed:
                tokens[i - 1 : i] = [mixed[1], mixed[2]]  # "python3" reads as "python 3"
                return i - 1
            if "'" not in word and any(map(str.isdigit, word)):
                value = word.removeprefix("v") if word[1:2].isdigit() else word
                value = _LEADING_ZEROS.sub("", value)  # "S04E02" is "S4E2"
                return _take(draft, Reading((Amount(value),), i, (word,)))
    if word in FUNCTION_WORDS:
        case.has_title_words |= token[0] != word[0] and not is_first and word not in _UPPER
    elif token[0] == word[0]:
        case.n_low += 1
    elif not is_first and word not in _NO_NAME and word not in SENSES:
        case.names.append(word)
    return _read_word(draft, tokens, i, token, word, is_first)


def _read_word(
    draft: _Draft, tokens: list[str], i: int, token: str, word: str, is_first: bool
) -> int:
    """Read a word that holds no digit; return the index of the next token to read."""
    end = _read_phrase(draft, tokens, i, word) if word in PHRASES else i
    if end > i:
        return end
    if word in _NUMBER_WORDS:
        return _take(draft, read_number_word(tokens, i - 1))
    previous = draft.words[-1] if draft.words else ""
    if token.isupper():
        amount = roman(token, previous)
        if amount is not None:
            return _take(draft, Reading((amount,), i, (word,)))
    draft.words.append(word)
    if word in NEGATORS or word.endswith("n't"):
        _read_negator(draft, tokens, i, word, previous, is_first)
        return i
    sense = SENSES.get(word)
    if sense is not None:
        if word not in _OFTEN_NO_MONTH or _is_month(tokens, i, token, is_first):
            _add_sense(draft, sense)
    elif token == "US" or (word in ("us", "usa") and "." in token):
        draft.entities.add("usa")
    if word not in FUNCTION_WORDS:
        _count(draft, stem(word))
    return i


def _read_phrase(draft: _Draft, tokens: list[str], i: int, word: str) -> int:
    """Read a name of several words; return the index behind it, ``i`` where there is none."""
    for phrase, name in PHRASES[word]:
        end = i + len(phrase) - 1
        if tuple(other.lower() for other in tokens[i:end]) == phrase[1:]:
            draft.entities.add(name)
            draft.words.extend(phrase)
            _count(draft, name)
            return end
    return i


def _add_sense(draft: _Draft, sense: Sense) -> None:
    draft.sides.update(sense.sides)
    if sense.entity:  # "turkey" and "polish" are plain words, too; a name all the same
        draft.entities.add(sense.entity)


_BEFORE_MONTHS = frozenset("in of since until last next this by".split())


def _is_month(tokens: list[str], i: int, token: str, is_first: bool) -> bool:
    following = tokens[i] if i < len(tokens) else ""
    previous = tokens[i - 2] if i > 1 else ""
    return (
        following[:1].isdigit()
        or previous[:1].isdigit()
        or previous.lower() in _BEFORE_MONTHS
        or (token[0].isupper() and not is_first and token.lower() != "may")
    )


def _read_negator(
    draft: _Draft, tokens: list[str], i: int, word: str, previous: str, is_first: bool
) -> None:
    following = tokens[i].lower() if i < len(tokens) else ""
    if word == "not" and _negates_nothing(draft.words, previous, following):
        return
    is_auxiliary = word in _RHETORICAL or word in _PLAIN_AUXILIARIES
    if is_first and word in _RHETORICAL:
        ends = [token for token in tokens[i : i + _RHETORICAL_REACH] if token in _ENDS]
        if ends and ends[0] == "?":
            return
    if word == "no" and (
        following in _NO_AS_WORD
        or following[:1].isdigit()  # "no. 1"
        or (previous in _ANSWERED and (not following or following in _AFTER_NO))
    ):
        return
    if previous in ("and", "or") and draft.words[-3:-2] == [word.removesuffix("n't")]:
        return  # "why do or don't people"
    if word == "nor" and "neither" in draft.words[-16:]:
        return
    if word == "instead" and following != "of":
        return
    if word in SENSES:
        draft.sides.update(SENSES[word].sides)
    draft.negations.append(Negation(word, ""))
    # "Why don't people vote" negates "vote", which stands behind a subject of unknown length.
    if is_auxiliary and (is_first or previous in _ASKING):
        draft.open_negations = 0
    else:
        draft.open_negations += 1
        draft.is_waiting = True


def _negates_nothing(words: list[str], previous: str, following: str) -> bool:
    if following == "only" or words[-3:-1] == ["whether", "or"]:  # "not only A but B"
        return True
    if previous == "or":  # "is it good or not?"
        return not following or following in _ENDS
    if previous == "why":  # "why or why not?"
        return words[-3:-2] in (["or"], ["and"])
    return previous == "if" and following in _AFTER_IF_NOT


def _count(draft: _Draft, word: str) -> None:
    """Take a word that carries meaning: it is what open numbers count and negations negate."""
    draft.stems.append(word)
    if not draft.is_waiting:
        return
    if draft.open_numbers:
        for k in range(len(draft.numbers) - draft.open_numbers, len(draft.numbers)):
            value, unit, _, is_soft, _, after = draft.numbers[k]
            draft.numbers[k] = Number(value, unit, word, is_soft, len(draft.stems), after)
        draft.open_numbers = 0
    if draft.open_negations and word not in _SKIPPED_SCOPE:
        for k in range(len(draft.negations) - draft.open_negations, len(draft.negations)):
            draft.negations[k] = Negation(draft.negations[k].word, word)
        draft.open_negations = 0
    draft.is_waiting = draft.open_negations > 0


def _drop_tag(draft: _Draft, text: str) -> None:
    """Forget the negation of a question tag: "..., isn't it?"."""
    words = draft.words
    if not draft.negations or not text.endswith("?"):
        return
    if words[-1] in _TAG_PRONOUNS and words[-2:-1] == [draft.negations[-1].word]:
        del draft.negations[-1]


def _take(draft: _Draft, reading: Reading) -> int:
    """File numbers that were read; return the index of the next token to read."""
    after = draft.words[-1] if draft.words else ""
    draft.words.extend(reading.words)
    for value, unit, is_soft in reading.amounts:
        draft.numbers.append(Number(value, unit, "", is_soft, -1, after))
    if reading.amounts:
        draft.open_numbers += len(reading.amounts)
        draft.is_waiting = True
    return reading.end


def _read_sign(draft: _Draft, tokens: list[str], i: int, token: str) -> None:
    """Read a sign that is no number: an operator, a fraction, or nothing that matters."""
    if token in _FRACTIONS:
        _take(draft, Reading((Amount(_FRACTIONS[token]),), i))
        return
    if token not in _OPERATORS:
        return
    if token in _STRICT_OPERATORS:
        before = tokens[i - 2] if i > 1 else ""
        after = tokens[i] if i < len(tokens) else ""
        if not (_is_operand(before) and _is_operand(after)):
            return
        if token == "-" and not draft.is_formula:
            return  # "5-10", "2016-17": a range
    draft.operators.append(token)


def _is_operand(token: str) -> bool:
    return token[:1].isdigit() or (len(token) == 1 and token.isalpha() and token not in "aI")
