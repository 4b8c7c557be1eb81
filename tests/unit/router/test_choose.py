import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache.types import Embedding, ReusePolicy
from router.choose import (
    UNSCORED,
    Chooser,
    Need,
    Pool,
    choose,
    estimate_tokens,
    is_reusable,
    need_of,
    why_unfit,
)
from router.conversations import Held
from router.errors import NoModelFits
from router.lengths import Length
from router.prices import LocalPrices, PriceList
from router.settings import ModelSpec, NamespacePolicy
from router.types import (
    UNFAMILIAR,
    ChatRequest,
    Message,
    Mode,
    Part,
    ResponseFormat,
    Role,
    Sampling,
    Share,
    Tool,
    Wishes,
)

ALL = frozenset({"tools", "vision", "json"})


def model(name: str, **changes: object) -> ModelSpec:
    spec = ModelSpec(name=name, provider="p", provider_model=name, capabilities=ALL)
    return replace(spec, **changes)  # type: ignore[arg-type]


def pool_of(
    prices: dict[str, float | None], models: Sequence[ModelSpec] | None = None, **changes: object
) -> Pool:
    """Models by name with the price of their output; None: unknown."""
    price_list = PriceList.of(
        {
            name: LocalPrices(
                input_usd_per_mtok=None if usd is None else 0.0, output_usd_per_mtok=usd
            )
            for name, usd in prices.items()
        }
    )
    pool = Pool(
        models=tuple(models or [model(name) for name in prices]),
        prices=price_list,
        baseline=max(prices, key=lambda name: prices[name] or 0),
    )
    return replace(pool, **changes)  # type: ignore[arg-type]


THREE = pool_of({"small": 1.0, "middle": 5.0, "large": 20.0})
NEED = Need(input_tokens=100, quality_target=0.95)


def rejections(pool: Pool, need: Need, p: Sequence[float]) -> dict[str, str]:
    return {c.model: c.rejection for c in choose(need, pool, p, "test").candidates}


def test_the_cheapest_adequate_model_answers() -> None:
    """Adequate: within 1 - target of the strongest that fits."""
    routing = choose(NEED, THREE, [0.90, 0.93, 0.97], "test")

    assert routing.chain == ("middle", "large")
    assert "within 0.05 of the strongest (large, 0.970)" in routing.reason
    assert (routing.scorer, routing.quality_target) == ("test", 0.95)


def test_a_model_dearer_than_a_request_may_be_is_out() -> None:
    """The ceiling is then that of the models that are left; 300 tokens are expected."""
    need = replace(NEED, max_cost_nanos=2_000_000)  # $0.002; large is expected to cost $0.006

    routing = choose(need, THREE, [0.71, 0.80, 0.98], "test")

    assert routing.chain == ("middle",)
    assert routing.candidates[2].rejection == "expected up to $0.006 > $0.002 a request"


def test_an_unknown_price_is_no_cheap_one() -> None:
    """Where a limit is set, a model without a price does not pass it."""
    pool = pool_of({"small": 1.0, "odd": None})
    need = replace(NEED, max_cost_nanos=2_000_000)

    assert choose(need, pool, [0.5, 0.9], "test").chain == ("small",)
    assert "price is unknown" in rejections(pool, need, [0.5, 0.9])["odd"]


def test_where_every_model_is_too_dear_each_says_so() -> None:
    """An error rather than a bill."""
    with pytest.raises(
        NoModelFits, match=r"small: expected up to \$0.0003 > \$0.0001 a request; middle"
    ):
        choose(replace(NEED, max_cost_nanos=100_000), THREE, [0.5, 0.6, 0.7], "test")


def cached_pool() -> Pool:
    """Two models priced by input; the dear one charges a tenth for what its provider has."""
    prices = {
        "small": LocalPrices(input_usd_per_mtok=1.0, output_usd_per_mtok=0.0),
        "large": LocalPrices(
            input_usd_per_mtok=4.0, output_usd_per_mtok=0.0, cache_read_usd_per_mtok=0.4
        ),
    }
    return Pool(
        models=(model("small"), model("large")), prices=PriceList.of(prices), baseline="large"
    )


def test_a_conversation_stays_while_the_discount_is_worth_more_than_the_switch() -> None:
    """9,984 of 10,000 tokens at a tenth are cheaper than all of them at a quarter."""
    need = replace(NEED, input_tokens=10_000, held=Held("large", 9_984))

    routing = choose(need, cached_pool(), [0.9, 0.9], "test")

    assert routing.chain == ("large", "small")
    assert "9,984 tokens of the conversation in its provider's cache" in routing.reason
    assert routing.candidates[1].expected_cost_nanos == 9_984 * 400 + 16 * 4_000


