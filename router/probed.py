"""Labels that ``scrimp probe`` leaves in the data folder for the service, which takes them up.

One file a model, whole or not there; vectors and scores, no texts.
"""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

_PREFIX: Final = "probed-"
_MOST_FILES: Final = 1_000
_MOST_BYTES: Final = 16 << 20

Array = npt.NDArray[Any]
Row = tuple[Array, tuple[float, ...], float]
"""Vector, scores, what the answer was worth."""

_log = logging.getLogger(__name__)


def write_probes(
    folder: Path,
    model: str,
    scorer: str,
    *,
    vectors: Array,
    scores: Array,
    worth: Sequence[float],
    of: str = "",
) -> Path:
    """Leave a model's labels in a data folder, in place of earlier ones.

    Args:
        folder: of the service's data.
        model: its name in the settings.
        scorer: id of what gave the scores.
        vectors: shape (n, dim).
        scores: shape (n, scores).
        worth: of its answers, in [0, 1].
        of: what stands behind the name (see ``behind.identity``); empty: not told.

    Raises:
        OSError: it cannot be written.
    """
    file = folder / f"{_PREFIX}{sha256(model.encode()).hexdigest()[:16]}.npz"
    part = file.with_suffix(".part")
    with part.open("wb") as opened:
        part.chmod(0o600)
        np.savez(
            opened,
            model=np.array(model),
            scorer=np.array(scorer),
            of=np.array(of),
            vectors=vectors.astype(np.float16),
            scores=scores.astype(np.float32),
            worth=np.array(worth, dtype=np.float32),
        )
    part.replace(file)
    return file


def read_probes(
    folder: Path,
    scorer: str,
    known: dict[str, int],
    of_now: Callable[[str], str] = lambda _: "",
) -> dict[str, list[Row]]:
    """Return the labels of files that are new or have changed, by model.

    Args:
        folder: of the service's data.
        scorer: other scorers' labels are left out.
        known: file to when it last changed; brought up to date.
        of_now: what stands behind a model's name; labels of another are left out. Empty: not known.
    """
    found: dict[str, list[Row]] = {}
    for file in sorted(folder.glob(f"{_PREFIX}*.npz"))[:_MOST_FILES]:
        stat = file.stat()
        if known.get(file.name) == stat.st_mtime_ns or stat.st_size > _MOST_BYTES:
            continue
        known[file.name] = stat.st_mtime_ns
        try:
            with np.load(file, allow_pickle=False) as held:
                model, of = str(held["model"]), str(held["of"]) if "of" in held else ""
                is_other = bool(of and of_now(model)) and of != of_now(model)
                if str(held["scorer"]) == scorer and not is_other:
                    vectors = held["vectors"].astype(np.float32)
                    rows = zip(vectors, held["scores"], held["worth"], strict=True)
                    found[model] = [
                        (vector, tuple(scores.tolist()), float(worth))
                        for vector, scores, worth in rows
                    ]
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            _log.exception("%s cannot be read; run scrimp probe again", file)
    return found
