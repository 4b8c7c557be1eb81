"""What single keys cannot tell: names that must exist, numbers that must fit each other."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from urllib.parse import urlsplit

from router.settings.fields import Place
from router.settings.lines import line_of
from router.settings.mistakes import HIDDEN, Mistake, did_you_mean, shown, shown_path
from router.settings.tables import CalibratedTable, ProviderTable, SettingsFile

MAX_NAME_CHARS = 128
_MAX_MASK_CHARS = 1_000
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_IF_OPEN = (
    "whoever reaches this port can read stored answers and spend your keys; add [[auth.keys]] "
    "(`scrimp key NAME` makes one), listen on 127.0.0.1, or keep a firewall or a mesh before it"
)
_IF_KEYED = (
    "keys and prompts travel as they are on that network; set [tls], keep what ends TLS before it, "
    "or listen on 127.0.0.1"
)
_IF_SHOWN = (
    "whoever reaches this port reads the names of your namespaces and what they cost; add "
    "[[auth.keys]] (`scrimp key NAME --metrics` makes one for the page), or listen on 127.0.0.1"
)
_MAX_SOCKET_BYTES = 103  # of a path: the least that any system we know takes
_INSTALL_LITELLM = "pip install 'scrimp[litellm]'"
_ADDRESS = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):(?P<port>\d{1,5})")


@dataclass(slots=True)
class Findings:
    """Mistakes and warnings as they are found; a key that was already faulty is left alone."""

    lines: Mapping[Place, int]
    mistakes: list[Mistake] = field(default_factory=list)
    warnings: list[Mistake] = field(default_factory=list)

    def mistake(self, place: Place, seen: object, expected: str, remedy: str) -> None:
        """Note a mistake; ``seen`` is rendered with secrets hidden unless it is a sentence."""
        self._note(self.mistakes, place, seen, expected, remedy)

    def warn(self, place: Place, seen: object, expected: str, remedy: str) -> None:
        """Note a warning."""
        self._note(self.warnings, place, seen, expected, remedy)

    def _note(
        self, notes: list[Mistake], place: Place, seen: object, expected: str, remedy: str
    ) -> None:
        key = shown_path(place)
        if any(mistake.key == key for mistake in self.mistakes):
            return
        text = seen.text if isinstance(seen, Said) else shown(seen)
        line = line_of(self.lines, place)
        notes.append(Mistake(key=key, seen=text, expected=expected, remedy=remedy, line=line))


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence of ours, shown as it is."""

    text: str


def check_across(file: SettingsFile, environ: Mapping[str, str], findings: Findings) -> None:
    """Run every check that needs more than one key, or more than its type."""
    _check_addresses(file, findings)
    _check_waits(file, findings)
    _check_providers(file, environ, findings)
    _check_models(file, findings)
    _check_baseline(file, findings)
    _check_namespaces(file, findings)
    _check_audits(file, findings)
    _check_calibrated(file, findings)
    _check_masks(("cache", "system_prompt_masks"), file.cache.system_prompt_masks, findings)


def parse_address(text: str) -> tuple[str, int] | None:
    """Split ``host:port``; None when it is none."""
    found = _ADDRESS.fullmatch(text)
    if found is None or int(found["port"]) > 65_535:
        return None
    return found["host"].strip("[]"), int(found["port"])


