"""Are the pinned dependencies known to be vulnerable? ``make audit``; no part of ``make check``.

pip-audit asks PyPI's advisories, or OSV's where PyPI did not answer for all of them. What it skips
it counts as well by its own account, so that the answer is read here: a service that could not be
asked is no clean bill of health.

Exit status: 0 all were asked about and none is known to be vulnerable; 1 some are; 2 some could not
be asked about, and of the others none is known to be.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

SERVICES: Final = ("pypi", "osv")
_TIMEOUT_S: Final = 300


@dataclass(slots=True)
class Audit:
    """What a service said.

    Attributes:
        n_asked: packages that it knows.
        found: vulnerable packages, with ids of advisories and the versions that mend them.
        unasked: packages it gave no answer for.
        trouble: why it gave none at all; empty where it did.
    """

    n_asked: int = 0
    found: list[str] = field(default_factory=list)
    unasked: list[str] = field(default_factory=list)
    trouble: str = ""


def read(report: str, trouble: str) -> Audit:
    """Read pip-audit's report, JSON, and the last line of what it complained of."""
    try:
        packages = json.loads(report)["dependencies"]
    except (ValueError, KeyError, TypeError):
        lines = trouble.strip().splitlines()
        return Audit(trouble=lines[-1] if lines else "it said nothing")
    audit = Audit()
    for package in packages:
        name = package["name"]
        if "skip_reason" in package:
            audit.unasked.append(name)
            continue
        audit.n_asked += 1
        for one in package.get("vulns", ()):
            mended = ", ".join(one.get("fix_versions", ())) or "no version yet"
            audit.found.append(f"{name} {package['version']}: {one['id']} (mended in: {mended})")
    return audit


def ask(program: Path, pins: Path, service: str) -> Audit:
    """Have pip-audit ask a service about every pinned version; nothing is installed or resolved."""
    said = ("--no-deps", "--disable-pip", "--format", "json", "--progress-spinner", "off")
    command = [str(program), "--requirement", str(pins), *said, "--vulnerability-service", service]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Audit(trouble=str(error))
    return read(done.stdout, done.stderr)


def main(arguments: Sequence[str]) -> int:
    """Ask one service, and where it did not answer for all, the other; tell what came of it."""
    program, pins = (Path(argument) for argument in arguments)
    found: set[str] = set()
    left: list[str] = []
    for service in SERVICES:
        audit = ask(program, pins, service)
        found.update(audit.found)
        left = audit.unasked
        if not audit.trouble and not left:
            print(f"{service}: asked about all {audit.n_asked} packages of {pins.name}")
            break
        why = audit.trouble or f"no answer for {len(left)} of {audit.n_asked + len(left)} packages"
        print(f"{service}: could not be asked: {why}", file=sys.stderr)
        left = left or ["all"]
    for line in sorted(found):
        print(f"known to be vulnerable: {line}")
    if found:
        return 1
    if left:
        print("audit: NOT done: nothing is known of what no service answered for", file=sys.stderr)
        return 2
    print("audit: none is known to be vulnerable")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
