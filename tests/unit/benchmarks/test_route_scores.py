from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from benchmarks import cli, route, route_scores
from benchmarks.datasets import Outcome, RoutingRow
from benchmarks.encoding import BulkEncoder
from benchmarks.errors import UnusableInput
from benchmarks.route_scores import Exam, Judge, Prompts
from cache.types import Vectors
from classifier.encoder import OnnxEncoder
from classifier.shape import PromptShape

WEAK, STRONG = "tiny-1b", "huge-400b"
N_ROWS = 700


class LengthEncoder:
    """Two coordinates: how long a text is, and how short."""

    encoder_id = "length"
    dim = 2

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Turn by length, a quarter circle at 100 characters."""
        angles = np.array([min(len(text), 100) for text in texts]) / 100 * np.pi / 2
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


class TwoTiers:
    """P(adequate) .2 at ability -1 and .8 at ability 1, for every prompt."""

    scorer_id = "two-tiers"
    tiers = (-1.0, 1.0)

    def score(self, vectors: Vectors, shapes: Sequence[PromptShape]) -> Any:
        """Return the same for all."""
        return np.tile([0.2, 0.8], (len(shapes), 1))

    def head(self, model_name: str) -> int | None:
        """Have no score of any model's own."""
        return None

    def ability(self, model_name: str) -> float | None:
        """Know the weak model alone."""
        return -1.0 if model_name == WEAK else None

    def ability_prior(
        self, input_usd_per_mtok: float | None, output_usd_per_mtok: float | None
    ) -> float:
        """Start in the middle; with a price, above it."""
        return 0.0 if input_usd_per_mtok is None else 1.0


def _row(n: int, *, strong: float = 1.0, **given: Any) -> RoutingRow:
    prompt = given.pop("prompt", "x" * (n % 90 + 5))
    outcomes = given.pop(
        "outcomes",
        {
            WEAK: Outcome(score=float(len(prompt) < 50), cost_usd=None, output_tokens=None),
            STRONG: Outcome(score=strong, cost_usd=None, output_tokens=None),
        },
    )
    defaults = {"benchmark": "ours", "domain": "one", "dialogue": str(n)}
    return RoutingRow(
        id=str(n),
        prompt=prompt,
        outcomes=outcomes,
        tools=(),
        contaminated=False,
        **{**defaults, **given},
    )


def _prompts(rows: Sequence[RoutingRow]) -> Prompts:
    encoder: BulkEncoder = LengthEncoder()
    return Prompts.of(rows, cast(OnnxEncoder, encoder), None)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> None:
    """The artifact is known to be trained on "ours"; no data folder is at hand."""
    monkeypatch.setattr(route_scores, "trained_benchmarks", lambda: frozenset({"ours"}))
    monkeypatch.setattr(route_scores, "data_dir", lambda: None)


# Abilities


def test_a_model_the_artifact_does_not_know_starts_from_the_prior() -> None:
    """Known: .2 at its tier. Unknown: the prior's middle, .5; with costs in the file, its price."""
    priced = {
        **_row(0).outcomes,
        "new": Outcome(score=1.0, cost_usd=0.01, output_tokens=None),
    }
    rows = [_row(0), _row(1, outcomes=priced)]
    exam = Exam(_prompts(rows), [0, 1])
    exam.mark([0, 1], TwoTiers())

    found = exam.p_adequate([1], [WEAK, STRONG, "new"])

    assert found.tolist() == [pytest.approx([0.2, 0.5, 0.8])]


def test_probed_labels_move_a_model_to_where_its_outcomes_are() -> None:
    """40 right answers of 40: near the upper tier; none: near the lower one."""
    rows = [_row(n, strong=1.0) for n in range(40)]
    exam = Exam(_prompts(rows), range(40))
    exam.mark(range(40), TwoTiers())
    before = exam.p_adequate([0], [STRONG])[0, 0]

    exam.learn(range(40), [STRONG])

    assert before == pytest.approx(0.5)
    assert exam.p_adequate([0], [STRONG])[0, 0] > 0.75


def test_few_probed_labels_move_it_little() -> None:
    """One answer is not believed against the prior."""
    rows = [_row(0)]
    exam = Exam(_prompts(rows), [0])
    exam.mark([0], TwoTiers())

    exam.learn([0], [STRONG])

    assert 0.5 < exam.p_adequate([0], [STRONG])[0, 0] < 0.7


# What a scorer may see


@pytest.mark.usefixtures("trained")
def test_probing_what_the_artifact_was_trained_on_is_refused() -> None:
    """The labels were seen already; the sentence says what to add."""
    with pytest.raises(UnusableInput, match="trained on ours already; add --without"):
        Judge([_row(0), _row(1)], probe=1)

    assert Judge([_row(0), _row(1)], probe=1, without=("ours",)).is_zero_shot is False


@pytest.mark.usefixtures("trained")
def test_zero_shot_is_what_the_card_does_not_list_and_no_label_taught() -> None:
    """A new benchmark, or one that was left out; never with probes or folds."""
    known, new = [_row(0), _row(1)], [_row(0, benchmark="new"), _row(1, benchmark="new")]

    assert Judge(known).is_zero_shot is False
    assert Judge(known, without=("ours",)).is_zero_shot is True
    assert Judge(new).is_zero_shot is True
    assert Judge(new, probe=1).is_zero_shot is False
    assert Judge(new, folds=2).is_zero_shot is False


