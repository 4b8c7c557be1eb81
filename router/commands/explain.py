"""``scrimp explain``: would the answer to one prompt serve another, and why? Calls no one.

It asks what the service asks, of the service's own parts: the rules over requests, then the cache's
decision. So what it says is what would happen, other things being equal: both prompts come from one
user, in one namespace, with nothing before them, and the stored answer is fresh, short enough and
made by a model that may answer.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from dataclasses import replace

from rich.console import Console

from cache.errors import CacheError
from cache.guards import differences
from cache.normalize import canonical
from cache.semantic_cache import SemanticCache
from cache.types import MissReason, OperatingPoint
from router.app import build
from router.commands.explain_report import Explanation, as_object, render
from router.errors import RouterError
from router.ledger.errors import LedgerError
from router.providers.scripted import ScriptedProvider
from router.reuse import Reuse, judge, traits_of
from router.settings import NamespacePolicy, SettingsError, load
from router.types import Attribution, ChatRequest, Message, Part, Role


async def explain(args: argparse.Namespace) -> int:
    """Explain a pair; see the module's docstring.

    Args:
        args: ``stored``, ``asked``, ``config`` (None: as ``load`` finds it), ``namespace``,
            ``target`` (None: the policy's ``max_error_rate``), ``json``.

    Returns:
        The exit status: 0 whatever was decided; 1 when settings or parts do not allow it.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="scrimp-explain-") as folder:
            settings = load(args.config, os.environ, overrides={"service.data_folder": folder})
            policy = settings.policy(args.namespace)
            if args.target is not None:
                reuse = replace(policy.reuse, max_error_rate=args.target)
                policy = replace(policy, reuse=reuse)
            nobody = dict.fromkeys(settings.providers, ScriptedProvider())
            async with build(settings, nobody) as app:
                point = app.point(args.namespace, policy)
                found = explanation(app.cache, policy, point, args.stored, args.asked)
    except (SettingsError, RouterError, CacheError, LedgerError, OSError, ValueError) as error:
        Console(stderr=True, highlight=False, markup=False, soft_wrap=True).print(
            f"scrimp explain: {error}"
        )
        return 1
    if args.json:
        json.dump(as_object(found), sys.stdout, ensure_ascii=False)
        sys.stdout.write("\n")
    else:
        Console(highlight=False).print(render(found))
    return 0


def explanation(
    cache: SemanticCache, policy: NamespacePolicy, point: OperatingPoint, stored: str, asked: str
) -> Explanation:
    """Decide on a pair as the service would, and return what led there.

    Raises:
        CacheError: there is no encoder.
    """
    made, wanted = judge(_request(stored), policy), judge(_request(asked), policy)
    is_shared = wanted.split.partition == judge(_request(asked, "other"), policy).split.partition
    decision, similarity = cache.explain_pair(stored, asked, policy.reuse, point)
    ruled = _never_meet(made, wanted)
    if ruled is None and not decision.is_exact:
        ruled = _repeats_only(made, wanted) or _too_far(similarity, policy)
    reason, why = ruled or (decision.reason, "")
    return Explanation(
        stored=canonical(stored),
        asked=canonical(asked),
        policy=policy,
        point=point,
        is_exact=reason is None and decision.is_exact,
        reason=reason,
        why=why,
        similarity=similarity,
        p_right=decision.p_right,
        findings=tuple(differences(canonical(asked), canonical(stored))),
        stored_traits=traits_of(stored),
        asked_traits=traits_of(asked),
        is_shared=is_shared,
    )


Ruling = tuple[MissReason, str]


def _never_meet(made: Reuse, wanted: Reuse) -> Ruling | None:
    """Return why not even an exact repeat would be served."""
    if wanted.barrier is not None:
        return wanted.barrier, ""
    missing = wanted.exact_only or MissReason.NOTHING_SIMILAR  # what a lookup in vain comes to
    if made.barrier is not None:
        return missing, f"The answer to the first is never stored: {made.barrier}."
    if made.split.partition != wanted.split.partition:
        return missing, "One of them is kept for its user alone, so they never meet."
    return None


def _repeats_only(made: Reuse, wanted: Reuse) -> Ruling | None:
    """Return why only an exact repeat would be served."""
    if wanted.exact_only is not None:
        return wanted.exact_only, ""
    if made.exact_only is not None:
        return (
            MissReason.NOTHING_SIMILAR,
            f"The answer to the first serves exact repeats only: {made.exact_only}.",
        )
    return None


def _too_far(similarity: float, policy: NamespacePolicy) -> Ruling | None:
    floor = policy.reuse.min_similarity
    if similarity >= floor:
        return None
    return MissReason.NOTHING_SIMILAR, f"Nothing below a cosine of {floor:g} is judged."


def _request(text: str, user: str = "one") -> ChatRequest:
    """Return a request of nothing but a text; both prompts come from the same user."""
    return ChatRequest(
        namespace="explain",
        caller="explain",
        messages=(Message(role=Role.USER, parts=(Part(text=text),)),),
        attribution=Attribution(user=user),
    )
