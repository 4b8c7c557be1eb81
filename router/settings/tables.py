"""The tables of the settings file: every key, its default and its range, in one place.

The descriptions are what ``scrimp check`` tells of a key; units stand in the names.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from router.types import Mode, Share

Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
WholeSeconds = Annotated[int, Field(ge=0, le=10 * 365 * 86_400)]
Cosine = Annotated[float, Field(ge=-1, le=1)]
Portion = Annotated[float, Field(ge=0, le=1)]
Target = Annotated[float, Field(gt=0, le=1)]
Usd = Annotated[float, Field(ge=0, le=1_000_000)]
UsdPerMtok = Annotated[float, Field(ge=0, le=1_000_000)]
Tokens = Annotated[int, Field(ge=1, le=1_000_000_000)]
Weight = Annotated[float, Field(gt=0, le=1_000_000)]
Capability = Literal["tools", "vision", "json"]
Role = Literal["call", "admin", "metrics"]


class Table(BaseModel):
    """A table of the file: unknown keys, wrong types and NaN are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Service(Table):
    """``[service]``: where it listens, where it keeps its data, how long it waits.

    Attributes:
        listen: ``host:port`` or ``unix:/path`` of the gRPC server; port 0 takes a free one.
        max_connections: of gRPC, open at once; one more is refused.
        metrics_listen: the same as ``listen``, of the Prometheus page; empty: none.
        data_folder: absolute once loaded; a relative one is taken from the file's own folder.
        mode: of every namespace that says nothing else.
        drain_s: seconds running requests get when the service is told to stop.
        ticket_ttl_s: seconds an advisor's ticket may be redeemed.
        request_id_ttl_s: seconds the outcome of a request id is kept.
    """

    listen: str = "127.0.0.1:50051"
    max_connections: Annotated[int, Field(ge=1, le=100_000)] = 1_000
    metrics_listen: str = "127.0.0.1:9464"
    data_folder: Annotated[Path, Field(strict=False)] = Path()
    mode: Annotated[Mode, Field(strict=False)] = Mode.ON
    drain_s: Seconds = 10.0
    ticket_ttl_s: Annotated[int, Field(ge=1, le=7 * 86_400)] = 600
    request_id_ttl_s: Annotated[int, Field(ge=1, le=30 * 86_400)] = 86_400


class HttpTable(Table):
    """``[http]``: the face that OpenAI's and Anthropic's clients speak to.

    What ``[limits]`` says of requests holds here as well.

    Attributes:
        listen: ``host:port`` or ``unix:/path``; port 0 takes a free one; empty: no HTTP.
        named_models: what a request for a model of this file gets. ``pinned``: that model.
            ``routed``: the cheapest adequate one of those that cost no more, with the named one as
            the baseline. ``auto`` and ``scrimp`` are always routed among all.
        max_connections: open at once; one more is refused.
        max_header_bytes: of the first line, and of each header.
        idle_s: seconds a connection may stay open without a request, or without taking any of its
            answer.
        header_s: seconds a request's headers may take to come, from their first byte, or from the
            beginning of the connection.
        body_s: seconds a request's body may take to come.
        timeout_s: for requests that bring no deadline, their streams included.
    """

    listen: str = "127.0.0.1:50080"
    named_models: Literal["pinned", "routed"] = "pinned"
    max_connections: Annotated[int, Field(ge=1, le=100_000)] = 1_000
    max_header_bytes: Annotated[int, Field(ge=1024, le=1 << 20)] = 16_384
    idle_s: Seconds = 75.0
    header_s: Seconds = 10.0
    body_s: Seconds = 30.0
    timeout_s: Seconds = 600.0


class AccessKeyTable(Table):
    """``[[auth.keys]]``: a caller's key. The key itself stands nowhere; ``scrimp key`` makes one.

    Attributes:
        name: who calls with it, to tickets, feedback and request ids; a key and its successor may
            bear one name.
        sha256: of the key, in hex. Without salt, as keys are random and not chosen by people.
        namespaces: those it speaks for; ``*``: all.
        roles: ``call`` asks, stores, gives feedback and sees savings; ``admin`` invalidates, sets
            modes and sees savings, within its namespaces; ``metrics`` reads the metrics page, which
            tells of all namespaces, as does an ``admin`` of all.
        user: of all its requests; another is refused. Empty: each names its own.
    """

    name: str = ""
    sha256: str = ""
    namespaces: list[str] = []
    roles: list[Role] = ["call"]
    user: str = ""