def test_a_conversation_leaves_where_the_discount_is_worth_less() -> None:
    """Half of the input is new."""
    need = replace(NEED, input_tokens=10_000, held=Held("large", 4_992))

    assert choose(need, cached_pool(), [0.9, 0.9], "test").chain[0] == "small"


def test_a_discount_makes_no_model_adequate() -> None:
    """The cheap model of the turn before may be too weak for this one."""
    need = replace(NEED, input_tokens=10_000, held=Held("small", 9_984))

    assert choose(need, cached_pool(), [0.5, 0.9], "test").chain == ("large",)


def test_a_tool_loop_keeps_its_model_where_it_fits() -> None:
    """Whatever the scores; where it does not fit, the choice is made as always."""
    need = replace(NEED, held=Held("large", in_tool_loop=True))

    routing = choose(need, THREE, [0.9, 0.9, 0.9], "test")

    assert routing.chain == ("large", "small", "middle")
    assert routing.reason == "large stays: it called the tool whose result the request brings"
    narrow = replace(need, allowed_models=frozenset({"small", "middle"}))
    assert choose(narrow, THREE, [0.9, 0.9, 0.9], "test").chain == ("small", "middle")


def test_a_prompt_that_all_models_fail_stays_cheap() -> None:
    """Paying more would not help."""
    assert choose(NEED, THREE, [0.02, 0.03, 0.06], "test").chain[0] == "small"


def test_a_model_that_is_not_good_enough_says_by_how_much() -> None:
    """Every candidate that is not in the chain explains itself."""
    assert rejections(THREE, NEED, [0.71, 0.80, 0.98]) == {
        "small": "P(adequate) 0.710 < 0.930",
        "middle": "P(adequate) 0.800 < 0.930",
        "large": "",
    }


def test_fallbacks_are_the_next_cheapest_adequate_models_up_to_the_bound() -> None:
    """Adequate models beyond the bound are dearer than the chosen."""
    pool = replace(THREE, max_chain=2)

    routing = choose(NEED, pool, [0.97, 0.97, 0.97], "test")

    assert routing.chain == ("small", "middle")
    assert routing.candidates[2].rejection == "dearer than the chosen"


def test_the_fallback_model_is_asked_last_even_when_it_is_not_adequate() -> None:
    """The operator wants some answer rather than none; it keeps its place in a full chain."""
    pool = replace(THREE, fallback_model="small")

    assert choose(NEED, pool, [0.5, 0.6, 0.97], "test").chain == ("large", "small")
    full = replace(pool, max_chain=2)
    assert choose(NEED, full, [0.5, 0.97, 0.97], "test").chain == ("middle", "small")


def test_equal_prices_are_ordered_by_name() -> None:
    """The same request gets the same model on every instance."""
    pool = pool_of({"b": 1.0, "a": 1.0, "c": 1.0})

    assert choose(NEED, pool, [0.9, 0.9, 0.9], "test").chain == ("a", "b", "c")


def test_an_unknown_price_comes_after_all_known_ones_and_stays_allowed() -> None:
    """It is never taken for free."""
    pool = pool_of({"mystery": None, "known": 500.0})

    routing = choose(NEED, pool, [0.9, 0.9], "test")

    assert routing.chain == ("known", "mystery")
    assert routing.candidates[0].expected_cost_nanos is None
    assert choose(NEED, pool, [0.9, 0.1], "test").chain == ("mystery",)


@pytest.mark.parametrize(
    ("spec", "need", "sentence"),
    [
        ({"capabilities": frozenset({"json"})}, {"capabilities": ALL}, "needs tools and vision"),
        (
            {"context_window": 8_192},
            {"input_tokens": 11_000, "max_tokens": 1_000},
            "context window 8192 < 12000 estimated tokens",
        ),
        (
            {"max_output_tokens": 4_096},
            {"max_tokens": 5_000},
            "longest answer 4096 < max_tokens 5000",
        ),
        ({}, {"allowed_models": frozenset({"other"})}, "not in allowed_models"),
        ({}, {"pinned_model": "other"}, "not the pinned model other"),
    ],
)
def test_each_constraint_rules_out_with_its_own_sentence(
    spec: dict[str, object], need: dict[str, object], sentence: str
) -> None:
    """What a model lacks is said in the terms of the request."""
    unfit = model("small", **spec)

    assert why_unfit(unfit, replace(NEED, **need)) == sentence  # type: ignore[arg-type]


