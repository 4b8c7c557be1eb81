"""``scrimp check``: is the settings file right, and what would run?

The service's own loading is what is tried, so a file that passes here starts there.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from router.settings import (
    AccessKey,
    Key,
    Mistake,
    NamespacePolicy,
    Settings,
    SettingsError,
    TlsTable,
    load,
)


def check(
    path: Path | None,
    environ: Mapping[str, str] = os.environ,
    console: Console | None = None,
) -> int:
    """Report every mistake in the settings, or what they would run. Secrets are never shown.

    Args:
        path: the file; None: as ``load`` finds it.
        environ: where keys are looked for; only whether they are set is told.
        console: where to write; None: standard output.

    Returns:
        The exit status: 1 with mistakes; warnings alone are 0.
    """
    out = console or Console(soft_wrap=True, highlight=False)
    try:
        settings = load(path, environ)
    except SettingsError as error:
        n_mistakes = len(error.mistakes)
        where = error.path or "the settings"
        noun = "mistake" if n_mistakes == 1 else "mistakes"
        out.print(Text(f"{n_mistakes} {noun} in {where}", style="bold red"))
        _print_notes(out, error.mistakes, "red")
        return 1
    _print_summary(out, settings)
    if settings.warnings:
        n_warnings = len(settings.warnings)
        out.print()
        out.print(Text(f"{n_warnings} warning{'s' * (n_warnings > 1)}", style="bold yellow"))
        _print_notes(out, settings.warnings, "yellow")
    return 0


def _print_notes(out: Console, notes: Iterable[Mistake], style: str) -> None:
    for note in notes:
        place = f"line {note.line}: " if note.line else ""
        out.print()
        out.print(Text.assemble((place, style), (note.key or "the file", "bold")))
        out.print(Text(f"  seen      {note.seen}"))
        out.print(Text(f"  expected  {note.expected}"))
        out.print(Text(f"  remedy    {note.remedy}"))


def _print_summary(out: Console, settings: Settings) -> None:
    service, routing = settings.service, settings.routing
    out.print(Text(f"{settings.path or 'embedded defaults'}: fine", style="bold green"))
    out.print(Text(f"  listens   {service.listen} (metrics: {service.metrics_listen or 'off'})"))
    names = f", named models {settings.http.named_models}" if settings.http.listen else ""
    out.print(Text(f"  HTTP      {settings.http.listen or 'off'}{names}"))
    callers = "; ".join(_access(key) for key in settings.access_keys)
    out.print(Text(f"  TLS       {_tls(settings.tls)}"))
    out.print(Text(f"  callers   {callers or 'whoever reaches it: no key is wanted'}"))
    out.print(Text(f"  data in   {service.data_folder}"))
    out.print(Text(f"  at rest   {_at_rest(settings)}"))
    out.print(Text(f"  baseline  {routing.baseline}, quality target {routing.quality_target:g}"))
    out.print(Text(f"  fallback  {routing.fallback_model or 'none'}"))
    out.print(Text(f"  audits    {_audits(settings)}"))
    for name, provider in settings.providers.items():
        keys = ", ".join(_key(key) for key in provider.keys)
        out.print(Text(f"  provider  {name}: {provider.kind} {provider.base_url} ({keys})"))
    out.print()
    out.print(_models_table(settings))
    for name in settings.models:
        out.print(Text(f"  price of {name}: {settings.prices.source(name)}"))
    out.print()
    out.print(_policies_table(settings))


def _at_rest(settings: Settings) -> str:
    n_older = len(settings.data_keys.reveal()) - 1
    how = "encrypted" if settings.data_keys else "not encrypted"
    if n_older > 0:
        how += f", {n_older} older key{'s' * (n_older > 1)} are read"
    text_s = settings.default_policy.text_s
    bound = "as long as each kind says" if text_s is None else f"for {text_s} s at most"
    apart = sum(policy.text_s != text_s for policy in settings.policies.values())
    others = f" ({apart} namespaces otherwise)" if apart else ""
    return f"{how}; texts are kept {bound}{others}"


def _tls(tls: TlsTable) -> str:
    if not tls.is_on:
        return "off"
    return f"{tls.cert}" + (f", callers' by {tls.client_ca}" if tls.wants_clients else "")


def _access(key: AccessKey) -> str:
    user = f", user {key.user}" if key.user else ""
    roles, names = ", ".join(sorted(key.roles)), ", ".join(sorted(key.namespaces))
    return f"{key.name} ({roles}) for {names}{user}"


def _key(key: Key) -> str:
    if not key.env:
        return "no key is sent"
    weight = "" if key.weight == 1 else f", weight {key.weight:g}"
    return f"key in {key.env}: {'set' if key.secret else 'NOT set'}{weight}"


def _audits(settings: Settings) -> str:
    budget = settings.audits.budget_usd_per_day
    shares = [settings.default_policy.audit_share]
    shares += [policy.audit_share for policy in settings.policies.values()]
    if not budget or not any(shares):
        return "none: the error rate of hits is not measured"
    low, high = min(shares), max(shares)
    share = f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"
    return f"share {share} of near-duplicate hits, at most ${budget:g} a day"


def _models_table(settings: Settings) -> Table:
    table = Table(title="Models, USD per million tokens", title_justify="left")
    for heading in ("model", "provider", "input", "output", "cache read", "window", "can"):
        table.add_column(heading, overflow="fold")
    for name, model in settings.models.items():
        tariff = settings.prices.tariff(name)
        shown = ["unknown"] * 3
        if tariff is not None:
            tiers = " (tiers)" if tariff.tiers else ""
            shown = [f"{nanos / 1e9:.6g}{tiers}" for nanos in tariff.base[:3]]
        table.add_row(
            Text(name),
            Text(model.provider),
            *shown,
            str(model.context_window or "unknown"),
            " ".join(sorted(model.capabilities)),
        )
    return table


def _policies_table(settings: Settings) -> Table:
    table = Table(title="Policies", title_justify="left")
    for heading in ("namespace", "mode", "share", "max errors", "ttl_s", "target", "models"):
        table.add_column(heading, overflow="fold")
    for name, policy in settings.policies.items():
        table.add_row(Text(name), *_policy_cells(policy))
    others = "any other" if settings.policies else "any"
    if settings.is_closed:
        table.add_row(others, "refused")
    else:
        table.add_row(others, *_policy_cells(settings.default_policy))
    return table


def _policy_cells(policy: NamespacePolicy) -> tuple[str | Text, ...]:
    models = f"only {policy.pinned_model}" if policy.pinned_model else ""
    return (
        policy.mode.value,
        policy.share.value,
        f"{policy.reuse.max_error_rate:g}",
        str(policy.reuse.ttl_s),
        f"{policy.quality_target:g}",
        Text(models or ", ".join(policy.allowed_models) or "all"),
    )
