from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifier.tokens import DIM, TOKENS, pack, shortened, size_of, unpack


def some(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, DIM)).astype(np.float32)


@given(lengths=st.lists(st.integers(1, 126), min_size=1, max_size=6))
def test_what_was_packed_comes_back_nearly_unchanged(lengths: list[int]) -> None:
    """Within a step of the four bits; padding is masked, longer texts are averaged down."""
    width = max(lengths)
    rows = np.stack([some(width, seed) for seed in range(len(lengths))])

    packed = pack(rows, lengths)
    tokens, mask = unpack(packed)

    for row, length, one in zip(rows, lengths, packed, strict=True):
        few = shortened(row[:length])
        assert len(few) <= TOKENS
        assert len(one) == size_of(len(few))
    for number, length in enumerate(lengths):
        few = shortened(rows[number][:length])
        step = np.abs(few).max(axis=1, keepdims=True) / 7
        assert np.all(np.abs(tokens[number, : len(few)] - few) <= 0.51 * step + 1e-3)
        assert mask[number].sum() == len(few)


def test_an_entry_keeps_at_most_1089_bytes() -> None:
    """With 384 of its vector and a text of ordinary length that is under 1.6 KB."""
    (packed,) = pack(some(126)[None], [126])

    assert len(packed) <= size_of(TOKENS) == 1089


def test_neighbours_are_averaged_in_groups_of_one_size() -> None:
    """64 tokens become 32 pairs."""
    rows = some(64)

    few = shortened(rows)

    assert np.allclose(few, rows.reshape(32, 2, DIM).mean(axis=1), atol=1e-6)


def test_no_tokens_are_one_without_meaning() -> None:
    """An empty text, or an entry of an encoder that makes none."""
    tokens, mask = unpack([b"", pack(some(2)[None], [2])[0]])

    assert mask.tolist() == [[1.0, 0.0], [1.0, 1.0]]
    assert not tokens[0].any()


@pytest.mark.parametrize("width", [0, 3])
def test_an_empty_text_packs_alike_in_every_company(width: int) -> None:
    """Alone, where nothing is as wide as one token, and beside longer ones."""
    (packed, *_) = pack(np.ones((2, width, DIM), np.float32), [0, width])

    tokens, mask = unpack([packed])

    assert len(packed) == size_of(0)
    assert mask.tolist() == [[1.0]]
    assert not tokens.any()


def test_bytes_of_another_kind_are_refused() -> None:
    """Better no verdict than one on noise."""
    with pytest.raises(ValueError, match="bytes"):
        unpack([b"\x05what is this"])
