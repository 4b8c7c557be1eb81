"""``[retention]`` and ``[encryption]``: how long texts are kept, and the keys that seal them."""

from __future__ import annotations

import base64
import binascii
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from cache.embedded.vault import KEY_BYTES
from router.settings.cross import Findings, Said
from router.settings.fields import Place
from router.settings.mistakes import HIDDEN
from router.settings.tables import EncryptionTable, SettingsFile
from router.settings.values import DataKeys, Settings

FOREVER_S: Final = 100 * 365 * 86_400.0
"""What stands for no bound where a number is wanted."""

_MAX_KEYS: Final = 16
_MAX_FILE_BYTES: Final = 65_536
_HOW_TO: Final = "`openssl rand -base64 32` makes one"
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HEX: Final = re.compile(r"[0-9A-Fa-f]{64}")


def margin_s(text_s: float) -> float:
    """Return how long before its bound a text is deleted, so that the file is rewritten in time."""
    return min(86_400.0, text_s / 10)


def kept_s(text_s: float | None) -> float:
    """Return how long texts are kept until they are deleted."""
    return FOREVER_S if text_s is None else text_s - margin_s(text_s)


@dataclass(frozen=True, slots=True)
class TextBounds:
    """The bounds of all namespaces.

    Attributes:
        text_s: where a namespace has none of its own; None: no bound.
        own: those that have another.
    """

    text_s: int | None
    own: Mapping[str, int | None]

    @classmethod
    def of(cls, settings: Settings) -> TextBounds:
        """Return those of settings."""
        text_s = settings.default_policy.text_s
        bounds = {name: policy.text_s for name, policy in settings.policies.items()}
        return cls(text_s, {name: own for name, own in bounds.items() if own != text_s})

    def __call__(self, namespace: str) -> float:
        """Return for how many seconds texts of a namespace are kept until they are deleted."""
        return kept_s(self.own.get(namespace, self.text_s))

    @property
    def rewrite_every_s(self) -> float | None:
        """How often files are rewritten to hold every bound; None: no bound asks for it."""
        bounds = [text_s for text_s in (self.text_s, *self.own.values()) if text_s is not None]
        return min(map(margin_s, bounds)) / 2 if bounds else None


def check_retention(file: SettingsFile, findings: Findings) -> None:
    """Check the bounds against what lives by a promise of its own."""
    bounds: dict[Place, int] = {}
    if file.retention.text_s is not None:
        bounds["retention", "text_s"] = file.retention.text_s
    for name, table in file.namespaces.named.items():
        if table.text_s is not None:
            bounds["namespaces", name, "text_s"] = table.text_s
    for place, text_s in bounds.items():
        if file.service.ticket_ttl_s > kept_s(text_s):
            findings.mistake(
                place,
                text_s,
                f"more than service.ticket_ttl_s = {file.service.ticket_ttl_s} and a tenth",
                "lower service.ticket_ttl_s: a ticket holds its prompt until it is redeemed",
            )
        ttl_s = _ttl_of(place, file)
        if ttl_s is not None and ttl_s > kept_s(text_s):
            findings.warn(
                place,
                text_s,
                f"more than ttl_s = {ttl_s}, with a tenth or a day on top",
                "lower ttl_s as well: answers leave when their text has to",
            )


def _ttl_of(place: Place, file: SettingsFile) -> int | None:
    """Return the time to live that a bound cuts short, where the file states one."""
    if place[0] == "namespaces":
        own = file.namespaces.named[str(place[1])].ttl_s
        if own is not None:
            return own
    return file.cache.ttl_s if "ttl_s" in file.cache.model_fields_set else None


def read_keys(
    table: EncryptionTable, environ: Mapping[str, str], findings: Findings, data_folder: Path
) -> DataKeys:
    """Return the keys that the data are sealed with; none where the table is empty.

    Mistakes name the place and never show what was found there.
    """
    if table == EncryptionTable():
        return DataKeys(())
    if table.key_env and table.key_file != Path():
        findings.mistake(
            ("encryption", "key_env"),
            Said("both key_env and key_file"),
            "one of the two",
            "leave one out",
        )
        return DataKeys(())
    if find_spec("cryptography") is None:
        findings.mistake(
            ("encryption",),
            Said("keys, and the package cryptography is not installed"),
            "the extra that encrypts",
            "pip install 'scrimp[encryption]'",
        )
    in_variable = bool(table.key_env)
    place = ("encryption", "key_env" if in_variable else "key_file")
    text = _of_variable if in_variable else _of_file
    found = text(table, environ, findings, data_folder)
    return DataKeys(tuple(_keys(found, place, findings))) if found is not None else DataKeys(())


def _of_variable(
    table: EncryptionTable, environ: Mapping[str, str], findings: Findings, _: Path
) -> str | None:
    place = ("encryption", "key_env")
    if not _VARIABLE.fullmatch(table.key_env) or _HEX.fullmatch(table.key_env):
        findings.mistake(
            place,
            Said(HIDDEN),
            "the name of an environment variable, never the key itself",
            'for instance key_env = "SCRIMP_DATA_KEY"; a key that stood here is best replaced',
        )
        return None
    text = environ.get(table.key_env, "")
    if not text.strip():
        findings.mistake(
            place,
            Said(f"{table.key_env} is not set"),
            "a key in that environment variable",
            _HOW_TO,
        )
        return None
    return text


def _of_file(
    table: EncryptionTable, _: Mapping[str, str], findings: Findings, data_folder: Path
) -> str | None:
    place = ("encryption", "key_file")
    path = table.key_file
    try:
        mode = path.stat().st_mode
        with path.open("rb") as file:
            text = file.read(_MAX_FILE_BYTES).decode("ascii", "replace")
    except OSError as error:
        findings.mistake(
            place, Said(f"{path} cannot be read ({error.strerror})"), "a file of keys", _HOW_TO
        )
        return None
    if stat.S_IMODE(mode) & 0o077:
        findings.warn(
            place,
            Said(f"{path} can be read by others (mode {stat.S_IMODE(mode):03o})"),
            "a file for its owner only",
            f"chmod 600 {path}",
        )
    if path.absolute().is_relative_to(data_folder.absolute()):
        findings.warn(
            place,
            Said(f"{path} lies in the data folder"),
            "a key that does not travel with what it locks",
            "keep it elsewhere: whoever copies the folder has the key as well",
        )
    return text


def _keys(text: str, place: Place, findings: Findings) -> Iterator[bytes]:
    """Yield the keys of a text: on lines or between commas; what follows a # is for people."""
    words = [
        word
        for line in text.splitlines()
        for word in line.partition("#")[0].replace(",", " ").split()
    ]
    seen = set()
    for n, word in enumerate(words, 1):
        key = _key(word)
        if key is None or n > _MAX_KEYS or key in seen:
            findings.mistake(
                place,
                Said(f"key {n} is {HIDDEN}"),
                f"up to {_MAX_KEYS} different keys of {KEY_BYTES} random bytes each, in base64 or "
                "hex, the one to write with first",
                _HOW_TO,
            )
            return
        seen.add(key)
        yield key
    if not words:
        findings.mistake(place, Said("no key"), "at least one key", _HOW_TO)


def _key(word: str) -> bytes | None:
    try:
        if _HEX.fullmatch(word):
            return bytes.fromhex(word)
        key = base64.b64decode(word.replace("-", "+").replace("_", "/") + "==", validate=False)
    except (binascii.Error, ValueError):
        return None
    return key if len(key) == KEY_BYTES else None
