"""With keys configured, over both faces: who comes in, for which namespace, and as whom."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import aiohttp
import anthropic as anthropic_sdk
import grpc
import openai as openai_sdk
import pytest
import pytest_asyncio
from anthropic import AsyncAnthropic
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from openai import AsyncOpenAI
from service.harness import EXACT, MISS, Service, refused, report, serving

from router.faces.grpc_server import _MODULES
from router.faces.http.openapi import description
from router.ledger.tickets import TOKEN_BYTES
from scrimp.client import Client, text_message
from scrimp.v1 import admin_pb2, feedback_pb2, savings_pb2

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROMPT = "How do volcanoes form under the sea?"
ASKED: Any = [{"role": "user", "content": PROMPT}]
BODY = {"model": "auto", "messages": ASKED}

ACME, BETA, BOTH, OPERATOR, ADA, PAGE = (
    f"sk-scrimp-of-{name}" for name in ("acme", "beta", "both", "ops", "ada", "page")
)
NEITHER = "sk-scrimp-of-nobody"
KEYS = {
    ACME: ("acme-app", ["acme"], ["call"]),
    BETA: ("beta-app", ["beta"], ["call", "admin"]),
    BOTH: ("both-app", ["acme", "beta"], ["call"]),
    OPERATOR: ("operator", ["*"], ["call", "admin"]),
}
TABLES = "".join(
    f"""
[[auth.keys]]
name = "{name}"
sha256 = "{sha256(key.encode()).hexdigest()}"
namespaces = {namespaces}
roles = {roles}
"""
    for key, (name, namespaces, roles) in KEYS.items()
)
TABLES += f"""
[[auth.keys]]
name = "ada-app"
sha256 = "{sha256(ADA.encode()).hexdigest()}"
namespaces = ["acme"]
user = "ada"

[[auth.keys]]
name = "page"
sha256 = "{sha256(PAGE.encode()).hexdigest()}"
namespaces = ["*"]
roles = ["metrics"]
"""

UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED
DENIED = grpc.StatusCode.PERMISSION_DENIED
INVALID = grpc.StatusCode.INVALID_ARGUMENT


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def guarded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    """A service that wants keys."""
    folder = tmp_path_factory.mktemp("keys") / "data"
    overrides = {"service.metrics_listen": "127.0.0.1:0"}
    async with serving(folder, more=TABLES, overrides=overrides) as running:
        yield running


def client_of(service: Service, key: str, namespace: str = "", caller: str = "") -> Client:
    address = service.running.address
    return Client(address, api_key=key, namespace=namespace, caller=caller, timeout_s=20)


def openai_of(service: Service, key: str, **headers: str) -> AsyncOpenAI:
    words = {f"x-scrimp-{word.replace('_', '-')}": value for word, value in headers.items()}
    return AsyncOpenAI(
        base_url=service.url, api_key=key, max_retries=0, timeout=20, default_headers=words
    )


def every_method() -> list[tuple[str, type[Message], bool]]:
    return [
        (
            f"/{service.full_name}/{method.name}",
            method.input_type._concrete_class,
            method.server_streaming,
        )
        for module in _MODULES
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    ]


@pytest.mark.parametrize("key", ["", NEITHER])
@pytest.mark.parametrize(
    ("path", "request_class", "is_streamed"), every_method(), ids=lambda value: str(value)[-20:]
)
async def test_no_method_answers_without_a_known_key(
    guarded: Service, path: str, request_class: type[Message], is_streamed: bool, key: str
) -> None:
    """Those of the contract, whichever will be there; the sentence repeats no key."""
    async with client_of(guarded, key) as client:
        kind = client.channel.unary_stream if is_streamed else client.channel.unary_unary
        method: Any = kind(path, request_class.SerializeToString, bytes)
        with refused(UNAUTHENTICATED, "key"):
            call = method(request_class(), metadata=client.metadata, timeout=20)
            _ = [one async for one in call] if is_streamed else await call


async def test_health_is_for_everyone_and_reflection_for_any_key(guarded: Service) -> None:
    """What probes the service needs no key; what tells of it does."""
    ask = reflection_pb2.ServerReflectionRequest(list_services="")
    async with client_of(guarded, "") as client:
        health = health_pb2_grpc.HealthStub(client.channel)
        reflection = reflection_pb2_grpc.ServerReflectionStub(client.channel)

        healthy = await health.Check(health_pb2.HealthCheckRequest())
        with refused(UNAUTHENTICATED):
            _ = [one async for one in reflection.ServerReflectionInfo(iter([ask]))]
        authorization = (("authorization", f"Bearer {ACME}"),)
        told = [
            one
            async for one in reflection.ServerReflectionInfo(iter([ask]), metadata=authorization)
        ]

    assert healthy.status == health_pb2.HealthCheckResponse.SERVING
    assert any("Gateway" in one.name for one in told[0].list_services_response.service)


async def test_a_namespace_is_the_keys_or_refused(guarded: Service) -> None:
    """Over gRPC: its own, named or not; another's never, for whatever method."""
    async with client_of(guarded, ACME) as client:
        done = await client.complete("Which namespaces are there?")
        again = await client.complete(
            client.request("Which namespaces are there?", namespace="acme")
        )
        elsewhere = client.request(PROMPT, namespace="beta")
        with refused(DENIED, "'beta'", "acme"):
            await client.complete(elsewhere)
        with refused(DENIED, "'beta'"):
            _ = [event async for event in client.stream(elsewhere)]
        with refused(DENIED, "'beta'"):
            await client.look_up(elsewhere)
        with refused(DENIED, "'beta'"):
            await report(client, "beta")
        with refused(DENIED, "role admin"):
            await client.set_mode(admin_pb2.MODE_OFF, "acme")
        with refused(DENIED, "role admin"):
            await client.admin.Invalidate(
                admin_pb2.InvalidateRequest(namespace="acme"), metadata=client.metadata
            )

    assert done.report.cache.outcome == MISS
    assert again.report.cache.outcome == EXACT