class AuthTable(Table):
    """``[auth]``: who may call. Without keys everyone who reaches the service may.

    Attributes:
        keys: one table each.
    """

    keys: list[AccessKeyTable] = []


class TlsTable(Table):
    """``[tls]``: of gRPC, HTTP and metrics on their ports; Unix sockets go without.

    The files are PEM, absolute once loaded, and read again when they change.

    Attributes:
        cert: the certificate, with those between it and its root; empty: no TLS.
        key: its private key, without a passphrase.
        client_ca: roots of the certificates that callers must come with; empty: they need none.
    """

    cert: Annotated[Path, Field(strict=False)] = Path()
    key: Annotated[Path, Field(strict=False)] = Path()
    client_ca: Annotated[Path, Field(strict=False)] = Path()

    @property
    def is_on(self) -> bool:
        """Whether connections are encrypted."""
        return self.cert != Path()

    @property
    def wants_clients(self) -> bool:
        """Whether callers need a certificate."""
        return self.client_ca != Path()


class RetentionTable(Table):
    """``[retention]``: how long what people wrote, and were answered, is kept.

    Attributes:
        text_s: seconds after which no text of a prompt or an answer, and nothing that a text could
            be guessed from but hashes, is in any file of the data folder; of every namespace that
            says nothing else. None: each kind's own time decides.
    """

    text_s: Annotated[int, Field(ge=3_600, le=10 * 365 * 86_400)] | None = None


class EncryptionTable(Table):
    """``[encryption]``: of texts, answers and vectors at rest; off where neither key is named.

    Keys are 32 random bytes in base64 or hex; of several, on lines or between commas, the first one
    seals and all of them open.

    Attributes:
        key_env: the environment variable that holds them.
        key_file: or the file that does; absolute once loaded.
    """

    key_env: str = ""
    key_file: Annotated[Path, Field(strict=False)] = Path()


class Limits(Table):
    """``[limits]``: what one request, and all of them together, may take.

    Attributes:
        max_message_bytes: of one message on the wire.
        max_prompt_bytes: of all text and parts of one request.
        max_messages: turns of one request.
        max_tools: tools of one request.
        max_tags: tags of one request.
        max_field_chars: of a name: namespace, user, tag, request id and the like.
        max_in_flight: requests at once; one more is refused as overloaded.
        max_waiting_lookups: lookups waiting for the encoder; one more is a degraded miss.
        feedback_per_minute: per caller.
        default_deadline_s: for calls that bring no deadline.
    """

    max_message_bytes: Annotated[int, Field(ge=1024, le=1 << 30)] = 8 << 20
    max_prompt_bytes: Annotated[int, Field(ge=1024, le=1 << 30)] = 4 << 20
    max_messages: Count = 1_000
    max_tools: Count = 128
    max_tags: Count = 32
    max_field_chars: Annotated[int, Field(ge=16, le=65_536)] = 256
    max_in_flight: Count = 1_000
    max_waiting_lookups: Count = 256
    feedback_per_minute: Count = 120
    default_deadline_s: Seconds = 120.0


class CacheTable(Table):
    """``[cache]``: its bounds, and the reuse rules of every namespace that says nothing else.

    Attributes:
        max_entries: stored answers at most.
        max_bytes: of texts and answers together; vectors add up to 1.6 KB an entry.
        hot_bytes: of them kept in memory; the rest is read from disk.
        share: who may receive an answer made for another.
        max_error_rate: accepted share of wrong answers among near-duplicates served; 0: exact
            hits only.
        min_similarity: cosine floor; what is less alike is not judged.
        n_candidates: neighbours judged together.
        ttl_s: seconds an answer may be replayed.
        freshness_s: the same for time-bound texts; 0: never.
        regenerate_s: within it a repeat asks for another answer; 0: it does not.
        system_prompt_masks: regular expressions of volatile spans that the partition key ignores.
    """

    max_entries: Count = 200_000
    max_bytes: Annotated[int, Field(ge=1 << 16, le=1 << 44)] = 2 << 30
    hot_bytes: Annotated[int, Field(ge=0, le=1 << 44)] = 64 << 20
    share: Annotated[Share, Field(strict=False)] = Share.NAMESPACE
    max_error_rate: Annotated[float, Field(ge=0, le=1)] = 0.02
    min_similarity: Cosine = 0.80
    n_candidates: Annotated[int, Field(ge=1, le=64)] = 4
    ttl_s: WholeSeconds = 7 * 86_400
    freshness_s: WholeSeconds = 0
    regenerate_s: WholeSeconds = 120
    system_prompt_masks: list[str] = []


