"""TLS over both faces, with certificates made here: trusted, wanted of callers, replaced."""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import grpc
import pytest
import trustme
from service.harness import Service, refused, serving

from scrimp.client import Client

pytestmark = pytest.mark.asyncio(loop_scope="session")

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


def pem(authority: trustme.CA) -> bytes:
    return authority.cert_pem.bytes()


def write(folder: Path, server: trustme.LeafCert, clients: trustme.CA | None = None) -> str:
    """Write the files of a service; return its table."""
    folder.mkdir(exist_ok=True)
    (folder / "cert.pem").write_bytes(b"".join(one.bytes() for one in server.cert_chain_pems))
    (folder / "key.pem").write_bytes(server.private_key_pem.bytes())
    names = ["cert", "key"]
    if clients is not None:
        (folder / "client_ca.pem").write_bytes(pem(clients))
        names.append("client_ca")
    return "\n[tls]\n" + "".join(f'{name} = "{folder / name}.pem"\n' for name in names)


@asynccontextmanager
async def grpc_client(
    service: Service, roots: trustme.CA, own: trustme.LeafCert | None = None
) -> AsyncIterator[Client]:
    chain = key = None
    if own is not None:
        chain = b"".join(one.bytes() for one in own.cert_chain_pems)
        key = own.private_key_pem.bytes()
    credentials = grpc.ssl_channel_credentials(pem(roots), key, chain)
    async with Client(service.running.address, credentials=credentials, timeout_s=20) as client:
        yield client


async def http_status(
    service: Service, roots: trustme.CA, own: trustme.LeafCert | None = None
) -> int:
    """Return what a new connection is answered."""
    context = ssl.create_default_context(cadata=pem(roots).decode())
    if own is not None:
        own.configure_cert(context)
    url = f"https://{service.running.http_address}/v1/models"
    async with aiohttp.ClientSession() as http, http.get(url, ssl=context) as response:
        return response.status


async def test_both_faces_speak_tls_and_nothing_else(tmp_path: Path) -> None:
    """Whoever trusts the certificate is answered; whoever does not, or speaks plainly, is not."""
    ours, other = trustme.CA(), trustme.CA()
    table = write(tmp_path / "tls", ours.issue_cert("127.0.0.1"))

    async with serving(tmp_path / "data", more=table) as service:
        async with grpc_client(service, ours) as client:
            done = await client.complete("Is this encrypted?")
        status = await http_status(service, ours)
        async with grpc_client(service, other) as client:
            with refused(UNAVAILABLE):
                await client.complete("Is this encrypted?")
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await http_status(service, other)
        async with service.client() as plain:
            with refused(UNAVAILABLE):
                await plain.complete("Is this encrypted?")
        with pytest.raises(aiohttp.ClientError):
            async with aiohttp.ClientSession() as http:
                await http.get(f"http://{service.running.http_address}/health")

    assert done.answer.text
    assert status == 200


async def test_callers_come_with_a_certificate_where_it_is_wanted(tmp_path: Path) -> None:
    """One that the named roots vouch for: none, and another's, are refused."""
    ours, clients, other = trustme.CA(), trustme.CA(), trustme.CA()
    table = write(tmp_path / "tls", ours.issue_cert("127.0.0.1"), clients)
    known, stranger = clients.issue_cert("app.local"), other.issue_cert("app.local")

    async with serving(tmp_path / "data", more=table) as service:
        async with grpc_client(service, ours, known) as client:
            assert (await client.complete("Who is this?")).answer.text
        assert await http_status(service, ours, known) == 200
        for nobody in (None, stranger):
            async with grpc_client(service, ours, nobody) as client:
                with refused(UNAVAILABLE):
                    await client.complete("Who is this?")
            with pytest.raises((aiohttp.ClientError, ssl.SSLError)):
                await http_status(service, ours, nobody)


async def test_the_metrics_page_is_encrypted_as_well(tmp_path: Path) -> None:
    """What it tells is not for everyone on the way."""
    ours = trustme.CA()
    table = write(tmp_path / "tls", ours.issue_cert("127.0.0.1"))
    overrides = {"service.metrics_listen": "127.0.0.1:0"}
    context = ssl.create_default_context(cadata=pem(ours).decode())

    async with (
        serving(tmp_path / "data", more=table, overrides=overrides) as service,
        aiohttp.ClientSession() as http,
    ):
        at = f"{service.running.metrics_address}/metrics"
        async with http.get(f"https://{at}", ssl=context) as response:
            assert response.status == 200
        with pytest.raises(aiohttp.ClientError):
            await http.get(f"http://{at}")


async def test_changed_files_serve_the_next_connection(tmp_path: Path) -> None:
    """Certificate, key and the callers' roots are replaced while it runs, on both faces."""
    old, new = trustme.CA(), trustme.CA()
    table = write(tmp_path / "tls", old.issue_cert("127.0.0.1"), old)
    of_old, of_new = old.issue_cert("app.local"), new.issue_cert("app.local")

    async with serving(tmp_path / "data", more=table) as service:
        assert await http_status(service, old, of_old) == 200
        async with grpc_client(service, old, of_old) as before:
            await before.complete("Which certificate?")
            write(tmp_path / "tls", new.issue_cert("127.0.0.1"), new)

            assert await http_status(service, new, of_new) == 200
            async with grpc_client(service, new, of_new) as client:
                assert (await client.complete("Which certificate?")).answer.text
            with pytest.raises((aiohttp.ClientError, ssl.SSLError)):
                await http_status(service, new, of_old)
            async with grpc_client(service, new, of_old) as client:
                with refused(UNAVAILABLE):
                    await client.complete("Which certificate?")
            await before.complete("Is an open connection left alone?")


async def test_files_that_do_not_fit_change_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A certificate whose key is still to come: the old pair serves, and the log says it once."""
    ours = trustme.CA()
    table = write(tmp_path / "tls", ours.issue_cert("127.0.0.1"))

    async with serving(tmp_path / "data", more=table) as service:
        (tmp_path / "tls" / "cert.pem").write_bytes(
            ours.issue_cert("127.0.0.1").cert_chain_pems[0].bytes()
        )
        with caplog.at_level(logging.ERROR, "router.faces.tls"):
            statuses = [await http_status(service, ours) for _ in range(2)]
            async with grpc_client(service, ours) as client:
                assert (await client.complete("Which certificate?")).answer.text

    assert statuses == [200, 200]
    assert [record.name for record in caplog.records] == ["router.faces.tls"]
