"""The pairs that the pair model and its encoder learn from, and those they are judged on.

What is held back is held back by a hash of the prompt (or by kind, domain or database), so that a
prompt never stands on both sides. CheckList is split by kind of test: a kind that is judged here
was never trained on. Medical questions, PAWS and text-to-SQL keep a part back too.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.datasets import fold_of, pairs, read_rows
from router.ledger.labels import labelled_pairs
from training.grammar import grammar_pairs
from training.near_misses import names_in, near_miss, rewording
from training.operations import operation_pairs
from training.searches import search_pairs

HELD_KINDS = frozenset(
    {
        "traditional SRL: active / passive swap with people",
        "Order does not matter for symmetric relations",
        "Order does matter for asymmetric relations",
        "Modifier: adj",
        "Is it {ok, dangerous, ...} to {smoke, rest, ...} after != before",
        "same adjectives, different people",
        "Irrelevant modifiers - animals",
        "Who do X think - Who is the ... according to X",
        "A or B is not the same as A and B",
        "Change numbers in one of the questions",
        "What are things a {noun} should worry about != should not worry about.",
    }
)
HELD_DOMAINS = frozenset({"restaurants", "atis", "blocks", "recipes"})
_HELD_FOLDS = 6  # one fold in so many is judged on
_SEED = 7  # of the split alone, so that every training run keeps back the same


TRAINED_ON = (
    "Quora Question Pairs, train split (Quora's terms, research use): 90,532 pairs",
    "AskUbuntu duplicates (CC BY-SA 3.0), CheckList for QQP (MIT), SemAntoNeg (CC BY), GSM-Plus, "
    "MEDIQA RQE, PAWS-X English dev, Spider and Spider-Syn, text2sql-data, Overnight: the parts "
    "that are not held back",
    "pairs of this project's own, made from single prompts (`training/near_misses.py`), and "
    "requests put together of an operation and an object (`training/operations.py`), searches for "
    "things under conditions (`training/searches.py`), and questions whose grammar decides "
    "(`training/grammar.py`)",
)


@dataclass(frozen=True, slots=True)
class LabelledPair:
    """Two prompts and whether one answer serves both."""

    a: str
    b: str
    same: bool
    source: str


def training_pairs(folder: Path, seed: int) -> list[LabelledPair]:
    """Return the training mixture, shuffled."""
    chance = random.Random(seed)
    found: list[LabelledPair] = []
    for source, rows in _labelled(folder).items():
        kept = [pair for pair in rows if not _is_held(pair, source)]
        found += _drawn(kept, _SHARES.get(source, (1.0, 1.0)), chance)
    for name, n in (("text2sql", 9_000), ("overnight", 5_000), ("spider", 9_000)):
        found += _from_groups(folder, name, n, chance, held=False)
    found += _made(folder, chance)
    chance.shuffle(found)
    return found


def held_out(folder: Path) -> dict[str, list[LabelledPair]]:
    """Return the pairs to judge on, by set."""
    chance = random.Random(_SEED)
    found = {
        source: [pair for pair in rows if _is_held(pair, source)]
        for source, rows in _labelled(folder).items()
    }
    for name in ("text2sql", "overnight", "spider"):
        found[name] = _from_groups(folder, name, 2_000, chance, held=True)
    return found


def pairs_of_ledger(folder: Path) -> list[LabelledPair]:
    """Return what a service learned of pairs: by feedback, audits and near misses.

    Args:
        folder: its data folder; the service may be running.

    Raises:
        LedgerUnavailable, LedgerRefused: the ledger cannot be read.
    """
    return [
        LabelledPair(pair.stored, pair.asked, pair.is_same, f"ledger:{pair.source.value}")
        for pair in labelled_pairs(folder)
    ]


# (positives, negatives): the share of each that is drawn; above 1, rows come again.
_SHARES: dict[str, tuple[float, float]] = {
    "askubuntu": (0.8, 0.3),
    "checklist": (2.0, 0.30),
    "antonym": (0.9, 0.6),
    "paws_wiki": (3.0, 3.0),
    "medical_rqe": (1.0, 0.6),
}


def _drawn(
    rows: Sequence[LabelledPair], shares: tuple[float, float], chance: random.Random
) -> Iterator[LabelledPair]:
    for is_same, share in zip((True, False), shares, strict=True):
        some = [pair for pair in rows if pair.same is is_same]
        whole = int(share)
        yield from some * whole
        yield from chance.sample(some, int(len(some) * (share - whole)))


_kind_of: dict[int, str] = {}


def _labelled(folder: Path) -> dict[str, list[LabelledPair]]:
    found: dict[str, list[LabelledPair]] = {}
    for name in ("qqp", "askubuntu", "checklist", "antonym", "gsmplus", "medical_rqe", "paws_wiki"):
        path = folder / "cache" / f"pairs_{name}.jsonl.gz"
        found[name] = [
            LabelledPair(row.a, row.b, row.duplicate, f"{name}:{row.test or row.split or ''}")
            for row in pairs(path)
        ]
    return found


def _is_held(pair: LabelledPair, source: str) -> bool:
    about = pair.source.partition(":")[2]
    if source == "qqp":
        return about == "dev"
    if source == "checklist":
        return about in HELD_KINDS
    key = pair.b if source == "medical_rqe" else pair.a
    return fold_of(key, _HELD_FOLDS if source != "paws_wiki" else 3, _SEED) == 0


def _from_groups(
    folder: Path, name: str, n: int, chance: random.Random, *, held: bool
) -> list[LabelledPair]:
    """Return pairs within a group, and as many near ones of two groups.

    Half of those are of one template (or base, where rows name none), where another entity is all
    that differs; the others are of one domain and share many words, where a condition or what is
    asked for differs.
    """
    groups: dict[str, list[str]] = defaultdict(list)
    templates: dict[str, set[str]] = defaultdict(set)
    domains: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for row in read_rows(folder / "cache" / f"groups_{name}.jsonl.gz"):
        base = str(row.get("domain") or str(row["group"]).partition(":")[0])
        is_held = base in HELD_DOMAINS or (
            name == "spider" and fold_of(base, _HELD_FOLDS, _SEED) == 0
        )
        if is_held is not held:
            continue
        groups[row["group"]].append(row["text"])
        templates[str(row.get("template") or base)].add(row["group"])
        domains[base].append((row["group"], row["text"]))
    same = [group for group, texts in groups.items() if len(texts) > 1]
    wide = [sorted(members) for members in templates.values() if len(members) > 1]
    rows = [(base, *row) for base, found in domains.items() for row in found]
    found = []
    for _ in range(n // 2):
        a, b = chance.sample(groups[chance.choice(same)], 2)
        if a != b:
            found.append(LabelledPair(a, b, True, name))
    for _ in range(n // 4):
        one, two = chance.sample(chance.choice(wide), 2)
        found.append(
            LabelledPair(chance.choice(groups[one]), chance.choice(groups[two]), False, name)
        )
    for _ in range(n // 4):
        base, group, text = chance.choice(rows)
        other = _alike(text, group, chance.sample(domains[base], min(60, len(domains[base]))))
        if other is not None:
            found.append(LabelledPair(text, other, False, name))
    return found


def _alike(text: str, group: str, rows: Sequence[tuple[str, str]]) -> str | None:
    """Return the text of another group that shares most words; None where the words are the same.

    Of a sample, not of all: the nearest of all are too often one question with two labels.
    """
    words = set(text.casefold().split())
    best, share = None, 0.0
    for other_group, other in rows:
        theirs = set(other.casefold().split())
        if other_group != group and theirs != words:
            shared = len(words & theirs) / len(words | theirs)
            if shared > share:
                best, share = other, shared
    return best


def _made(folder: Path, chance: random.Random) -> Iterator[LabelledPair]:
    """Yield pairs of our own, made from single prompts of many kinds."""
    texts = _prompts(folder, chance)
    names = names_in(texts)
    for text in texts:
        miss = near_miss(text, chance, names)
        if miss is not None and miss.casefold() != text.casefold():
            # Said another way at times, so that a change of form alone says nothing.
            asked = rewording(miss, chance) if chance.random() < 0.3 else miss
            yield LabelledPair(text, asked, False, "made")
        if chance.random() < 0.6:
            yield LabelledPair(text, rewording(text, chance), True, "made")
    for one, two, is_same in operation_pairs(_OPERATIONS, chance):
        yield LabelledPair(one, two, is_same, "operations")
    for one, two, is_same in search_pairs(_SEARCHES, chance):
        yield LabelledPair(one, two, is_same, "searches")
    for one, two, is_same in grammar_pairs(_GRAMMAR, chance):
        yield LabelledPair(one, two, is_same, "grammar")


_OPERATIONS = 16_000
_GRAMMAR = 8_000
_SEARCHES = 12_000
_PROMPTS: Mapping[str, int] = {
    "cache/groups_qqp.jsonl.gz": 8_000,
    "traffic/prompts_trec_mq.jsonl.gz": 2_000,
    "traffic/prompts_msmarco_dev.jsonl.gz": 3_000,
    "traffic/intent_banking77.jsonl.gz": 3_000,
    "traffic/intent_clinc150.jsonl.gz": 3_000,
    "cache/groups_overnight.jsonl.gz": 1_000,
}


def _prompts(folder: Path, chance: random.Random) -> list[str]:
    found: list[str] = []
    for name, n in _PROMPTS.items():
        texts = sorted(
            {str(row.get("text") or row.get("prompt") or "") for row in read_rows(folder / name)}
        )
        texts = [text for text in texts if 12 <= len(text) <= 300]
        found += chance.sample(texts, min(n, len(texts)))
    return found