class AuditsTable(Table):
    """``[audits]``: how wrong hits, and misses that need not be, are found while it runs.

    Attributes:
        share: of near-duplicate hits that are also answered by the model that made the entry, and
            compared, in [0, 1]; of every namespace that says nothing else. 0: none.
        twin_share: share of those for which that model is asked twice, to learn how often two
            right answers look different; by the gateway only.
        budget_usd_per_day: for all audits together, by the day in UTC; 0: none is made.
        max_waiting: comparisons waiting; one more is not made.
        shadow_share: of near misses whose answer is compared with the nearest entry's when it comes
            anyway: costs no call; of every namespace that says nothing else.
        route_share: of routed requests for which another model is asked as well, and compared with
            the baseline: what it learns puts P(adequate) right; by the gateway only; of every
            namespace that says nothing else. 0: none.
        keep_pairs_days: how long labelled pairs of texts are kept for training; 0: not at all.
    """

    share: Portion = 0.0
    twin_share: Portion = 0.2
    budget_usd_per_day: Usd = 1.0
    max_waiting: Annotated[int, Field(ge=1, le=100_000)] = 100
    shadow_share: Portion = 0.25
    route_share: Portion = 0.0
    keep_pairs_days: Annotated[int, Field(ge=0, le=3_650)] = 30


class CalibratedTable(Table):
    """``[routing.calibrated]``, ``[namespaces.NAME.calibrated]``: written by ``scrimp calibrate``.

    What the labelled prompts led to that judged the target; the service compares its traffic with
    it.

    Attributes:
        quality_target: under which they were routed; these figures count while it is in force.
        prompts: how many there were.
        chosen: model to prompts that went to it.
        adequate: model to what its answers to those were worth, in prompts.
    """

    quality_target: Target
    prompts: Count
    chosen: dict[str, Annotated[int, Field(ge=0, le=1_000_000_000)]] = {}
    adequate: dict[str, Annotated[float, Field(ge=0, le=1_000_000_000)]] = {}


class RoutingTable(Table):
    """``[routing]``: which models, how sure, how patient.

    Attributes:
        baseline: the model all traffic would go to without scrimp.
        quality_target: of every namespace that says nothing else, in (0, 1].
        max_cost_per_request: USD that nine answers in ten may cost at most, by the lengths of the
            namespace's answers so far, else by ``expected_output_tokens``; None: no limit.
        escalate: look at the answer of a model that is not the strongest of its chain, and ask a
            stronger one where it is empty, cut short, declined or malformed. Such an answer is
            streamed only once it is whole.
        fallback_model: tried last when nothing adequate answers; empty: none.
        max_chain: models tried for one request at most, the fallback model included.
        expected_output_tokens: assumed for the expected cost until a namespace has 20 answers; a
            request's max_tokens is never exceeded.
        connect_s: to connect to a provider.
        first_token_s: from sending to the first byte of a streamed answer.
        between_tokens_s: of silence between two pieces of an answer; no longer than first_token_s.
        total_s: for one upstream call.
        max_attempts: upstream calls for one request, over all models.
        tries_per_model: calls to one model before the next is asked.
        backoff_s: mean pause before the same model is asked again; doubles each time; drawn evenly
            from 0 to twice the mean.
        max_backoff_s: longest pause, and the longest Retry-After that is waited for; also the
            longest wait for a place among a provider's calls.
        retry_share: repeated calls to a provider, per request that goes there; in an outage it gets
            no more than so many on top. Calls to the next model are no repetition.
        retry_burst: repeated calls that may be saved up.
        hedge_after_s: without a sign of an answer a second call is made beside the first, and
            whoever begins first is heard; both cost; None: never.
        circuit_failures: in a row, after which a model is left alone with that key.
        circuit_open_s: for how long; doubles as long as trying it fails. A fault of key or account
            (401, 402, "out of credit") does so at once.
        circuit_max_open_s: at most.
        calibrated: what the quality target led to on labelled prompts; None: not measured.
    """

    baseline: str = ""
    quality_target: Target = 0.95
    max_cost_per_request: Usd | None = None
    escalate: bool = False
    fallback_model: str = ""
    max_chain: Annotated[int, Field(ge=1, le=16)] = 3
    expected_output_tokens: Tokens = 300
    connect_s: Seconds = 5.0
    first_token_s: Seconds = 60.0
    between_tokens_s: Seconds = 30.0
    total_s: Seconds = 600.0
    max_attempts: Annotated[int, Field(ge=1, le=32)] = 5
    tries_per_model: Annotated[int, Field(ge=1, le=8)] = 2
    backoff_s: Seconds = 0.25
    max_backoff_s: Seconds = 5.0
    retry_share: Portion = 0.2
    retry_burst: Annotated[int, Field(ge=0, le=100_000)] = 20
    hedge_after_s: Seconds | None = None
    circuit_failures: Annotated[int, Field(ge=1, le=10_000)] = 5
    circuit_open_s: Seconds = 10.0
    circuit_max_open_s: Seconds = 300.0
    calibrated: CalibratedTable | None = None


