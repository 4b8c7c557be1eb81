"""How hard a prompt is: P(an answer is adequate | how able the model is).

The model behind it (``complexity_fit``) is an item response model. Every prompt has a difficulty
and every language model an ability, so a model that training never met needs only its ability to
be placed. What is scored is the probability at a few fixed abilities, the tiers; ``p_adequate``
reads off any ability between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from classifier.abilities import Abilities, p_adequate
from classifier.artifact import ARTIFACTS, Artifact, read_artifact
from classifier.shape import FEATURE_VERSION, PromptShape, features

__all__ = ["ComplexityModel", "PromptShape", "features", "p_adequate"]

KIND: Final = "complexity"


class ComplexityModel:
    """Scores prompts; safe to call from several threads at once.

    Attributes:
        scorer_id: names the artifact.
        tiers: abilities for which ``score`` gives probabilities, ascending.
        abilities: of the models that training knew, and the prior for others.
    """

    def __init__(self, artifact: Artifact) -> None:
        """Build from a checked artifact; see ``load``."""
        self.scorer_id = artifact.id
        self.tiers: tuple[float, ...] = tuple(map(float, artifact.field("tiers")))
        self.abilities = Abilities(**artifact.field("abilities"))
        (self._session,) = artifact.open("model.onnx")

    @classmethod
    def load(cls, folder: Path = ARTIFACTS / KIND, *, encoder_id: str) -> ComplexityModel:
        """Load a complexity model.

        Args:
            folder: holds model.onnx and card.json.
            encoder_id: of the encoder whose vectors will be scored.

        Raises:
            ArtifactError: the files are missing or damaged, or were fitted on vectors of another
                encoder or on another version of the features.
        """
        artifact = read_artifact(folder, kind=KIND)
        artifact.check_fits(encoder_id=encoder_id, feature_version=FEATURE_VERSION)
        return cls(artifact)

    def __repr__(self) -> str:
        """Name the model and its tiers."""
        return f"ComplexityModel({self.scorer_id!r}, tiers={self.tiers})"

    def score(
        self, vectors: npt.NDArray[np.float32], shapes: Sequence[PromptShape]
    ) -> npt.NDArray[np.float32]:
        """Return P(adequate) per prompt and tier, never falling from one tier to the next.

        Args:
            vectors: shape (n, dim), of the encoder that the artifact names.
            shapes: the same n prompts.

        Returns:
            Shape (n, T), float32, in [0, 1].
        """
        if not len(shapes):
            return np.zeros((0, len(self.tiers)), dtype=np.float32)
        return rising_probabilities(self._session.run(None, {"x": inputs(vectors, shapes)})[0])

    def ability(self, model_name: str) -> float | None:
        """Return a model's ability on the scale of the tiers, None where training never met it.

        Provider prefixes, dates and the like do not matter: ``openai/gpt-4o-mini-2024-07-18`` is
        ``gpt-4o-mini``.
        """
        return self.abilities.of(model_name)

    def ability_prior(
        self, input_usd_per_mtok: float | None, output_usd_per_mtok: float | None
    ) -> float:
        """Return the ability that a price suggests, in US dollars per million tokens."""
        return self.abilities.prior(input_usd_per_mtok, output_usd_per_mtok)


def inputs(
    vectors: npt.NDArray[np.float32], shapes: Sequence[PromptShape]
) -> npt.NDArray[np.float32]:
    """Return what the model reads: vector and structural features side by side.

    Returns:
        Shape (n, dim + F), float32.
    """
    return np.concatenate([vectors, np.stack([features(shape) for shape in shapes])], axis=1)


def rising_probabilities(logits: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return probabilities that never fall along the tiers, from logits of shape (n, T).

    A linear model may claim, for a few odd prompts, that abler models do worse; the running
    maximum refuses that claim.
    """
    p = 1.0 / (1.0 + np.exp(-np.clip(logits, -30, 30)))
    return np.maximum.accumulate(p, axis=1).astype(np.float32)
