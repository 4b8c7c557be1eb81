import gzip
import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.datasets import (
    DatasetError,
    data_dir,
    fold_of,
    groups,
    pairs,
    read_rows,
    routing,
    sha256_of,
)


def _write(path: Path, rows: list[object]) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz"])
def test_plain_and_gzipped_files_read_alike(tmp_path: Path, name: str) -> None:
    """The ending decides; the rows are the same."""
    path = _write(tmp_path / name, [{"text": "ä"}, {"text": "b"}])

    assert [row["text"] for row in read_rows(path)] == ["ä", "b"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"a": 1}\n\n{"a": \n', r"line 3: saw text that is not JSON"),
        (b'{"a": 1}\n[1]\n', r"line 2: saw list, expected a JSON object"),
        (b'{"a": "\xff\xfe"}\n', r"not JSON in UTF-8"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    """File, line, what was seen and what was expected."""
    path = tmp_path / "bad.jsonl"
    path.write_bytes(content)

    with pytest.raises(DatasetError, match=said) as caught:
        list(read_rows(path))
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [b"not gzip at all", gzip.compress(b'{"a": 1}\n' * 999)[:-20]],
    ids=["foreign", "truncated"],
)
def test_a_damaged_gzip_is_an_error_of_ours(tmp_path: Path, content: bytes) -> None:
    """A download that broke off is reported as such, not as a traceback from zlib."""
    path = tmp_path / "bad.jsonl.gz"
    path.write_bytes(content)

    with pytest.raises(DatasetError, match="cannot be read"):
        list(read_rows(path))


def test_a_missing_file_is_an_error_of_ours(tmp_path: Path) -> None:
    """The path is in the message."""
    with pytest.raises(DatasetError, match=r"absent\.jsonl"):
        list(read_rows(tmp_path / "absent.jsonl"))


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    """The error shows the columns there are and the one that is needed."""
    path = _write(tmp_path / "p.jsonl", [{"a": "x", "b": "y"}])

    with pytest.raises(
        DatasetError, match=r"row 1: saw columns \['a', 'b'\], expected 'duplicate'"
    ):
        list(pairs(path))


def test_unknown_columns_are_ignored(tmp_path: Path) -> None:
    """Files may grow columns."""
    row = {"a": "x", "b": "y", "duplicate": 1, "split": "dev", "mood": "blue"}

    (pair,) = pairs(_write(tmp_path / "p.jsonl", [row]))

    assert (pair.a, pair.b, pair.duplicate, pair.split, pair.test) == ("x", "y", True, "dev", None)


def test_a_group_without_judgements_differs_from_one_with_none(tmp_path: Path) -> None:
    """No ``different`` column: judge by the group; an empty one: nothing was judged different."""
    path = _write(
        tmp_path / "g.jsonl",
        [{"text": "a", "group": "1"}, {"text": "b", "group": 2, "different": ["1"]}],
    )

    first, second = groups(path)

    assert (first.different, second.different, second.group) == (None, frozenset({"1"}), "2")


def test_an_outcome_without_a_score_is_refused(tmp_path: Path) -> None:
    """A score outside [0, 1] would poison every figure made from it."""
    row = {
        "id": "1",
        "benchmark": "b",
        "domain": "d",
        "prompt": "p",
        "outcomes": {"m": {"score": 2}},
    }

    with pytest.raises(DatasetError, match=r"outcomes\.m"):
        list(routing(_write(tmp_path / "r.jsonl", [row])))


def test_a_row_that_stands_alone_is_its_own_dialogue(tmp_path: Path) -> None:
    """The bootstrap resamples dialogues; a lone prompt is one."""
    row = {"id": "7", "benchmark": "b", "domain": "d", "prompt": "p", "outcomes": {}}

    (read,) = routing(_write(tmp_path / "r.jsonl", [row]))

    assert (read.dialogue, read.contaminated, read.tools) == ("7", False, ())


@given(st.text(), st.integers(1, 20), st.integers())
def test_a_fold_is_stable_and_in_range(key: str, folds: int, seed: int) -> None:
    """The same key, folds and seed: the same fold, on every run."""
    fold = fold_of(key, folds, seed)

    assert 0 <= fold < folds
    assert fold == fold_of(key, folds, seed)


def test_folds_are_fixed_for_ever() -> None:
    """Stored results rely on the split: a changed hash is a reviewed diff."""
    assert [fold_of(f"row-{i}", 5, 0) for i in range(8)] == [2, 2, 4, 2, 1, 3, 1, 1]


def test_folds_are_even() -> None:
    """No fold is starved."""
    sizes = Counter(fold_of(str(i), 5, 1) for i in range(5000))

    assert min(sizes.values()) > 900


def test_the_checksum_is_of_the_bytes_on_disk(tmp_path: Path) -> None:
    """As `sha256sum` says it."""
    path = tmp_path / "x"
    path.write_bytes(b"abc")

    assert sha256_of(path).startswith("ba7816bf8f01cfea")


def test_the_data_folder_is_named_by_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``SCRIMP_DATA`` wins; a folder that is not there is none."""
    monkeypatch.setenv("SCRIMP_DATA", str(tmp_path))
    assert data_dir() == tmp_path

    monkeypatch.setenv("SCRIMP_DATA", str(tmp_path / "absent"))
    assert data_dir() is None


@pytest.mark.data
def test_every_file_of_the_data_reads() -> None:
    """The loaders agree with the data's own description, first rows of each file."""
    folder = data_dir()
    if folder is None:
        pytest.skip("no data: set SCRIMP_DATA")
    loaders = [("cache", "pairs_", pairs), ("cache", "groups_", groups), ("router", "", routing)]

    for room, prefix, load in loaders:
        for path in sorted((folder / room).glob(f"{prefix}*.jsonl.gz")):
            assert next(iter(load(path))) is not None