class ProviderTable(Table):
    """``[providers.NAME]``; see ``values.Provider``."""

    kind: Literal["openai", "anthropic", "gemini", "litellm", "scripted"] | None = None
    base_url: str = ""
    api_key_env: str | None = None
    api_key_envs: dict[str, Weight] = {}
    prices_from: str = ""
    max_connections: Annotated[int, Field(ge=1, le=10_000)] = 512
    max_waiting: Annotated[int, Field(ge=0, le=100_000)] = 256


class ModelTable(Table):
    """``[models.NAME]``; see ``values.ModelSpec``."""

    provider: str = "openai"
    name: str = ""
    input_usd_per_mtok: UsdPerMtok | None = None
    output_usd_per_mtok: UsdPerMtok | None = None
    cache_read_usd_per_mtok: UsdPerMtok | None = None
    cache_write_usd_per_mtok: UsdPerMtok | None = None
    context_window: Tokens | None = None
    max_output_tokens: Tokens | None = None
    capabilities: list[Capability] | None = None
    ability: Annotated[float, Field(ge=-1_000, le=1_000)] | None = None


class NamespaceTable(Table):
    """``[namespaces.NAME]``: what differs from the tables for all."""

    mode: Annotated[Mode, Field(strict=False)] | None = None
    share: Annotated[Share, Field(strict=False)] | None = None
    max_error_rate: Annotated[float, Field(ge=0, le=1)] | None = None
    min_similarity: Cosine | None = None
    n_candidates: Annotated[int, Field(ge=1, le=64)] | None = None
    ttl_s: WholeSeconds | None = None
    freshness_s: WholeSeconds | None = None
    regenerate_s: WholeSeconds | None = None
    text_s: Annotated[int, Field(ge=3_600, le=10 * 365 * 86_400)] | None = None
    audit_share: Portion | None = None
    shadow_share: Portion | None = None
    route_share: Portion | None = None
    quality_target: Target | None = None
    max_cost_per_request: Usd | None = None
    escalate: bool | None = None
    allowed_models: list[str] | None = None
    pinned_model: str | None = None
    system_prompt_masks: list[str] | None = None
    calibrated: CalibratedTable | None = None


class NamespacesTable(BaseModel):
    """``[namespaces]``: ``closed``, and one table per namespace."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)
    __pydantic_extra__: dict[str, NamespaceTable]

    closed: bool = False

    @property
    def named(self) -> dict[str, NamespaceTable]:
        """The tables by namespace."""
        return self.__pydantic_extra__


class SettingsFile(Table):
    """The whole file."""

    service: Service = Service()
    http: HttpTable = HttpTable()
    auth: AuthTable = AuthTable()
    tls: TlsTable = TlsTable()
    retention: RetentionTable = RetentionTable()
    encryption: EncryptionTable = EncryptionTable()
    limits: Limits = Limits()
    cache: CacheTable = CacheTable()
    audits: AuditsTable = AuditsTable()
    routing: RoutingTable = RoutingTable()
    providers: dict[str, ProviderTable] = {}
    models: dict[str, ModelTable] = {}
    namespaces: NamespacesTable = NamespacesTable()
