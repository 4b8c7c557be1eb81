"""What of a settings file that was read again may be put into use at once. Pure.

A key that is not listed here needs a restart: whoever adds one decides, and until then it is safe.
What a restart needs is kept as it was, so that the rest of the file holds already.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from pydantic import BaseModel

from router.settings.tables import RoutingTable
from router.settings.values import AccessKey, Settings

LIVE: Final[Mapping[str, frozenset[str]]] = {
    "service": frozenset({"mode", "drain_s", "ticket_ttl_s", "request_id_ttl_s"}),
    "http": frozenset({"named_models", "body_s", "timeout_s"}),
    "limits": frozenset(
        {
            *("max_prompt_bytes", "max_messages", "max_tools", "max_tags", "max_field_chars"),
            *("max_in_flight", "feedback_per_minute", "default_deadline_s"),
        }
    ),
    "cache": frozenset(
        {
            *("share", "max_error_rate", "min_similarity", "n_candidates", "ttl_s"),
            *("freshness_s", "regenerate_s", "system_prompt_masks"),
        }
    ),
    "audits": frozenset(
        {
            *("share", "twin_share", "budget_usd_per_day", "shadow_share", "route_share"),
            "keep_pairs_days",
        }
    ),
    "retention": frozenset({"text_s"}),  # namespaces are told, and files, as it changes
    "routing": frozenset(RoutingTable.model_fields),  # all of it is read per request
}
"""By table, the keys that hold from the next request on."""

_LIVE_WHOLE: Final = frozenset(
    {
        *("providers", "models", "prices", "default_policy", "policies", "is_closed"),
        *("access_keys", "wants_keys", "path", "warnings"),
    }
)
"""The fields of ``Settings`` that do so as they are."""

_TOLD_AS: Final = {"data_keys": "encryption"}
"""What the file calls a field of ``Settings``, where that is another word."""

LAST_KEY: Final = "auth.keys"
"""Told where the last key was taken out: the service is not opened to everyone as it runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What a file that was read again comes to.

    Attributes:
        settings: to be put into use.
        applied: dotted keys that are new in it.
        needs_restart: dotted keys that stand otherwise in the file, and stay as they were.
    """

    settings: Settings
    applied: tuple[str, ...]
    needs_restart: tuple[str, ...]


def changes(now: Settings, read: Settings) -> Changes:
    """Compare the settings in use with those of the file.

    Args:
        now: in use; where an earlier change waits for a restart, as they were at the start.
        read: what the file says.
    """
    applied: list[str] = []
    restart: list[str] = []
    kept: dict[str, Any] = {}
    for field in fields(Settings):
        name = field.name
        before, after = getattr(now, name), getattr(read, name)
        if isinstance(before, BaseModel):
            live = LIVE.get(name, frozenset())
            differ = [key for key in type(before).model_fields if _differ(before, after, key)]
            applied += [f"{name}.{key}" for key in differ if key in live]
            fixed = {key: getattr(before, key) for key in differ if key not in live}
            restart += [f"{name}.{key}" for key in fixed]
            kept[name] = after.model_copy(update=fixed)
        elif name not in _LIVE_WHOLE and before != after:
            restart.append(_TOLD_AS.get(name, name))
            kept[name] = before
    if now.wants_keys and not read.wants_keys:
        restart.append(LAST_KEY)
    kept["wants_keys"] = now.wants_keys or read.wants_keys
    kept["prices"] = read.prices.beside(now.prices)
    applied += _by_name(now, read)
    return Changes(
        settings=replace(read, **kept), applied=tuple(applied), needs_restart=tuple(restart)
    )


def _differ(before: BaseModel, after: BaseModel, key: str) -> bool:
    return bool(getattr(before, key) != getattr(after, key))


def _by_name(now: Settings, read: Settings) -> list[str]:
    """Return what changed among models, providers, namespaces and keys, by their names."""
    return [
        *_changed("models", _models(now), _models(read)),
        *_changed("providers", _providers(now), _providers(read)),
        *_changed("namespaces", now.policies, read.policies),
        *(["namespaces.closed"] if now.is_closed != read.is_closed else []),
        *_changed("auth.keys", _keys(now.access_keys), _keys(read.access_keys)),
    ]


def _changed(table: str, before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    gone = [f"{table}.{name} (taken out)" for name in before if name not in after]
    fresh = [f"{table}.{name} (added)" for name in after if name not in before]
    other = [f"{table}.{name}" for name in after if name in before and before[name] != after[name]]
    return [*gone, *fresh, *other]


def _models(settings: Settings) -> dict[str, object]:
    return {name: (model, settings.prices.priced(name)) for name, model in settings.models.items()}


def _providers(settings: Settings) -> dict[str, object]:
    """Return the providers; of a key its secret counts as well, as the environment may differ."""
    return {
        name: (
            replace(spec, keys=()),
            [(key.env, key.weight, key.secret.reveal()) for key in spec.keys],
        )
        for name, spec in settings.providers.items()
    }


def _keys(keys: Iterable[AccessKey]) -> dict[str, object]:
    by_name: dict[str, object] = {}
    for key in keys:
        by_name[key.name] = (*_tuple(by_name.get(key.name)), key)
    return by_name


def _tuple(held: object) -> tuple[object, ...]:
    return held if isinstance(held, tuple) else ()