@pytest.mark.usefixtures("trained")
def test_probed_rows_are_not_judged_nor_what_shares_their_dialogue(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One row is seen, its dialogue of two is left out; the seed chooses which."""
    monkeypatch.setattr(route_scores, "shipped_scorer", lambda _: TwoTiers())
    rows = [_row(n, benchmark="new", dialogue=str(n // 2)) for n in range(20)]

    judged = Judge(rows, probe=1, seed=4).examine(_prompts(rows)).judged

    left_out = sorted(set(range(20)) - set(judged))
    assert len(left_out) == 2
    assert left_out[0] // 2 == left_out[1] // 2


@pytest.mark.usefixtures("trained")
def test_no_row_is_scored_by_a_model_that_saw_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Per fold the fit sees none of the fold's prompts, nor copies or turns of them."""
    rows = [_row(n, prompt="same" if n % 7 == 0 else f"prompt {n}") for n in range(60)]
    fitted: list[set[str]] = []

    class Remembering(TwoTiers):
        def __init__(self, seen: set[str]) -> None:
            self.seen = seen

        def score(self, vectors: Vectors, shapes: Sequence[PromptShape]) -> Any:
            """Refuse what was seen."""
            assert not self.seen & {shape.text for shape in shapes}
            return super().score(vectors, shapes)

    def fit(rows: Sequence[RoutingRow], *_: object, **__: object) -> Remembering:
        fitted.append({row.prompt for row in rows})
        return Remembering(fitted[-1])

    monkeypatch.setattr(route_scores, "fit", fit)

    exam = Judge(rows, folds=3).examine(_prompts(rows))

    assert exam.judged == list(range(60))
    assert len(fitted) == 3
    assert exam.p_adequate(range(60), [WEAK]).shape == (60, 1)


def test_a_refit_without_a_benchmark_sees_neither_it_nor_the_judged_prompts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of other benchmarks that repeat a judged prompt are left out as well."""
    (tmp_path / "router").mkdir()
    lines = [
        _line(_row(0, prompt="judged")),
        _line(_row(1, prompt="judged", benchmark="other")),
        _line(_row(2, prompt="free", benchmark="other")),
    ]
    (tmp_path / "router" / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.setattr(route_scores, "trained_benchmarks", lambda: frozenset({"ours", "other"}))
    monkeypatch.setattr(route_scores, "data_dir", lambda: tmp_path)
    seen: list[str] = []

    def fit(rows: Sequence[RoutingRow], *_: object, **__: object) -> TwoTiers:
        seen.extend(row.prompt for row in rows)
        return TwoTiers()

    monkeypatch.setattr(route_scores, "fit", fit)
    rows = [_row(0, prompt="judged")]

    Judge(rows, without=("ours",)).examine(_prompts(rows))

    assert seen == ["free"]


# The scenario


def _line(row: RoutingRow) -> str:
    outcomes = {model: {"score": outcome.score} for model, outcome in row.outcomes.items()}
    return json.dumps(
        {
            "id": row.id,
            "benchmark": row.benchmark,
            "domain": row.domain,
            "prompt": row.prompt,
            "outcomes": outcomes,
            "contaminated": row.contaminated,
        }
    )


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(route, "shipped_encoder", LengthEncoder)
    path = tmp_path / "routing.jsonl"
    path.write_text(
        "\n".join(_line(_row(n, strong=float(n % 9 > 0))) for n in range(N_ROWS)), encoding="utf-8"
    )
    return path


@pytest.mark.usefixtures("trained")
def test_a_router_refitted_per_fold_learns_what_the_prompts_tell(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Long prompts need the strong model: found out of fold, and no text is stored."""
    out = tmp_path / "result.json"
    words = ["route", str(file), "--weak", WEAK, "--strong", STRONG, "--folds", "4"]

    code = cli.main([*words, "--all-models", "--json", "--out", str(out)])

    found = json.loads(capsys.readouterr().out)
    assert code == 0
    assert found["n"] == N_ROWS
    assert found["apgr"]["value"] > 0.6
    assert found["zero_shot"] is False
    assert found["controls"]["domain_mean"] is None
    assert found["best_single"]["model"] == STRONG
    assert found["aiq"] is None
    assert {"ece", "brier", "gain_over", "cpt50", "cpt80"} <= set(found)
    assert "xxxxx" not in out.read_text()


@pytest.mark.usefixtures("trained")
def test_an_unknown_model_is_refused_with_those_that_are_near(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2, the option, and what the file calls it."""
    code = cli.main(["route", str(file), "--weak", "tiny", "--strong", STRONG])

    assert code == 2
    err = capsys.readouterr().err
    assert "--weak 'tiny'" in err
    assert WEAK in err


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize("option", ["--folds", "--probe"])
def test_more_folds_or_probes_than_rows_are_refused(
    option: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2 before anything is encoded."""
    words = ["route", str(file), "--weak", WEAK, "--strong", STRONG, option, str(N_ROWS)]

    assert cli.main(words) == 2
    assert option in capsys.readouterr().err


@pytest.mark.usefixtures("trained")
def test_without_the_data_folder_there_is_no_refit(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2 and the variable to set."""
    words = ["route", str(file), "--weak", WEAK, "--strong", STRONG, "--without", "ours"]

    assert cli.main(words) == 2
    assert "SCRIMP_DATA" in capsys.readouterr().err


def test_contaminated_rows_are_dropped(tmp_path: Path) -> None:
    """The protocol: a model was trained on them."""
    clean, dirty = _line(_row(0)), json.loads(_line(_row(1))) | {"contaminated": True}
    path = tmp_path / "rows.jsonl"
    path.write_text(f"{clean}\n{json.dumps(dirty)}\n", encoding="utf-8")

    assert [row.id for row in route_scores.usable_rows(path)] == ["0"]
