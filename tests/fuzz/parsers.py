"""Fuzz parsers and translation, guided by which code an input reaches (atheris).

``python -m fuzz.parsers --seconds 600`` shares the time among all targets; ``--target NAME`` takes
one. What an input crashed with goes to stderr and the input to ``--folder``; the status is 1 then.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Final

_MAX_BYTES: Final = 4_096
_WORDS: Final = re.compile(rb'"[A-Za-z_]{2,30}"')


def main(arguments: list[str] | None = None) -> int:
    """Fuzz; return 1 where something crashed."""
    asked = _asked(arguments)
    if asked.target:
        _fuzz(asked.target, asked.seconds, asked.folder)
        return 0  # it is never reached: the fuzzer ends the process
    from fuzz.targets import TARGETS

    share = max(1, asked.seconds // len(TARGETS))
    crashed = []
    for name in TARGETS:
        print(f"--- {name}: {share} s", flush=True)  # noqa: T201  its output is the product
        command = [sys.executable, "-m", "fuzz.parsers", "--target", name]
        command += ["--seconds", str(share), "--folder", str(asked.folder)]
        if subprocess.run(command, check=False).returncode:
            crashed.append(name)
    print(f"crashed: {', '.join(crashed) or 'none'}")  # noqa: T201
    return 1 if crashed else 0


def _asked(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--target", default="")
    parser.add_argument("--folder", type=Path, default=Path(".fuzz"))
    return parser.parse_args(arguments)


def _fuzz(name: str, seconds: int, folder: Path) -> None:
    """Fuzz one target; ends the process."""
    import atheris

    with atheris.instrument_imports(include=["router"]):
        from fuzz.targets import SEEDS, TARGETS

    def kept(data: bytes) -> None:
        """Keep what crashes: it is an example for the tests."""
        try:
            TARGETS[name](data)
        except Exception:
            (own / f"crash-{sha256(data).hexdigest()[:16]}").write_bytes(data)
            raise

    own = folder / re.sub(r"\W+", "-", name)
    corpus = own / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for n, seed in enumerate(SEEDS[name]):
        (corpus / f"seed-{n}").write_bytes(seed)
    words = {word for seeds in SEEDS.values() for seed in seeds for word in _WORDS.findall(seed)}
    dictionary = own / "words"
    dictionary.write_text("\n".join(f'"\\"{word.decode()[1:-1]}\\""' for word in sorted(words)))
    atheris.Setup(
        [
            name,
            str(corpus),
            f"-dict={dictionary}",
            f"-max_total_time={seconds}",
            f"-max_len={_MAX_BYTES}",
            f"-artifact_prefix={own}/",
            "-timeout=10",
            "-rss_limit_mb=2048",
            "-print_final_stats=1",
            "-verbosity=0",
        ],
        kept,
    )
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
