from __future__ import annotations

from collections.abc import Sequence

from benchmarks.encoding import shipped_encoder
from benchmarks.stream import Served
from benchmarks.stream_service import opened_at
from cache.normalize import canonical
from cache.types import Embedding


async def _served(texts: Sequence[str], min_p_right: float) -> list[Served | None]:
    found = []

    def embedding_of(text: str) -> Embedding:
        return shipped_encoder().embed([canonical(text)])[0]

    async with opened_at(min_p_right, embedding_of) as subject:
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

    lax, strict = await _served(texts, 0.5), await _served(texts, 1.0)

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