def _check_addresses(file: SettingsFile, findings: Findings) -> None:
    service = file.service
    grpc_at, http_at = ("service", "listen"), ("http", "listen")
    tls, risk = file.tls, _IF_KEYED if file.auth.keys else _IF_OPEN
    if tls.is_on and (file.auth.keys or tls.wants_clients):
        risk = ""
    _check_listen(grpc_at, service.listen, "127.0.0.1:50051", findings, risk)
    if file.http.listen:
        _check_listen(http_at, file.http.listen, "127.0.0.1:50080", findings, risk)
    metrics_at = ("service", "metrics_listen")
    if service.metrics_listen:
        is_guarded = bool(file.auth.keys) or tls.wants_clients
        risk = "" if is_guarded else _IF_SHOWN
        _check_listen(metrics_at, service.metrics_listen, "127.0.0.1:9464", findings, risk)
    taken: dict[object, Place] = {}
    listens = (grpc_at, service.listen), (http_at, file.http.listen)
    for place, listen in (*listens, (metrics_at, service.metrics_listen)):
        address = parse_address(listen)
        is_free = not listen or (address is not None and address[1] == 0)
        first = None if is_free else taken.setdefault(address or listen, place)
        if first not in (None, place):
            findings.mistake(
                place, listen, f"another port than {shown_path(first)}", "take a free port"
            )


def _check_listen(
    place: Place, listen: str, example: str, findings: Findings, if_reachable: str
) -> None:
    address = parse_address(listen)
    is_unix = listen.startswith("unix:")
    if is_unix and not listen.removeprefix("unix:").startswith("/"):
        findings.mistake(place, listen, "unix:/absolute/path", "give the whole path")
    elif is_unix and len(listen.removeprefix("unix:").encode()) > _MAX_SOCKET_BYTES:
        findings.mistake(
            place,
            listen,
            f"a path of at most {_MAX_SOCKET_BYTES} bytes, as systems take no longer one",
            "put the socket into a folder of a shorter name",
        )
    elif not is_unix and address is None:
        findings.mistake(
            place,
            listen,
            "host:port (port 0 to 65535) or unix:/path",
            f"for instance {example}",
        )
    elif address is not None and if_reachable and not _is_local(address[0]):
        findings.warn(
            place,
            listen,
            "an address of this machine alone",
            if_reachable,
        )


def _is_local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_waits(file: SettingsFile, findings: Findings) -> None:
    routing, limits = file.routing, file.limits
    pairs = (
        (("routing", "connect_s"), routing.connect_s, "routing.total_s", routing.total_s),
        (("routing", "first_token_s"), routing.first_token_s, "routing.total_s", routing.total_s),
        (
            ("routing", "between_tokens_s"),
            routing.between_tokens_s,
            "routing.first_token_s",
            routing.first_token_s,
        ),
        (
            ("routing", "circuit_open_s"),
            routing.circuit_open_s,
            "routing.circuit_max_open_s",
            routing.circuit_max_open_s,
        ),
        (
            ("routing", "backoff_s"),
            routing.backoff_s,
            "routing.max_backoff_s",
            routing.max_backoff_s,
        ),
        (
            ("limits", "max_prompt_bytes"),
            limits.max_prompt_bytes,
            "limits.max_message_bytes",
            limits.max_message_bytes,
        ),
    )
    for place, value, other, bound in pairs:
        is_default = place[-1] == "between_tokens_s" and place[-1] not in routing.model_fields_set
        if value > bound and not is_default:
            findings.mistake(
                place, value, f"at most {other} = {bound}", f"lower it, or raise {other}"
            )


def _check_providers(file: SettingsFile, environ: Mapping[str, str], findings: Findings) -> None:
    used = {model.provider for model in file.models.values()}
    for name, provider in file.providers.items():
        place: Place = ("providers", name)
        check_name(place, name, findings)
        _check_url(place, provider, findings)
        _check_keys(place, provider, name in used, environ, findings)
        if name not in used:
            findings.warn(
                place, Said("no model of it"), "a model that uses it", "add one or drop it"
            )


