"""Case and marks: guarded where they mean something, and nothing where they do not."""

from __future__ import annotations

import pytest

from cache.guards import compare, differences

TELLING = [
    ("git branch -d old", "git branch -D old"),
    ("what does `git branch -d` do", "what does `git branch -D` do"),
    ("explain ls -r", "explain ls -R"),
    ("what does tar -x do?", "what does tar -X do?"),
    ("what does echo $path print", "what does echo $PATH print"),
    (r"what does the regex \\d+ match", r"what does the regex \\D+ match"),
    ("Is 5 mW a lot?", "Is 5 MW a lot?"),
    ("how fast is 100 Mb/s", "how fast is 100 MB/s"),
    ("Is 3 mm bigger than 2 Mm?", "Is 3 Mm bigger than 2 mm?"),
    ("molar mass of Co", "molar mass of CO"),
    ("what does p do in vim", "what does P do in vim"),
    ("Fix this: x = a.b", "Fix this: x = a, b"),
    ('type of "1,2"', 'type of "1;2"'),
    ('Is this a string: "5"', "Is this a string: 5"),
    ("Correct the punctuation: hello how are you", "Correct the punctuation: hello, how are you"),
    ("Is the grammar of hello how are you right", "Is the grammar of hello, how are you right"),
    ("Translate into French: He left.", "Translate into French: He left?"),
    ("what should us citizens do", "what should US citizens do"),
    ("does it help", "does IT help"),
]
HARMLESS = [
    ("How do I export a PDF?", "how do i export a pdf"),
    ("If you were a farmer what would you grow?", "if you were a farmer, what would you grow"),
    ("benefits of Vitamin C", "benefits of vitamin c"),
    ("What is Wi-Fi calling?", "what is wi-fi calling"),
    ("Is COVID-19 over?", "is Covid-19 over"),
    ("what is an API?", "What is an api"),
    ("WHAT IS IT LIKE TO FLY", "what is it like to fly"),
    ("What is a 5 KG dumbbell", "what is a 5 kg dumbbell"),
    ("can I learn it?", "Can i learn it?"),
    ("Why do cats purr? Is it normal?", "why do cats purr, is it normal"),
    ('What does "LGTM" mean?', "What does LGTM mean"),
]


@pytest.mark.parametrize(("one", "two"), TELLING)
def test_form_that_means_something_is_vetoed(one: str, two: str) -> None:
    """Both ways round."""
    assert compare(one, two) is not None
    assert compare(two, one) is not None


@pytest.mark.parametrize(("one", "two"), HARMLESS)
def test_form_that_means_nothing_is_not_seen(one: str, two: str) -> None:
    """Case of first words, names and abbreviations; commas and question marks in prose."""
    assert differences(one, two) == []
