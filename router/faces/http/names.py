"""What a request's ``model`` means: route among all, this one, or route under this one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from router.faces.http.problems import HttpError
from router.settings import Settings
from router.types import Wishes

ROUTED: Final = ("auto", "scrimp")
"""Names that mean: any configured model, the cheapest adequate one."""
_TYPICAL_TOKENS: Final = (1_000, 300)
"""Input and output of the call by which it is told which models cost no more than another."""


class ModelNames:
    """The names that requests may give, and what they stand for.

    A configured model is found by its name in the settings or by its provider's name for it, so
    that an app may go on saying what it said to the provider.

    Args:
        settings: the models, their prices, and whether named ones are pinned.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._known: dict[str, str] = {}
        for model in settings.models.values():
            self._known.setdefault(model.provider_model, model.name)
        self._known |= {name: name for name in settings.models}

    def wishes(self, name: str) -> Wishes:
        """Return what a name asks of the routing.

        Raises:
            HttpError: 404, there is no such model; the sentence names those that there are.
        """
        known = self._known.get(name)
        if known is None:
            if name in ROUTED:
                return Wishes()
            listed = ", ".join((*ROUTED, *self._settings.models))
            raise HttpError(
                404,
                "model_not_found",
                f"model {name[:64]!r} is not configured; there are: {listed}",
            )
        if self._settings.http.named_models == "pinned":
            return Wishes(pinned_model=known, baseline_model=known)
        return Wishes(allowed_models=self._no_dearer(known), baseline_model=known)

    def _no_dearer(self, name: str) -> tuple[str, ...]:
        """Return the model and all that cost no more; alone where its price is unknown."""
        names = list(self._settings.models)
        costs = dict(
            zip(names, self._settings.prices.costs_of(names, *_TYPICAL_TOKENS), strict=True)
        )
        most = costs[name]
        if most is None:
            return (name,)
        return tuple(
            one
            for one in names
            if one == name or ((cost := costs[one]) is not None and cost <= most)
        )

    def listed(self, encoder: str) -> dict[str, Any]:
        """Return every model, in a shape that OpenAI's and Anthropic's clients both read.

        Args:
            encoder: the name of the model for embeddings; empty: there is none.
        """
        names = [*ROUTED, *self._settings.models, *([encoder] if encoder else [])]
        return {
            "object": "list",
            "data": [self._described(name) for name in names],
            "has_more": False,
            "first_id": names[0],
            "last_id": names[-1],
        }

    def described(self, name: str, encoder: str) -> dict[str, Any]:
        """Return one model; ``encoder`` is as for ``listed``.

        Raises:
            HttpError: 404, there is no such model.
        """
        if name != encoder or not encoder:
            self.wishes(name)
        return self._described(name)

    def _described(self, name: str) -> dict[str, Any]:
        models: Mapping[str, Any] = self._settings.models
        known = models.get(self._known.get(name, ""))
        return {
            "id": name,
            "object": "model",
            "created": 0,
            "owned_by": known.provider if known else "scrimp",
            "type": "model",
            "display_name": name,
            "created_at": "1970-01-01T00:00:00Z",
            "lifecycle": "active",
            "max_input_tokens": known.context_window if known else None,
            "max_tokens": known.max_output_tokens if known else None,
        }
