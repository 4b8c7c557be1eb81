"""Labels become corrections, per namespace, without a restart, and outlive one."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from classifier.local import Origin
from router.behind import Behind, identity
from router.learned import Learned
from router.ledger.sqlite_ledger import SqliteLedger
from router.ledger.verdicts import Verdict
from router.metrics import Metrics
from router.ports import VerdictStore
from router.probed import read_probes, write_probes
from router.settings import ModelSpec

MODELS = ["large", "small"]
SAID = (0.9, 0.8)
DIM = 8


class Store:
    """Keeps labels in memory."""

    def __init__(self) -> None:
        self.kept: list[tuple[str, Verdict]] = []

    async def verdicts(self, scorer: str) -> list[Verdict]:
        return [verdict for of, verdict in self.kept if of == scorer]

    def note_verdict(self, scorer: str, verdict: Verdict) -> None:
        self.kept.append((scorer, verdict))


def learning(
    folder: Path,
    store: VerdictStore | None = None,
    metrics: Metrics | None = None,
    behind: Behind | None = None,
) -> Learned:
    learned = Learned(
        store=store or Store(),
        folder=folder,
        scorer="s-1",
        metrics=metrics or Metrics(),
        behind=behind,
    )
    learned.go_by(MODELS, lambda scores: scores)
    return learned


def vector(n: int) -> npt.NDArray[np.float32]:
    drawn = np.random.default_rng(n).normal(size=DIM)
    return np.asarray(drawn / np.linalg.norm(drawn), dtype=np.float32)


def a_verdict(n: int, worth: float, **changes: object) -> Verdict:
    values: dict[str, object] = {
        "line_id": f"{n:032x}",
        "namespace": "shop",
        "model": "small",
        "at_s": 5.0,
        "origin": Origin.TRAFFIC,
        "worth": worth,
        "propensity": 0.01,
        "scores": SAID,
        "vector": vector(n),
    }
    return Verdict(**{**values, **changes})  # type: ignore[arg-type]


async def test_what_the_traffic_taught_changes_that_namespace_and_model_alone(
    tmp_path: Path,
) -> None:
    """Small fails half of it; nobody else's probabilities move."""
    metrics = Metrics()
    learned = learning(tmp_path, metrics=metrics)
    for n in range(120):
        learned.take(a_verdict(n, float(n % 2)))
    assert learned.adjusted("shop", MODELS, vector(1), SAID) == list(SAID), (
        "not before it is worked out"
    )
    await learned.refresh()

    large, small = learned.adjusted("shop", MODELS, vector(500), SAID)
    assert large == 0.9
    assert small < 0.7
    assert learned.adjusted("shop", MODELS, None, SAID)[1] == pytest.approx(0.5, abs=0.1)
    assert list(learned.adjusted("lab", MODELS, vector(500), SAID)) == list(SAID)
    shown = metrics.exposition().decode()
    assert 'scrimp_route_p_adequate{bound="high",model="small",namespace="shop"} 0.' in shown


async def test_labels_outlive_a_restart(tmp_path: Path) -> None:
    """From the ledger's own file; under another scorer they would be on another scale."""
    ledger = SqliteLedger.open(tmp_path, on_failure=lambda _: None)
    try:
        first = learning(tmp_path, ledger)
        for n in range(60):
            first.take(a_verdict(n, 0.0))
        ledger.note_verdict("s-2", a_verdict(99, 1.0))
        await first.refresh()
        again = learning(tmp_path, ledger)
        await again.load()
    finally:
        await ledger.aclose()

    before, after = first.fit_of("shop", "small"), again.fit_of("shop", "small")
    assert before is not None
    assert after is not None
    assert after.level.n == before.level.n == 60
    assert after.level.mean == pytest.approx(before.level.mean, abs=1e-3)


async def test_probes_are_taken_up_while_it_runs(tmp_path: Path) -> None:
    """In every namespace, until its own labels say more; a changed file replaces the former."""
    learned = learning(tmp_path)
    await learned.refresh()

    def probe(worth: float) -> None:
        vectors = np.stack([vector(n) for n in range(100)])
        scores = np.tile(np.array(SAID), (100, 1))
        file = write_probes(
            tmp_path, "small", "s-1", vectors=vectors, scores=scores, worth=[worth] * 100
        )
        os.utime(file, ns=(int(worth * 1e9), int(worth * 1e9)))

    probe(0.0)
    await learned.refresh()
    low = learned.adjusted("anyone", MODELS, vector(7), SAID)[1]
    probe(1.0)
    await learned.refresh()
    high = learned.adjusted("anyone", MODELS, vector(7), SAID)[1]

    assert low < 0.3
    assert high > 0.9


