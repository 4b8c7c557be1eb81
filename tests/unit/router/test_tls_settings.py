"""``[tls]``: files that are not there or do not fit are told before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme

from router.settings import Settings, SettingsError, load

ENVIRON = {"HOME": "/home/ada", "OPENAI_API_KEY": "sk-test-0123456789abcdef"}
ALL = 'cert = "cert.pem"\nkey = "key.pem"\nclient_ca = "ca.pem"\n'
AUTHORITY = trustme.CA()
OTHER = AUTHORITY.issue_cert("scrimp.local")


def loaded(folder: Path, text: str) -> Settings:
    leaf = AUTHORITY.issue_cert("127.0.0.1")
    leaf.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    leaf.private_key_pem.write_to_path(folder / "key.pem")
    OTHER.private_key_pem.write_to_path(folder / "other.pem")
    AUTHORITY.cert_pem.write_to_path(folder / "ca.pem")
    (folder / "empty.pem").write_text("")
    path = folder / "scrimp.toml"
    path.write_text(text)
    return load(path, ENVIRON)


def test_files_are_taken_from_the_settings_own_folder(tmp_path: Path) -> None:
    """As the data folder is."""
    tls = loaded(tmp_path, f"[tls]\n{ALL}").tls

    assert (tls.cert, tls.client_ca) == (tmp_path / "cert.pem", tmp_path / "ca.pem")
    assert tls.is_on
    assert tls.wants_clients
    assert not loaded(tmp_path, "").tls.is_on


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ('cert = "cert.pem"\n', "tls.key", "set tls.cert and tls.key"),
        ('key = "key.pem"\n', "tls.cert", "set tls.cert and tls.key"),
        ('client_ca = "ca.pem"\n', "tls.cert", "set tls.cert and tls.key"),
        (ALL.replace("cert.pem", "gone.pem"), "tls.cert", "No such file"),
        (ALL.replace("key.pem", "other.pem"), "tls.cert", "do not fit"),
        (ALL.replace("cert.pem", "empty.pem"), "tls.cert", "do not fit"),
        (ALL.replace("ca.pem", "gone.pem"), "tls.client_ca", "No such file"),
        (ALL.replace("ca.pem", "empty.pem"), "tls.client_ca", "holds no certificates"),
        (ALL.replace("ca.pem", "key.pem"), "tls.client_ca", "holds no certificates"),
    ],
)
def test_what_cannot_be_used_is_a_mistake(
    tmp_path: Path, text: str, place: str, words: str
) -> None:
    """With its line, and the key's text nowhere."""
    with pytest.raises(SettingsError) as caught:
        loaded(tmp_path, f"[tls]\n{text}")

    (mistake,) = caught.value.mistakes
    assert mistake.key == place
    assert mistake.line
    assert words in str(mistake)
    assert "PRIVATE" not in str(mistake)


def test_a_port_for_all_with_tls_and_a_lock_is_not_warned_of(tmp_path: Path) -> None:
    """Encrypted, and either keys or certificates are wanted; TLS alone lets everyone in."""
    port = '[service]\nlisten = "0.0.0.0:50051"\n[tls]\n'

    assert loaded(tmp_path, port + ALL).warnings == ()
    (warning,) = loaded(tmp_path, port + ALL.rpartition("client_ca")[0]).warnings
    assert "[[auth.keys]]" in warning.remedy
