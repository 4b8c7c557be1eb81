"""From the file and the environment to ``Settings``. Nothing else reads either."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeVar

from cache.types import ReusePolicy
from router.prices import LocalPrices, PriceList, PriceQuery, price_providers
from router.settings.access import check_access
from router.settings.certificates import check_tls
from router.settings.cross import Findings, Said, check_across
from router.settings.fields import Place, check_fields
from router.settings.lines import locate
from router.settings.mistakes import SettingsError, did_you_mean
from router.settings.privacy import check_retention, kept_s, read_keys
from router.settings.reading import parse_toml, read_text
from router.settings.tables import (
    AccessKeyTable,
    CalibratedTable,
    ModelTable,
    NamespaceTable,
    ProviderTable,
    SettingsFile,
)
from router.settings.values import (
    AccessKey,
    Calibrated,
    Key,
    ModelSpec,
    NamespacePolicy,
    Provider,
    Secret,
    Settings,
)
from router.types import NANOS_PER_USD

PATH_VARIABLE: Final = "SCRIMP_CONFIG"

WIRES: Final = {
    "openai": ("https://api.openai.com/v1", "OPENAI_API_KEY"),
    "anthropic": ("https://api.anthropic.com/v1", "ANTHROPIC_API_KEY"),
    "gemini": ("https://generativelanguage.googleapis.com/v1beta", "GEMINI_API_KEY"),
}
"""Where each wire protocol is at home, and the variable that its key is usually in."""

T = TypeVar("T")

_BUILT_IN_BASELINE: Final = "gpt-4o"
_BUILT_IN_MODELS: Final = {"gpt-4o": ModelTable(), "gpt-4o-mini": ModelTable()}
_SEES: Final = re.compile(
    r"(.*/)?(gpt-4o|gpt-4\.1|gpt-5|o[134](-|$)|claude-|gemini-|pixtral|chatgpt-)"
)
_WITHOUT_HOME: Final = ("scripted", "litellm")
"""Kinds of providers that have no address or key of their own."""


def load(
    path: Path | None,
    environ: Mapping[str, str],
    *,
    overrides: Mapping[str, object] | None = None,
) -> Settings:
    """Read the settings.

    Without a path the file named by ``SCRIMP_CONFIG`` is read; without that either, embedded
    defaults hold: the models gpt-4o (baseline) and gpt-4o-mini at OpenAI, with the key in
    ``OPENAI_API_KEY``. Without the key the service starts all the same: the advisor needs none,
    and a gateway call is refused with the variable's name.

    Args:
        path: the file; None: see above.
        environ: the environment, ``os.environ`` outside of tests.
        overrides: values by dotted key (``service.listen``) that win over the file.

    Raises:
        SettingsError: carries every mistake.
    """
    if path is None and environ.get(PATH_VARIABLE):
        path = Path(environ[PATH_VARIABLE])
    text = "" if path is None else read_text(path)
    return parse(text, environ, path=path, overrides=overrides)


def parse(
    text: str,
    environ: Mapping[str, str],
    *,
    path: Path | None = None,
    overrides: Mapping[str, object] | None = None,
) -> Settings:
    """As ``load``, from the text of a file. ``path`` is where relative folders start.

    Raises:
        SettingsError: carries every mistake.
    """
    document, syntax, parsed = parse_toml(text)
    lines = locate(parsed)
    _override(document, overrides or {}, lines)
    file, mistakes = check_fields(document, lines)
    file = _completed(file, path)
    findings = Findings(lines, [*syntax, *mistakes])
    if not syntax:
        check_across(file, environ, findings)
        check_access(file, findings)
        check_tls(file.tls, findings)
        check_retention(file, findings)
    folder = _data_folder(file.service.data_folder, environ, path)
    data_keys = read_keys(file.encryption, environ, findings, folder)
    if findings.mistakes:
        in_order = sorted(findings.mistakes, key=lambda mistake: mistake.line or 0)
        raise SettingsError(in_order, path)
    return replace(_build(file, environ, path, findings), data_keys=data_keys)


def _override(
    document: dict[str, Any], overrides: Mapping[str, object], lines: dict[Place, int]
) -> None:
    """Put values from outside the file into the document; no line of the file says them."""
    for dotted, value in overrides.items():
        *tables, key = dotted.split(".")
        holder = document
        for table in tables:
            inner = holder.setdefault(table, {})
            if not isinstance(inner, dict):
                inner = holder[table] = {}
            holder = inner
        holder[key] = value
        lines.pop((*tables, key), None)


def _completed(file: SettingsFile, path: Path | None) -> SettingsFile:
    """Fill in what the file leaves open: models, the OpenAI provider, the baseline, folders."""
    models = file.models or _BUILT_IN_MODELS
    providers = dict(file.providers)
    for name in WIRES:
        if any(model.provider == name for model in models.values()):
            providers.setdefault(name, ProviderTable())
    for name, provider in providers.items():
        providers[name] = _with_address(name, provider)
    routing = file.routing
    if not routing.baseline:
        known = _BUILT_IN_BASELINE if _BUILT_IN_BASELINE in models else ""
        only = next(iter(models)) if len(models) == 1 else known
        routing = routing.model_copy(update={"baseline": only})
    folder = _folder(path)
    stated = {name: at for name, at in file.tls if at != Path()}
    tls = file.tls.model_copy(update={name: folder / at for name, at in stated.items()})
    encryption = file.encryption
    if encryption.key_file != Path():
        encryption = encryption.model_copy(update={"key_file": folder / encryption.key_file})
    return file.model_copy(
        update={
            "models": models,
            "providers": providers,
            "routing": routing,
            "tls": tls,
            "encryption": encryption,
        }
    )


def _with_address(name: str, provider: ProviderTable) -> ProviderTable:
    if provider.kind in _WITHOUT_HOME:
        return provider.model_copy(
            update={
                "api_key_env": provider.api_key_env or "",
                "base_url": provider.base_url.rstrip("/"),
            }
        )
    kind = provider.kind or _kind(name, provider.base_url)
    home, usual = WIRES[kind]
    url = (provider.base_url or home).rstrip("/")
    variable = provider.api_key_env
    if variable is None:
        variable = usual if url == home and not provider.api_key_envs else ""
    return provider.model_copy(update={"kind": kind, "base_url": url, "api_key_env": variable})


def _kind(name: str, base_url: str) -> str:
    """Return the wire protocol that is spoken at an address; without one the name tells."""
    if not base_url:
        return name if name in WIRES else "openai"
    host = base_url.partition("://")[2].partition("/")[0]
    at_home = (kind for kind, (home, _) in WIRES.items() if f"://{host}/" in home)
    return next(at_home, "openai")


def _build(
    file: SettingsFile, environ: Mapping[str, str], path: Path | None, findings: Findings
) -> Settings:
    providers = {
        name: Provider(
            name=name,
            kind=table.kind or "openai",
            base_url=table.base_url,
            keys=_keys(table, environ),
            prices_from=table.prices_from,
            max_connections=table.max_connections,
            max_waiting=table.max_waiting,
        )
        for name, table in file.providers.items()
    }
    prices = PriceList.load(_query(name, table, providers) for name, table in file.models.items())
    _check_prices(file, prices, findings)
    if findings.mistakes:
        raise SettingsError(findings.mistakes, path)
    default = _default_policy(file)
    named = file.namespaces.named
    folder = _data_folder(file.service.data_folder, environ, path)
    return Settings(
        service=file.service.model_copy(update={"data_folder": folder}),
        http=file.http,
        tls=file.tls,
        retention=file.retention,
        limits=file.limits,
        cache=file.cache,
        audits=file.audits,
        routing=file.routing,
        providers=providers,
        models={name: _model(name, table, prices) for name, table in file.models.items()},
        prices=prices,
        default_policy=default,
        policies={name: _policy(table, default, file.cache.ttl_s) for name, table in named.items()},
        is_closed=file.namespaces.closed,
        access_keys=tuple(_access_key(table) for table in file.auth.keys),
        wants_keys=bool(file.auth.keys),
        path=path,
        warnings=tuple(sorted(findings.warnings, key=lambda warning: warning.line or 0)),
    )


def _access_key(table: AccessKeyTable) -> AccessKey:
    return AccessKey(
        name=table.name,
        digest=bytes.fromhex(table.sha256),
        namespaces=frozenset(table.namespaces),
        roles=frozenset(table.roles),
        user=table.user,
    )


def _keys(table: ProviderTable, environ: Mapping[str, str]) -> tuple[Key, ...]:
    """Return the keys that are set; where none is, the first all the same."""
    weights = table.api_key_envs or {table.api_key_env or "": 1.0}
    keys = [
        Key(env=env, secret=Secret(environ.get(env, "").strip()), weight=weight)
        for env, weight in weights.items()
    ]
    return tuple(key for key in keys if key.secret) or tuple(keys[:1])


def _query(name: str, table: ModelTable, providers: Mapping[str, Provider]) -> PriceQuery:
    provider = providers[table.provider]
    return PriceQuery(
        name=name,
        provider_model=table.name or name,
        base_url=provider.base_url,
        prices_from=provider.prices_from,
        is_named_only=provider.kind == "scripted",
        local=LocalPrices(
            input_usd_per_mtok=table.input_usd_per_mtok,
            output_usd_per_mtok=table.output_usd_per_mtok,
            cache_read_usd_per_mtok=table.cache_read_usd_per_mtok,
            cache_write_usd_per_mtok=table.cache_write_usd_per_mtok,
        ),
    )


def _check_prices(file: SettingsFile, prices: PriceList, findings: Findings) -> None:
    for name, provider in file.providers.items():
        if provider.prices_from and provider.prices_from not in price_providers():
            findings.mistake(
                ("providers", name, "prices_from"),
                provider.prices_from,
                "a provider of genai-prices",
                did_you_mean(provider.prices_from, price_providers()),
            )
    for name in file.models:
        if prices.source(name) == "unknown":
            consequence = (
                "all savings are unknown until then"
                if name == file.routing.baseline
                else "its calls are counted apart until then"
            )
            findings.warn(
                ("models", name),
                Said("no known price"),
                "prices, or a provider.prices_from that knows them",
                f"add input_usd_per_mtok and output_usd_per_mtok (0 if it is free); {consequence}",
            )


def _model(name: str, table: ModelTable, prices: PriceList) -> ModelSpec:
    provider_model = table.name or name
    capabilities = frozenset[str](table.capabilities or ())
    if table.capabilities is None:
        sees = {"vision"} if _SEES.match(provider_model.lower()) else set()
        capabilities = frozenset({"tools", "json"} | sees)
    return ModelSpec(
        name=name,
        provider=table.provider,
        provider_model=provider_model,
        context_window=table.context_window or prices.context_window(name),
        max_output_tokens=table.max_output_tokens,
        capabilities=capabilities,
        ability=table.ability,
    )


def _default_policy(file: SettingsFile) -> NamespacePolicy:
    cache = file.cache
    return NamespacePolicy(
        mode=file.service.mode,
        share=cache.share,
        reuse=ReusePolicy(
            max_error_rate=cache.max_error_rate,
            min_similarity=cache.min_similarity,
            n_candidates=cache.n_candidates,
            ttl_s=min(cache.ttl_s, int(kept_s(file.retention.text_s))),
            freshness_s=cache.freshness_s,
            regenerate_s=cache.regenerate_s,
        ),
        quality_target=file.routing.quality_target,
        max_cost_nanos=_nanos(file.routing.max_cost_per_request),
        escalates=file.routing.escalate,
        audit_share=file.audits.share,
        shadow_share=file.audits.shadow_share,
        route_share=file.audits.route_share,
        system_prompt_masks=tuple(re.compile(mask) for mask in cache.system_prompt_masks),
        text_s=file.retention.text_s,
        calibrated=_calibrated(file.routing.calibrated, file.routing.quality_target),
    )


def _calibrated(table: CalibratedTable | None, target: float) -> Calibrated | None:
    """Return what was measured for the target in force; for another one it says nothing."""
    if table is None or table.quality_target != target:
        return None
    return Calibrated(
        n=table.prompts,
        chosen=tuple(table.chosen.items()),
        adequate=tuple(table.adequate.items()),
    )


def _policy(table: NamespaceTable, default: NamespacePolicy, ttl_of_all: int) -> NamespacePolicy:
    """Lay a namespace's own words over the defaults; of those the TTL may have been cut already."""

    def own(value: T | None, otherwise: T) -> T:
        return otherwise if value is None else value

    reuse = default.reuse
    target = own(table.quality_target, default.quality_target)
    decides = (table.quality_target, table.max_cost_per_request, table.allowed_models)
    calibrated = _calibrated(table.calibrated, target)
    if table.calibrated is None and not table.pinned_model and decides == (None, None, None):
        calibrated = default.calibrated
    text_s = own(table.text_s, default.text_s)
    ttl_s = own(table.ttl_s, ttl_of_all)
    return NamespacePolicy(
        mode=own(table.mode, default.mode),
        share=own(table.share, default.share),
        reuse=ReusePolicy(
            max_error_rate=own(table.max_error_rate, reuse.max_error_rate),
            min_similarity=own(table.min_similarity, reuse.min_similarity),
            n_candidates=own(table.n_candidates, reuse.n_candidates),
            ttl_s=min(ttl_s, int(kept_s(text_s))),
            freshness_s=own(table.freshness_s, reuse.freshness_s),
            regenerate_s=own(table.regenerate_s, reuse.regenerate_s),
        ),
        quality_target=target,
        max_cost_nanos=own(_nanos(table.max_cost_per_request), default.max_cost_nanos),
        escalates=own(table.escalate, default.escalates),
        audit_share=own(table.audit_share, default.audit_share),
        shadow_share=own(table.shadow_share, default.shadow_share),
        route_share=own(table.route_share, default.route_share),
        allowed_models=tuple(table.allowed_models or ()),
        pinned_model=table.pinned_model or "",
        system_prompt_masks=(
            default.system_prompt_masks
            if table.system_prompt_masks is None
            else tuple(re.compile(mask) for mask in table.system_prompt_masks)
        ),
        text_s=text_s,
        calibrated=calibrated,
    )


def _nanos(usd: float | None) -> int | None:
    return None if usd is None else round(usd * NANOS_PER_USD)


def _data_folder(stated: Path, environ: Mapping[str, str], path: Path | None) -> Path:
    """Say where data live: as stated (relative to the file), or in the user's data folder."""
    home = environ.get("HOME", "")
    if stated == Path():
        base = environ.get("XDG_DATA_HOME", "") or (f"{home}/.local/share" if home else "")
        return Path(base) / "scrimp" if base.startswith("/") else Path.cwd() / "scrimp-data"
    if stated.parts[0] == "~" and home:
        return Path(home, *stated.parts[1:])
    return _folder(path) / stated


def _folder(path: Path | None) -> Path:
    """Return where relative paths start; an absolute one joined to it stays as it is."""
    return (path.parent if path else Path()).absolute()