async def test_a_damaged_probe_file_is_named_and_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, not every few seconds."""
    (tmp_path / "probed-0123456789abcdef.npz").write_bytes(b"no archive")
    known: dict[str, int] = {}

    assert read_probes(tmp_path, "s-1", known) == {}
    assert read_probes(tmp_path, "s-1", known) == {}
    assert caplog.text.count("run scrimp probe again") == 1


async def test_a_word_counts_for_a_request_that_is_remembered(tmp_path: Path) -> None:
    """As told, with the prompt it was said of; of others nothing is known."""
    store = Store()
    learned = learning(tmp_path, store)
    learned.saw("ab" * 16, vector(1), SAID)
    learned.told("ab" * 16, "shop", "small", is_adequate=False, at_s=5.0)
    learned.told("cd" * 16, "shop", "small", is_adequate=False, at_s=5.0)

    ((_, verdict),) = store.kept
    assert (verdict.origin, verdict.worth, verdict.propensity) == (Origin.TOLD, 0.0, None)
    assert verdict.scores == pytest.approx(SAID, abs=1e-3)
    assert np.allclose(verdict.vector, vector(1), atol=1e-3)


async def test_a_label_of_a_model_that_has_left_is_not_kept(tmp_path: Path) -> None:
    """Nor one whose scores fit nothing."""
    store = Store()
    learned = learning(tmp_path, store)
    learned.take(a_verdict(0, 1.0, model="gone"))
    learned.take(a_verdict(1, 1.0, scores=()))

    assert store.kept == []


async def test_other_settings_put_what_is_known_on_their_scale(tmp_path: Path) -> None:
    """Nothing is forgotten, and a request of earlier settings is still read by its own order."""
    learned = learning(tmp_path)
    for n in range(120):
        learned.take(a_verdict(n, float(n % 2)))
    await learned.refresh()

    learned.go_by(["small", "new", "large"], lambda scores: (scores[1], 0.5, scores[0]))
    await learned.refresh()

    now = learned.adjusted("shop", ["small", "new", "large"], None, (0.8, 0.5, 0.9))
    then = learned.adjusted("shop", MODELS, None, SAID)
    assert now[1:] == [0.5, 0.9]
    assert now[0] == pytest.approx(0.5, abs=0.1)
    assert list(then) == [0.9, now[0]]


async def test_busy_namespaces_keep_no_other_waiting(tmp_path: Path) -> None:
    """Though they have new labels at every round, and a round fits a few of all."""
    learned = learning(tmp_path)
    busy = [f"busy-{n}" for n in range(8)]
    for n in range(60):
        for namespace in (*busy, "quiet"):
            learned.take(a_verdict(n, 0.0, namespace=namespace))

    for n in range(60, 64):
        await learned.refresh()
        for namespace in busy:
            learned.take(a_verdict(n, 0.0, namespace=namespace))

    assert learned.fit_of("quiet", "small") is not None
    assert all(learned.fit_of(namespace, "small") for namespace in busy)


def standing(name: str) -> dict[str, ModelSpec]:
    """Models of which ``small`` is a provider's so-named one."""
    return {
        "large": ModelSpec(name="large", provider="p", provider_model="large"),
        "small": ModelSpec(name="small", provider="p", provider_model=name),
    }


async def test_what_one_model_earned_is_not_inherited_by_another(tmp_path: Path) -> None:
    """Under the same name: labels of traffic and probes are dropped, while it runs and later."""
    store, now = Store(), [10.0]
    behind = Behind(tmp_path / "models.json", lambda: now[0])
    behind.go_by(standing("old"))
    learned = learning(tmp_path, store, behind=behind)
    for n in range(60):
        learned.take(a_verdict(n, 0.0, at_s=9.0))
    scores = np.tile(np.array(SAID), (60, 1))
    vectors = np.array([vector(n) for n in range(60)])
    of = identity(standing("old")["small"])
    write_probes(tmp_path, "small", "s-1", vectors=vectors, scores=scores, worth=[0.0] * 60, of=of)
    await learned.refresh()
    assert learned.adjusted("shop", MODELS, vector(1), SAID)[1] < 0.5

    learned.drop(behind.go_by(standing("new")))
    learned.take(a_verdict(60, 0.0, at_s=9.0))  # it was asked before
    await learned.refresh()
    later = learning(tmp_path, store, behind=behind)
    await later.load()

    for one in (learned, later):
        assert list(one.adjusted("shop", MODELS, vector(1), SAID)) == list(SAID)
        assert list(one.adjusted("lab", MODELS, vector(1), SAID)) == list(SAID)


async def test_a_probe_of_the_model_that_stands_there_now_is_taken_up(tmp_path: Path) -> None:
    """Also one that was left before the settings were read."""
    behind = Behind(tmp_path / "models.json", lambda: 10.0)
    behind.go_by(standing("old"))
    learned = learning(tmp_path, behind=behind)
    scores = np.tile(np.array(SAID), (60, 1))
    vectors = np.array([vector(n) for n in range(60)])
    of = identity(standing("new")["small"])
    write_probes(tmp_path, "small", "s-1", vectors=vectors, scores=scores, worth=[0.0] * 60, of=of)
    await learned.refresh()
    assert learned.fit_of("", "small") is None

    learned.drop(behind.go_by(standing("new")))
    await learned.refresh()

    assert learned.fit_of("", "small") is not None
