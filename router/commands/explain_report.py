"""An explanation for the eye and for JSON. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from difflib import SequenceMatcher
from typing import Any

from rich.box import SIMPLE
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cache.guards import GuardFinding
from cache.traits import traits_of_pair
from cache.types import MissReason, OperatingPoint
from router.reuse import TextTraits
from router.settings import NamespacePolicy
from router.types import Mode

_MAX_ALIGNED_WORDS = 400
_WHY = {
    MissReason.TIME_BOUND: "The right answer changes with time, and freshness_s is 0.",
    MissReason.CONTENT_FREE: "It means nothing without the turns before it.",
    MissReason.LANGUAGE: "The rules cannot read it; it does not look like English.",
    MissReason.NOTHING_SIMILAR: "They are too far apart to be judged.",
    MissReason.BEYOND_WINDOW: "They differ where the encoder does not look.",
    MissReason.GUARD_NUMBER: "Their numbers differ.",
    MissReason.GUARD_NEGATION: "One says the opposite, or the same words in other roles.",
    MissReason.GUARD_QUOTE: "They quote different words.",
    MissReason.GUARD_FORM: "Their case or marks differ where these mean something.",
    MissReason.GUARD_CODE: "Their code differs.",
    MissReason.GUARD_URL: "Their addresses differ.",
    MissReason.GUARD_ENTITY: "They speak of different names.",
    MissReason.BELOW_THRESHOLD: "Nothing objects, but it is not sure enough.",
    MissReason.BARRED: "Pairs that differ like this turned out wrong too often.",
    MissReason.THIN_EVIDENCE: "The target asks for more certainty than there is evidence.",
}
_TRAITS = {
    "is_personal": "personal: for its own user only",
    "is_time_bound": "time-bound: only within freshness_s",
    "is_content_free": "content-free: exact repeats only",
    "is_english": "English: other texts serve exact repeats only",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What was found out about a pair.

    Attributes:
        stored: the canonical text of the prompt that has an answer.
        asked: the same of the prompt that asks for one.
        policy: the rules that were applied.
        point: from which P(right) on near-duplicates are served.
        is_exact: the stored answer serves as an exact repeat.
        reason: the miss that would be counted; None: the stored answer serves.
        why: what ``reason`` alone does not tell; may be empty.
        similarity: cosine.
        p_right: P(the answer is right) as the decision saw it: 0 where a guard vetoed.
        findings: every difference that the guards see; ``query`` is of the asked text.
        stored_traits: what the rules read in the stored text.
        asked_traits: the same of the asked one.
        is_shared: the asked text may be served what another user asked for.
    """

    stored: str
    asked: str
    policy: NamespacePolicy
    point: OperatingPoint
    is_exact: bool
    reason: MissReason | None
    why: str
    similarity: float
    p_right: float | None
    findings: tuple[GuardFinding, ...]
    stored_traits: TextTraits
    asked_traits: TextTraits
    is_shared: bool

    @property
    def is_served(self) -> bool:
        """Whether the stored answer would go out."""
        return self.reason is None


@dataclass(frozen=True, slots=True)
class Stretch:
    """Words at one place of two texts: the same, other ones, or on one side only."""

    stored: str
    asked: str
    is_same: bool


def stretches(stored: str, asked: str) -> list[Stretch]:
    """Return two canonical texts side by side, in order; case and punctuation make no difference.

    Of long texts only the beginnings are compared word by word.
    """
    a, b = stored.split(), asked.split()
    head_a, head_b = a[:_MAX_ALIGNED_WORDS], b[:_MAX_ALIGNED_WORDS]
    matcher = SequenceMatcher(
        None, [_bare(word) for word in head_a], [_bare(word) for word in head_b], autojunk=False
    )
    found = [
        Stretch(" ".join(head_a[i:j]), " ".join(head_b[k:m]), tag == "equal")
        for tag, i, j, k, m in matcher.get_opcodes()
    ]
    rest_a, rest_b = a[_MAX_ALIGNED_WORDS:], b[_MAX_ALIGNED_WORDS:]
    if rest_a or rest_b:
        found.append(Stretch(" ".join(rest_a), " ".join(rest_b), rest_a == rest_b))
    return found


def _bare(word: str) -> str:
    return word.strip(".,;:!?\"'()").lower() or word


