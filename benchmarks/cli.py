"""``python -m benchmarks SCENARIO ...``: options, common keys, exit codes.

A scenario is a module with ``add_arguments(parser)`` and ``run(args) -> dict``; it is imported when
it is called, so that one scenario never waits for what another needs. One that sets
``PRINTS_ITSELF`` shows its result on the terminal by itself.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

from benchmarks import console
from benchmarks.datasets import DatasetError, sha256_of
from benchmarks.errors import UnusableInput

SCENARIOS: Mapping[str, str] = {
    "pairs": "one stored prompt, one asked: what would be served, and how surely",
    "stream": "a stream of prompts through an empty service: hits, and how many were wrong",
    "vcache": "the same stream through vCache's rule, both at the same error per hit",
    "route": "which of two models (or of a pool) gets a prompt, and what that recovers",
    "load": "requests per second and latency through gRPC on loopback",
    "faults": "an upstream that fails in ten ways: who is served, and do the books agree",
    "overhead": "what a call through the gateway costs more than a direct one, beside its peers",
    "lookup": "a near-duplicate look-up in a full cache, against the bare encoder",
    "sealed": "what encryption at rest costs: stores, reads, look-ups, a start, as ratios",
    "audits": "simulated: how well audits measure errors, and how fast a trap is found",
    "demo": "a few thousand requests through a real client, and what they saved",
    "all": "all but demo on files of the data folder, results to benchmarks/results",
}
_ROOT = Path(__file__).resolve().parent.parent


class Scenario(Protocol):
    """What a scenario's module offers."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the scenario's own options."""

    def run(self, args: argparse.Namespace) -> dict[str, Any]:
        """Measure. ``args`` carries the common options too: ``json``, ``out`` and ``show``.

        Raises:
            UnusableInput: file, options or artifacts do not allow the run.
        """


def main(argv: Sequence[str] | None = None) -> int:
    """Run a scenario; return 0 when it ran, 2 when its input is unusable."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        name = _scenario_of(words)
        scenario = _load(name)
        args = _parser(name, scenario).parse_args(words[1:])
        _check_out(args.out)
        result = _with_common_keys(scenario.run(args), args)
        _deliver(name, result, args, is_printed=getattr(scenario, "PRINTS_ITSELF", False))
    except (UnusableInput, DatasetError, OSError) as error:
        console.stderr.print(f"benchmarks: {_sentence(error)}", style="red", soft_wrap=True)
        return 2
    return int(result.get("exit_code", 0))


def _scenario_of(words: Sequence[str]) -> str:
    overview = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="What scrimp is worth, measured.",
        epilog="`python -m benchmarks SCENARIO --help` lists a scenario's options.",
    )
    commands = overview.add_subparsers(dest="scenario", metavar="SCENARIO", required=True)
    for name, text in SCENARIOS.items():
        commands.add_parser(name, help=text, add_help=False)
    return str(overview.parse_args(words[:1]).scenario)


def _load(name: str) -> Scenario:
    module = f"benchmarks.{'every' if name == 'all' else name}"
    try:
        return cast(Scenario, importlib.import_module(module))
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise UnusableInput(f"this checkout has no scenario {name!r} yet") from error


def _parser(name: str, scenario: Scenario) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks {name}", description=SCENARIOS[name]
    )
    scenario.add_arguments(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout, no more")
    parser.add_argument("--out", type=Path, metavar="FILE", help="keep the JSON object in FILE")
    parser.add_argument(
        "--show", type=int, default=0, metavar="N", help="list up to N wrong cases on the terminal"
    )
    return parser


def _check_out(path: Path | None) -> None:
    if path is not None and path.is_dir():
        raise UnusableInput(f"--out names a file, {path} is a folder")


def _with_common_keys(result: Mapping[str, Any], args: argparse.Namespace) -> dict[str, Any]:
    file = getattr(args, "file", None)
    common = {
        "commit": commit(),
        "data_sha256": sha256_of(Path(file)) if file is not None else None,
        "seed": getattr(args, "seed", None),
        "machine": machine(),
        "artifacts": {},
    }
    return {**common, **result}


def _deliver(
    name: str, result: Mapping[str, Any], args: argparse.Namespace, *, is_printed: bool
) -> None:
    if args.out is not None:
        console.write_json(args.out, result)
    if args.json:
        console.print_json(result)
    elif not is_printed:
        console.print_result(name, console.plain(result))


def commit(root: Path = _ROOT) -> str | None:
    """Return the checkout's commit, ``+`` behind it when files differ; None without a checkout."""
    if not (root / ".git").exists():
        return None
    git = ["git", "--no-optional-locks", "-C", str(root)]
    try:
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True)
        changed = subprocess.run(
            [*git, "diff", "--quiet", "HEAD", "--", "*.py", "*.onnx", "*.json", "*.toml"],
            capture_output=True,
        )
    except OSError:
        return None  # no git on this machine
    if head.returncode != 0:
        return None
    return head.stdout.strip() + ("+" if changed.returncode else "")


def machine() -> dict[str, Any]:
    """Return what the figures were measured on."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "os": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)
