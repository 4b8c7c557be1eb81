"""The files of ``[tls]``: read as one, checked at load, and again whenever they change."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from router.settings.cross import Findings, Said
from router.settings.tables import TlsTable


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """What the files held, known to fit together.

    Attributes:
        cert: PEM.
        key: PEM; never shown.
        client_ca: PEM; None: callers need no certificate.
        context: the same for Python's own TLS, 1.2 or later.
    """

    cert: bytes
    key: bytes
    client_ca: bytes | None
    context: ssl.SSLContext

    def __repr__(self) -> str:
        return "Certificates(...)"


def read_certificates(tls: TlsTable) -> Certificates:
    """Read the files.

    Raises:
        OSError: one cannot be read, is no PEM, or they do not belong together; says which.
    """
    cert, key = _read(tls.cert), _read(tls.key)
    client_ca = _read(tls.client_ca) if tls.wants_clients else None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(tls.cert, tls.key, password=lambda: "")
    except (ssl.SSLError, ValueError) as error:
        raise OSError(f"certificate and key do not fit: {_why(error)}") from error
    if client_ca is not None:
        try:
            context.load_verify_locations(cadata=client_ca.decode("ascii", "replace"))
        except (ssl.SSLError, ValueError) as error:
            raise OSError(f"{tls.client_ca} holds no certificates: {_why(error)}") from error
        context.verify_mode = ssl.CERT_REQUIRED
        context.options |= ssl.OP_NO_TICKET  # who comes back is looked at again
        context.num_tickets = 0
    return Certificates(cert=cert, key=key, client_ca=client_ca, context=context)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise OSError(f"{path} cannot be read ({error.strerror})") from error


def _why(error: Exception) -> str:
    """Return why, in words: OpenSSL's own where it has some."""
    return getattr(error, "reason", None) or str(error) or type(error).__name__


def check_tls(tls: TlsTable, findings: Findings) -> None:
    """Check that the files are there and fit together."""
    if tls == TlsTable():
        return
    for name in ("cert", "key"):
        if getattr(tls, name) == Path():
            findings.mistake(
                ("tls", name),
                Said("nothing"),
                "a certificate and its key, in PEM",
                "set tls.cert and tls.key, or leave [tls] out",
            )
            return
    try:
        read_certificates(tls)
    except OSError as error:
        findings.mistake(
            ("tls", "client_ca" if str(tls.client_ca) in str(error) else "cert"),
            Said(str(error)),
            "PEM files: a certificate, its key without a passphrase, and roots in client_ca",
            "check the paths, and that the service may read them",
        )
