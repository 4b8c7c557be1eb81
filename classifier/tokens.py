"""Token vectors as they are kept: four bits a number, at most ``TOKENS`` tokens, 34 bytes each.

A pair of prompts is judged from the vectors of their tokens (``classifier.pair``), so each entry of
a cache keeps them. Neighbouring tokens of a longer text are averaged until few enough remain.
Layout: one byte with their number n, n float16 scales, n times ``DIM`` signed numbers of four bits,
two to a byte (low half first). The pair model is trained on what comes out of ``unpack``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

DIM = 64
TOKENS = 32
_LEVELS = 7  # -7 to 7
# The two numbers of each possible byte, shape (256, 2).
_BOTH_HALVES = np.stack([np.arange(256) & 15, np.arange(256) >> 4], axis=1).astype(np.float32) - 8

Floats = npt.NDArray[np.float32]


def pack(tokens: Floats, lengths: Sequence[int]) -> list[bytes]:
    """Return the bytes to keep for each text.

    Args:
        tokens: shape (n, width, DIM), float32.
        lengths: how many of the ``width`` tokens each text has; the rest is padding.
    """
    counts = [min(TOKENS, length) for length in lengths]
    rows = tokens[:, : max(counts, default=0)]
    if max(lengths, default=0) > TOKENS:
        rows = rows.copy()
        for i, length in enumerate(lengths):
            if length > TOKENS:
                few = shortened(tokens[i, :length])
                counts[i] = len(few)
                rows[i, : len(few)] = few
    scales = (np.abs(rows).max(axis=2, initial=0.0) / _LEVELS).astype("<f2")
    numbers = np.rint(rows / np.maximum(scales.astype(np.float32), 1e-6)[..., None])
    halves = (np.clip(numbers, -_LEVELS, _LEVELS) + 8).astype(np.uint8)
    both = halves[..., 0::2] | (halves[..., 1::2] << 4)
    return [
        b"".join((bytes((n,)), scales[i, :n].tobytes(), both[i, :n].tobytes()))
        for i, n in enumerate(counts)
    ]


def unpack(packed: Sequence[bytes]) -> tuple[Floats, Floats]:
    """Return what was kept, padded: shape (n, most, DIM), and 1 where there is a token, else 0.

    Raises:
        ValueError: these are not the bytes of ``pack``.
    """
    counts = np.array([n_tokens(one) for one in packed], dtype=np.intp)
    for one, n in zip(packed, counts.tolist(), strict=True):
        if one and len(one) != size_of(n):
            raise ValueError(f"{n} tokens take {size_of(n)} bytes, got {len(one)}")
    most = max(1, int(counts.max(initial=0)))
    is_token = np.arange(most) < counts[:, None]
    tokens = np.zeros((len(packed), most, DIM), dtype=np.float32)
    if is_token.any():
        ends = [1 + 2 * n for n in counts.tolist()]
        scales = b"".join(one[1:end] for one, end in zip(packed, ends, strict=True))
        halves = b"".join(one[end:] for one, end in zip(packed, ends, strict=True))
        numbers = _BOTH_HALVES[np.frombuffer(halves, dtype=np.uint8)].reshape(-1, DIM)
        tokens[is_token] = numbers * np.frombuffer(scales, dtype="<f2").astype(np.float32)[:, None]
    mask = is_token.astype(np.float32)
    mask[counts == 0, 0] = 1.0  # a text without tokens is one token without meaning
    return tokens, mask


def n_tokens(packed: bytes) -> int:
    """Return how many token vectors were packed; 0 for empty bytes."""
    return packed[0] if packed else 0


def size_of(n: int) -> int:
    """Return the bytes that so many tokens take."""
    return 1 + n * (2 + DIM // 2)


def shortened(tokens: Floats) -> Floats:
    """Return at most ``TOKENS`` rows; of more, neighbours are averaged in groups of one size."""
    n = len(tokens)
    if n <= TOKENS:
        return tokens
    per = -(-n // TOKENS)
    starts = np.arange(0, n, per)
    sums = np.add.reduceat(tokens, starts, axis=0)
    sizes = np.diff(np.append(starts, n))[:, None]
    averaged: Floats = (sums / sizes).astype(np.float32)
    return averaged