def test_an_unknown_window_rules_nothing_out() -> None:
    """Unknown is not zero."""
    assert why_unfit(model("small"), Need(input_tokens=10**9, max_tokens=10**9)) == ""


def test_a_model_that_does_not_fit_does_not_set_the_ceiling() -> None:
    """Only what could answer counts as the strongest."""
    pool = replace(THREE, models=(*THREE.models[:2], model("large", capabilities=frozenset())))
    need = replace(NEED, capabilities=frozenset({"vision"}))

    assert choose(need, pool, [0.70, 0.72, 0.99], "test").chain[0] == "small"


def test_when_nothing_fits_each_model_says_why() -> None:
    """The caller learns what to change."""
    need = replace(NEED, allowed_models=frozenset({"small"}), pinned_model="large")

    with pytest.raises(
        NoModelFits, match=r"small: not the pinned model large; .*large: not in all"
    ):
        choose(need, THREE, [0.5, 0.5, 0.5], "test")


def test_a_pin_to_an_unknown_model_names_the_known_ones() -> None:
    """A typo in a pin is told as such."""
    with pytest.raises(NoModelFits, match=r"'gtp' is not configured; there are: small, middle"):
        choose(replace(NEED, pinned_model="gtp"), THREE, [0.5, 0.5, 0.5], "test")


def test_a_pinned_model_answers_alone() -> None:
    """No fallback breaks a pin, however bad the model."""
    routing = choose(replace(NEED, pinned_model="small"), THREE, [0.1, 0.5, 0.9], "test")

    assert (routing.chain, routing.reason) == (("small",), "small is pinned")


def test_unrouted_requests_go_to_the_baseline() -> None:
    """Off and shadow: as if scrimp were not there."""
    routing = choose(replace(NEED, is_routed=False), THREE, [0.9, 0.9, 0.9], "test")

    assert routing.chain == ("large",)
    assert routing.reason == "not routed: goes to the baseline large"


def test_an_unrouted_request_that_the_baseline_cannot_take_goes_to_the_strongest_that_can() -> None:
    """The allow-list and the constraints hold in every mode."""
    need = replace(NEED, is_routed=False, allowed_models=frozenset({"small", "middle"}))

    routing = choose(need, THREE, [0.8, 0.9, 0.99], "test")

    assert routing.chain == ("middle",)
    assert "not in allowed_models" in routing.reason


def test_expected_costs_take_the_shorter_of_max_tokens_and_the_usual_answer() -> None:
    """max_tokens is a bound, no forecast; n answers cost n times."""
    for max_tokens, n_answers, n_output in ((None, 1, 300), (50, 1, 50), (9_999, 2, 600)):
        need = replace(NEED, max_tokens=max_tokens, n_answers=n_answers)
        routing = choose(need, THREE, [0.9, 0.9, 0.9], "test")

        assert routing.candidates[0].expected_cost_nanos == n_output * 1_000


PROBABILITY = st.floats(0, 1)
NAMES = ("a", "b", "c", "d")
CAPABILITIES = st.frozensets(st.sampled_from(sorted(ALL)))
SPECS = st.builds(
    lambda window, capabilities: {"context_window": window, "capabilities": capabilities},
    st.none() | st.integers(1, 2_000),
    CAPABILITIES,
)
PRICES = st.none() | st.integers(0, 5).map(float)
POOLS = st.tuples(st.tuples(*[SPECS] * 4), st.tuples(*[PRICES] * 4), st.sampled_from(("", *NAMES)))
NEEDS = st.builds(
    Need,
    input_tokens=st.integers(1, 2_500),
    max_tokens=st.none() | st.integers(1, 500),
    capabilities=CAPABILITIES,
    allowed_models=st.none() | st.frozensets(st.sampled_from(NAMES), min_size=1),
    quality_target=st.floats(0.01, 1),
    is_routed=st.booleans(),
)
FOUR_P = st.tuples(*[PROBABILITY] * 4)
Drawn = tuple[tuple[dict[str, object], ...], tuple[float | None, ...], str]


def drawn_pool(drawn: Drawn) -> Pool:
    specs, prices, fallback = drawn
    models = [model(name, **spec) for name, spec in zip(NAMES, specs, strict=True)]
    return pool_of(dict(zip(NAMES, prices, strict=True)), models, fallback_model=fallback)


