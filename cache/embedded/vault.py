"""Encryption at rest: what stands between a text and the file it is kept in.

A database calls it through three SQL functions, so that statements say which columns are sealed and
the work is done where SQLite's is, off the event loop::

    seal(value, 'table.column', of)        -> BLOB
    seal_text(value, 'table.column', of)   -> the same as TEXT, for columns that take nothing else
    unseal(sealed, 'table.column', of)     -> the value, of its own type

``of`` is what the row belongs to (a partition, a line): it is authenticated along with the column's
name, so that what is sealed for one place can not be read in another. NULL and what is empty pass
as they are. Without keys everything does.

AES-256-GCM with a random nonce of 96 bits; of one key at most some 2**32 values should be sealed
(NIST SP 800-38D, section 8.3): a thousand stores a second for a month. Sealed are a byte for the
type, four that name the key, the nonce, the ciphertext and its tag: 33 bytes more than the value.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import sqlite3
from collections.abc import Sequence
from typing import Final, Protocol

KEY_BYTES: Final = 32
_ID_BYTES: Final = 4
_NONCE_BYTES: Final = 12
_BYTES, _TEXT = b"\x01", b"\x02"
_HEAD_BYTES: Final = 1 + _ID_BYTES + _NONCE_BYTES

Value = str | bytes | None
Owner = str | bytes | int | None


class SealBroken(Exception):
    """A sealed value that no key opens: damaged, moved from elsewhere, or of a key not known."""


class Vault(Protocol):
    """Seals and opens values, and keys the hashes that texts are found by."""

    @property
    def key_ids(self) -> tuple[bytes, ...]:
        """Names of the keys, the one that seals first; none where nothing is sealed."""

    @property
    def hash_keys(self) -> tuple[bytes, ...]:
        """Up to 32 bytes each, in the same order; a single empty one where nothing is sealed."""

    def seal(self, value: Value, where: str, of: Owner) -> Value:
        """Return what is kept of a value."""

    def unseal(self, sealed: Value, where: str, of: Owner) -> Value:
        """Return a value.

        Raises:
            SealBroken: no key opens it there.
        """

    def hide(self, mark: bytes) -> bytes:
        """Return what is kept of a hash: the same bytes for the same hash."""

    def show(self, hidden: bytes) -> bytes:
        """Return a hash.

        Raises:
            SealBroken: no key opens it.
        """


class Plain:
    """Nothing is sealed."""

    key_ids: tuple[bytes, ...] = ()
    hash_keys: tuple[bytes, ...] = (b"",)

    def seal(self, value: Value, where: str, of: Owner) -> Value:
        """Return it as it is."""
        return value

    unseal = seal

    def hide(self, mark: bytes) -> bytes:
        """Return it as it is."""
        return mark

    show = hide

    def __repr__(self) -> str:
        return "Plain()"


class AesVault:
    """Seals with the first of its keys, opens with all of them.

    Args:
        keys: at least one, 32 bytes each.

    Raises:
        ModuleNotFoundError: ``cryptography`` is not installed.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESSIV

        self._invalid = InvalidTag
        self.key_ids = tuple(key_id(key) for key in keys)
        self.hash_keys = tuple(_derived(key, b"hash") for key in keys)
        self._ciphers = {
            name: AESGCM(_derived(key, b"seal"))
            for name, key in zip(self.key_ids, keys, strict=True)
        }
        self._hiders = {
            name: AESSIV(_derived(key, b"hide one") + _derived(key, b"hide two"))
            for name, key in zip(self.key_ids, keys, strict=True)
        }
        self._first = self.key_ids[0]

    def seal(self, value: Value, where: str, of: Owner) -> Value:
        """Seal with the first key."""
        if not value:
            return value
        kind, data = (_TEXT, _utf8(value)) if isinstance(value, str) else (_BYTES, value)
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[self._first].encrypt(nonce, data, _bound(kind, where, of))
        return kind + self._first + nonce + sealed

    def unseal(self, sealed: Value, where: str, of: Owner) -> Value:
        """Open with the key that sealed it."""
        if not sealed:
            return sealed
        try:
            raw = base64.b64decode(sealed) if isinstance(sealed, str) else sealed
            kind, name = raw[:1], raw[1 : 1 + _ID_BYTES]
            nonce, data = raw[1 + _ID_BYTES : _HEAD_BYTES], raw[_HEAD_BYTES:]
            opened = self._ciphers[name].decrypt(nonce, data, _bound(kind, where, of))
        except (KeyError, ValueError, self._invalid) as error:
            raise SealBroken(f"a value of {where} can not be opened") from error
        return opened.decode("utf-8", "surrogatepass") if kind == _TEXT else opened

    def hide(self, mark: bytes) -> bytes:
        """Seal so that equal hashes stay equal: AES-SIV."""
        return self._first + self._hiders[self._first].encrypt(mark, None)

    def show(self, hidden: bytes) -> bytes:
        """Open with the key that hid it."""
        try:
            return self._hiders[hidden[:_ID_BYTES]].decrypt(hidden[_ID_BYTES:], None)
        except (KeyError, ValueError, self._invalid) as error:
            raise SealBroken("a hash can not be opened") from error

    def __repr__(self) -> str:
        return f"AesVault({', '.join(name.hex() for name in self.key_ids)})"

    def __reduce__(self) -> str:
        raise TypeError("a vault is not written anywhere")


PLAIN: Final = Plain()


def vault_of(keys: Sequence[bytes]) -> Vault:
    """Return what seals with these keys, the first of them first; without any, nothing is sealed.

    Raises:
        ModuleNotFoundError: there are keys, and ``cryptography`` is not installed.
    """
    return AesVault(keys) if keys else PLAIN


def key_id(key: bytes) -> bytes:
    """Return the name of a key, four bytes that tell nothing of it."""
    return _derived(key, b"name")[:_ID_BYTES]


def lend(vault: Vault, connection: sqlite3.Connection, *, opens: Vault | None = None) -> None:
    """Let a connection's statements seal and unseal.

    Args:
        vault: seals.
        connection: any.
        opens: unseals instead, where what is there was sealed otherwise.
    """

    def seal_text(value: Value, where: str, of: Owner) -> Value:
        sealed = vault.seal(value, where, of)
        return base64.b64encode(sealed).decode() if isinstance(sealed, bytes) else sealed

    connection.create_function("seal", 3, vault.seal, deterministic=False)
    connection.create_function("seal_text", 3, seal_text, deterministic=False)
    connection.create_function("unseal", 3, (opens or vault).unseal, deterministic=True)


def _derived(key: bytes, purpose: bytes) -> bytes:
    """Return 32 bytes of a key for one purpose; the key is random, so one round is enough."""
    return hmac.digest(key, b"scrimp data " + purpose, hashlib.sha256)


def _bound(kind: bytes, where: str, of: Owner) -> bytes:
    owner = b"" if of is None else of if isinstance(of, bytes) else str(of).encode()
    return kind + where.encode() + b"\0" + owner


def _utf8(value: str) -> bytes:
    return value.encode("utf-8", "surrogatepass")