def naming(request_class: type[Message], namespace: str) -> Message:
    """Return a request that names a namespace, wherever its messages have a place for one."""
    wire = request_class()
    places: list[Any] = [wire]
    places += [getattr(wire, field.name) for field in wire.DESCRIPTOR.fields if _is_one(field)]
    named = [place for place in places if "namespace" in place.DESCRIPTOR.fields_by_name]
    for place in named:
        place.namespace = namespace
    assert named, f"{wire.DESCRIPTOR.full_name} has no namespace: who may send it?"
    if hasattr(wire, "request"):
        wire.request.messages.append(text_message(PROMPT))
    if hasattr(wire, "ticket"):
        wire.ticket = b"t" * TOKEN_BYTES
    if hasattr(wire, "verdict"):
        wire.verdict = feedback_pb2.VERDICT_ADEQUATE
    return wire


def _is_one(field: Any) -> bool:
    return field.message_type is not None and not field.is_repeated


EVERY_POST = [path for path, asked in description()["paths"].items() if "post" in asked]


@pytest.mark.parametrize(
    "namespace", ["acme", "beta", "default", "*", "Acme", "acme,beta", "nobody's"]
)
@pytest.mark.parametrize("key", [ACME, BETA, BOTH])
async def test_no_way_leads_to_a_namespace_that_the_key_does_not_name(
    guarded: Service, key: str, namespace: str
) -> None:
    """Every method of the contract and every address of HTTP, whatever else is wrong with it."""
    is_own = namespace in KEYS[key][1]
    denied: dict[str, bool] = {}
    async with client_of(guarded, key) as client:
        for path, request_class, is_streamed in every_method():
            kind = client.channel.unary_stream if is_streamed else client.channel.unary_unary
            method: Any = kind(path, request_class.SerializeToString, bytes)
            call = method(naming(request_class, namespace), metadata=client.metadata, timeout=20)
            try:
                await (call.read() if is_streamed else call)
                denied[path] = False
            except grpc.aio.AioRpcError as error:
                denied[path] = error.code() is DENIED
            call.cancel()
    bearer, word = {"Authorization": f"Bearer {key}"}, {"x-scrimp-namespace": namespace}
    async with aiohttp.ClientSession(f"http://{guarded.running.http_address}") as http:
        for path in EVERY_POST:
            async with http.post(path, json=BODY, headers=bearer | word) as response:
                denied[path] = response.status == 403
            async with http.post(path, json=BODY | {"metadata": word}, headers=bearer) as response:
                assert response.status == 400  # whosever it is: metadata name no namespace

    needs_admin = {f"/scrimp.v1.Admin/{name}" for name in ("Invalidate", "EraseUser", "SetMode")}
    needs_admin.add("/scrimp/v1/erase")
    for way, is_denied in denied.items():
        lacks_role = way in needs_admin and "admin" not in KEYS[key][2]
        assert is_denied == (lacks_role or not is_own), way


async def test_a_key_for_several_namespaces_is_asked_which(guarded: Service) -> None:
    """No default is made up that it does not name."""
    async with client_of(guarded, BOTH) as client:
        with refused(INVALID, "acme, beta"):
            await client.complete(PROMPT)
        await client.complete(client.request(PROMPT, namespace="beta"))


