"""Texts to vectors in bulk: each text once, all cores at work, kept between runs if wanted."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np

from benchmarks import console
from benchmarks.errors import UnusableInput
from cache.policy import WordingVerifier
from cache.types import Embedding, Vector, Vectors
from classifier.encoder import OnnxEncoder
from classifier.errors import ClassifierError
from classifier.pair import PairModel

_CHUNK = 256
_ORIGINAL = Path(__file__).resolve().parent / "original_encoder"


class BulkEncoder(Protocol):
    """What this module needs of an encoder; thread-safe."""

    @property
    def encoder_id(self) -> str:
        """Names the encoder; vectors of two ids are never mixed."""

    @property
    def dim(self) -> int:
        """Length of a vector."""

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return shape (len(texts), dim), float32, rows of unit length."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Vectors of many texts.

    Attributes:
        vectors: shape (n distinct texts, dim).
        row_of: text to its row.
    """

    vectors: Vectors
    row_of: Mapping[str, int]

    def __getitem__(self, text: str) -> Vector:
        """Return the vector of a text that was encoded."""
        return np.asarray(self.vectors[self.row_of[text]])

    def of(self, texts: Sequence[str]) -> Vectors:
        """Return shape (len(texts), dim) in the order of the texts."""
        return self.vectors[[self.row_of[text] for text in texts]]


@lru_cache(maxsize=1)
def shipped_encoder() -> OnnxEncoder:
    """Return the encoder the service runs, one thread per run.

    Raises:
        UnusableInput: its artifact is missing or damaged.
    """
    try:
        return OnnxEncoder.load()
    except ClassifierError as error:
        raise UnusableInput(f"the encoder does not load: {error}") from error


@lru_cache(maxsize=1)
def original_encoder() -> OnnxEncoder:
    """Return all-MiniLM-L6-v2 as published, in int8: what ``static`` figures stand on.

    Raises:
        UnusableInput: its artifact is missing or damaged.
    """
    try:
        return OnnxEncoder.load(_ORIGINAL)
    except ClassifierError as error:
        raise UnusableInput(f"the original encoder does not load: {error}") from error


@lru_cache(maxsize=1)
def shipped_verifier() -> PairModel | WordingVerifier:
    """Return the verifier the service runs with the shipped encoder."""
    try:
        return PairModel.load(encoder_id=shipped_encoder().encoder_id)
    except ClassifierError:
        return WordingVerifier()


def encode_all(
    encoder: BulkEncoder, texts: Sequence[str], what: str, keep: Path | None = None
) -> Encoded:
    """Encode every distinct text once.

    Args:
        encoder: text to vector.
        texts: any number, repeats allowed.
        what: what the progress bar says.
        keep: folder in which vectors are kept under encoder and texts; None: nowhere.
    """
    distinct = list(dict.fromkeys(texts))
    row_of = {text: row for row, text in enumerate(distinct)}
    file = None if keep is None else keep / f"{encoder.encoder_id}-{_digest(distinct)}.npy"
    if file is not None and file.exists():
        return Encoded(np.load(file), row_of)
    vectors = np.zeros((len(distinct), encoder.dim), dtype=np.float32)
    by_length = sorted(range(len(distinct)), key=lambda row: len(distinct[row]))
    chunks = [by_length[i : i + _CHUNK] for i in range(0, len(by_length), _CHUNK)][::-1]
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        runs = pool.map(lambda rows: encoder.encode([distinct[row] for row in rows]), chunks)
        for rows, found in console.track(zip(chunks, runs, strict=True), what, len(chunks)):
            vectors[rows] = found
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, vectors)
    return Encoded(vectors, row_of)


def embed_all(encoder: OnnxEncoder, texts: Sequence[str], what: str) -> dict[str, Embedding]:
    """Embed every distinct text once; see ``encode_all``."""
    by_length = sorted(dict.fromkeys(texts), key=len, reverse=True)
    chunks = [by_length[i : i + _CHUNK] for i in range(0, len(by_length), _CHUNK)]
    found: dict[str, Embedding] = {}
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        runs = pool.map(encoder.embed, chunks)
        for chunk, run in console.track(zip(chunks, runs, strict=True), what, len(chunks)):
            for text, one in zip(chunk, run, strict=True):
                found[text] = one
    return found


def _digest(texts: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for text in texts:
        raw = text.encode("utf-8", "surrogatepass")
        digest.update(len(raw).to_bytes(8, "big"))
        digest.update(raw)
    return digest.hexdigest()[:24]
