"""The built-in encoder for callers: vectors of texts, beside those the cache makes for itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

_PER_RUN = 16  # after so many texts somebody else's may have their turn, or the caller may be gone

Floats = NDArray[np.float32]


class CountingEncoder(Protocol):
    """An encoder that tells how many tokens it saw."""

    @property
    def dim(self) -> int:
        """Length of a vector."""

    def encode_counted(self, texts: Sequence[str]) -> tuple[Floats, int]:
        """Return a unit vector per text, shape (n, dim), and the tokens that were seen."""


class Embeddings:
    """Encodes for callers, one run at a time, in a thread of its own.

    Args:
        encoder: None: there is none.
    """

    def __init__(self, encoder: CountingEncoder | None) -> None:
        self._encoder = encoder
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="embeddings")

    @property
    def dim(self) -> int:
        """Length of a vector; 0 without an encoder."""
        return self._encoder.dim if self._encoder else 0

    async def embed(self, texts: Sequence[str]) -> tuple[Floats, int]:
        """Return a unit vector per text, shape (n, dim), and the tokens that were seen of them.

        A text is seen up to the encoder's window; what is longer is cut.

        Raises:
            RuntimeError: there is no encoder; see ``dim``.
        """
        if self._encoder is None:
            raise RuntimeError("there is no encoder")
        loop = asyncio.get_running_loop()
        vectors, n_tokens = [np.zeros((0, self.dim), dtype=np.float32)], 0
        for start in range(0, len(texts), _PER_RUN):
            found, n_seen = await loop.run_in_executor(
                self._thread, self._encoder.encode_counted, texts[start : start + _PER_RUN]
            )
            vectors.append(found)
            n_tokens += n_seen
        return np.concatenate(vectors), n_tokens

    def close(self) -> None:
        """Let the thread end."""
        self._thread.shutdown(wait=False, cancel_futures=True)
