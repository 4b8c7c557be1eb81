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

Floats = npt.NDArray[np.float32]


def pack(tokens: Floats, lengths: Sequence[int]) -> list[bytes]:
    """Return the bytes to keep for each text.

    Args:
        tokens: shape (n, width, DIM), float32.
        lengths: how many of the ``width`` tokens each text has; the rest is padding.
    """
    return [_pack(row[: max(1, length)]) for row, length in zip(tokens, lengths, strict=True)]


def unpack(packed: Sequence[bytes]) -> tuple[Floats, Floats]:
    """Return what was kept, padded: shape (n, most, DIM), and 1 where there is a token, else 0.

    Raises:
        ValueError: these are not the bytes of ``pack``.
    """
    counts = [one[0] if one else 0 for one in packed]
    most = max(1, *counts) if counts else 1
    tokens = np.zeros((len(packed), most, DIM), dtype=np.float32)
    mask = np.zeros((len(packed), most), dtype=np.float32)
    for row, (one, n) in enumerate(zip(packed, counts, strict=True)):
        if len(one) != size_of(n) and one:
            raise ValueError(f"{n} tokens take {size_of(n)} bytes, got {len(one)}")
        if n == 0:
            mask[row, 0] = 1.0  # a text without tokens is one token without meaning
            continue
        scales = np.frombuffer(one, dtype="<f2", count=n, offset=1).astype(np.float32)
        halves = np.frombuffer(one, dtype=np.uint8, offset=1 + 2 * n).reshape(n, DIM // 2)
        tokens[row, :n, 0::2] = (halves & 15).astype(np.float32) - 8.0
        tokens[row, :n, 1::2] = (halves >> 4).astype(np.float32) - 8.0
        tokens[row, :n] *= scales[:, None]
        mask[row, :n] = 1.0
    return tokens, mask


def size_of(n_tokens: int) -> int:
    """Return the bytes that so many tokens take."""
    return 1 + n_tokens * (2 + DIM // 2)


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


def _pack(tokens: Floats) -> bytes:
    few = shortened(tokens)
    scales = (np.abs(few).max(axis=1) / _LEVELS).astype("<f2")
    numbers = np.rint(few / np.maximum(scales.astype(np.float32), 1e-6)[:, None])
    halves = (np.clip(numbers, -_LEVELS, _LEVELS) + 8).astype(np.uint8)
    both = halves[:, 0::2] | (halves[:, 1::2] << 4)
    return b"".join((bytes((len(few),)), scales.tobytes(), both.tobytes()))
