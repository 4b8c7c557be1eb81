"""Which models shall answer: constraints first, then P(adequate) against price. Pure.

The strongest model that fits sets the ceiling; a model is adequate when its P(adequate) is within
``1 - quality_target`` of it. So a model that reaches the target is adequate, and so is a cheap one
where even the strongest would fail. The cheapest adequate model answers; the next cheapest adequate
ones are its fallbacks. Raising the target never chooses a model with a lower P(adequate). An
unknown price is dearer than any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Final

from router.choose.need import Need, is_permitted, why_too_dear, why_unfit
from router.errors import NoModelFits
from router.lengths import Length
from router.prices import PriceList
from router.settings import ModelSpec, Settings
from router.types import Candidate, Routing

_UNKNOWN: Final = float("inf")
_ORDER: Final = attrgetter("order")
_P: Final = attrgetter("p")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """The configured models, and the rules to choose by. ``P(adequate)`` comes in their order.

    Attributes:
        baseline: name of the model all traffic would go to without scrimp.
        fallback_model: asked last where nothing adequate answered; empty: none.
        max_chain: models of one chain at most, the fallback model included.
        expected_output_tokens: of an answer, for the expected cost, where nothing is known of the
            models' own lengths.
    """

    models: tuple[ModelSpec, ...]
    prices: PriceList
    baseline: str
    fallback_model: str = ""
    max_chain: int = 3
    expected_output_tokens: int = 300

    @classmethod
    def of(cls, settings: Settings) -> Pool:
        """Gather what choosing needs of the settings."""
        routing = settings.routing
        return cls(
            models=tuple(settings.models.values()),
            prices=settings.prices,
            baseline=routing.baseline,
            fallback_model=routing.fallback_model,
            max_chain=routing.max_chain,
            expected_output_tokens=routing.expected_output_tokens,
        )

    def abilities(
        self,
        known: Callable[[str], float | None],
        prior: Callable[[float | None, float | None], float],
    ) -> tuple[float, ...]:
        """Place every model on the classifier's scale, in the order of ``models``.

        Args:
            known: the classifier's own measure of a model by its provider's name; None: unknown.
            prior: a guess from USD per million input and output tokens; None: unknown.
        """
        return tuple(self._ability(model, known, prior) for model in self.models)

    def heads(self, head: Callable[[str], int | None]) -> tuple[int | None, ...]:
        """Return which score is each model's own, in the order of ``models``.

        Args:
            head: the classifier's score of a model by its provider's name; None: it has none.
        """
        found: list[int | None] = []
        for model in self.models:
            own = None
            if model.ability is None:
                own = head(model.provider_model)
                own = head(model.name) if own is None else own
            found.append(own)
        return tuple(found)

    def _ability(
        self,
        model: ModelSpec,
        known: Callable[[str], float | None],
        prior: Callable[[float | None, float | None], float],
    ) -> float:
        if model.ability is not None:
            return model.ability
        measured = known(model.provider_model)
        if measured is None:
            measured = known(model.name)
        if measured is not None:
            return measured
        prices = self.prices
        return prior(prices.input_usd_per_mtok(model.name), prices.output_usd_per_mtok(model.name))


def choose(
    need: Need,
    pool: Pool,
    p_adequate: Sequence[float],
    scorer: str,
    lengths: Sequence[Length] | None = None,
) -> Routing:
    """Choose the model and its fallbacks.

    Args:
        need: what the request asks.
        pool: the configured models.
        p_adequate: P(its answer is adequate) per model of ``pool.models``, same order.
        scorer: id of what made these probabilities.
        lengths: of an answer per model, same order; None: all as the pool expects. Means decide
            who is cheapest, upper figures who may cost too much.

    Raises:
        NoModelFits: says for each model why.
    """
    models = pool.models
    costs = _costs(need, pool, None if lengths is None else [one.mean for one in lengths])
    highest = costs
    if lengths is not None and need.max_cost_nanos is not None:
        highest = _costs(need, pool, [one.high for one in lengths])
    options = [
        _Option(model.name, p, cost, why_unfit(model, need) or why_too_dear(most, need))
        for model, p, cost, most in zip(models, p_adequate, costs, highest, strict=True)
    ]
    fitting = [option for option in options if not option.rejection]
    if not fitting:
        raise NoModelFits(_nothing_fits(need, options))
    if need.is_routed:
        chain, reason = _routed(need, pool, fitting)
    else:
        chain, reason = _unrouted(need, pool, options, fitting)
    return Routing(
        chain=chain,
        candidates=tuple(
            Candidate(
                model=option.name,
                p_adequate=option.p,
                expected_cost_nanos=option.cost,
                rejection=option.rejection,
                fits=option.fits,
            )
            for option in options
        ),
        reason=reason,
        scorer=scorer,
        quality_target=need.quality_target,
    )


def is_reusable(need: Need, pool: Pool, model: str, p_adequate: Sequence[float]) -> bool:
    """Tell whether an answer that ``model`` once made may serve a request.

    It may where the model is among the configured and permitted ones and is adequate by the rule
    of ``choose``: the strongest permitted model sets the ceiling.

    Args:
        need: what the request asks.
        pool: the configured models.
        model: who made the answer.
        p_adequate: for the answered text, in the order of ``pool.models``; empty: it was not
            scored, and then only the pinned model's and the baseline's answers are reused.
    """
    if not is_permitted(model, need):
        return False
    if not p_adequate:
        return model == (need.pinned_model or need.baseline_model or pool.baseline)
    ceiling = own = -1.0
    for spec, p in zip(pool.models, p_adequate, strict=True):
        if spec.name == model:
            own = p
        if p > ceiling and is_permitted(spec.name, need):
            ceiling = p
    return own >= 0 and own >= _floor(ceiling, need.quality_target)


class _Option:
    """One model while it is being judged.

    ``order`` sorts the cheapest first, unknown prices last, then by name.
    """

    __slots__ = ("cost", "fits", "name", "order", "p", "rejection")

    def __init__(self, name: str, p: float, cost: int | None, rejection: str) -> None:
        self.name = name
        self.p = p
        self.cost = cost
        self.rejection = rejection
        self.fits = not rejection
        self.order = (_UNKNOWN if cost is None else cost, name)


def _costs(need: Need, pool: Pool, lengths: Sequence[float] | None) -> list[int | None]:
    """Return what each model costs, with answers of these lengths or of the pool's."""
    expected = [pool.expected_output_tokens] * len(pool.models) if lengths is None else lengths
    most = need.max_tokens
    tokens = [round(one if most is None else min(one, most)) * need.n_answers for one in expected]
    names = [model.name for model in pool.models]
    costs = pool.prices.costs_each(names, need.input_tokens, tokens)
    held = need.held
    if held is None or not held.cached_tokens or held.model not in names:
        return costs
    # The conversation's model charges less for what its provider still has.
    at, cached = names.index(held.model), min(held.cached_tokens, need.input_tokens)
    costs[at] = pool.prices.cost_of(held.model, need.input_tokens, tokens[at], cached)
    return costs


