"""What stands behind each model's name in the settings, and since when.

A name is the operator's word: another model of another provider may stand behind it tomorrow. What
was learned of the one, and what it answered, says nothing of the other. So it is kept in the data
folder what stood behind each name, and whatever is older than a change is left out.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from router.settings import ModelSpec

MODELS_FILE: Final = "models.json"
"""Where it stands in a data folder."""

_MAX_NAMES: Final = 10_000
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Known:
    """Attributes: ``of``: see ``identity``; ``since_s``: seconds since the epoch, 0: ever."""

    of: str
    since_s: float


def identity(model: ModelSpec) -> str:
    """Return what a name stands for: a provider of the settings, and its own name of the model."""
    return f"{model.provider}/{model.provider_model}"


class Behind:
    """Knows since when each name stands for what it does. On the event loop, but for ``keep``.

    Args:
        file: where that outlives a restart; one that cannot be read is as none.
        now_s: seconds since the epoch.
    """

    def __init__(self, file: Path, now_s: Callable[[], float]) -> None:
        self._file = file
        self._now_s = now_s
        self._known = _read(file)
        self._is_news = False

    def go_by(self, models: Mapping[str, ModelSpec]) -> list[str]:
        """Go by the models of other settings from now on; return the names that stand for others.

        Names that left the settings are remembered, should they come back as something else.
        """
        changed = []
        for name, model in models.items():
            before, now = self._known.get(name), identity(model)
            if before is not None and before.of == now:
                continue
            if before is not None:
                changed.append(name)
                _log.warning(
                    "model %r is %s from now on, and was %s: what was learned of that, and its "
                    "stored answers, are left out",
                    *(name, now, before.of),
                )
            self._known[name] = _Known(now, 0.0 if before is None else self._now_s())
            self._is_news = True
        while len(self._known) > max(_MAX_NAMES, len(models)):
            del self._known[next(name for name in self._known if name not in models)]
        return changed

    def since_s(self, model: str) -> float:
        """Return since when a name stands for what it does; 0: ever, or nobody knows."""
        known = self._known.get(model)
        return 0.0 if known is None else known.since_s

    def of(self, model: str) -> str:
        """Return what a name stands for; empty for one that is not known."""
        known = self._known.get(model)
        return "" if known is None else known.of

    async def keep(self) -> None:
        """Write it down where it changed; a loss makes the next start take the change for one."""
        if not self._is_news:
            return
        self._is_news = False
        text = json.dumps({name: [one.of, one.since_s] for name, one in self._known.items()})
        try:
            await asyncio.to_thread(_write, self._file, text)
        except OSError:
            _log.exception("%s cannot be written", self._file)


def _read(file: Path) -> dict[str, _Known]:
    try:
        held = json.loads(file.read_text(encoding="utf-8"))
        return {str(name): _Known(str(of), float(since)) for name, (of, since) in held.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError):
        _log.exception("%s cannot be read, so it is not known which models changed", file)
        return {}


def _write(file: Path, text: str) -> None:
    part = file.with_suffix(".part")
    part.touch(mode=0o600)
    part.write_text(text, encoding="utf-8")
    part.replace(file)
