"""``scrimp key``: a fresh key for a caller, and the lines that let it in."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from hashlib import sha256
from secrets import token_urlsafe

_PREFIX = "sk-scrimp-"  # scanners for leaked secrets know keys by such beginnings
_RANDOM_BYTES = 32


def fresh_key(
    name: str, namespaces: Sequence[str], *, is_admin: bool = False
) -> tuple[str, list[str]]:
    """Return a new key, which is kept nowhere, and its lines of the settings file."""
    key = _PREFIX + token_urlsafe(_RANDOM_BYTES)
    roles = ["call", "admin"] if is_admin else ["call"]
    return key, [
        "[[auth.keys]]",
        f"name = {_toml(name)}",
        f'sha256 = "{sha256(key.encode()).hexdigest()}"',
        f"namespaces = {_toml(list(namespaces))}",
        f"roles = {_toml(roles)}",
    ]


def _toml(value: str | list[str]) -> str:
    """Write texts as TOML, which escapes what is printable as JSON does."""
    return json.dumps(value, ensure_ascii=False)


def key(name: str, namespaces: Sequence[str], *, is_admin: bool) -> int:
    """Print the lines, and apart from them the key, so that ``>> scrimp.toml`` adds the lines only.

    Returns:
        The exit status.
    """
    fresh, lines = fresh_key(name, namespaces or ["default"], is_admin=is_admin)
    print(f"the key, shown this once: {fresh}", file=sys.stderr)
    print("\n".join(["", *lines]))
    return 0
