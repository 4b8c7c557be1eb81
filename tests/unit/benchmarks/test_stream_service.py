from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from benchmarks.encoding import shipped_encoder
from benchmarks.stream import Served
from benchmarks.stream_service import entry_served, opened_at
from cache.normalize import canonical
from cache.types import EntryId, Head, Hit, Miss, MissReason, PartitionKey, Vector


def _hit(p_right: float) -> Hit:
    head = Head(
        id=EntryId(7), partition=PartitionKey(b"p" * 32), namespace="n", model="m",
        input_tokens=None, output_tokens=None, scores=(), user="", conversation="", tags=(),
        created_at_s=0.0, expires_at_s=1.0, n_bytes=1,
    )  # fmt: skip
    return Hit(
        head=head, answer=b"", text="t", is_exact=False, similarity=0.9, p_right=p_right, age_s=0.0
    )


def _miss(reason: MissReason, p_right: float | None) -> Miss:
    return Miss(reason=reason, similarity=0.9, nearest=EntryId(8), p_right=p_right)


@pytest.mark.parametrize(
    ("near", "min_p_right", "expected"),
    [
        (_hit(0.9), 0.9, 7),
        (_hit(0.9), 0.91, None),
        (_miss(MissReason.BELOW_THRESHOLD, 0.6), 0.6, 8),
        (_miss(MissReason.BELOW_THRESHOLD, 0.6), 0.61, None),
        (_miss(MissReason.GUARD_NUMBER, 0.0), 0.0, None),
        (_miss(MissReason.NOTHING_SIMILAR, None), 0.0, None),
    ],
    ids=["sure hit", "unsure hit", "sure miss", "unsure miss", "veto", "not judged"],
)
def test_a_threshold_on_p_right_decides(
    near: Hit | Miss, min_p_right: float, expected: int | None
) -> None:
    """Of what was judged and not objected to; a guard's veto holds at every threshold."""
    assert entry_served(near, min_p_right) == expected


async def _served(texts: Sequence[str], min_p_right: float) -> list[Served | None]:
    found = []

    def vector_of(text: str) -> Vector:
        return np.asarray(shipped_encoder().encode([canonical(text)])[0])

    async with opened_at(min_p_right, vector_of) as subject:
        for row, text in enumerate(texts):
            found.append(await subject.ask(text))
            if found[-1] is None:
                await subject.keep(row)
    return found


async def test_the_cache_alone_serves_from_the_threshold_on() -> None:
    """The same three texts: all hits at a low threshold, exact ones alone above every P(right)."""
    texts = [
        "how do i export an invoice",
        "How do I export an invoice?",
        "how do i export an  invoice",
    ]

    lax, strict = await _served(texts, 0.5), await _served(texts, 1.1)

    assert lax[0] is None
    assert lax[1] is not None
    assert (lax[1].row, lax[1].is_exact) == (0, False)
    assert 0.5 <= lax[1].p_right < 1
    assert lax[2] == strict[2] == Served(0, is_exact=True, p_right=1.0)
    assert strict[:2] == [None, None]


async def test_the_rules_on_texts_hold_at_every_threshold() -> None:
    """Time-bound text is neither stored nor served, content-free text served as a repeat only."""
    texts = ["What is the weather like today?"] * 2 + ["yes please", "yes, please", "yes please"]

    found = await _served(texts, 0.0)

    assert found[:4] == [None] * 4
    assert found[4] == Served(2, is_exact=True, p_right=1.0)
