"""Writes `comfy_env_core/building/engines/pins.json`: the wheels we may install ourselves, with their sha256.

Run from the repository: `python tools/pin_wheels.py [name==version …]`. Names without a version on the command line
keep the version below. The index comes from pip's or uv's settings; the table holds file names and checksums only.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

from comfy_env_core.building.fetching import Fetcher  # noqa: E402  (the repository must be on the path first)
from comfy_env_core.building.simple_index import offered_files  # noqa: E402
from comfy_env_core.building.user_settings import UserSettings  # noqa: E402

VERSIONS = {
    "msgpack": "1.2.4",
    "filelock": "3.32.7",
    "psutil": "7.2.2",
    "tomli": "2.5.0",
    "py-rattler": "0.28.0",
    "uv": "0.13.9",
}
MINOR_FLOOR = 10  # the oldest Python that may run the manager is 3.10
TABLE_PATH = REPOSITORY / "comfy_env_core/building/engines/pins.json"

_SYSTEMS = re.compile(
    r"(many|musl)linux\w*_(x86_64|aarch64)|macosx\w*_(x86_64|arm64|universal2)|win_amd64|^any$", re.IGNORECASE
)
_PYTHONS = re.compile(r"^(py3|py2|cp3(9|1[0-4])t?)$")
_ABI3_PYTHON = re.compile(r"^cp3\d+$")

logger = logging.getLogger("pin_wheels")


def main(arguments: list[str]) -> int:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    versions = {**VERSIONS, **dict(argument.split("==", 1) for argument in arguments)}
    settings = UserSettings.gather(os.environ, Path.home())
    fetcher = Fetcher(settings, timeout_s=60)
    table = {
        name: {"version": version, "files": wheels(name, version, settings, fetcher)}
        for name, version in versions.items()
    }
    TABLE_PATH.write_text(json.dumps(table, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return 0


def wheels(name: str, version: str, settings: UserSettings, fetcher: Fetcher) -> dict[str, str]:
    """File name → sha256 of the wheels of one version that fit a supported interpreter and system."""
    stem = f"{name.replace('-', '_')}-{version}-"
    files = [file for file in offered_files(name, settings, fetcher) if file.filename.startswith(stem)]
    floors = [
        int(minor) for file in files for minor in re.findall(r">=\s*3\.(\d+)", file.requires_python or "")
    ]
    if floors and max(floors) > MINOR_FLOOR:
        raise SystemExit(
            f"{name} {version} needs Python 3.{max(floors)}, ours is 3.{MINOR_FLOOR}: pin an older release."
        )
    found = {file.filename: file.sha256 for file in files if is_supported(file.filename) and file.sha256}
    if not found:
        raise SystemExit(f"No wheel of {name} {version} with a checksum is on the index.")
    logger.info("%s %s: %d wheels", name, version, len(found))
    return found


def is_supported(filename: str) -> bool:
    parts = filename.removesuffix(".whl").split("-")
    if not filename.endswith(".whl") or len(parts) not in (5, 6):
        return False
    pythons, abi, systems = parts[-3].split("."), parts[-2], parts[-1].split(".")
    wanted = _ABI3_PYTHON if abi == "abi3" else _PYTHONS
    return any(wanted.match(python) for python in pythons) and any(
        _SYSTEMS.search(system) for system in systems
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