@given(POOLS, NEEDS, FOUR_P)
def test_whatever_is_in_the_chain_fits(drawn: Drawn, need: Need, p: Sequence[float]) -> None:
    """No constraint is ever traded for a price, and nothing is in the chain twice."""
    pool = drawn_pool(drawn)
    fits = {spec.name for spec in pool.models if not why_unfit(spec, need)}
    if not fits:
        with pytest.raises(NoModelFits):
            choose(need, pool, p, "test")
        return

    routing = choose(need, pool, p, "test")

    assert fits.issuperset(routing.chain)
    assert 1 <= len(set(routing.chain)) == len(routing.chain) <= pool.max_chain


@given(POOLS, NEEDS, FOUR_P)
def test_a_candidate_explains_itself_unless_it_is_in_the_chain(
    drawn: Drawn, need: Need, p: Sequence[float]
) -> None:
    """A sentence for each that was left out, none for those that were taken."""
    pool = drawn_pool(drawn)
    try:
        routing = choose(need, pool, p, "test")
    except NoModelFits:
        return

    for candidate in routing.candidates:
        assert (candidate.rejection == "") == (candidate.model in routing.chain)


@given(POOLS, NEEDS, FOUR_P, st.floats(0.01, 1))
def test_raising_the_target_never_chooses_a_weaker_model(
    drawn: Drawn, need: Need, p: Sequence[float], other: float
) -> None:
    """More quality asked for is never less quality expected."""
    pool = drawn_pool(drawn)
    low, high = sorted((need.quality_target, other))
    try:
        lower = choose(replace(need, quality_target=low), pool, p, "test").chain[0]
    except NoModelFits:
        return

    higher = choose(replace(need, quality_target=high), pool, p, "test").chain[0]

    assert p[NAMES.index(higher)] >= p[NAMES.index(lower)]


@given(POOLS, NEEDS, FOUR_P, st.sampled_from(sorted(ALL)), st.sampled_from(NAMES))
def test_a_further_constraint_that_the_chosen_meets_changes_nothing_when_the_ceiling_stays(
    drawn: Drawn, need: Need, p: Sequence[float], capability: str, excluded: str
) -> None:
    """Shutting out neither the chosen nor the strongest keeps the choice."""
    pool = drawn_pool(drawn)
    need = replace(need, is_routed=True)
    try:
        chosen = choose(need, pool, p, "test").chain[0]
    except NoModelFits:
        return
    before = {spec.name for spec in pool.models if not why_unfit(spec, need)}
    narrower = replace(
        need,
        capabilities=need.capabilities | {capability},
        allowed_models=(need.allowed_models or frozenset(NAMES)) - {excluded},
    )
    after = {spec.name for spec in pool.models if not why_unfit(spec, narrower)}
    ceiling = max(p[NAMES.index(name)] for name in before)

    if chosen in after and any(p[NAMES.index(name)] == ceiling for name in after):
        assert choose(narrower, pool, p, "test").chain[0] == chosen


@given(POOLS, NEEDS, FOUR_P)
def test_what_would_be_chosen_may_be_replayed(drawn: Drawn, need: Need, p: Sequence[float]) -> None:
    """With constraints on names alone, the chosen model's stored answers are adequate."""
    pool = drawn_pool(drawn)
    plain = Need(allowed_models=need.allowed_models, quality_target=need.quality_target)

    chosen = choose(plain, pool, p, "test").chain[0]

    assert is_reusable(plain, pool, chosen, p)


def test_a_cheap_models_answer_never_serves_a_request_pinned_to_a_strong_one() -> None:
    """However probable it is that the answer is adequate."""
    need = replace(NEED, pinned_model="large")

    assert not is_reusable(need, THREE, "small", [1.0, 1.0, 1.0])
    assert is_reusable(need, THREE, "large", [1.0, 1.0, 0.0])


@pytest.mark.parametrize(
    ("need", "made_by", "p", "expected"),
    [
        (NEED, "small", (0.9, 0.9, 0.97), False),
        (NEED, "small", (0.93, 0.9, 0.97), True),
        (replace(NEED, quality_target=0.9), "small", (0.9, 0.9, 0.97), True),
        (replace(NEED, allowed_models=frozenset({"middle"})), "small", (0.9, 0.9, 0.9), False),
        (replace(NEED, allowed_models=frozenset({"small"})), "small", (0.1, 0.9, 0.9), True),
        (NEED, "retired", (0.9, 0.9, 0.9), False),
        (NEED, "small", (), False),
        (NEED, "large", (), True),
    ],
)
def test_a_stored_answer_passes_the_same_rule_as_a_fresh_one(
    need: Need, made_by: str, p: tuple[float, ...], *, expected: bool
) -> None:
    """Permitted, configured, adequate; what was never scored only from the baseline."""
    assert is_reusable(need, THREE, made_by, p) is expected


