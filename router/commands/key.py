"""``scrimp key``: a fresh key for a caller, and the lines that let it in."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from hashlib import sha256
from secrets import token_urlsafe

from router.settings import Role
from router.settings.values import EVERY_NAMESPACE

_PREFIX = "sk-scrimp-"  # scanners for leaked secrets know keys by such beginnings
_RANDOM_BYTES = 32


def fresh_key(
    name: str, namespaces: Sequence[str], *, roles: Sequence[Role] = ("call",), user: str = ""
) -> tuple[str, list[str]]:
    """Return a new key, which is kept nowhere, and its lines of the settings file."""
    key = _PREFIX + token_urlsafe(_RANDOM_BYTES)
    return key, [
        "[[auth.keys]]",
        f"name = {_toml(name)}",
        f'sha256 = "{sha256(key.encode()).hexdigest()}"',
        f"namespaces = {_toml(list(namespaces))}",
        f"roles = {_toml(list(roles))}",
        *([f"user = {_toml(user)}"] if user else []),
    ]


def _toml(value: str | Sequence[str]) -> str:
    """Write texts as TOML, which escapes what is printable as JSON does."""
    return json.dumps(value, ensure_ascii=False)


def key(
    name: str,
    namespaces: Sequence[str],
    *,
    is_admin: bool = False,
    is_for_metrics: bool = False,
    user: str = "",
) -> int:
    """Print the lines, and apart from them the key, so that ``>> scrimp.toml`` adds the lines only.

    A key for the metrics page does nothing else, and speaks for all namespaces, as the page does.

    Returns:
        The exit status.
    """
    if is_for_metrics and (is_admin or user or namespaces):
        print("scrimp key: --metrics goes alone: such a key reads the page only", file=sys.stderr)
        return 2
    if is_admin and user:
        print("scrimp key: --admin governs all users: leave --user out", file=sys.stderr)
        return 2
    if is_for_metrics:
        fresh, lines = fresh_key(name, [EVERY_NAMESPACE], roles=["metrics"])
    else:
        roles: list[Role] = ["call", "admin"] if is_admin else ["call"]
        fresh, lines = fresh_key(name, namespaces or ["default"], roles=roles, user=user)
    print(f"the key, shown this once: {fresh}", file=sys.stderr)
    print("\n".join(["", *lines]))
    return 0
