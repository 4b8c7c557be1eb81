"""``scrimp pairs export``: the labelled pairs of texts of a data folder, to train on."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from cache.embedded.vault import PLAIN, Vault
from router.ledger.errors import LedgerError
from router.ledger.labels import labelled_pairs
from router.ledger.types import LabelledPair


def export(folder: Path, to: Path, vault: Vault = PLAIN) -> int:
    """Write every labelled pair as a line of JSON: ``{a, b, duplicate, source}``.

    ``a`` is the stored text, ``b`` what was asked; two sources may say different things of a pair.
    The file holds what people wrote, so it is its owner's alone. No bound on how long texts are
    kept reaches it, and no erasure: ``expires_at`` says until when each pair may be kept, in
    seconds since the epoch.

    Args:
        folder: the data folder; a service may be running on it.
        to: the file, replaced if it is there.
        vault: what the folder is encrypted with; the file is not.

    Returns:
        The exit status: 0, or 1 with a sentence on stderr.
    """
    try:
        pairs = labelled_pairs(folder, vault, now_ms=int(time.time() * 1e3))
        _write(to, pairs)
    except (LedgerError, OSError) as error:
        print(f"scrimp pairs: {error}", file=sys.stderr)
        return 1
    print(f"{len(pairs)} labelled pairs in {to}")
    return 0


def _write(to: Path, pairs: Iterable[LabelledPair]) -> None:
    part = to.with_name(f"{to.name}.part")
    part.unlink(missing_ok=True)
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        for pair in pairs:
            row = {
                "a": pair.stored,
                "b": pair.asked,
                "duplicate": int(pair.is_same),
                "source": pair.source.value,
                "expires_at": pair.expires_at_ms // 1_000,
            }
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    part.replace(to)
