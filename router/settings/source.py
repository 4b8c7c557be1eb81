"""Where settings came from, to read them there again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from router.settings.loading import PATH_VARIABLE, parse
from router.settings.mistakes import Mistake, SettingsError
from router.settings.reading import read_text
from router.settings.values import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A settings file, and what is said beside it.

    Attributes:
        path: the file.
        environ: the environment.
        overrides: values by dotted key that win over the file, as the command line states them.
    """

    path: Path
    environ: Mapping[str, str]
    overrides: Mapping[str, object]

    @classmethod
    def find(
        cls, path: Path | None, environ: Mapping[str, str], overrides: Mapping[str, object]
    ) -> Source | None:
        """Return the source that ``load`` would read; None: embedded defaults."""
        stated = path or (Path(environ[PATH_VARIABLE]) if environ.get(PATH_VARIABLE) else None)
        if stated is None:
            return None
        return cls(path=stated, environ=environ, overrides=overrides)

    def text(self) -> str:
        """Read the file.

        Raises:
            SettingsError: it cannot be read, or holds nothing: a file that is being written, or a
                disk that is full, must not make a running service fall back to defaults.
        """
        text = read_text(self.path)
        if not text.strip():
            nothing = Mistake(
                key="",
                seen="an empty file",
                expected="the settings, as the service runs",
                remedy="write them again; to run on defaults, restart it",
            )
            raise SettingsError([nothing], self.path)
        return text

    def parse(self, text: str) -> Settings:
        """Return what a text of the file says.

        Raises:
            SettingsError: carries every mistake.
        """
        return parse(text, self.environ, path=self.path, overrides=self.overrides)
