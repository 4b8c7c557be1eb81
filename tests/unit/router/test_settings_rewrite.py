from pathlib import Path

import pytest

from router.settings.rewrite import NotWritable, set_number, set_table, write_number

FILE = """# ours
[routing]
baseline = "large"   # keep
# quality_target = 0.95
max_chain = 2

[models."gpt-4o"]
ability = 1.0  # a guess
[models.small]
"""


def test_a_number_is_changed_and_all_else_stays() -> None:
    """Only the one line differs; its comment is replaced."""
    changed = set_number(FILE, ("models", "gpt-4o"), "ability", 1.5, "probed")

    assert changed == FILE.replace("ability = 1.0  # a guess", "ability = 1.5  # probed")


def test_a_missing_number_is_put_below_its_header() -> None:
    """A commented default is no number."""
    changed = set_number(FILE, ("routing",), "quality_target", 0.9)

    assert changed == FILE.replace("[routing]\n", "[routing]\nquality_target = 0.9\n")


@pytest.mark.parametrize(
    "text",
    ["", 'routing = { baseline = "x" }\n', '[routing]\nnote = """\n[models.x]\n"""\n'],
    ids=["no table", "inline table", "header within a text"],
)
def test_what_cannot_be_changed_line_by_line_is_refused(text: str) -> None:
    """Nothing is guessed; the file stays as it is."""
    with pytest.raises(NotWritable):
        set_number(text, ("models", "x"), "ability", 1.0)


def test_the_file_is_replaced_in_one_step(tmp_path: Path) -> None:
    """The number is in it, its mode is kept, and nothing is left beside it."""
    file = tmp_path / "scrimp.toml"
    file.write_text(FILE, encoding="utf-8")
    file.chmod(0o600)

    write_number(file, ("models", "small"), "ability", -0.25)

    assert file.read_text(encoding="utf-8").endswith("[models.small]\nability = -0.25\n")
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_a_table_of_numbers_is_put_last_and_replaced_where_it_stands() -> None:
    """Comments above the next table stay the next table's."""
    first = set_table(FILE, ("routing", "calibrated"), {"n": 3, "chosen": {"gpt-4o": 2}}, "ours")

    assert first == FILE + "\n[routing.calibrated]\n# ours\nn = 3\nchosen = { gpt-4o = 2 }\n"
    between = first + "\n# theirs\n[limits]\nmax_tools = 1\n"
    again = set_table(between, ("routing", "calibrated"), {"n": 4})
    assert again == FILE + "\n[routing.calibrated]\nn = 4\n\n# theirs\n[limits]\nmax_tools = 1\n"


@pytest.mark.parametrize(
    "text",
    ['routing = { baseline = "x" }\n', "[routing]\ncalibrated.n = 1\n", "not toml"],
    ids=["inline table", "dotted keys", "broken"],
)
def test_a_table_that_stands_in_another_form_is_refused(text: str) -> None:
    """Written below, it would be there twice."""
    with pytest.raises(NotWritable):
        set_table(text, ("routing", "calibrated"), {"n": 3})


def test_a_name_with_spaces_and_quotes_is_a_table_too() -> None:
    """Namespaces are what tenants call themselves."""
    changed = set_number(FILE, ("namespaces", 'a "b"'), "ttl_s", 5, may_add_table=True)

    assert changed == FILE + '\n[namespaces."a \\"b\\""]\nttl_s = 5\n'
