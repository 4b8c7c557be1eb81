"""``all``: the scenarios that measure, on files of the data folder, each in a process of its own.

Sizes are chosen so that everything ends within about half an hour on two cores; a result says
how many rows it rests on.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import console
from benchmarks.datasets import DATA_VARIABLE, data_dir
from benchmarks.errors import UnusableInput

RESULTS = Path(__file__).resolve().parent / "results"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run.

    Attributes:
        name: of the result, without ``.json``.
        words: the command line behind ``python -m benchmarks``; ``{data}`` is the data folder.
    """

    name: str
    words: tuple[str, ...]

    @property
    def scenario(self) -> str:
        """The scenario's name."""
        return self.words[0]


def jobs() -> list[Job]:
    """Return all runs, quick ones first."""
    audits = Job(name="audits-simulated", words=("audits",))
    faults = Job(name="faults-2000", words=("faults", "--requests", "2000"))
    overhead = Job(name="overhead", words=("overhead",))
    measured = [*_pairs(), *_streams(), *_vcaches(), *_routes(), *_lookups()]
    sealed = Job(name="sealed-5000", words=("sealed", "--entries", "5000"))
    return [*measured, audits, faults, sealed, overhead, *_loads()]


def _pairs() -> list[Job]:
    sizes = {
        "qqp": ("--split", "dev"),
        "askubuntu": ("--limit", "8000"),
        "paws_wiki": (),
        "checklist": ("--limit", "8000"),
        "antonym": (),
        "gsmplus": (),
        "medical_rqe": ("--limit", "4000"),
    }
    return [
        Job(
            name=f"pairs-pairs_{name}",
            words=("pairs", f"{{data}}/cache/pairs_{name}.jsonl.gz", "--static", *size),
        )
        for name, size in sizes.items()
    ]


def _streams() -> list[Job]:
    return [
        Job(
            name=f"stream-groups_{name}",
            words=(
                *("stream", f"{{data}}/cache/groups_{name}.jsonl.gz"),
                *("--max-error-rate", "0.02", "--limit", limit, "--seeds", seeds),
            ),
        )
        for name, limit, seeds in (
            ("qqp", "8000", "5"),
            ("text2sql", "8000", "5"),
            ("overnight", "8000", "1"),
            ("spider", "8000", "1"),
        )
    ]


def _vcaches() -> list[Job]:
    return [
        Job(
            name=f"vcache-groups_{name}",
            words=("vcache", f"{{data}}/cache/groups_{name}.jsonl.gz", "--limit", "3000"),
        )
        for name in ("qqp", "text2sql")
    ]


def _routes() -> list[Job]:
    pairs = (
        ("routellm_mmlu", "mistralai/Mixtral-8x7B-Instruct-v0.1", "gpt-4-1106-preview", "mmlu"),
        ("mmlu_pro", "gemini-1.5-flash-002", "gemini-1.5-pro-002", "mmlu_pro"),
        ("zeroeval_math_code", "claude-3-haiku-20240307", "claude-3-5-sonnet-20240620", None),
        ("routerbench", "mistralai/mixtral-8x7b-chat", "gpt-4-1106-preview", "routerbench"),
        ("bfcl_tools", "claude-3-haiku-20240307-FC", "claude-3-opus-20240229-FC", "bfcl"),
        ("ulab_14tasks", "mistral-7b-instruct-v0.3", "llama-3.1-nemotron-51b-instruct", "ulab"),
    )
    found = []
    for name, weak, strong, benchmark in pairs:
        words = ("route", f"{{data}}/router/{name}.jsonl.gz", "--weak", weak, "--strong", strong)
        pool = ("--all-models",) if name == "routerbench" else ()
        found.append(Job(name=f"route-{name}-folds", words=(*words, "--folds", "5", *pool)))
        if benchmark is not None:
            found.append(Job(name=f"route-{name}-unseen", words=(*words, "--without", benchmark)))
    return found


def _lookups() -> list[Job]:
    words = ("lookup", "{data}/cache/groups_qqp.jsonl.gz", "--entries", "100000")
    return [Job(name="lookup-groups_qqp", words=words)]


def _loads() -> list[Job]:
    return [
        Job(
            name=f"load-{scenario}",
            words=("load", "--scenario", scenario, "--concurrency", "32", "--seconds", "15"),
        )
        for scenario in ("exact", "near", "miss", "mixed")
    ]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the scenario's options."""
    parser.add_argument(
        "--only", action="append", metavar="SCENARIO", help="leave out the others; may be repeated"
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the results")
    parser.add_argument("--seed", type=int, default=0)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Run every job; one that fails is named in the result and stops no other.

    Raises:
        UnusableInput: there is no data folder, or nothing to run.
    """
    folder = data_dir()
    if folder is None:
        raise UnusableInput(
            f"the labelled data is not here: {DATA_VARIABLE} names its folder (see README.md)"
        )
    chosen = [job for job in jobs() if not args.only or job.scenario in args.only]
    if not chosen:
        raise UnusableInput(f"--only names no scenario that is run: {', '.join(args.only)}")
    seconds: dict[str, float] = {}
    failed: dict[str, int] = {}
    with tempfile.TemporaryDirectory(prefix="scrimp-vectors-") as vectors:
        for number, job in enumerate(chosen, start=1):
            console.say(f"{number}/{len(chosen)} {job.name}")
            started = time.monotonic()
            out = args.results / f"{job.name}.json"
            code = _run(job, folder, out, seed=args.seed, vectors=Path(vectors))
            seconds[job.name] = round(time.monotonic() - started, 1)
            if code:
                failed[job.name] = code
    return {"results": str(args.results), "seconds": seconds, "failed": failed}


def _run(job: Job, folder: Path, out: Path, *, seed: int, vectors: Path) -> int:
    words: Sequence[str] = [word.replace("{data}", str(folder)) for word in job.words]
    if job.scenario in ("pairs", "stream", "route"):
        words = [*words, "--vectors", str(vectors)]
    command = [sys.executable, "-m", "benchmarks", *words]
    command += ["--seed", str(seed), "--out", str(out), "--json"]
    return subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode
