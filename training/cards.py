"""What every artifact says about itself, and the rule that none is replaced by a worse one."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


def created() -> str:
    """Return the day, as in 2026-01-31; ``SOURCE_DATE_EPOCH`` fixes it for repeatable builds."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    zone = datetime.UTC
    now = (
        datetime.datetime.fromtimestamp(int(epoch), zone) if epoch else datetime.datetime.now(zone)
    )
    return now.date().isoformat()


def refuse_to_worsen(
    folder: Path, kind: str, *, new: float, old: float | None, force: bool
) -> None:
    """Stop when the artifact in the folder is better on its own held-out data.

    Args:
        folder: where the new artifact would go.
        kind: ``encoder`` or ``complexity``.
        new: the new artifact's figure of merit, higher is better.
        old: that of the artifact in the folder, None where there is none.
        force: replace it all the same.

    Raises:
        SystemExit: the old one is better, and ``force`` is not given.
    """
    if old is None or new >= old or force:
        return
    raise SystemExit(
        f"the {kind} in {folder} scores {old:.5f} on its held-out data, the new one {new:.5f}; "
        "it stays (give --force to replace it all the same)"
    )


def model_card(*, title: str, paragraphs: Iterable[str], numbers: Mapping[str, Any]) -> str:
    """Return the text of a MODEL_CARD.md; the numbers are those of card.json."""
    body = "\n\n".join(paragraphs)
    figures = json.dumps(numbers, indent=2, ensure_ascii=False)
    return f"# {title}\n\n{body}\n\n## Numbers\n\n```json\n{figures}\n```\n"
