"""P(one answer serves both prompts), from the token vectors of both and the words themselves.

Two small models. The head (``training/pair_head.py``) aligns the tokens of the two prompts and
judges what is aligned with what, and what with nothing; the encoder has run for both already, for
the query just now and for the entry when it was stored. The verdict, a few hundred small trees,
weighs the head's word, the cosine and how much is said in the same words (``classifier.overlap``),
which rounded token vectors blur. Both together cost a fraction of an encoder run.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from classifier.artifact import ARTIFACTS, Artifact, read_artifact
from classifier.overlap import OVERLAP_VERSION, is_form_only, overlap, says_same_words
from classifier.runs import runs_of_like_length
from classifier.tokens import DIM, n_tokens, unpack

KIND: Final = "pair"
HEAD_VERSION: Final = 2  # of the inputs of head.onnx
HEAD: Final = "head.onnx"
VERDICT: Final = "verdict.onnx"
P_FORM_ONLY: Final = 0.995
"""P(right) where only case and sentence marks differ.

Of such pairs that no guard objects to, Quora's people called 115 of 116 duplicates; of AskUbuntu
and of medical questions 12 of 12.
"""


class Prompt(Protocol):
    """A text with its packed token vectors."""

    @property
    def text(self) -> str:
        """The canonical text."""

    @property
    def tokens(self) -> bytes:
        """As ``OnnxEncoder.embed`` gives them."""


class PairModel:
    """Judges pairs; safe to call from several threads at once.

    Attributes:
        verifier_id: names the artifact.
    """

    def __init__(self, artifact: Artifact) -> None:
        """Build from a checked artifact; see ``load``."""
        self.verifier_id = artifact.id
        self._points: list[tuple[float, float]] = sorted(
            (float(point["max_error_rate"]), float(point["min_p_right"]))
            for point in artifact.field("operating_points")
        )
        self._head, self._verdict = artifact.open(HEAD, VERDICT)

    @classmethod
    def load(cls, folder: Path = ARTIFACTS / KIND, *, encoder_id: str) -> PairModel:
        """Load a pair model.

        Args:
            folder: holds head.onnx, verdict.onnx and card.json.
            encoder_id: of the encoder whose token vectors will be judged.

        Raises:
            ArtifactError: the files are missing or damaged, or belong to another encoder.
        """
        artifact = read_artifact(folder, kind=KIND)
        artifact.check_fits(
            encoder_id=encoder_id, overlap_version=OVERLAP_VERSION, head_version=HEAD_VERSION
        )
        return cls(artifact)

    def __repr__(self) -> str:
        """Name the model."""
        return f"PairModel({self.verifier_id!r})"

    def p_same_answer(
        self,
        asked: Sequence[Prompt],
        stored: Sequence[Prompt],
        similarities: npt.NDArray[np.float32],
    ) -> npt.NDArray[np.float32]:
        """Return P(the stored answer serves who asks), shape (n,).

        A prompt without token vectors (stored under another encoder) can not be judged: 0.

        Args:
            asked: n prompts that ask, at least one.
            stored: the n candidates.
            similarities: shape (n,), cosine of the two.
        """
        p = np.zeros(len(asked), dtype=np.float32)
        rows = [i for i in range(len(asked)) if asked[i].tokens and stored[i].tokens]
        if rows:
            p[rows] = self._judged(
                [asked[i] for i in rows], [stored[i] for i in rows], similarities[rows]
            )
        return p

    def _judged(
        self,
        asked: Sequence[Prompt],
        stored: Sequence[Prompt],
        similarities: npt.NDArray[np.float32],
    ) -> npt.NDArray[np.float32]:
        one, other = [prompt.tokens for prompt in asked], [prompt.tokens for prompt in stored]
        p_head = heads(self._head, one, other, similarities)
        texts = [(a.text, b.text) for a, b in zip(asked, stored, strict=True)]
        said = [overlap(a, b) for a, b in texts]
        read = inputs(p_head, similarities, said)
        return raised(self._verdict.run(["probabilities"], {"x": read})[0][:, 1], texts, said)

    def min_p_right(self, max_error_rate: float) -> float | None:
        """Return the P(right) from which on hits met the target on the shipped calibration data.

        A prior for other traffic, and no bound. None: no threshold met it.
        """
        met = [p for rate, p in self._points if rate <= max_error_rate]
        return met[-1] if met else None


def heads(
    head: Any,  # noqa: ANN401 - onnxruntime has no types
    one: Sequence[bytes],
    other: Sequence[bytes],
    cosines: npt.NDArray[np.float32],
) -> npt.NDArray[np.float32]:
    """Return the head's P(right) of n pairs, shape (n,).

    Args:
        head: a session of ``head.onnx``.
        one: packed tokens of the one prompts.
        other: of the other ones; the order of the two makes no difference.
        cosines: shape (n,).
    """
    p = np.empty(len(one), dtype=np.float32)
    lengths = [max(1, n_tokens(a), n_tokens(b)) for a, b in zip(one, other, strict=True)]
    for run in runs_of_like_length(lengths, ratio=1.5, slack=8):
        tokens, mask = unpack([*(one[i] for i in run), *(other[i] for i in run)])
        both = {
            "tokens": tokens.reshape(2, len(run), -1, DIM),
            "mask": mask.reshape(2, len(run), -1),
            "cosine": cosines[run],
        }
        p[run] = head.run(["p_right"], both)[0]
    return p


def raised(
    p_right: npt.NDArray[np.float32],
    texts: Sequence[tuple[str, str]],
    overlaps: Sequence[Sequence[float]],
) -> npt.NDArray[np.float32]:
    """Return probabilities with those of pairs that differ in form only raised to what they are.

    Args:
        p_right: shape (n,); changed in place.
        texts: the n pairs.
        overlaps: what ``overlap`` says of them; where words differ, nothing else is looked at.
    """
    for i, ((one, two), said) in enumerate(zip(texts, overlaps, strict=True)):
        if 0.0 < p_right[i] < P_FORM_ONLY and says_same_words(said) and is_form_only(one, two):
            p_right[i] = P_FORM_ONLY
    return p_right


def inputs(
    p_head: npt.NDArray[np.float32],
    cosines: npt.NDArray[np.float32],
    overlaps: Sequence[Sequence[float]],
) -> npt.NDArray[np.float32]:
    """Return what the verdict reads: the head's log-odds, the cosine, and the overlap.

    Returns:
        Shape (n, 2 + N_FEATURES), float32.
    """
    p = np.clip(p_head.astype(np.float64), 1e-6, 1 - 1e-6)
    both = np.stack([np.log(p / (1 - p)), cosines], axis=1)
    found: npt.NDArray[np.float32] = np.concatenate([both, overlaps], axis=1).astype(np.float32)
    return found