async def test_an_answer_stays_within_its_namespace(guarded: Service) -> None:
    """One question, two keys: two calls to the model. A key of both sees both, each by its name."""
    prompt = "What did the other tenant ask?"
    async with client_of(guarded, ACME) as acme, client_of(guarded, BETA) as beta:
        first = await acme.complete(prompt)
        other = await beta.complete(prompt)
        found = await beta.look_up(beta.request(prompt))

    assert (first.report.cache.outcome, other.report.cache.outcome) == (MISS, MISS)
    assert found.HasField("hit")
    assert len(guarded.puppet.models(prompt)) == 2


async def test_the_caller_is_the_key_over_grpc(guarded: Service) -> None:
    """Naming another is refused; tickets and feedback are the key's own."""
    async with (
        client_of(guarded, ACME) as acme,
        client_of(guarded, BOTH, "acme") as both,
        client_of(guarded, ACME, caller="both-app") as pretender,
        client_of(guarded, ACME, caller="acme-app") as itself,
    ):
        with refused(DENIED, "acme-app", "leave the caller out"):
            await pretender.complete(PROMPT)
        found = await acme.look_up("Whose ticket is this?")
        with refused(grpc.StatusCode.NOT_FOUND):
            await both.store(found, "an answer")
        done = await acme.complete("Whose answer is this?")
        with refused(grpc.StatusCode.NOT_FOUND):
            await both.report(done.report.response_id, feedback_pb2.VERDICT_ADEQUATE)
        await itself.store(found, "an answer", model="small")
        await itself.report(done.report.response_id, feedback_pb2.VERDICT_ADEQUATE)


async def test_an_admin_governs_its_own_namespaces_only(guarded: Service) -> None:
    """No condition is no wish to remove everything, also where the key has one namespace."""
    prompt = "Is this removed?"
    async with client_of(guarded, BETA) as beta, client_of(guarded, ACME) as acme:
        metadata = beta.metadata
        await beta.complete(prompt)
        await acme.complete(prompt)
        own = (await beta.complete(prompt)).report.cache.entry_id
        foreign = (await acme.complete(prompt)).report.cache.entry_id
        with refused(INVALID, "no condition"):
            await beta.admin.Invalidate(admin_pb2.InvalidateRequest(), metadata=metadata)
        with refused(DENIED, "'acme'"):
            await beta.admin.Invalidate(
                admin_pb2.InvalidateRequest(namespace="acme", entry_ids=[foreign]),
                metadata=metadata,
            )
        with refused(DENIED, "'acme'"):
            await beta.set_mode(admin_pb2.MODE_OFF, "acme")
        done = await beta.admin.Invalidate(
            admin_pb2.InvalidateRequest(entry_ids=[own, foreign]), metadata=metadata
        )
        kept = await acme.complete(prompt)

    assert done.n_entries == 1
    assert kept.report.cache.outcome == EXACT


async def test_savings_are_those_of_the_key(guarded: Service) -> None:
    """Unnamed they are the only namespace's; all of them together are the operator's."""
    async with client_of(guarded, ACME) as acme, client_of(guarded, OPERATOR) as operator:
        await acme.complete("What have I saved?")
        own, named = await report(acme, "", "namespace"), await report(acme, "acme", "namespace")
        everyone = await report(operator, "", "namespace")

    assert [list(group.keys) for group in own.groups] == [["acme"]]
    assert own.totals == named.totals
    assert {one.namespace for one in own.churn} <= {"acme"}
    assert len(everyone.groups) > 1


