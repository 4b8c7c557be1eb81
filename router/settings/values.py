"""The settings as the service uses them: frozen, checked, cheap to read on every request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from cache.types import ReusePolicy
from router.errors import UnknownNamespace
from router.prices import PriceList
from router.settings.mistakes import Mistake
from router.settings.tables import (
    AuditsTable,
    CacheTable,
    HttpTable,
    Limits,
    RetentionTable,
    Role,
    RoutingTable,
    Service,
    TlsTable,
)
from router.types import Mode, Share

EVERY_NAMESPACE: Final = "*"
"""What a key names that speaks for all."""


class Secret:
    """A text that neither ``repr`` nor ``str`` nor a log shows."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The text itself, for the one header it belongs in."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return "Secret(set)" if self._value else "Secret(unset)"

    def __reduce__(self) -> str:
        raise TypeError("a Secret is not written anywhere")


class DataKeys:
    """The keys that data at rest are sealed with, the one that writes first; shown nowhere."""

    __slots__ = ("_keys",)

    def __init__(self, keys: tuple[bytes, ...]) -> None:
        self._keys = keys

    def reveal(self) -> tuple[bytes, ...]:
        """The keys themselves, 32 bytes each."""
        return self._keys

    def __bool__(self) -> bool:
        return bool(self._keys)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DataKeys) and self._keys == other._keys

    def __hash__(self) -> int:
        return hash(self._keys)

    def __repr__(self) -> str:
        return f"DataKeys({len(self._keys)})"

    def __reduce__(self) -> str:
        raise TypeError("keys are not written anywhere")


NO_DATA_KEYS: Final = DataKeys(())


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key to a provider, or that there is none.

    Attributes:
        env: the environment variable that held it; empty: no key is sent.
        secret: read at load.
        weight: share of the calls that use it, against the provider's other keys.
    """

    env: str
    secret: Secret
    weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessKey:
    """A key that callers come with; see ``tables.AccessKeyTable``.

    Attributes:
        name: who its bearer is.
        digest: SHA-256 of the key.
        namespaces: those it speaks for; ``*``: all.
        roles: what it may do there.
        user: whom its requests are of; empty: whom each of them names.
    """

    name: str
    digest: bytes
    namespaces: frozenset[str]
    roles: frozenset[Role]
    user: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """An upstream.

    Attributes:
        kind: the wire protocol: ``openai``, ``anthropic``, ``gemini``, ``litellm`` (whatever that
            library speaks) or ``scripted``.
        base_url: without a slash at its end; empty for ``scripted``, and for ``litellm`` where it
            knows the address itself.
        keys: at least one; where several are set, those that are not are left out.
        prices_from: id of a ``genai-prices`` provider whose prices hold; empty: found by base_url.
        max_connections: calls at once, over all its models and keys.
        max_waiting: calls that wait for one of them to end; one more goes to the next model.
    """

    name: str
    kind: str
    base_url: str
    keys: tuple[Key, ...]
    prices_from: str
    max_connections: int
    max_waiting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """A model that requests may be sent to; its prices are in ``Settings.prices``.

    Attributes:
        name: what requests, ledger and reports call it.
        provider: key of ``Settings.providers``.
        provider_model: what the provider calls it.
        context_window: input and output tokens together; None: unknown, taken as unbounded.
        max_output_tokens: longest answer; None: unknown, taken as unbounded.
        capabilities: of ``tools``, ``vision``, ``json``.
        ability: on the classifier's scale; None: known to the classifier, or guessed from prices.
    """

    name: str
    provider: str
    provider_model: str
    context_window: int | None = None
    max_output_tokens: int | None = None
    capabilities: frozenset[str] = frozenset()
    ability: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """What a quality target led to on labelled prompts that had no part in choosing it.

    Attributes:
        n: prompts.
        chosen: model and how many of them went to it.
        adequate: model and what its answers to those were worth, in prompts.
    """

    n: int
    chosen: tuple[tuple[str, int], ...]
    adequate: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespacePolicy:
    """The rules of one namespace, defaults filled in.

    Attributes:
        allowed_models: only these may answer; empty: all.
        pinned_model: only this one may answer; empty: any.
        max_cost_nanos: that one answer is expected to cost at most; None: no limit.
        escalates: an answer that falls short for certain is set aside for a stronger model's.
        audit_share: of near-duplicate hits that are audited, in [0, 1].
        shadow_share: of near misses that are compared when their answer comes, in [0, 1].
        route_share: of routed requests that another model is asked as well, in [0, 1].
        system_prompt_masks: spans of the system prompt that the partition key ignores.
        calibrated: what the quality target led to on labelled prompts; None: not measured, or not
            for this target.
        text_s: seconds after which no text is in any file; None: each kind's own time decides.
    """

    mode: Mode
    share: Share
    reuse: ReusePolicy
    quality_target: float
    allowed_models: tuple[str, ...] = ()
    pinned_model: str = ""
    max_cost_nanos: int | None = None
    escalates: bool = False
    audit_share: float = 0.0
    shadow_share: float = 0.0
    route_share: float = 0.0
    system_prompt_masks: tuple[re.Pattern[str], ...] = ()
    calibrated: Calibrated | None = None
    text_s: int | None = None


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything the operator decided. Made by ``load`` and ``parse`` only.

    Attributes:
        path: the file; None: embedded defaults or a text.
        access_keys: what callers must come with one of.
        wants_keys: whether they need one; also where the last was taken out while it runs.
        models: in the order of the file.
        prices: of all models, valid now.
        default_policy: of every namespace the file does not name.
        policies: of those it names.
        is_closed: other namespaces are refused.
        retention: how long texts are kept, where a namespace says nothing else.
        data_keys: what data at rest are sealed with; empty: they are not.
        warnings: what the operator should know and may leave as it is.
    """

    service: Service
    http: HttpTable
    tls: TlsTable
    retention: RetentionTable
    limits: Limits
    cache: CacheTable
    audits: AuditsTable
    routing: RoutingTable
    providers: Mapping[str, Provider]
    models: Mapping[str, ModelSpec]
    prices: PriceList
    default_policy: NamespacePolicy
    policies: Mapping[str, NamespacePolicy] = field(default_factory=dict)
    is_closed: bool = False
    access_keys: tuple[AccessKey, ...] = ()
    wants_keys: bool = False
    data_keys: DataKeys = NO_DATA_KEYS
    path: Path | None = None
    warnings: tuple[Mistake, ...] = ()

    def unaudited(self) -> Settings:
        """Return the same settings with nothing audited or compared, as replays need them."""

        def off(policy: NamespacePolicy) -> NamespacePolicy:
            return replace(policy, audit_share=0.0, shadow_share=0.0, route_share=0.0)

        return replace(
            self,
            default_policy=off(self.default_policy),
            policies={name: off(policy) for name, policy in self.policies.items()},
        )

    def policy(self, namespace: str) -> NamespacePolicy:
        """Return the rules of a namespace.

        Raises:
            UnknownNamespace: the set is closed and does not hold it.
        """
        found = self.policies.get(namespace)
        if found is not None:
            return found
        if self.is_closed:
            raise UnknownNamespace(
                f"namespace {namespace[:64]!r} is not among those this service is set up for; "
                "ask its operator to add it, or to open the set"
            )
        return self.default_policy
