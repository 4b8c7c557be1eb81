"""How hard a prompt is: P(an answer is adequate | how able the model is).

The model behind it (``complexity_fit``, ``curve``) is an item response model. Every prompt has a
difficulty and every language model an ability, so a model that training never met needs only its
ability to be placed. What is scored is the probability at a few fixed abilities, the tiers, and
for each model of training its own; ``p_adequate`` reads off any ability between tiers.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from classifier.abilities import Abilities, normalize_model, p_adequate
from classifier.artifact import ARTIFACTS, Artifact, read_artifact
from classifier.shape import FEATURE_VERSION, PromptShape, features

__all__ = ["ComplexityModel", "PromptShape", "features", "p_adequate"]

KIND: Final = "complexity"


class ComplexityModel:
    """Scores prompts; safe to call from several threads at once.

    Attributes:
        scorer_id: names the artifact.
        tiers: abilities for which the first T scores are, ascending.
        models: normalized names of the models that the other M scores are for.
        abilities: of the models that training knew, and the prior for others.
        familiar_from: cosine to the nearest training prompt kept, below which nothing is claimed.
    """

    def __init__(self, artifact: Artifact) -> None:
        """Build from a checked artifact; see ``load``."""
        self.scorer_id = artifact.id
        self.tiers: tuple[float, ...] = tuple(map(float, artifact.field("tiers")))
        self.familiar_from = float(artifact.field("familiar_from"))
        self.models: tuple[str, ...] = tuple(map(str, artifact.field("models")))
        self.abilities = Abilities(**artifact.field("abilities"))
        n_tiers = len(self.tiers)
        self._heads = {name: n_tiers + at for at, name in enumerate(self.models)}
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
        """Return P(adequate) per prompt: for each tier, then for each model of training.

        Args:
            vectors: shape (n, dim), of the encoder that the artifact names.
            shapes: the same n prompts.

        Returns:
            Shape (n, T + M), float32, in (0, 1); the first T never fall from one to the next. A
            prompt unlike anything that training saw has NaN throughout: nothing is claimed of it.
        """
        n_tiers = len(self.tiers)
        if not len(shapes):
            return np.zeros((0, n_tiers + len(self.models)), dtype=np.float32)
        structure = np.stack([features(shape) for shape in shapes])
        p, nearest = self._session.run(None, {"vector": vectors, "structure": structure})
        p[nearest[:, 0] < self.familiar_from] = np.nan
        # The curve's corrections may claim, for a few odd prompts, that abler models do worse;
        # the running maximum refuses that claim.
        np.maximum.accumulate(p[:, :n_tiers], axis=1, out=p[:, :n_tiers])
        return np.asarray(p, dtype=np.float32)

    def head(self, model_name: str) -> int | None:
        """Return which score is a model's own, None where training knew too little of it."""
        return self._heads.get(normalize_model(model_name))

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
