"""P(adequate) by a curve of difficulty, corrected near what training saw; numpy only.

P of a head (a tier of ability, or a model) is sigmoid(ability - difficulty) + correction, clipped.
Difficulty is linear in the structural features and holds everywhere. The correction is linear in
the kinds of prompt, and in a basis that vanishes where a prompt is like none of the landmarks:
kernels around them, and features times ``familiarity``. The artifact's ONNX graph computes the
same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

LEAST_P = 0.002  # nothing is certain
MOST_SPREADS = 6.0  # beyond, a feature says no more
STRUCTURE_SCALE = 0.1  # of the features in the basis: what one of them may claim


@dataclass(frozen=True, slots=True)
class Space:
    """Standardizes features: z = clip((x - mean) * inverse, -6, 6)."""

    mean: Floats
    inverse: Floats

    @classmethod
    def of(cls, table: Floats) -> Space:
        """Measure; a feature that never varies is dropped, for it can teach nothing."""
        spread = table.std(axis=0)
        inverse = np.where(spread < 1e-6, 0.0, 1 / np.maximum(spread, 1e-6))
        return cls(table.mean(axis=0).astype(np.float32), inverse.astype(np.float32))

    def into(self, table: Floats) -> Floats:
        """Return shape (n, F), float32."""
        z = np.clip((table - self.mean) * self.inverse, -MOST_SPREADS, MOST_SPREADS)
        return np.asarray(z, dtype=np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """The arrays, and what they compute. ``K`` landmarks, ``D`` kinds, ``H`` heads.

    Attributes:
        space: of the features.
        slope: shape (F,).
        level: difficulty of a prompt of mean structure.
        kinds: weights (dim + F, D) and intercepts (D,) of the discriminant of kinds.
        landmarks: shape (K, dim), unit length.
        sharpness: of the kernel.
        familiar: cosines to the nearest landmark where familiarity is 0 and 1.
        abilities: shape (H,).
        corrections: shape (K + F + D + 1, H).
    """

    space: Space
    slope: Floats
    level: float
    kinds: tuple[Floats, Floats]
    landmarks: Floats
    sharpness: float
    familiar: tuple[float, float]
    abilities: Floats
    corrections: Floats

    def with_corrections(self, corrections: Floats) -> Curve:
        """Return the same curve with other corrections."""
        return replace(self, corrections=corrections)

    def of(self, vectors: Floats, structure: Floats) -> Floats:
        """Return P, shape (n, H), from vectors (n, dim) and raw features (n, F)."""
        z = self.space.into(structure)
        difficulty = z @ self.slope + self.level
        p = 1 / (1 + np.exp(difficulty[:, None] - self.abilities))
        p += self.basis(vectors, z) @ self.corrections
        return np.asarray(np.clip(p, LEAST_P, 1 - LEAST_P), dtype=np.float32)

    def basis(self, vectors: Floats, z: Floats) -> Floats:
        """Return what corrections are linear in, shape (n, K + F + D + 1)."""
        cosine = vectors @ self.landmarks.T
        near = familiarity(cosine.max(axis=1), self.familiar)[:, None]
        weights, intercepts = self.kinds
        logits = np.concatenate([vectors, z], axis=1) @ weights + intercepts
        kinds = np.exp(logits - logits.max(axis=1, keepdims=True))
        kinds /= kinds.sum(axis=1, keepdims=True)
        return np.concatenate(
            [
                np.exp(self.sharpness * (cosine - 1)),
                near * z * STRUCTURE_SCALE,
                kinds,
                near,
            ],
            axis=1,
            dtype=np.float32,
        )


def familiarity(nearest: Floats, familiar: tuple[float, float]) -> Floats:
    """Return in [0, 1] how far prompts are like what training saw, by the nearest landmark."""
    low, high = familiar
    return np.asarray(np.clip((nearest - low) / (high - low), 0, 1), dtype=np.float32)


def cosine_kernel(left: Floats, right: Floats, sharpness: float) -> Floats:
    """Return exp(sharpness * (cosine - 1)), shape (len(left), len(right))."""
    return np.asarray(np.exp(sharpness * (left @ right.T - 1)), dtype=np.float32)