async def test_openais_client_comes_with_its_api_key(guarded: Service) -> None:
    """Its own errors for no known key and for another's namespace; its own namespace unasked."""
    prompt: Any = [{"role": "user", "content": "What does OpenAI's client send?"}]
    async with (
        openai_of(guarded, ACME) as own,
        openai_of(guarded, NEITHER) as nobody,
        openai_of(guarded, ACME, namespace="beta") as elsewhere,
        openai_of(guarded, ACME, caller="both-app") as pretender,
        openai_of(guarded, BOTH) as undecided,
        client_of(guarded, ACME) as client,
    ):
        await own.chat.completions.create(model="auto", messages=prompt)
        same = await client.complete("What does OpenAI's client send?")
        assert (await own.models.list()).data
        with pytest.raises(openai_sdk.AuthenticationError) as unknown:
            await nobody.chat.completions.create(model="auto", messages=prompt)
        with pytest.raises(openai_sdk.AuthenticationError):
            await nobody.models.list()
        with pytest.raises(openai_sdk.PermissionDeniedError, match="beta"):
            await elsewhere.chat.completions.create(model="auto", messages=prompt)
        with pytest.raises(openai_sdk.PermissionDeniedError, match="beta"):
            await elsewhere.embeddings.create(model="scrimp-encoder", input="text")
        with pytest.raises(openai_sdk.PermissionDeniedError, match="leave the caller out"):
            await pretender.responses.create(model="auto", input="Who?")
        with pytest.raises(openai_sdk.BadRequestError, match="stands in metadata"):
            await own.chat.completions.create(
                model="auto", messages=prompt, metadata={"x-scrimp-namespace": "beta"}
            )
        with pytest.raises(openai_sdk.BadRequestError, match="acme, beta"):
            await undecided.chat.completions.create(model="auto", messages=prompt)

    assert same.report.cache.outcome == EXACT
    assert (unknown.value.type, unknown.value.code) == ("authentication_error", "unauthenticated")
    assert unknown.value.response.headers["WWW-Authenticate"] == "Bearer"


async def test_anthropics_client_comes_with_its_api_key(guarded: Service) -> None:
    """As ``x-api-key``, or as a bearer's token; errors in its own shape."""

    def connected(**credentials: str) -> AsyncAnthropic:
        base_url = guarded.url.removesuffix("/v1")
        return AsyncAnthropic(base_url=base_url, max_retries=0, timeout=20, **credentials)  # type: ignore[arg-type]

    asked: Any = {"model": "auto", "max_tokens": 100, "messages": ASKED}
    async with (
        connected(api_key=ACME) as by_key,
        connected(auth_token=ACME) as by_token,
        connected(api_key=NEITHER) as nobody,
    ):
        assert (await by_key.messages.create(**asked)).content
        assert (await by_token.messages.create(**asked)).content
        with pytest.raises(anthropic_sdk.AuthenticationError) as unknown:
            await nobody.messages.create(**asked)
        with pytest.raises(anthropic_sdk.PermissionDeniedError) as elsewhere:
            await by_key.messages.create(**asked, extra_headers={"x-scrimp-namespace": "beta"})

    errors = [error.value.body["error"]["type"] for error in (unknown, elsewhere)]  # type: ignore[index]
    assert errors == ["authentication_error", "permission_error"]


async def test_a_key_bound_to_a_user_speaks_for_no_other_over_grpc(guarded: Service) -> None:
    """Named or not its requests are that user's, and so are the savings it sees."""
    async with client_of(guarded, ADA) as ada, client_of(guarded, ACME) as anyone:
        await ada.complete("Whose request is this?")
        await ada.complete(ada.request("And whose is this?", user="ada"))
        await anyone.complete(anyone.request("And this one of Bob's?", user="bob"))
        bobs = ada.request("May I be Bob?", user="bob")
        with refused(DENIED, "'ada'", "leave the user out"):
            await ada.complete(bobs)
        with refused(DENIED, "'ada'"):
            _ = [event async for event in ada.stream(bobs)]
        with refused(DENIED, "'ada'"):
            await ada.look_up(bobs)
        own = await report(ada, "acme", "user")
        all_of_them = await report(anyone, "acme", "user")
        with refused(DENIED, "'ada'"):
            await ada.savings.GetSavings(
                savings_pb2.GetSavingsRequest(filter=savings_pb2.SavingsFilter(user="bob")),
                metadata=ada.metadata,
            )

    assert [list(group.keys) for group in own.groups] == [["ada"]]
    assert own.totals.n_requests == 2
    assert {"ada", "bob"} <= {group.keys[0] for group in all_of_them.groups}


async def test_a_key_bound_to_a_user_speaks_for_no_other_over_http(guarded: Service) -> None:
    """By header, by metadata, and by the field that each API has for it."""
    bob = {"x-scrimp-user": "bob"}
    ways: list[tuple[str, dict[str, Any], dict[str, str]]] = [
        ("/v1/chat/completions", BODY, bob),
        ("/v1/chat/completions", BODY | {"metadata": bob}, {}),
        ("/v1/chat/completions", BODY | {"user": "bob"}, {}),
        ("/v1/responses", {"model": "auto", "input": PROMPT, "user": "bob"}, {}),
        ("/v1/messages", BODY | {"max_tokens": 9, "metadata": {"user_id": "bob"}}, {}),
        ("/v1/embeddings", {"model": "scrimp-encoder", "input": "text", "user": "bob"}, {}),
    ]
    statuses: dict[str, list[int]] = {"bob": [], "ada": []}
    async with aiohttp.ClientSession(f"http://{guarded.running.http_address}") as http:
        for path, body, headers in ways:
            for user, seen in statuses.items():
                named = json.loads(json.dumps([body, headers]).replace("bob", user))
                bearer = {"Authorization": f"Bearer {ADA}"}
                async with http.post(path, json=named[0], headers=bearer | named[1]) as response:
                    seen.append(response.status)
        foreign = BODY | {"metadata": {"user_id": "of the app's own making"}}
        async with http.post(ways[0][0], json=foreign, headers=bearer) as response:
            assert response.status == 200  # no user of ours: OpenAI's metadata are anything

    assert statuses == {"bob": [403] * len(ways), "ada": [200] * len(ways)}