POLICY = NamespacePolicy(
    mode=Mode.ON, share=Share.NAMESPACE, reuse=ReusePolicy(), quality_target=0.9
)


def request(text: str = "hello", **changes: object) -> ChatRequest:
    plain = ChatRequest(
        namespace="n",
        caller="c",
        messages=(Message(role=Role.USER, parts=(Part(text=text),)),),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def test_a_request_says_what_a_model_must_bring() -> None:
    """Tools, a form of answer and parts that are no text ask for capabilities."""
    image = Message(role=Role.USER, parts=(Part(media_type="image/png", uri="u"),))
    asked = request(
        messages=(image,),
        tools=(Tool(name="t"),),
        response_format=ResponseFormat(kind="json_object"),
        sampling=Sampling(max_tokens=7, n=2),
    )

    need = need_of(asked, POLICY)

    assert need.capabilities == ALL
    assert (need.max_tokens, need.n_answers) == (7, 2)
    assert 1_000 < need.input_tokens < 1_010
    assert need_of(request(), POLICY).capabilities == frozenset()


def test_request_and_policy_restrict_together() -> None:
    """A caller may narrow what its namespace allows, never widen it."""
    policy = replace(POLICY, allowed_models=("small", "middle"))
    wishes = Wishes(allowed_models=("middle", "large"), quality_target=0.5)

    need = need_of(request(wishes=wishes), policy)

    assert need.allowed_models == frozenset({"middle"})
    assert need.quality_target == 0.5
    assert need_of(request(), POLICY).allowed_models is None


def test_a_callers_pin_does_not_break_the_namespaces_pin() -> None:
    """Two different pins leave no model."""
    need = need_of(
        request(wishes=Wishes(pinned_model="large")), replace(POLICY, pinned_model="small")
    )

    with pytest.raises(NoModelFits):
        choose(need, THREE, [0.5, 0.5, 0.5], "test")


@given(st.text(max_size=300))
def test_the_size_of_a_text_is_estimated_from_its_bytes(text: str) -> None:
    """3.5 bytes a token, whatever the script; lone surrogates do not break it."""
    n_bytes = len(text.encode("utf-8", "surrogatepass"))

    assert estimate_tokens(request(text)) == int(n_bytes / 3.5) + 5


@dataclass(frozen=True)
class Score:
    """What a scorer gave."""

    scores: tuple[float, ...]
    scorer_id: str = "test-1"
    embedding: Embedding | None = None


def test_scores_become_a_choice_and_a_missing_score_is_visible() -> None:
    """Without fitting scores the typical probabilities decide, and the scorer says so."""
    chooser = Chooser(THREE, lambda scores: scores, typical=(0.1, 0.5, 0.9))

    assert chooser.route(request(), POLICY, Score((0.9, 0.9, 0.9))).chain[0] == "small"
    unscored = chooser.route(request(), POLICY, Score(()))
    assert (unscored.chain[0], unscored.scorer) == ("large", UNSCORED)
    assert chooser.baseline(request(), POLICY).chain == ("large",)
    assert chooser.is_adequate(request(), POLICY, "small", (0.9, 0.9, 0.9))
    assert not chooser.is_adequate(request(), POLICY, "small", ())


def test_a_prompt_of_which_nothing_is_claimed_goes_to_the_baseline_and_says_so() -> None:
    """It is not routed, but limits of cost and a running tool loop hold as ever."""
    chooser = Chooser(THREE, lambda scores: scores, typical=(0.1, 0.5, 0.9))
    unlike = Score((), scorer_id=UNFAMILIAR)

    routing = chooser.route(request(), POLICY, unlike)
    in_loop = chooser.route(request(), POLICY, unlike, Held(model="middle", in_tool_loop=True))

    assert (routing.chain[0], routing.scorer) == (THREE.baseline, UNFAMILIAR)
    assert "unlike anything the classifier was calibrated on" in routing.reason
    assert in_loop.chain[0] == "middle"


def test_an_ability_is_stated_or_known_or_guessed_from_the_price() -> None:
    """In this order."""
    models = (model("stated", ability=3.0), model("known"), model("guessed"))
    pool = pool_of({"stated": 1.0, "known": 1.0, "guessed": 7.0}, models)

    abilities = pool.abilities({"known": 2.0}.get, lambda _, per_output: per_output or 0.0)

    assert abilities == (3.0, 2.0, 7.0)


def test_a_choice_among_six_takes_microseconds() -> None:
    """25 us on an idle core; bounded here with room for a busy one."""
    pool = pool_of({name: 1.0 + n for n, name in enumerate("abcdef")})
    p = (0.6, 0.7, 0.8, 0.9, 0.95, 0.97)

    def block_s() -> float:
        started = time.thread_time()
        for _ in range(200):
            choose(NEED, pool, p, "test")
        return time.thread_time() - started

    assert min(block_s() for _ in range(20)) / 200 < 200e-6


def test_the_policy_limits_the_cost_of_routed_requests_only() -> None:
    """Modes off and shadow do as if scrimp were not there."""
    policy = replace(POLICY, max_cost_nanos=5)

    assert need_of(request(), policy).max_cost_nanos == 5
    assert need_of(request(), policy, is_routed=False).max_cost_nanos is None


def test_a_request_may_lower_what_it_may_cost_and_never_raise_it() -> None:
    """The lower of the caller's and the operator's word holds."""
    asked = request(wishes=Wishes(max_cost_nanos=500))

    assert need_of(asked, replace(POLICY, max_cost_nanos=900)).max_cost_nanos == 500
    assert need_of(asked, replace(POLICY, max_cost_nanos=100)).max_cost_nanos == 100
    assert need_of(asked, POLICY).max_cost_nanos == 500


def test_an_unrouted_request_goes_to_its_own_baseline() -> None:
    """Where the request says what it would have gone to without scrimp, there it goes."""
    need = replace(NEED, is_routed=False, baseline_model="middle")

    routing = choose(need, THREE, [0.9, 0.9, 0.9], "test")

    assert routing.chain == ("middle",)


def test_a_model_that_talks_at_length_is_not_the_cheapest() -> None:
    """What an answer costs is its price times its length."""
    lengths = [Length(3_000, 5_000), Length(200, 400), Length(200, 400)]

    routing = choose(NEED, THREE, [0.95, 0.96, 0.97], "test", lengths)

    assert routing.chain[0] == "middle"
    costs = [one.expected_cost_nanos for one in routing.candidates]
    assert costs == [3_000_000, 1_000_000, 4_000_000]


def test_a_limit_looks_at_long_answers_and_the_order_at_the_mean() -> None:
    """An answer of middle is expected to cost .001, and may well cost .005."""
    lengths = [Length(200, 400), Length(200, 1_000), Length(200, 400)]
    need = replace(NEED, max_cost_nanos=4_000_000)

    routing = choose(need, THREE, [0.5, 0.96, 0.5], "test", lengths)

    assert routing.chain[0] == "small"
    assert routing.candidates[1].rejection == "expected up to $0.005 > $0.004 a request"
    assert routing.candidates[1].expected_cost_nanos == 1_000_000


def test_no_answer_is_expected_to_be_longer_than_the_caller_takes() -> None:
    """Whatever was seen of the model."""
    need = replace(NEED, max_tokens=100, max_cost_nanos=100_000)

    routing = choose(need, THREE, [0.9, 0.9, 0.9], "test", [Length(900, 9_000)] * 3)

    assert routing.candidates[0].expected_cost_nanos == 100_000
    assert routing.chain == ("small",)


def test_probabilities_are_put_right_by_what_the_namespace_taught() -> None:
    """For new requests and for stored answers alike; else one would contradict the other."""
    shop = replace(request(), namespace="shop")
    chooser = Chooser(
        THREE,
        lambda scores: scores,
        typical=(0.1, 0.5, 0.9),
        adjusted=lambda namespace, _, __, p: (0.2, *p[1:]) if namespace == "shop" else p,
    )
    same = (0.9, 0.9, 0.9)
    other = replace(request(), namespace="lab")

    assert chooser.route(other, POLICY, Score(same)).chain[0] == "small"
    assert chooser.route(shop, POLICY, Score(same)).chain[0] == "middle"
    assert chooser.is_adequate(other, POLICY, "small", same)
    assert not chooser.is_adequate(shop, POLICY, "small", same)