def _floor(ceiling: float, target: float) -> float:
    return ceiling - (1.0 - target)


def _routed(need: Need, pool: Pool, fitting: list[_Option]) -> tuple[tuple[str, ...], str]:
    """The cheapest adequate models, cheapest first; writes the others' rejections."""
    cheapest_first = sorted(fitting, key=_ORDER)
    strongest = max(cheapest_first, key=_P)
    floor = _floor(strongest.p, need.quality_target)
    adequate = [option for option in cheapest_first if option.p >= floor or option is strongest]
    chain = [option.name for option in adequate[: pool.max_chain]]
    caller = need.held.model if need.held is not None and need.held.in_tool_loop else ""
    if any(option.name == caller for option in fitting):  # whoever called the tool reads its result
        chain = [caller, *(name for name in chain if name != caller)][: pool.max_chain]
    last = pool.fallback_model
    if last not in chain and pool.max_chain > 1 and any(o.name == last for o in fitting):
        chain = [*chain[: pool.max_chain - 1], last]
    for option in fitting:
        if option.name in chain:
            continue
        if option.p < floor:
            option.rejection = f"P(adequate) {option.p:.3f} < {floor:.3f}"
        else:
            option.rejection = "dearer than the chosen"
    return tuple(chain), _reason(need, fitting, chain[0], strongest, floor)


def _reason(
    need: Need, fitting: list[_Option], chosen: str, strongest: _Option, floor: float
) -> str:
    if need.pinned_model:
        return f"{chosen} is pinned"
    if len(fitting) == 1:
        return f"{chosen} is the only model that fits"
    held = need.held
    if held is not None and held.model == chosen and held.in_tool_loop:
        return f"{chosen} stays: it called the tool whose result the request brings"
    if held is not None and held.model == chosen and held.cached_tokens:
        return (
            f"{chosen} stays: with {held.cached_tokens:,} tokens of the conversation in its "
            f"provider's cache it is the cheapest with P(adequate) >= {floor:.3f}"
        )
    if chosen == strongest.name:
        return f"{chosen} is the strongest, and nothing cheaper has P(adequate) >= {floor:.3f}"
    return (
        f"{chosen} is the cheapest with P(adequate) >= {floor:.3f}, within "
        f"{1 - need.quality_target:.3g} of the strongest ({strongest.name}, {strongest.p:.3f})"
    )


def _unrouted(
    need: Need, pool: Pool, options: list[_Option], fitting: list[_Option]
) -> tuple[tuple[str, ...], str]:
    """The baseline, as without scrimp; where it does not fit, the strongest that does."""
    by_name = {option.name: option for option in fitting}
    baseline = need.baseline_model or pool.baseline
    if need.pinned_model:
        chosen, reason = need.pinned_model, f"{need.pinned_model} is pinned"
    elif need.held is not None and need.held.in_tool_loop and need.held.model in by_name:
        chosen = need.held.model
        reason = f"{chosen} stays: it called the tool whose result the request brings"
    elif baseline in by_name:
        chosen, reason = baseline, f"{need.why_unrouted}: goes to the baseline {baseline}"
    else:
        strongest = max(sorted(fitting, key=_ORDER), key=_P)
        unfit = next((o.rejection for o in options if o.name == baseline), "not configured")
        chosen = strongest.name
        reason = (
            f"{need.why_unrouted}: the baseline is out ({unfit}), {chosen} is the strongest that "
            "fits"
        )
    chain = [chosen]
    if pool.fallback_model in by_name and pool.fallback_model != chosen and pool.max_chain > 1:
        chain.append(pool.fallback_model)
    for option in fitting:
        if option.name not in chain:
            option.rejection = "not routed"
    return tuple(chain), reason


def _nothing_fits(need: Need, options: Iterable[_Option]) -> str:
    if need.pinned_model and all(option.name != need.pinned_model for option in options):
        known = ", ".join(option.name for option in options)
        return f"the pinned model {need.pinned_model[:64]!r} is not configured; there are: {known}"
    listed = "; ".join(f"{option.name}: {option.rejection}" for option in options)
    return f"no configured model fits this request ({listed})"
