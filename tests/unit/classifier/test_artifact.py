import json
import shutil
from pathlib import Path

import pytest

import benchmarks.encoding
from classifier.artifact import ARTIFACTS, read_artifact, write_artifact
from classifier.encoder import OnnxEncoder
from classifier.errors import ArtifactError


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """An artifact survives the disk: id, card and files."""
    write_artifact(
        tmp_path, kind="thing", artifact_id="thing-1", files={"a.bin": b"abc"}, card={"n": 3}
    )

    artifact = read_artifact(tmp_path, kind="thing")

    assert (artifact.id, artifact.field("n"), artifact.files) == ("thing-1", 3, {"a.bin": b"abc"})


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    """One flipped byte: the model is not the one whose numbers the card states."""
    write_artifact(tmp_path, kind="thing", artifact_id="t", files={"a.bin": b"abc"}, card={})
    (tmp_path / "a.bin").write_bytes(b"abd")

    with pytest.raises(ArtifactError, match=r"a\.bin has sha256 .*python -m training thing"):
        read_artifact(tmp_path, kind="thing")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """The error names the file that the card lists."""
    write_artifact(tmp_path, kind="thing", artifact_id="t", files={"a.bin": b"abc"}, card={})
    (tmp_path / "a.bin").unlink()

    with pytest.raises(ArtifactError, match=r"a\.bin cannot be read"):
        read_artifact(tmp_path, kind="thing")


@pytest.mark.parametrize("card", ["", "[]", "{}", '{"kind": "other", "format": 1, "id": "x"}'])
def test_a_foreign_card_is_refused(tmp_path: Path, card: str) -> None:
    """A torn, empty or foreign card is an ArtifactError, never a KeyError."""
    (tmp_path / "card.json").write_text(card)

    with pytest.raises(ArtifactError):
        read_artifact(tmp_path, kind="thing")


def test_an_absent_folder_is_refused_with_a_remedy(tmp_path: Path) -> None:
    """Whoever forgot the artifacts is told how to get them."""
    with pytest.raises(ArtifactError, match="python -m training encoder"):
        OnnxEncoder.load(tmp_path / "nothing")


def test_an_encoder_whose_window_was_edited_is_refused(tmp_path: Path) -> None:
    """The id covers the window: another window makes other vectors."""
    folder = tmp_path / "encoder"
    shutil.copytree(ARTIFACTS / "encoder", folder)
    card = json.loads((folder / "card.json").read_text())
    card["window"]["tail_tokens"] = 16
    (folder / "card.json").write_text(json.dumps(card))

    with pytest.raises(ArtifactError, match="calls itself"):
        OnnxEncoder.load(folder)


def test_a_model_that_does_not_load_is_an_artifact_error(tmp_path: Path) -> None:
    """Rubbish with a right checksum is still refused with a sentence that helps."""
    from classifier.encoder import Window, encoder_id

    window = {"head_tokens": 94, "tail_tokens": 32, "head_chars": 1000, "tail_chars": 500}
    files = {"model.onnx": b"rubbish", "tokenizer.json": b"{}"}
    identity = encoder_id(files["model.onnx"], files["tokenizer.json"], Window(**window))
    card = {"dim": 384, "window": window}
    write_artifact(tmp_path, kind="encoder", artifact_id=identity, files=files, card=card)

    with pytest.raises(ArtifactError, match="does not load"):
        OnnxEncoder.load(tmp_path)


@pytest.mark.parametrize("kind", ["encoder", "pair", "complexity"])
def test_the_shipped_artifacts_state_their_sources_and_terms(kind: str) -> None:
    """Every artifact that ships says what it was made of, under which terms, with which numbers."""
    card = read_artifact(ARTIFACTS / kind, kind=kind).card

    assert {"sources", "license", "seed", "numbers", "created"} <= set(card)
    assert (ARTIFACTS / kind / "MODEL_CARD.md").read_text().startswith("# ")


@pytest.mark.parametrize(
    ("folder", "closeness"),
    [
        (ARTIFACTS / "encoder", "cosine_to_floating_point"),
        (Path(benchmarks.encoding.__file__).parent / "original_encoder", "cosine_to_original"),
    ],
    ids=["shipped", "original"],
)
def test_the_int8_encoders_are_close_to_what_they_were_made_of(
    folder: Path, closeness: str
) -> None:
    """Mean cosine at least .985 on 1,000 prompts, 25 MB at most."""
    artifact = read_artifact(folder, kind="encoder")

    assert artifact.field("numbers")[closeness]["mean"] >= 0.985
    assert sum(map(len, artifact.files.values())) <= 25_000_000
