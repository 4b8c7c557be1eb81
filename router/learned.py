"""What the traffic itself taught of models: P(adequate) put right, per namespace, while it runs.

Labels come from ``scrimp probe`` (a file in the data folder), from callers' words, and from audits
of routing (``router.exploring``); ``classifier.local`` says what each is worth. They are kept in
the ledger's file, as vectors and never as texts, with the propensity of each that was drawn. What
follows is worked out aside, some seconds later: no restart, and nothing is retrained.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from classifier.local import MOST, LocalFit, LocalLabel, Origin
from router.behind import Behind
from router.ledger.verdicts import Verdict
from router.metrics import Metrics
from router.ports import VerdictStore
from router.probed import read_probes
from router.tending import tend

INTERVAL_S: Final = 5.0
MAX_KEYS: Final = 2_000
MAX_SEEN: Final = 10_000  # requests whose prompt is remembered for a caller's word, 1 KB each
_PER_ROUND: Final = 4  # fits of one round, some 50 ms each

Array = npt.NDArray[Any]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Row:
    """A label as it came; arrays of two bytes a number."""

    vector: Array
    scores: Array
    worth: float
    origin: Origin


def _row(vector: Array, scores: tuple[float, ...], worth: float, origin: Origin) -> _Row:
    of_two_bytes = np.array(scores, dtype=np.float16)
    return _Row(vector.astype(np.float16), of_two_bytes, worth, origin)


@dataclass(slots=True)
class _Known:
    """A model in a namespace."""

    labels: deque[_Row] = field(default_factory=lambda: deque(maxlen=MOST))
    fit: LocalFit | None = None
    is_stale: bool = False


class Learned:
    """Holds labels and fits. On the event loop; fits are made in a thread.

    Args:
        store: where labels survive.
        folder: where ``scrimp probe`` leaves its own.
        scorer: id of what scores; labels under another one are left out.
        metrics: shows what was learned.
        behind: what stands behind the models' names, since when; what is older, or of another
            model, is left out. None: nothing changed.
    """

    def __init__(
        self,
        *,
        store: VerdictStore,
        folder: Path,
        scorer: str,
        metrics: Metrics,
        behind: Behind | None = None,
    ) -> None:
        self._behind = behind
        self._store = store
        self._folder = folder
        self._places: dict[str, int] = {}
        self._probabilities: Callable[[tuple[float, ...]], Sequence[float]] = lambda _: ()
        self._scorer = scorer
        self._metrics = metrics
        self._known: dict[tuple[str, str], _Known] = {}
        self._probes: dict[str, list[_Row]] = {}
        self._probed: dict[str, int] = {}
        self._seen: OrderedDict[str, tuple[Array, Array]] = OrderedDict()

    def go_by(
        self, models: Sequence[str], probabilities: Callable[[tuple[float, ...]], Sequence[float]]
    ) -> None:
        """Go by other settings from now on: what is known is put on their scale.

        Args:
            models: of the settings, in order.
            probabilities: scores to P(adequate) per model, in that order; empty where they do not
                fit.
        """
        self._places = {model: at for at, model in enumerate(models)}
        self._probabilities = probabilities
        for known in self._known.values():
            known.is_stale = True

    def drop(self, models: Collection[str]) -> None:
        """Forget what was learned of names that other models stand behind now."""
        if not models:
            return
        for key in [key for key in self._known if key[1] in models]:
            del self._known[key]
        for model in models:
            self._probes.pop(model, None)
        self._probed.clear()  # a file may be of the model that stands there now

    async def load(self) -> None:
        """Take up what was learned before a restart.

        Raises:
            LedgerUnavailable: the file cannot be read.
        """
        for verdict in await self._store.verdicts(self._scorer):
            self._add(verdict)
        await self.refresh()

    async def relearn(self) -> None:
        """Take the labels up anew from where they are kept, as some were erased there.

        Raises:
            LedgerUnavailable: the file cannot be read.
        """
        verdicts = await self._store.verdicts(self._scorer)
        for known in self._known.values():
            known.labels.clear()
            known.is_stale = True
        for verdict in verdicts:
            self._add(verdict)

    def forget(self) -> None:
        """Forget the prompts that callers may still say something of."""
        self._seen.clear()

    # --------------------------------------------------------------------------- while it is routed

    def adjusted(
        self,
        namespace: str,
        models: Sequence[str],
        vector: Array | None,
        p_adequate: Sequence[float],
    ) -> Sequence[float]:
        """Return P(adequate) per model as the traffic put it right.

        Args:
            namespace: whose labels count.
            models: of the request's settings.
            vector: of the prompt; None: it is not at hand.
            p_adequate: what the classifier says of each.
        """
        if not (self._known or self._probes):
            return p_adequate
        found = list(p_adequate)
        for at, model in enumerate(models):
            known = self._known.get((namespace, model)) or self._known.get(("", model))
            if known is not None and known.fit is not None:
                fit, p = known.fit, found[at]
                found[at] = fit.p_unseen(p) if vector is None else fit.p(vector, p)
        return found

    def saw(self, line_id: str, vector: Array, scores: tuple[float, ...]) -> None:
        """Remember a routed prompt for a while, should a caller say something of its answer."""
        self._seen[line_id] = (vector.astype(np.float16), np.array(scores, dtype=np.float16))
        if len(self._seen) > MAX_SEEN:
            self._seen.popitem(last=False)

    def told(
        self, line_id: str, namespace: str, model: str, *, is_adequate: bool, at_s: float
    ) -> None:
        """Take a caller's word on a routed answer; of one seen before a restart none is taken.

        Args:
            line_id: of the request.
            namespace: its own.
            model: that answered.
            is_adequate: the caller's word.
            at_s: when it was asked, in seconds since the epoch.
        """
        seen = self._seen.get(line_id)
        if seen is not None:
            vector, scores = seen
            self.take(
                Verdict(
                    line_id=line_id,
                    namespace=namespace,
                    model=model,
                    at_s=at_s,
                    origin=Origin.TOLD,
                    worth=float(is_adequate),
                    propensity=None,
                    scores=tuple(scores.astype(float).tolist()),
                    vector=vector.astype(np.float32),
                )
            )

    def take(self, verdict: Verdict) -> None:
        """Learn from a label, and keep it."""
        if self._add(verdict):
            self._store.note_verdict(self._scorer, verdict)

    # ------------------------------------------------------------------------------------- the fits

    async def refresh(self) -> None:
        """Fit anew what has new labels, for a bounded number of models.

        Those that were fitted longest ago come first, so that busy ones keep nobody waiting.
        """
        probes = await asyncio.to_thread(
            read_probes, self._folder, self._scorer, self._probed, self._of_now
        )
        for model, rows in probes.items():
            self._probes[model] = [_row(*row, Origin.PROBE) for row in rows[-MOST:]]
            self._of("", model)
            for (_, name), known in self._known.items():
                known.is_stale = known.is_stale or name == model
        stale = [(key, known) for key, known in self._known.items() if known.is_stale]
        for (namespace, model), known in stale[:_PER_ROUND]:
            if self._known.get((namespace, model)) is not known:
                continue  # dropped meanwhile
            known.is_stale = False
            self._known[namespace, model] = self._known.pop((namespace, model))  # to the end
            labels = self._labels(model, [*self._probes.get(model, ()), *known.labels])
            known.fit = await asyncio.to_thread(LocalFit.fit, labels)
            if known.fit is not None and namespace:
                self._metrics.learned(namespace, model, known.fit.level)

    async def keep_fresh(self) -> None:
        """Refresh every few seconds until cancelled."""
        await tend(
            self.refresh,
            every_s=INTERVAL_S,
            log=_log,
            failed="what the traffic teaches could not be worked out",
            degraded=lambda: self._metrics.degraded("learning"),
        )

    def fit_of(self, namespace: str, model: str) -> LocalFit | None:
        """Return what was made of a model's labels; None: too few so far."""
        known = self._known.get((namespace, model))
        return None if known is None else known.fit

    def _of_now(self, model: str) -> str:
        return "" if self._behind is None else self._behind.of(model)

    def _add(self, verdict: Verdict) -> bool:
        if verdict.model not in self._places or not self._probabilities(verdict.scores):
            return False  # of a model or scores that are gone
        if self._behind is not None and verdict.at_s < self._behind.since_s(verdict.model):
            return False
        known = self._of(verdict.namespace, verdict.model)
        if known is None:
            return False
        known.labels.append(_row(verdict.vector, verdict.scores, verdict.worth, verdict.origin))
        known.is_stale = True
        return True

    def _labels(self, model: str, rows: Sequence[_Row]) -> list[LocalLabel]:
        """Return labels on today's scale."""
        at = self._places.get(model)
        found = []
        for row in rows if at is not None else ():
            p = self._probabilities(tuple(row.scores.astype(float).tolist()))
            if at is not None and p:
                vector = row.vector.astype(np.float32)
                label = LocalLabel(vector=vector, p=p[at], worth=row.worth, origin=row.origin)
                found.append(label)
        return found

    def _of(self, namespace: str, model: str) -> _Known | None:
        known = self._known.get((namespace, model))
        if known is None:
            if len(self._known) >= MAX_KEYS:
                self._metrics.degraded("learning")
                return None
            known = self._known[namespace, model] = _Known(is_stale=True)
        return known
