"""Fuzz the HTTP face by its own description (schemathesis), against a service with scripted models.

``python -m fuzz.http_face --seconds 600``: requests that fit the description and requests that do
not, to every address. A status of 500 or above, and a service that is gone, are failures; so is a
traceback in its log.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from service.subprocesses import served

_CONFIG: Final = """
[service]
listen = "127.0.0.1:0"
metrics_listen = ""
data_folder = "data"

[http]
listen = "127.0.0.1:0"

[limits]
feedback_per_minute = 1000000

[routing]
baseline = "large"

[providers.none]
kind = "scripted"

[models.small]
provider = "none"
input_usd_per_mtok = 0.1
output_usd_per_mtok = 0.1
capabilities = ["tools", "vision", "json"]

[models.large]
provider = "none"
input_usd_per_mtok = 1.0
output_usd_per_mtok = 1.0
capabilities = ["tools", "vision", "json"]
"""


def main(arguments: list[str] | None = None) -> int:
    """Fuzz; return 1 where something failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args(arguments)
    return asyncio.run(_fuzz(asked.seconds, asked.workers))


async def _fuzz(seconds: int, workers: int) -> int:
    with TemporaryDirectory() as folder:
        config = Path(folder) / "scrimp.toml"
        config.write_text(_CONFIG)
        async with served(config) as service:
            address = await _http_address(service.log)
            command = [str(Path(sys.executable).with_name("schemathesis")), "run"]
            command += [f"http://{address}/openapi.json", "--max-time", str(seconds)]
            command += ["--checks", "not_a_server_error", "--workers", str(workers)]
            command += ["--continue-on-failure", "--request-timeout", "30", "--warnings", "off"]
            status = (await asyncio.to_thread(subprocess.run, command, check=False)).returncode
            is_up = service.process.returncode is None
            faults = [line for line in service.log if "unexpectedly" in line or "Traceback" in line]
    for line in faults[:20]:
        print(line)  # noqa: T201  its output is the product
    print(f"service {'is up' if is_up else 'is gone'}, faults in its log: {len(faults)}")  # noqa: T201
    return 1 if status or faults or not is_up else 0


async def _http_address(log: list[str]) -> str:
    async with asyncio.timeout(30):
        while True:
            for line in log:
                if "HTTP on" in line:
                    return line.split()[-1]
            await asyncio.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main())
