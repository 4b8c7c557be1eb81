"""Whether ``[auth]`` lets in whom it means to: names, hashes, namespaces."""

from __future__ import annotations

import re
from typing import Final

from router.settings.cross import Findings, Said, check_name
from router.settings.fields import Place
from router.settings.mistakes import HIDDEN, did_you_mean, shown_path
from router.settings.tables import AccessKeyTable, SettingsFile
from router.settings.values import EVERY_NAMESPACE

_SHA256: Final = re.compile(r"[0-9A-Fa-f]{64}")


def check_access(file: SettingsFile, findings: Findings) -> None:
    """Check every key; a hash is shown by its place only, as it may be the key itself."""
    seen: dict[str, Place] = {}
    users: dict[str, str] = {}
    for n, table in enumerate(file.auth.keys):
        place: Place = ("auth", "keys", n)
        check_name((*place, "name"), table.name, findings)
        _check_hash((*place, "sha256"), table, seen, findings)
        _check_rights(place, table, file, findings)
        _check_metrics(place, table, findings)
        _check_user((*place, "user"), table, users, findings)


def _check_hash(
    place: Place, table: AccessKeyTable, seen: dict[str, Place], findings: Findings
) -> None:
    if not _SHA256.fullmatch(table.sha256):
        findings.mistake(
            place,
            Said(HIDDEN if table.sha256 else "nothing"),
            "the SHA-256 of the key, 64 hex digits, and never the key itself",
            "`scrimp key NAME` prints a fresh key and these lines; a key that stood here is best "
            "replaced",
        )
        return
    first = seen.setdefault(table.sha256.lower(), place)
    if first is not place:
        findings.mistake(
            place,
            Said(f"the hash of {shown_path(first[:-1])} again"),
            "a key of its own for each table",
            "make one with `scrimp key NAME`, or join the two tables",
        )


def _check_rights(
    place: Place, table: AccessKeyTable, file: SettingsFile, findings: Findings
) -> None:
    for word, found in (("namespaces", table.namespaces), ("roles", table.roles)):
        at = shown_path((*place, word))
        if not found and not any(one.key.startswith(at) for one in findings.mistakes):
            findings.mistake(
                (*place, word),
                Said("none"),
                "at least one",
                'for instance namespaces = ["support"], or ["*"] for all'
                if word == "namespaces"
                else 'roles = ["call"], or ["call", "admin"]',
            )
    for n, name in enumerate(table.namespaces):
        at_name: Place = (*place, "namespaces", n)
        check_name(at_name, name, findings)
        known = file.namespaces.named
        if file.namespaces.closed and name not in (EVERY_NAMESPACE, *known):
            findings.mistake(
                at_name,
                name,
                "a namespace of this file, as the set is closed",
                did_you_mean(name, known),
            )


def _check_metrics(place: Place, table: AccessKeyTable, findings: Findings) -> None:
    if "metrics" in table.roles and EVERY_NAMESPACE not in table.namespaces:
        findings.mistake(
            (*place, "roles"),
            Said("metrics, for some namespaces"),
            'namespaces = ["*"], as the metrics page tells of all',
            "give it a key of its own: `scrimp key NAME --metrics` makes one",
        )


def _check_user(
    place: Place, table: AccessKeyTable, users: dict[str, str], findings: Findings
) -> None:
    """Check whom a key is bound to; a successor is, to the same."""
    if table.user:
        check_name(place, table.user, findings)
    if table.user and "admin" in table.roles:
        findings.mistake(
            place,
            table.user,
            "no user where roles has admin, which governs all users of its namespaces",
            "leave one of the two out",
        )
    first = users.setdefault(table.name, table.user)
    if first != table.user:
        findings.mistake(
            place,
            table.user or Said("none"),
            f"the user of the other key named {table.name!r}, {first!r}: what a caller was told is "
            "told to its name",
            "give the key another name",
        )