def _check_url(place: Place, provider: ProviderTable, findings: Findings) -> None:
    url = (*place, "base_url")
    if provider.kind == "scripted":
        if provider.base_url:
            findings.mistake(url, provider.base_url, "none for kind scripted", "remove it")
        return
    if provider.kind == "litellm":
        if find_spec("litellm") is None:
            findings.mistake(
                (*place, "kind"), "litellm", "a library that is installed", _INSTALL_LITELLM
            )
        if not provider.base_url:
            return
    try:
        parts = urlsplit(provider.base_url)
        is_fine = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_fine = False
    if not is_fine or parts.query or parts.fragment:
        seen = Said(HIDDEN) if "?" in provider.base_url else provider.base_url
        findings.mistake(
            url, seen, "http(s)://host[:port][/path]", "for instance https://api.openai.com/v1"
        )
    elif parts.scheme == "http" and _sends_key(provider) and not _is_local(parts.hostname or ""):
        findings.warn(
            url,
            provider.base_url,
            "https, as a key is sent there",
            "write https:// if it speaks it",
        )


def _sends_key(provider: ProviderTable) -> bool:
    return bool(provider.api_key_env or provider.api_key_envs)


def _check_keys(
    place: Place,
    provider: ProviderTable,
    is_used: bool,
    environ: Mapping[str, str],
    findings: Findings,
) -> None:
    if provider.api_key_env and provider.api_key_envs:
        findings.mistake(
            (*place, "api_key_env"),
            Said("both api_key_env and api_key_envs"),
            "one of the two",
            "name every variable in api_key_envs, each with its weight",
        )
    elif provider.api_key_envs:
        for variable in provider.api_key_envs:
            _check_key((*place, "api_key_envs"), variable, is_used, environ, findings)
    elif provider.api_key_env:
        _check_key((*place, "api_key_env"), provider.api_key_env, is_used, environ, findings)


def _check_key(
    key_place: Place,
    variable: str,
    is_used: bool,
    environ: Mapping[str, str],
    findings: Findings,
) -> None:
    if not _VARIABLE.fullmatch(variable) or _is_key_like(variable):
        findings.mistake(
            key_place,
            Said(HIDDEN),
            "the name of an environment variable, never the key itself",
            'for instance api_key_env = "OPENAI_API_KEY"; a key that stood here is best revoked',
        )
        return
    value = environ.get(variable, "").strip()
    if not value and is_used:
        findings.warn(
            key_place,
            Said(f"{variable} is not set"),
            "a key in that environment variable",
            "the advisor works without it; calls through the gateway to this provider will fail",
        )
    elif not (value.isascii() and (value.isprintable() or not value)):
        findings.mistake(
            key_place,
            Said(f"{variable} holds characters that no HTTP header may carry"),
            "a key of printable ASCII characters",
            "set the variable again, without quotes and line breaks",
        )


def _is_key_like(variable: str) -> bool:
    """Tell a pasted key from a variable's name: long, with digits and small letters mixed."""
    has_digit = any(character.isdigit() for character in variable)
    return len(variable) >= 20 and has_digit and variable != variable.upper()


def check_name(place: Place, name: str, findings: Findings) -> None:
    """Check what the operator calls something."""
    if not name.strip() or len(name) > MAX_NAME_CHARS or not name.isprintable():
        findings.mistake(
            place, name, f"a name of 1 to {MAX_NAME_CHARS} printable characters", "rename it"
        )


def _check_models(file: SettingsFile, findings: Findings) -> None:
    for name, model in file.models.items():
        place: Place = ("models", name)
        check_name(place, name, findings)
        if model.provider not in file.providers:
            findings.mistake(
                (*place, "provider"),
                model.provider,
                "a provider of this file",
                did_you_mean(model.provider, {*file.providers, "openai"}),
            )


def _check_baseline(file: SettingsFile, findings: Findings) -> None:
    routing = file.routing
    if not routing.baseline:
        findings.mistake(
            ("routing", "baseline"),
            Said("nothing"),
            "the model all traffic would go to without scrimp",
            "add baseline = ... under [routing]; " + did_you_mean("", file.models),
        )
    else:
        _check_model_names(("routing", "baseline"), [routing.baseline], file, findings)
    if routing.fallback_model:
        place = ("routing", "fallback_model")
        _check_model_names(place, [routing.fallback_model], file, findings)


