"""Texts for ``load``: as many as are wanted, each once, of the words and lengths of real traffic.

Eleven words on average, one in forty with a few sentences of background. None is personal,
time-bound, or free of content, so that all of them pass the cache's rules.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence


def _split(words: str, at: str = " ") -> list[str]:
    return words.split(at)


_VERBS = _split(
    "configure export install remove rename replace restore share sort split translate update "
    "upload verify archive attach calibrate clean convert copy debug encrypt filter format "
    "index merge migrate monitor optimise pause preview print publish reset resize rotate scan "
    "simplify summarise test trace transfer tune validate wrap"
)
_NOUNS = _split(
    "invoice database spreadsheet password router sensor battery keyboard contract newsletter "
    "recipe garden telescope bicycle engine camera printer server cluster container pipeline "
    "certificate firewall calendar playlist wardrobe passport mortgage pension scholarship "
    "vaccine thermostat aquarium guitar piano violin poem novel essay theorem matrix integral "
    "polynomial function compiler parser scheduler queue cache backup dashboard report survey "
    "warehouse shipment parcel ticket voucher itinerary glacier volcano planet comet enzyme "
    "protein neuron muscle carburettor gearbox turbine bridge tunnel cathedral museum "
    "orchestra referendum parliament treaty currency inflation dividend portfolio insurance "
    "greenhouse compost orchard"
)
_ADJECTIVES = _split(
    "broken shared empty large tiny annual monthly wireless portable digital wooden ancient "
    "remote nested encrypted frozen temporary recurring duplicate faulty damp noisy silent "
    "bright heavy fragile flexible stable legacy public internal external partial circular "
    "quarterly regional"
)
_PLACES = _split(
    "a small office|a rainy climate|the command line|a mountain village|an old laptop|"
    "a busy kitchen|a phone without signal|the staging environment|a primary school|"
    "a rented flat|a hot summer|a narrow street|the northern hemisphere|a cargo ship|"
    "a public library|a noisy factory|a legacy system|an electric car|a sailing boat|"
    "the winter season|a shared workspace|a remote team",
    "|",
)
_GOALS = _split(
    "without losing any data|so that colleagues can read it|before moving it abroad|"
    "while keeping the noise low|when the manual is missing|if the first attempt fails|"
    "using only free tools|with very little experience|in as few steps as possible|"
    "after a power cut|for a class of beginners|and what are the usual mistakes|"
    "and which tools are needed|and how long does it take",
    "|",
)
_FRAMES = (
    "how do i {verb} a {adjective} {noun} in {place}",
    "What is the best way to {verb} a {adjective} {noun}?",
    "explain why a {adjective} {noun} is hard to {verb}",
    "Is it safe to {verb} the {adjective} {noun} near a {other}?",
    "{verb} a {adjective} {noun} {goal}",
    "which {adjective} {noun} should one choose for {place}?",
    "Write a short guide on how to {verb} a {adjective} {noun} {goal}.",
    "why does the {adjective} {noun} stop working near a {other}",
    "difference between a {adjective} {noun} and a {other}",
    "steps to {verb} and {verb2} a {adjective} {noun}",
    "{adjective} {noun} for {place}",
)
_BACKGROUND = (
    "The {noun} was made for {place} and has worked well for years.",
    "A {adjective} {other} stands next to it, and both share one {noun}.",
    "Several people tried to {verb} it {goal}, with mixed results.",
    "The documentation only describes how to {verb} a {other} in {place}.",
    "Please keep the answer practical and mention any risks of a {adjective} {noun}.",
)
_LONG_SHARE = 1 / 40

_GREETINGS = ("please ", "Hello, ")
_GREETED_SHARE = 0.08
_THANKS = (
    "",
    "?",
    "??",
    "???",
    " ?",
    "!",
    "!!",
    ".",
    "..",
    " ...",
    " thanks",
    " please",
    " please?",
)


def distinct_texts(seed: int) -> Iterator[str]:
    """Yield texts for ever, no text twice."""
    chance = random.Random(seed)
    seen: set[str] = set()
    while True:
        text = _text(chance)
        if text not in seen:
            seen.add(text)
            yield text


def paraphrases(texts: Sequence[str], seed: int) -> Iterator[str]:
    """Yield other wordings of the texts in turn, no wording twice, until none is new.

    They differ in greeting, thanks, punctuation and upper case, never in content.
    """
    chance = random.Random(seed)
    seen = set(texts)
    n_stale = 0
    while n_stale < len(texts):
        for text in texts:
            wording = _reworded(text, chance)
            if wording in seen:
                n_stale += 1
                continue
            n_stale = 0
            seen.add(wording)
            yield wording


def _text(chance: random.Random) -> str:
    text = _filled(chance.choice(_FRAMES), chance)
    if chance.random() < _LONG_SHARE:
        background = chance.choices(_BACKGROUND, k=chance.randint(2, 8))
        text = " ".join([*(_filled(sentence, chance) for sentence in background), text])
    return text


def _filled(frame: str, chance: random.Random) -> str:
    pick = chance.choice
    return frame.format(
        verb=pick(_VERBS),
        verb2=pick(_VERBS),
        noun=pick(_NOUNS),
        other=pick(_NOUNS),
        adjective=pick(_ADJECTIVES),
        place=pick(_PLACES),
        goal=pick(_GOALS),
    )


def _reworded(text: str, chance: random.Random) -> str:
    body = text.rstrip("?.")
    if chance.random() < 0.5:
        body = body[0].swapcase() + body[1:]
    greeting = chance.choice(_GREETINGS) if chance.random() < _GREETED_SHARE else ""
    return greeting + body + chance.choice(_THANKS)
