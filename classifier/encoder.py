"""Text to vector: all-MiniLM-L6-v2 as int8 ONNX, on a bounded window of the text.

The window is what makes cost independent of length. A long text is cut to its first and last
characters before it is tokenized, then to a head and a tail of tokens; what lies between is
``unseen``, and a caller who reuses answers must compare it by other means.

    text      |======== head ========|........ unseen ........|=== tail ===|
    tokens    [CLS] h1 ... h94                                 t1 ... t32 [SEP]
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from classifier.artifact import ARTIFACTS, Artifact, read_artifact
from classifier.errors import ArtifactError
from classifier.runs import runs_of_like_length
from classifier.session import open_session
from classifier.tokens import pack

KIND = "encoder"
_CLS, _SEP, _UNK = 101, 102, 100

# Below this length a printable ASCII text cannot hold more tokens than the window (each token is
# at least one character), nor a word too long for the vocabulary (100 characters), so all is seen.
_SURELY_SEEN_CHARS = 100

# One run of the model stays within this many tokens: more gains no speed, and the largest
# temporary (feed-forward, 1536 floats per token) stays near 6 MB.

_SURROGATES = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """How much of a text the encoder sees.

    Attributes:
        head_tokens: tokens kept from the beginning of a long text.
        tail_tokens: tokens kept from its end.
        head_chars: characters from which the head's tokens are made.
        tail_chars: characters from which the tail's tokens are made.
    """

    head_tokens: int = 94
    tail_tokens: int = 32
    head_chars: int = 1000
    tail_chars: int = 500

    @property
    def tokens(self) -> int:
        """All tokens of the window, with the two special ones."""
        return self.head_tokens + self.tail_tokens + 2


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """What the encoder makes of a text.

    Attributes:
        vector: shape (dim,), unit length.
        tokens: its token vectors, packed (``classifier.tokens``); empty where there are none.
    """

    vector: npt.NDArray[np.float32]
    tokens: bytes


def encoder_id(model: bytes, tokenizer: bytes, window: Window) -> str:
    """Return the id of an encoder: the same id means the same vectors for the same text."""
    digest = hashlib.sha256()
    for part in (model, tokenizer, repr(sorted(asdict(window).items())).encode()):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return f"all-minilm-l6-v2-int8-{digest.hexdigest()[:8]}"


class OnnxEncoder:
    """Encodes texts into unit vectors; safe to call from several threads at once.

    Attributes:
        encoder_id: names model, tokenizer and window; vectors of two ids must never be compared.
        dim: length of a vector.
        window_tokens: the most tokens the model sees of one text, special ones included.
    """

    def __init__(self, artifact: Artifact, *, threads: int = 1) -> None:
        """Build from a checked artifact; see ``load``."""
        self._window = Window(**artifact.field("window"))
        self.encoder_id = artifact.id
        self.dim = int(artifact.field("dim"))
        self.window_tokens = self._window.tokens
        try:
            self._tokenizer = Tokenizer.from_str(artifact.files["tokenizer.json"].decode())
            self._session = open_session(artifact.files["model.onnx"], threads=threads)
            self._has_tokens = any(one.name == "tokens" for one in self._session.get_outputs())
        except Exception as error:  # both libraries raise bare exceptions
            raise ArtifactError(
                seen=f"{artifact.id} does not load: {error}",
                expected="a model and a tokenizer that this onnxruntime and tokenizers can read",
                remedy="upgrade both libraries to the versions in constraints.txt",
            ) from error
        # "[SEP]" typed by a user is text, never a special token.
        self._tokenizer.encode_special_tokens = True

    @classmethod
    def load(cls, folder: Path = ARTIFACTS / KIND, *, threads: int = 1) -> OnnxEncoder:
        """Load an encoder.

        Args:
            folder: holds model.onnx, tokenizer.json and card.json.
            threads: cores that one run may use; the batcher runs several at once instead.

        Raises:
            ArtifactError: the files are missing, damaged, or not those of the card.
        """
        artifact = read_artifact(folder, kind=KIND)
        wanted = encoder_id(
            artifact.files.get("model.onnx", b""),
            artifact.files.get("tokenizer.json", b""),
            Window(**artifact.field("window")),
        )
        if wanted != artifact.id:
            raise ArtifactError(
                seen=f"{folder} calls itself {artifact.id}",
                expected=f"{wanted}, the id of its files and window",
                remedy="make it again with `python -m training encoder`",
            )
        return cls(artifact, threads=threads)

    def __repr__(self) -> str:
        """Name the encoder and its shape."""
        return f"OnnxEncoder({self.encoder_id!r}, dim={self.dim}, window={self.window_tokens})"

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return one unit vector per text.

        A text gives the same vector alone and among others (to float rounding), because the
        model's int8 scales are fixed at export.

        Args:
            texts: any number, any length; an empty text has a vector too.

        Returns:
            Shape (n, dim), float32, rows of length 1, in the order of the texts.
        """
        return self.encode_counted(texts)[0]

    def encode_counted(self, texts: Sequence[str]) -> tuple[npt.NDArray[np.float32], int]:
        """Do as ``encode``; return also how many tokens were seen, special ones included."""
        vectors = np.empty((len(texts), self.dim), dtype=np.float32)
        ids = [self._ids(text) for text in texts]
        for run in _runs(ids):
            vectors[run] = self._run([ids[i] for i in run])
        return vectors, sum(map(len, ids))

    def embed(self, texts: Sequence[str]) -> list[Embedded]:
        """Return for each text its unit vector and its token vectors, packed.

        The token vectors are those of ``classifier.tokens``; empty where this encoder makes none.
        """
        vectors = np.empty((len(texts), self.dim), dtype=np.float32)
        packed = [b""] * len(texts)
        ids = [self._ids(text) for text in texts]
        for run in _runs(ids):
            found, tokens = self._run_both([ids[i] for i in run])
            vectors[run] = found
            if tokens is not None:
                lengths = [len(ids[i]) - 2 for i in run]
                for i, one in zip(run, pack(tokens[:, 1:-1], lengths), strict=True):
                    packed[i] = one
        return [Embedded(vector, one) for vector, one in zip(vectors, packed, strict=True)]

    def unseen(self, text: str) -> str:
        """Return the part of the text that the vector says nothing about.

        That is what lies between head and tail of a long text, and whatever the vocabulary does
        not hold (emoji, rare scripts, control characters, words over 100 characters): two texts
        that differ only there have the same vector. Several such parts are joined by a newline.

        Returns:
            "" when the encoder saw everything but white space.
        """
        if len(text) <= _SURELY_SEEN_CHARS and text.isascii() and text.isprintable():
            return ""
        return "\n".join(part for seen, part in self.parts(text) if not seen and part.strip())

    def parts(self, text: str) -> Iterator[tuple[bool, str]]:
        """Yield (seen, part) from first to last; the parts joined are the text."""
        end = 0
        for start, stop in self._spans(text):
            if start > end:
                yield False, text[end:start]
            if stop > end:  # one character may become several tokens with one span
                yield from _without_dropped(text[max(start, end) : stop])
                end = stop
        if end < len(text):
            yield False, text[end:]

    def _ids(self, text: str) -> list[int]:
        """Return the token ids of the window, special tokens included."""
        w = self._window
        if len(text) > w.head_chars + w.tail_chars:
            head = self._tokenize(text[: w.head_chars])[: w.head_tokens]
            tail = self._tokenize(text[-w.tail_chars :])[-w.tail_tokens :]
            return [_CLS, *head, *tail, _SEP]
        ids = self._tokenize(text)
        if len(ids) > w.head_tokens + w.tail_tokens:
            ids = ids[: w.head_tokens] + ids[-w.tail_tokens :]
        return [_CLS, *ids, _SEP]

    def _tokenize(self, text: str) -> list[int]:
        # A batch of one is the only call that skips the work of computing offsets.
        try:
            encoding = self._tokenizer.encode_batch_fast([text], add_special_tokens=False)[0]
        except (TypeError, UnicodeEncodeError):
            return self._tokenize(_SURROGATES.sub("\ufffd", text))
        return list(encoding.ids)

    def _spans(self, text: str) -> list[tuple[int, int]]:
        """Return the character spans behind the known tokens of the window."""
        w = self._window
        if len(text) > w.head_chars + w.tail_chars:
            shift = len(text) - w.tail_chars
            head = self._tokens(text[: w.head_chars], 0)[: w.head_tokens]
            tail = self._tokens(text[shift:], shift)[-w.tail_tokens :]
            tokens = head + tail
        else:
            tokens = self._tokens(text, 0)
            if len(tokens) > w.head_tokens + w.tail_tokens:
                tokens = tokens[: w.head_tokens] + tokens[-w.tail_tokens :]
        return [(start, stop) for token, start, stop in tokens if token != _UNK]

    def _tokens(self, text: str, shift: int) -> list[tuple[int, int, int]]:
        """Return (id, start, stop) per token, positions moved by ``shift``."""
        # A lone surrogate becomes U+FFFD, of the same length, which the normalizer drops.
        encoding = self._tokenizer.encode(_SURROGATES.sub("\ufffd", text), add_special_tokens=False)
        return [
            (token, start + shift, stop + shift)
            for token, (start, stop) in zip(encoding.ids, encoding.offsets, strict=True)
        ]

    def _run(self, ids: Sequence[list[int]]) -> npt.NDArray[np.float32]:
        vectors: npt.NDArray[np.float32] = self._session.run(["vector"], _padded(ids))[0]
        return vectors

    def _run_both(
        self, ids: Sequence[list[int]]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32] | None]:
        if not self._has_tokens:
            return self._run(ids), None
        vectors, tokens = self._session.run(["vector", "tokens"], _padded(ids))
        return vectors, tokens


def _padded(ids: Sequence[list[int]]) -> dict[str, npt.NDArray[np.int64]]:
    width = max(map(len, ids))
    tokens = np.zeros((len(ids), width), dtype=np.int64)
    mask = np.zeros((len(ids), width), dtype=np.int64)
    for row, one in enumerate(ids):
        tokens[row, : len(one)] = one
        mask[row, : len(one)] = 1
    return {"input_ids": tokens, "attention_mask": mask}


def _without_dropped(part: str) -> Iterator[tuple[bool, str]]:
    """Yield (seen, part), splitting off what the normalizer drops from inside a word."""
    if part.isprintable() and "\ufffd" not in part:
        yield True, part
        return
    for character in part:
        seen = character.isspace() or (character.isprintable() and character != "\ufffd")
        yield seen, character


def _runs(ids: Sequence[list[int]]) -> Iterator[list[int]]:
    return runs_of_like_length([len(one) for one in ids], ratio=1.25, slack=4)