def _check_model_names(
    place: Place, names: Iterable[str], file: SettingsFile, findings: Findings
) -> None:
    is_array = place[-1] == "allowed_models"
    for index, name in enumerate(names):
        if name not in file.models:
            findings.mistake(
                (*place, index) if is_array else place,
                name,
                "a model of this file",
                did_you_mean(name, file.models),
            )


def _check_namespaces(file: SettingsFile, findings: Findings) -> None:
    named = file.namespaces.named
    if file.namespaces.closed and not named:
        findings.mistake(
            ("namespaces", "closed"),
            True,
            "at least one [namespaces.NAME] in a closed set",
            "name the namespaces, or write closed = false",
        )
    for name, table in named.items():
        place: Place = ("namespaces", name)
        check_name(place, name, findings)
        allowed = table.allowed_models
        if allowed is not None:
            _check_model_names((*place, "allowed_models"), allowed, file, findings)
            if not allowed:
                findings.mistake(
                    (*place, "allowed_models"),
                    allowed,
                    "at least one model",
                    "leave the key out to allow all",
                )
        if table.pinned_model:
            pinned_place = (*place, "pinned_model")
            _check_model_names(pinned_place, [table.pinned_model], file, findings)
            if allowed and table.pinned_model not in allowed:
                findings.mistake(
                    pinned_place,
                    table.pinned_model,
                    "one of its allowed_models",
                    "add it there, or leave allowed_models out",
                )
        masks_place = (*place, "system_prompt_masks")
        _check_masks(masks_place, table.system_prompt_masks or (), findings)


def _check_audits(file: SettingsFile, findings: Findings) -> None:
    """Warn where audits are asked for and no money is given."""
    if file.audits.budget_usd_per_day > 0:
        return
    shares: dict[Place, float] = {("audits", "share"): file.audits.share}
    for name, table in file.namespaces.named.items():
        shares["namespaces", name, "audit_share"] = table.audit_share or 0.0
    for place, share in shares.items():
        if share > 0:
            findings.warn(
                place,
                share,
                "0, as audits.budget_usd_per_day is 0",
                "raise the budget: without one no hit is audited",
            )


def _check_calibrated(file: SettingsFile, findings: Findings) -> None:
    """Warn where figures were measured under another target, or on models that have left."""
    routing = file.routing
    stated: list[tuple[Place, CalibratedTable | None, float]] = [
        (("routing", "calibrated"), routing.calibrated, routing.quality_target)
    ]
    for name, table in file.namespaces.named.items():
        target = routing.quality_target if table.quality_target is None else table.quality_target
        stated.append((("namespaces", name, "calibrated"), table.calibrated, target))
    for place, found, target in stated:
        if found is None:
            continue
        if found.quality_target != target:
            findings.warn(
                (*place, "quality_target"),
                found.quality_target,
                f"the quality_target in force, {target:g}",
                "run scrimp calibrate again: these figures are not compared with the traffic",
            )
        gone = sorted({*found.chosen, *found.adequate} - {*file.models})
        if gone:
            findings.warn(
                (*place, "chosen"),
                Said(f"figures of {', '.join(gone)}"),
                "models of this file",
                "run scrimp calibrate again",
            )


def _check_masks(place: Place, masks: Iterable[str], findings: Findings) -> None:
    for index, mask in enumerate(masks):
        at = (*place, index)
        try:
            compiled = re.compile(mask) if len(mask) <= _MAX_MASK_CHARS else None
        except (re.error, OverflowError, RecursionError) as error:
            findings.mistake(
                at, mask, f"a Python regular expression ({error})", "use single quotes: 'a\\d+'"
            )
            continue
        if compiled is None:
            findings.mistake(at, mask, f"at most {_MAX_MASK_CHARS} characters", "split it")
        elif compiled.search("") is not None:
            findings.mistake(
                at, mask, "an expression that does not match the empty text", "use + instead of *"
            )
