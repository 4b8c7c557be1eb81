from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache.embedded.vault import PLAIN, AesVault, SealBroken, Value, key_id

OLD, NEW = b"o" * 32, b"n" * 32
VAULT = AesVault([NEW, OLD])


@given(value=st.one_of(st.none(), st.text(), st.binary()))
def test_what_is_sealed_opens_as_it_was(value: Value) -> None:
    """Text stays text and bytes stay bytes; nothing and what is empty pass."""
    sealed = VAULT.seal(value, "kept.response", b"of")

    assert VAULT.unseal(sealed, "kept.response", b"of") == value
    assert (sealed == value) is not bool(value)


def test_the_same_value_is_never_sealed_the_same() -> None:
    """Who reads the file cannot tell which texts are equal."""
    assert VAULT.seal("hello", "entries.text", b"p") != VAULT.seal("hello", "entries.text", b"p")


@pytest.mark.parametrize(
    ("where", "of"), [("entries.text", b"other"), ("entries.answer", b"mine"), ("entries.text", 1)]
)
def test_what_is_moved_does_not_open(where: str, of: bytes | int) -> None:
    """Another column or another partition: an answer cannot be slipped in elsewhere."""
    sealed = VAULT.seal("hello", "entries.text", b"mine")

    with pytest.raises(SealBroken):
        VAULT.unseal(sealed, where, of)


@pytest.mark.parametrize("at", [0, 2, 10, 30, -1])
def test_what_is_damaged_does_not_open(at: int) -> None:
    """Wherever a bit falls."""
    sealed = bytearray(VAULT.seal(b"hello", "w", b"o") or b"")  # type: ignore[arg-type]
    sealed[at] ^= 1

    with pytest.raises(SealBroken):
        VAULT.unseal(bytes(sealed), "w", b"o")


def test_old_keys_open_and_the_first_one_seals() -> None:
    """So a new key is put in front, and nothing has to be rewritten at once."""
    before = AesVault([OLD])
    sealed, hidden = before.seal("hello", "w", b"o"), before.hide(b"m" * 16)

    assert VAULT.unseal(sealed, "w", b"o") == "hello"
    assert VAULT.show(hidden) == b"m" * 16
    with pytest.raises(SealBroken):
        before.unseal(VAULT.seal("hello", "w", b"o"), "w", b"o")
    with pytest.raises(SealBroken):
        before.show(VAULT.hide(b"m" * 16))


def test_a_hash_is_hidden_the_same_each_time() -> None:
    """So that a pair is kept once."""
    assert VAULT.hide(b"m" * 16) == VAULT.hide(b"m" * 16)
    assert b"m" * 16 not in VAULT.hide(b"m" * 16)
    assert PLAIN.show(PLAIN.hide(b"m" * 16)) == b"m" * 16


def test_keys_are_not_shown() -> None:
    """Neither by repr nor by pickle; a name tells nothing of its key."""
    assert repr(VAULT) == f"AesVault({key_id(NEW).hex()}, {key_id(OLD).hex()})"
    assert key_id(NEW) not in NEW
    with pytest.raises(TypeError):
        pickle.dumps(VAULT)
