"""TLS for both faces, from files that are read again when they change."""

from __future__ import annotations

import logging
import ssl
from threading import Lock

import grpc

from router.settings import TlsTable
from router.settings.certificates import Certificates, read_certificates

_log = logging.getLogger(__name__)

_Stamp = tuple[tuple[int, int, int], ...]


class Tls:
    """Serves each new connection by the files as they are; open ones stay as they were agreed.

    Files that cannot be used are logged once, and what was read before them stays in use, since a
    certificate and its key are seldom replaced at the same moment.

    Args:
        table: from the settings, with TLS on.

    Raises:
        OSError: the files cannot be used.
    """

    def __init__(self, table: TlsTable) -> None:
        self._table = table
        self._lock = Lock()  # gRPC asks from threads of its own
        self._stamp = self._look()
        self._current = read_certificates(table)

    def current(self) -> Certificates:
        """Return what the files hold, or held when they could last be used."""
        with self._lock:
            stamp = self._look()
            if stamp != self._stamp:
                self._stamp = stamp  # taken before they are read: what changes later is seen later
                try:
                    self._current = read_certificates(self._table)
                    _log.info("the certificates were read again")
                except OSError as error:
                    _log.error("the certificates changed and cannot be used: %s", error)
            return self._current

    def grpc_credentials(self) -> grpc.ServerCredentials:
        """Return credentials that ask again for each connection."""
        return grpc.dynamic_ssl_server_credentials(
            _grpc_form(self.current()),
            lambda: _grpc_form(self.current()),
            require_client_authentication=self._table.wants_clients,
        )

    def context(self) -> ssl.SSLContext:
        """Return a context that gives way to the current one in each handshake."""

        def give_way(handshake: ssl.SSLObject, _name: str | None, _: ssl.SSLContext) -> None:
            handshake.context = self.current().context

        first = read_certificates(self._table).context
        first.sni_callback = give_way  # called without a name as well
        return first

    def _look(self) -> _Stamp:
        """Return what changes when a file does."""
        stamps = []
        for path in (self._table.cert, self._table.key, self._table.client_ca):
            try:
                found = path.stat()
                stamps.append((found.st_ino, found.st_size, found.st_mtime_ns))
            except OSError:
                stamps.append((0, 0, 0))
        return tuple(stamps)


def _grpc_form(files: Certificates) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(files.key, files.cert)], root_certificates=files.client_ca
    )
