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
    ("What does p do in vim?", "What does P do in vim?"),
    ("Fix this: x = a.b", "Fix this: x = a, b"),
    ('type of "1,2"', 'type of "1;2"'),
    ('Is this a string: "5"', "Is this a string: 5"),
    ("Correct the punctuation: hello how are you", "Correct the punctuation: hello, how are you"),
    ("Is the grammar of hello how are you right", "Is the grammar of hello, how are you right"),
    ("Translate into French: He left.", "Translate into French: He left?"),
    ("What should us citizens do?", "What should US citizens do?"),
    ("Does it help?", "Does IT help?"),
    ("Is a 5mW laser dangerous?", "Is a 5MW laser dangerous?"),
    ("Is 100Mbps enough for an office?", "Is 100MBps enough for an office?"),
    ("What does && do in bash?", "What does & do in bash?"),
    ("What does [[ ]] do in bash?", "What does [ ] do in bash?"),
    ("How big is Turkey?", "How big is turkey?"),
    ("How do I polish nails?", "How do I Polish nails?"),
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
    ("What is the capital of France?", "what is the capital of france"),
    ("How do I use a comma?", "how do i use a comma"),
    ("What is colon cancer?", "what is colon cancer"),
    ("Quick question: how do I boil eggs?", "quick question: how do i boil eggs"),
    ("How do I learn C?", "how do i learn c"),
    ("What is the population of the EU?", "what is the population of the eu"),
    ("How many KB are in an MB?", "how many kb are in an mb"),
    ("What would $50K buy?", "What would $50k buy?"),
    ("Is 10:30AM too late?", "Is 10:30am too late?"),
    ("IN WHAT YEAR DID WW2 END", "In what year did WW2 end"),
    ("Turkey: how big is it?", "turkey: how big is it"),
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
