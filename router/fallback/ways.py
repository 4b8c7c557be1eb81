"""From settings to the ways to models; what the next ones leave as it is keeps its adapter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from router.fallback.circuit import CircuitRule
from router.fallback.upstream import Patience, Upstream
from router.ports import Provider
from router.settings import Key, Settings
from router.settings.values import Provider as Spec


@dataclass(frozen=True, slots=True)
class _Open:
    """An adapter, and what it was opened for: another address or secret wants another one."""

    spec: Spec
    env: str
    secret: str
    adapter: Provider

    def is_for(self, spec: Spec, key: Key) -> bool:
        same = self.env == key.env and self.secret == key.secret.reveal()
        return same and self.spec == spec

    def __repr__(self) -> str:
        return f"_Open({self.spec.name}, {self.env})"  # never the secret


class Adapters:
    """The open adapters: one for each key of each provider, with its connections.

    Args:
        open_one: opens the adapter of a provider under one of its keys.
        replaced: adapters by provider name that stand in for those of the settings, for tests.
    """

    def __init__(
        self,
        open_one: Callable[[Settings, str, Key], Provider],
        replaced: Mapping[str, Provider] | None = None,
    ) -> None:
        self._open_one = open_one
        self._replaced = replaced or {}
        self._open: list[_Open] = []

    def __len__(self) -> int:
        """Return how many are open."""
        return len(self._open)

    def ways(self, settings: Settings) -> dict[str, list[Upstream]]:
        """Return the ways to every model: one for each key of its provider, each with an adapter.

        What was opened for an earlier call, and is what these settings want, is used again.
        """
        adapters = {
            name: [(key, self._adapter(settings, name, key)) for key in spec.keys]
            for name, spec in settings.providers.items()
        }
        return {
            model.name: [
                Upstream(
                    model=model.name,
                    provider_name=model.provider,
                    provider=adapter,
                    provider_model=model.provider_model,
                    key_name=key.env,
                    weight=key.weight,
                    max_in_flight=settings.providers[model.provider].max_connections,
                    max_waiting=settings.providers[model.provider].max_waiting,
                    max_output_tokens=model.max_output_tokens,
                    context_window=model.context_window,
                )
                for key, adapter in adapters[model.provider]
            ]
            for model in settings.models.values()
        }

    async def close_but(self, wanted: Iterable[Provider]) -> None:
        """Close the adapters that nobody wants any more."""
        kept = {id(adapter) for adapter in wanted}
        gone = [one for one in self._open if id(one.adapter) not in kept]
        self._open = [one for one in self._open if id(one.adapter) in kept]
        still_open = {id(one.adapter) for one in self._open}
        for adapter in {id(one.adapter): one.adapter for one in gone}.values():
            if id(adapter) not in still_open:
                await adapter.close()

    def _adapter(self, settings: Settings, name: str, key: Key) -> Provider:
        # What changes no connection leaves it open: who else has a key, how long others wait.
        spec = replace(settings.providers[name], keys=(), prices_from="", max_waiting=0)
        for one in self._open:
            if one.is_for(spec, key):
                return one.adapter
        adapter = self._replaced.get(name) or self._open_one(settings, name, key)
        self._open.append(_Open(spec, key.env, key.secret.reveal(), adapter))
        return adapter


def patience_of(settings: Settings) -> Patience:
    """Return the limits of time and number that the settings state."""
    routing = settings.routing
    return Patience(
        connect_s=routing.connect_s,
        first_token_s=routing.first_token_s,
        total_s=routing.total_s,
        max_attempts=routing.max_attempts,
        tries_per_model=routing.tries_per_model,
        backoff_s=routing.backoff_s,
        max_backoff_s=routing.max_backoff_s,
        between_tokens_s=routing.between_tokens_s,
        retry_share=routing.retry_share,
        retry_burst=routing.retry_burst,
        hedge_after_s=routing.hedge_after_s,
        circuit=CircuitRule(
            failures=routing.circuit_failures,
            open_s=routing.circuit_open_s,
            max_open_s=routing.circuit_max_open_s,
        ),
    )