async def test_answers_of_a_user_stay_with_the_key_bound_to_it(tmp_path: Path) -> None:
    """Where answers are shared within a user only, whoever has no such key gets none of them."""
    shared = TABLES + '[namespaces.acme]\nshare = "user"\n'
    prompt = "What is in my contract?"
    async with (
        serving(tmp_path / "data", more=shared) as service,
        client_of(service, ADA) as ada,
        client_of(service, BOTH, "acme") as other,
    ):
        await ada.complete(prompt)
        again = await ada.complete(prompt)
        bobs = await other.complete(other.request(prompt, user="bob"))

    assert again.report.cache.outcome == EXACT
    assert bobs.report.cache.outcome == MISS


async def test_the_metrics_page_wants_a_key_that_may_read_it(guarded: Service) -> None:
    """One for that page, or an operator's of all namespaces; such a key does nothing else."""
    statuses = {}
    async with aiohttp.ClientSession(f"http://{guarded.running.metrics_address}") as http:
        for key in ("", NEITHER, ACME, BETA, ADA, OPERATOR, PAGE):
            headers = {"Authorization": f"Bearer {key}"} if key else {}
            async with http.get("/metrics", headers=headers) as response:
                statuses[key] = response.status
                page = await response.text()
    async with client_of(guarded, PAGE) as client:
        with refused(DENIED, "role call"):
            await client.complete(PROMPT)
        with refused(DENIED, "role"):
            await report(client, "")

    expected = {"": 401, NEITHER: 401, ACME: 403, BETA: 403, ADA: 403, OPERATOR: 200, PAGE: 200}
    assert statuses == expected
    assert "scrimp_requests_total" in page


async def test_over_http_health_alone_needs_no_key(guarded: Service) -> None:
    """Not even that an address does not exist is told to strangers, nor is a body read."""
    async with aiohttp.ClientSession(f"http://{guarded.running.http_address}") as http:
        statuses = {}
        for path in ("/health", "/healthz", "/v1/models", "/v1/models/auto", "/nowhere", "/"):
            async with http.get(path) as response:
                statuses[path] = response.status
        async with http.post("/v1/embeddings", data=b"{") as response:
            statuses["/v1/embeddings"] = response.status

    assert [path for path, status in statuses.items() if status == 200] == ["/health", "/healthz"]
    assert set(statuses.values()) == {200, 401}


async def test_a_request_id_is_the_keys_own(guarded: Service) -> None:
    """Two keys of one namespace may use one id: neither is served the other's outcome."""
    async with (
        openai_of(guarded, ACME, request_id="one", namespace="acme") as acme,
        openai_of(guarded, BOTH, request_id="one", namespace="acme") as both,
    ):
        raw = [
            await one.chat.completions.with_raw_response.create(
                model="auto", messages=[{"role": "user", "content": prompt}]
            )
            for one, prompt in ((acme, "First?"), (both, "Second?"), (acme, "First?"))
        ]

    assert [one.headers.get("x-scrimp-replayed") for one in raw] == [None, None, "true"]


async def test_no_key_reaches_the_log(guarded: Service, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever is refused or fails, and however closely one listens."""
    with caplog.at_level(logging.DEBUG):
        async with (
            client_of(guarded, NEITHER) as stranger,
            client_of(guarded, ACME) as acme,
            openai_of(guarded, NEITHER) as http,
        ):
            with refused(UNAUTHENTICATED):
                await stranger.complete(PROMPT)
            await acme.complete(PROMPT)
            with pytest.raises(openai_sdk.AuthenticationError):
                await http.chat.completions.create(model="auto", messages=ASKED)

    ours = [
        record.getMessage()
        for record in caplog.records
        if record.name.startswith(("router", "scrimp", "grpc", "cache"))
    ]
    assert not [line for line in ours if NEITHER in line or ACME in line]
    assert ACME not in repr(guarded.running.app.settings)
