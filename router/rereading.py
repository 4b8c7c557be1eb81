"""The settings file is read again when it changes, and what holds is put into use.

A file with mistakes changes nothing: they are logged as ``scrimp check`` tells them, and the
settings before it go on. Of a file without any, what can be changed while requests run is; what a
restart needs is named, and stays as it was.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from enum import StrEnum
from typing import Final, Protocol

from router.metrics import Metrics
from router.settings import Settings, SettingsError
from router.settings.changes import LAST_KEY, Changes, changes
from router.types import Mode

_log = logging.getLogger(__name__)
LOOKS_EVERY_S: Final = 1.0


class Reading(StrEnum):
    """What came of a reading."""

    APPLIED = "applied"
    UNCHANGED = "unchanged"
    REFUSED = "refused"


class SettingsState(StrEnum):
    """How the settings in use stand to their file."""

    CURRENT = "current"
    NEEDS_RESTART = "needs restart"
    REFUSED = "refused"


class File(Protocol):
    """Where settings are read; see ``router.settings.source``."""

    def text(self) -> str:
        """Read the file, or raise SettingsError."""

    def parse(self, text: str) -> Settings:
        """Return what a text of the file says, or raise SettingsError."""


class Rereading:
    """Looks at the file every second, and at once when it is asked to.

    A change is taken when the file was the same at two looks in a row: whoever writes it may be in
    the middle of that. Asked, it is taken as it is.

    Args:
        file: where settings are read.
        in_use: the settings in use now.
        switch: puts others into use.
        let_go: called at every look, to let go of what nobody uses any more.
        mode_set: the mode that a namespace was switched to while it ran.
        tell: told how the settings in use stand to the file.
        metrics: the same, for operators.
    """

    def __init__(
        self,
        file: File | None,
        *,
        in_use: Callable[[], Settings],
        switch: Callable[[Settings], Awaitable[None]],
        let_go: Callable[[], Awaitable[None]],
        mode_set: Callable[[str], Mode | None],
        tell: Callable[[SettingsState], None],
        metrics: Metrics,
    ) -> None:
        self._file = file
        self._in_use = in_use
        self._switch = switch
        self._let_go = let_go
        self._mode_set = mode_set
        self._tell = tell
        self._metrics = metrics
        self._asked = asyncio.Event()
        self._read: str | None = None  # what was acted on; the start read it without telling us
        self._seen: str | None = None  # at the look before
        self._refused: str | None = None  # what had mistakes
        self._complaint = ""
        self._show(SettingsState.CURRENT, ())

    def ask(self) -> None:
        """Read the file now, changed or not."""
        self._asked.set()

    async def run(self, every_s: float = LOOKS_EVERY_S) -> None:
        """Look for ever."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), every_s)
            is_asked = self._asked.is_set()
            self._asked.clear()
            try:
                await self.look(is_asked=is_asked)
                await self._let_go()
            except Exception:  # noqa: BLE001  the outermost edge of this task
                _log.exception("the settings could not be read again; those in use go on")
                self._metrics.degraded("settings")

    async def look(self, *, is_asked: bool = False) -> Reading | None:
        """Look at the file once; None: there was nothing to do."""
        if self._file is None:
            if is_asked:
                _log.info("there is no settings file to read again: embedded defaults are in use")
            return None
        error: SettingsError | None = None
        try:
            text = await asyncio.to_thread(self._file.text)
        except SettingsError as unreadable:
            text, error, self._refused = str(unreadable), unreadable, None
        is_settled, self._seen = text == self._seen, text
        if not is_asked and (not is_settled or self._is_known(text, error)):
            return None
        if error is None:
            try:
                settings = await asyncio.to_thread(self._file.parse, text)
            except SettingsError as wrong:
                error, self._refused = wrong, text
        if error is not None:
            return self._refuse(error, is_asked=is_asked)
        is_news = is_asked or self._read is not None
        return await self._take(text, settings, is_news=is_news)

    def _is_known(self, text: str, error: SettingsError | None) -> bool:
        """Tell whether a text was acted on already: in use, or refused and not read ever since."""
        if self._complaint:
            return error is None and text == self._refused
        return text == self._read

    def _refuse(self, error: SettingsError, *, is_asked: bool) -> Reading | None:
        """Say what is wrong; once, though it is looked at again and again."""
        if str(error) == self._complaint and not is_asked:
            return None
        self._complaint = str(error)
        _log.error("the settings changed and are not used; those before them go on. %s", error)
        self._metrics.settings_read(Reading.REFUSED)
        self._show(SettingsState.REFUSED, ())
        return Reading.REFUSED

    async def _take(self, text: str, read: Settings, *, is_news: bool) -> Reading | None:
        before = self._in_use()
        found = changes(before, read)
        if found.applied or found.needs_restart or read.warnings != before.warnings:
            await self._switch(found.settings)
        elif not is_news:
            self._read = text
            return None
        self._read, self._refused, self._complaint = text, None, ""
        reading = Reading.APPLIED if found.applied else Reading.UNCHANGED
        self._metrics.settings_read(reading)
        state = SettingsState.NEEDS_RESTART if found.needs_restart else SettingsState.CURRENT
        self._show(state, found.needs_restart)
        _log.info(
            "the settings were read again: %s",
            f"in use from now on: {', '.join(found.applied)}" if found.applied else "no change",
        )
        if found.needs_restart:
            _log.warning("needs restart: %s", "; ".join(map(_waits, found.needs_restart)))
        for warning in read.warnings:
            if warning not in before.warnings:
                _log.warning("%s", warning)
        self._tell_of_modes(before, found)
        return reading

    def _tell_of_modes(self, before: Settings, found: Changes) -> None:
        """Say where the file changed a mode and one that was set while it ran goes on."""
        for name in {*before.policies, *found.settings.policies}:
            old, new = _mode(before, name), _mode(found.settings, name)
            held = self._mode_set(name)
            if held is not None and old != new:
                _log.warning(
                    "namespace %r: the file says mode %s, and %s goes on, which SetMode set; "
                    "SetMode with MODE_UNSPECIFIED gives way to the file",
                    *(name, new.value, held.value),
                )

    def _show(self, state: SettingsState, needs_restart: tuple[str, ...]) -> None:
        self._tell(state)
        self._metrics.settings_stand(
            is_refused=state is SettingsState.REFUSED, needs_restart=needs_restart
        )


def _mode(settings: Settings, namespace: str) -> Mode:
    return settings.policies.get(namespace, settings.default_policy).mode


def _waits(key: str) -> str:
    if key == LAST_KEY:
        return f"{key} (the last one was taken out: everyone is refused, not let in, until then)"
    return key