def as_object(found: Explanation) -> dict[str, Any]:
    """Return an explanation for JSON."""
    return {
        "stored": found.stored,
        "asked": found.asked,
        "is_served": found.is_served,
        "is_exact": found.is_exact,
        "reason": found.reason.value if found.reason else None,
        "why": _why(found),
        "similarity": found.similarity,
        "min_similarity": found.policy.reuse.min_similarity,
        "p_right": found.p_right,
        "max_error_rate": found.policy.reuse.max_error_rate,
        "min_p_right": found.point.min_p_right,
        "is_certified": found.point.is_certified,
        "differ_by": list(traits_of_pair(found.stored, found.asked)),
        "is_shared": found.is_shared,
        "mode": found.policy.mode.value,
        "words": [asdict(stretch) for stretch in stretches(found.stored, found.asked)],
        "findings": [
            {
                "guard": finding.guard.value,
                "stored": finding.candidate,
                "asked": finding.query,
                "is_veto": finding.is_veto,
            }
            for finding in found.findings
        ],
        "traits": {"stored": asdict(found.stored_traits), "asked": asdict(found.asked_traits)},
    }


def render(found: Explanation) -> RenderableType:
    """Return the same for the eye: the verdict first, then what led there."""
    aligned = stretches(found.stored, found.asked)
    tables = (words_table(aligned), findings_table(found), traits_table(found))
    return Group(
        _verdict(found),
        Text(),
        _marked("  stored  ", ((one.stored, one.is_same) for one in aligned)),
        _marked("  asked   ", ((one.asked, one.is_same) for one in aligned)),
        *(table for table in tables if table is not None),
        figures_table(found),
        *(Text(f"* {note}", style="dim") for note in notes(found)),
    )


def words_table(aligned: Iterable[Stretch]) -> Table | None:
    """Return the words that differ, each beside what stands in its place."""
    differing = [one for one in aligned if not one.is_same]
    if not differing:
        return None
    table = _table("Words that differ", "stored", "asked")
    for one in differing:
        table.add_row(_or_nothing(one.stored), _or_nothing(one.asked))
    return table


def findings_table(found: Explanation) -> Table | None:
    """Return what the guards see."""
    if not found.findings:
        return None
    table = _table("Guards", "guard", "stored", "asked")
    for finding in found.findings:
        name = finding.guard.value.removeprefix("guard_")
        name = name if finding.is_veto else f"{name} (a doubt)"
        table.add_row(name, _or_nothing(finding.candidate), _or_nothing(finding.query))
    return table


def traits_table(found: Explanation) -> Table:
    """Return what the rules read in the texts."""
    table = _table("Rules on the texts", "", "stored", "asked")
    for name, words in _TRAITS.items():
        sides = (getattr(traits, name) for traits in (found.stored_traits, found.asked_traits))
        table.add_row(words, *("yes" if is_so else "no" for is_so in sides))
    return table


def figures_table(found: Explanation) -> Table:
    """Return the decision's figures, and from where on they serve."""
    table = _table("Figures", "", "here", "serves from")
    table.add_row("cosine", f"{found.similarity:.3f}", f"{found.policy.reuse.min_similarity:g}")
    p_right = "not judged" if found.p_right is None else f"{found.p_right:.3f}"
    least = found.point.min_p_right
    table.add_row("P(right)", p_right, "exact only" if least is None else f"{least:g}")
    return table


def notes(found: Explanation) -> Iterator[str]:
    """Yield what the verdict takes for granted."""
    yield (
        "Taken as given: one user, nothing before the prompts, all other fields equal, an answer "
        "that is fresh, short enough and of a model that may answer."
    )
    if not found.is_shared:
        yield "The second prompt is served only what its own user asked for before."
    if found.policy.mode is not Mode.ON:
        yield f"The namespace's mode is {found.policy.mode.value}: nothing is served there now."


def _verdict(found: Explanation) -> Text:
    if found.is_served:
        how = "an exact repeat" if found.is_exact else "a near-duplicate"
        return Text.assemble(("served", "bold green"), f", as {how}")
    return Text.assemble(("not served", "bold red"), f": {found.reason}. {_why(found)}")


def _why(found: Explanation) -> str:
    return found.why or (_WHY.get(found.reason, "") if found.reason else "")


def _marked(label: str, pieces: Iterable[tuple[str, bool]]) -> Text:
    line = Text(label, style="dim")
    for n, (words, is_same) in enumerate((words, same) for words, same in pieces if words):
        line.append(" " if n else "", style="not dim")
        line.append(words, style="not dim" if is_same else "not dim bold yellow")
    return line


def _or_nothing(words: str) -> Text:
    return Text(words) if words else Text("(nothing)", style="dim")


def _table(title: str, *columns: str) -> Table:
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=SIMPLE,
        pad_edge=False,
        min_width=len(title),
    )
    for name in columns:
        table.add_column(name, overflow="fold")
    return table
