"""The values of the ledger. Money is integer nano-dollars; unknown is None, never 0."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from cache.calibration import DriftAlarm, Estimate, Source
from router.types import Attribution, Face, Mode, Usage


class Outcome(StrEnum):
    """How a request ended."""

    EXACT = "exact"  # a stored answer to the same text
    NEAR = "near"  # a stored answer to a near-duplicate
    SHARED = "shared"  # joined a call that another request had in flight
    MISS = "miss"  # a model was called, or named to the app
    BYPASS = "bypass"  # as miss, but the caller or a rule wanted no lookup
    FAILED = "failed"  # no answer
    AUDIT = "audit"  # no request: a model was called, or is to be by the app, to check a hit


class LineState(StrEnum):
    """Whether the figures of a line are final."""

    OPEN = "open"  # an advisor's ticket is out
    CLOSED = "closed"
    USAGE_UNKNOWN = (
        "usage_unknown"  # a call was made (or may have been) and nobody said what it used
    )


class Cause(StrEnum):
    """To what ``saved`` of a line is owed."""

    EXACT = "exact"
    NEAR = "near"
    SHARED = "shared"
    ROUTING = "routing"
    FAILED = "failed"  # paid, and nothing delivered: saved is negative
    AUDIT = "audit"  # paid to check a hit: saved is negative


class Stage(StrEnum):
    """Where the time of a request goes."""

    EXACT = "exact"
    NEAR = "near"  # waiting for the batch, encoding, search, verdict and complexity score
    ROUTE = "route"
    UPSTREAM = "upstream"
    STORE = "store"
    TOTAL = "total"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One upstream call.

    Attributes:
        model: its name in the settings.
        provider: its provider's name in the settings.
        status: ``ok`` or the kind of the error.
        usage: None when the provider did not say.
        cost_nanos: None when price or usage is unknown; 0 only when nothing was billable.
        wall_ms: from the first byte out to the last byte in.
    """

    model: str
    provider: str
    status: str
    usage: Usage | None
    cost_nanos: int | None
    wall_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """What mode ``on`` would have done with the request.

    Attributes:
        outcome: exact, near or miss.
        model: the model that would have answered.
        saved_nanos: what that would have saved against the baseline; None when unknown.
    """

    outcome: Outcome
    model: str
    saved_nanos: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What there was to choose from, where only the namespace's own rules had a say.

    Attributes:
        models: all that are configured.
        p: P(adequate) of each, in [0, 1]; None: it did not fit the request.
        chosen: one of them.
    """

    models: tuple[str, ...]
    p: tuple[float | None, ...]
    chosen: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerLine:
    """One request, or audit, accounted.

    ``cost_nanos + saved_nanos == baseline_nanos`` where all are known.

    Attributes:
        line_id: 32 hex digits; sorts by time; recording one id twice keeps the later state.
        at_ms: milliseconds since the epoch.
        request_id: the caller's own id; may be empty.
        state: whether figures are final.
        outcome: how it ended.
        miss_reason: a ``cache.types.MissReason`` value, or empty.
        entry_id: the entry served or stored; 0 when none.
        similarity: cosine of the best candidate; None when none was looked at.
        p_right: the decision's probability; None when nothing was judged.
        age_s: age of the served answer; None when none was served.
        model: the model whose answer was delivered, or that was named to the app.
        baseline_model: what it is measured against.
        usage: tokens of the delivered answer (for a hit: of the call that made it).
        cost_nanos: all attempts together; None when any part is unknown.
        baseline_nanos: the delivered answer's tokens at the baseline's price; None when unknown.
        cause: to what ``saved_nanos`` is owed; one per line.
        attempts: every upstream call, in order.
        shadow: what would have been, in shadow mode.
        stage_ms: milliseconds per stage that was passed.
        status: ``OK`` or the gRPC status name the caller got.
        scorer: what scored the prompt; empty when nothing did.
        choice: kept beside the line, for ``what-if``; a line that is read back is without.
    """

    line_id: str
    at_ms: int
    namespace: str
    caller: str
    attribution: Attribution
    face: Face
    mode: Mode
    state: LineState
    outcome: Outcome
    cause: Cause
    request_id: str = ""
    miss_reason: str = ""
    entry_id: int = 0
    similarity: float | None = None
    p_right: float | None = None
    age_s: float | None = None
    model: str = ""
    baseline_model: str = ""
    usage: Usage | None = None
    cost_nanos: int | None = None
    baseline_nanos: int | None = None
    attempts: tuple[Attempt, ...] = ()
    shadow: Shadow | None = None
    stage_ms: tuple[tuple[Stage, float], ...] = ()
    status: str = "OK"
    scorer: str = ""
    choice: Choice | None = field(default=None, compare=False)

    @property
    def saved_nanos(self) -> int | None:
        """``baseline - cost``; negative when scrimp cost more; None when either is unknown."""
        if self.cost_nanos is None or self.baseline_nanos is None:
            return None
        return self.baseline_nanos - self.cost_nanos


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """The right to hand one answer back. Its token is never stored, only the token's SHA-256.

    Attributes:
        digest: SHA-256 of the 16 random bytes.
        line_id: the open line it closes.
        partition: 32 bytes; the key the answer will be stored under; empty: nothing is stored.
        text: compared text; empty with no-store.
        is_no_store: the answer must not be kept.
        is_audit: it came with a hit; the call is accounted, its answer replaces nothing.
        is_personal: the text is kept for its user alone.
        entry_id: the entry that was served; without a hit the nearest one, if it was judged and
            only not sure enough; else 0.
        p_right: what was thought of that entry; None when nothing was judged.
        traits: how its text differs.
        propensity: for an audit: how probable it was to be chosen, in (0, 1].
        models: the models whose answer is expected, best first.
        ttl_s: seconds a stored answer will live.
        scores: P(adequate) per tier for the text; may be empty.
        expires_at_ms: milliseconds since the epoch; at this moment it is expired.
    """

    digest: bytes
    line_id: str
    namespace: str
    caller: str
    partition: bytes
    text: str
    is_no_store: bool
    is_audit: bool = False
    is_personal: bool = False
    entry_id: int = 0
    p_right: float | None = None
    traits: tuple[str, ...] = ()
    propensity: float | None = None
    models: tuple[str, ...] = ()
    ttl_s: int = 0
    scores: tuple[float, ...] = ()
    user: str = ""
    conversation: str = ""
    tags: tuple[str, ...] = ()
    expires_at_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestKey:
    """The scope in which a request id is unique."""

    namespace: str
    caller: str
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptOutcome:
    """What a request with an id came to, for its retries.

    Attributes:
        body_digest: SHA-256 of the request's canonical bytes.
        response: the serialized response; with no-store, without the answer.
        expires_at_ms: milliseconds since the epoch.
        since_ms: when the oldest text in it came; 0: with its line.
    """

    body_digest: bytes
    response: bytes
    expires_at_ms: int
    since_ms: int = field(default=0, compare=False)


class FeedbackKind(StrEnum):
    """What a caller says of what it received."""

    HIT_WRONG = "hit_wrong"
    HIT_RIGHT = "hit_right"
    NOT_ADEQUATE = "not_adequate"
    ADEQUATE = "adequate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """A caller's word on one line.

    Attributes:
        keep_pair_until_ms: milliseconds since the epoch; until then the pair of texts it labels is
            kept for training; 0: it is not kept.
    """

    line_id: str
    kind: FeedbackKind
    at_ms: int
    note: str = ""
    keep_pair_until_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackTaken:
    """What became of a feedback.

    Attributes:
        line: the line it speaks of.
        is_new: False when the same was said of the line before; then nothing was written.
        pair: the texts of a near-duplicate hit, as long as they are kept.
        chosen: whom the namespace's own rules had routed the request to; empty: they had not, or
            it is not known any more.
    """

    line: LedgerLine
    is_new: bool
    pair: Pair | None = None
    chosen: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The two texts that a near-duplicate hit took for the same question.

    Kept only until ``expires_at_ms``; feedback on the line makes a ``LabelledPair`` of it.

    Attributes:
        asked: compared text of the request.
        stored: canonical text of the entry that was served.
        expires_at_ms: milliseconds since the epoch.
        is_personal: it is kept to act on feedback, and never becomes a labelled pair.
        since_ms: when the older of the texts came; 0: with its line.
    """

    asked: str
    stored: str
    expires_at_ms: int
    is_personal: bool = False
    since_ms: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledPair:
    """Two texts, and whether the answer to the one serves the other. For training.

    One for each line and source; a later word of the same source on the same line replaces it.

    Attributes:
        line_id: the request it was learned from.
        asked: compared text of that request.
        stored: canonical text of the entry.
        is_same: whether the entry's answer serves.
        at_ms: when that was said, milliseconds since the epoch.
        expires_at_ms: until when it is kept.
        since_ms: when the older of the texts came; 0: at ``at_ms``.
        entry_id: whose text ``stored`` is; 0: unknown.
    """

    line_id: str
    namespace: str
    asked: str
    stored: str
    is_same: bool
    source: Source
    at_ms: int
    expires_at_ms: int
    since_ms: int = field(default=0, compare=False)
    entry_id: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """What an erasure by user came to, or would.

    Attributes:
        n_lines: of the user, which belong to nobody from now on.
        n_kept: outcomes kept for retries.
        n_tickets: tickets of the user that were out.
        n_pairs: pairs of texts that were kept for feedback.
        n_labels: labelled pairs for training.
        n_notes: notes that came with feedback.
        n_observations: judged pairs that lost the words in which their texts differ.
        n_verdicts: judged answers, with the vectors of their prompts.
    """

    n_lines: int = 0
    n_kept: int = 0
    n_tickets: int = 0
    n_pairs: int = 0
    n_labels: int = 0
    n_notes: int = 0
    n_observations: int = 0
    n_verdicts: int = 0

    def __add__(self, other: Erased) -> Erased:
        """Add up two parts."""
        return Erased(
            **{name: getattr(self, name) + getattr(other, name) for name in self.__slots__}
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SavingsQuery:
    """Which lines to sum: empty and None say nothing.

    Attributes:
        since_ms: inclusive, milliseconds since the epoch.
        until_ms: exclusive.
        group_by: up to two of ``namespace user feature task conversation model day``.
    """

    namespace: str = ""
    user: str = ""
    feature: str = ""
    conversation: str = ""
    since_ms: int | None = None
    until_ms: int | None = None
    group_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Sums over lines. The identity cost + saved = baseline holds in every one, to the nano.

    Attributes:
        n_requests: lines of requests, which audits are not: together with ``n_audits`` they are
            ``n_priced + n_unpriced + n_usage_unknown + n_open``.
        n_audits: lines of audits: no request, and their cost has no baseline, so that it is taken
            off what was saved.
        n_by_outcome: requests per ``Outcome``, most first.
        n_by_miss_reason: misses per reason, most first.
        n_by_model: misses and bypasses per model that answered or was named to the app, most
            first; hits and shared answers count for nobody.
        n_priced: lines inside the identity: closed, with cost and baseline known.
        n_unpriced: closed lines with an unknown price; outside the identity.
        n_usage_unknown: lines whose usage nobody told; outside the identity.
        n_open: tickets still out; outside the identity.
        cost_nanos: what the priced lines cost.
        baseline_nanos: what they would have cost.
        saved_nanos: the difference; negative when scrimp cost more.
        saved_by_cause: saved_nanos per ``Cause``; they add up to saved_nanos.
        unpriced_cost_nanos: what is known to have been spent by lines outside the identity.
        input_tokens: billed, over all attempts of all lines; hits add nothing.
        output_tokens: as ``input_tokens``.
        n_attempts: upstream calls.
        n_failed_attempts: those of them that gave no answer.
        failed_cost_nanos: what the failed attempts of priced lines cost, a part of cost_nanos:
            waste.
        miss_cost_by_reason: cost_nanos of the priced misses per reason, a part of cost_nanos.
        n_shadow_hits: what shadow mode would have served.
        shadow_saved_nanos: what shadow mode would have saved, routing included; stands outside
            every other sum.
        n_shadow_unknown: shadow lines for which nobody can say what would have been saved.
    """

    n_requests: int = 0
    n_audits: int = 0
    n_by_outcome: tuple[tuple[str, int], ...] = ()
    n_by_miss_reason: tuple[tuple[str, int], ...] = ()
    n_by_model: tuple[tuple[str, int], ...] = ()
    n_priced: int = 0
    n_unpriced: int = 0
    n_usage_unknown: int = 0
    n_open: int = 0
    cost_nanos: int = 0
    baseline_nanos: int = 0
    saved_nanos: int = 0
    saved_by_cause: tuple[tuple[str, int], ...] = ()
    unpriced_cost_nanos: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    n_attempts: int = 0
    n_failed_attempts: int = 0
    failed_cost_nanos: int = 0
    miss_cost_by_reason: tuple[tuple[str, int], ...] = ()
    n_shadow_hits: int = 0
    shadow_saved_nanos: int = 0
    n_shadow_unknown: int = 0

    @property
    def savings(self) -> float | None:
        """``saved / baseline``; None when there is no baseline."""
        return self.saved_nanos / self.baseline_nanos if self.baseline_nanos else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Totals of one group; ``keys`` in the order of the query's ``group_by``.

    Beyond the bound on groups, the smaller ones are one group, whose keys are all ``(other)``.
    """

    keys: tuple[str, ...]
    totals: Totals


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTime:
    """Milliseconds of one stage over the lines that passed it.

    Attributes:
        stage: a ``Stage`` value.
        n: lines that passed it, of those that were looked at.
        p50_ms: nearest rank: the smallest time that half of the lines did not exceed.
        p99_ms: the same for 99 of 100.
    """

    stage: str
    n: int
    p50_ms: float
    p99_ms: float


class AssuranceState(StrEnum):
    """How far a namespace's error rate is known to be within its target."""

    CERTIFIED = "certified"  # its own evidence bounds the error per served near-duplicate
    UNCERTIFIED = "uncertified"  # the shipped calibration decides, which is no bound
    THIN_EVIDENCE = "thin evidence"  # the target asks for more than is known: exact hits only


@dataclass(frozen=True, slots=True, kw_only=True)
class AssuranceReport:
    """How a namespace's near-duplicates stand to their target.

    Attributes:
        target: accepted share of wrong ones among the near-duplicates served.
        min_p_right: from which P(right) on they are served; None: none are.
        n_observations: judged pairs in the window, whatever their source.
        labels_still_needed: audits, all found right, that would certify it; 0 once it is, None
            where none would.
        error_rate: of what was served in the window, from audits alone; None: not measured.
        barred: traits of pairs that are not served, by name.
        drift: the alarm that stands, None for none.
    """

    namespace: str
    state: AssuranceState
    target: float
    min_p_right: float | None
    n_observations: int = 0
    labels_still_needed: int | None = None
    error_rate: Estimate | None = None
    barred: tuple[str, ...] = ()
    drift: DriftAlarm | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDrift:
    """A model's figures in traffic beside those of calibration.

    Attributes:
        share: of the requests that went to it; None: there were none at all.
        calibrated_share: of the labelled prompts.
        short: share of its answers that were set aside or reported; None: it gave none.
        calibrated_short: share of its answers to labelled prompts that were not adequate; what is
            reported can only be less than that, as most callers say nothing.
    """

    model: str
    share: float | None
    calibrated_share: float
    short: float | None
    calibrated_short: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftReport:
    """How a calibrated namespace's traffic stands to its calibration.

    Attributes:
        n_requests: compared so far.
        models: those of the calibration.
        log_evidence: natural logarithm of the evidence against it; see ``router.drift.evidence``.
        alarm: in words; empty: none stands.
        alarm_at_ms: when it was raised, milliseconds since the epoch.
    """

    namespace: str
    n_requests: int = 0
    models: tuple[ModelDrift, ...] = ()
    log_evidence: float = 0.0
    alarm: str = ""
    alarm_at_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SavingsReport:
    """The answer to a ``SavingsQuery``.

    Attributes:
        totals: over all lines of the query.
        groups: most requests first; they add up to ``totals``.
        stages: in the order in which a request passes them.
        assumptions: what the figures rest on, in words.
        group_by: the query's.
        assurance: how the query's namespaces stand now, by name; no other condition narrows it.
        drift: how those that are calibrated stand to their calibration.
    """

    totals: Totals
    groups: tuple[Group, ...]
    stages: tuple[StageTime, ...]
    assumptions: tuple[str, ...]
    group_by: tuple[str, ...] = ()
    assurance: tuple[AssuranceReport, ...] = ()
    drift: tuple[DriftReport, ...] = ()
