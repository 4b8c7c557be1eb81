"""``scrimp encrypt``: rewrite a data folder with the key that the settings name first, or without.

For a first key, for a new one in place of an old one, and for the way back.
"""

from __future__ import annotations

import sys

from cache.embedded.folder import DataFolder
from cache.embedded.resealing import reseal
from cache.embedded.sqlite_entries import SCHEMA as CACHE_SCHEMA
from cache.embedded.sqlite_entries import rehash
from cache.embedded.vault import PLAIN, vault_of
from cache.errors import CacheError
from router.ledger.schema import SCHEMA as LEDGER_SCHEMA
from router.ledger.schema import ledger_path
from router.settings import Settings


def encrypt(settings: Settings, *, is_off: bool) -> int:
    """Rewrite what the data folder holds; no service may run on it. May be called again.

    Args:
        settings: the folder, and the keys: the first one seals, all of them open.
        is_off: nothing is to be encrypted any more.

    Returns:
        The exit status: 0, or 1 with a sentence on stderr.
    """
    folder = settings.service.data_folder
    vault = vault_of(settings.data_keys.reveal())
    if not vault.key_ids:
        print(
            "scrimp encrypt: the settings name no key; set key_env or key_file under [encryption]",
            file=sys.stderr,
        )
        return 1
    target = PLAIN if is_off else vault
    try:
        with DataFolder(folder):
            jobs = (
                (folder / "cache.sqlite", CACHE_SCHEMA, rehash),
                (ledger_path(folder), LEDGER_SCHEMA, None),
            )
            for path, schema, hashes in jobs:
                is_new = reseal(path, schema, vault, target=target, hashes=hashes)
                names = [name.hex() for name in target.key_ids[:1]]
                how = f"with the key {names[0]}" if names else "without a key"
                print(f"{path.name} is {'rewritten' if is_new else 'already'} {how}")
    except CacheError as error:
        print(f"scrimp encrypt: {error}", file=sys.stderr)
        return 1
    return 0
