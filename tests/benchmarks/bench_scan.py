"""How long a scan of a large custom_nodes directory takes, beside a bare os.walk of the same tree.

    python tests/benchmarks/bench_scan.py [packs] [files]

Builds the tree in a temporary directory and removes it afterwards. Both figures are the best of several runs, warm. One
pack in eight has a configuration, and an environment of 500 files more that the scan does not enter and os.walk does.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from comfy_env_core.discovery import host_skips, scan

_FILES_PER_DIRECTORY = 10
_ENVIRONMENT_FILES = 500
_PACKS_PER_CONFIG = 8
_RUNS = 15
_CONFIG = """python = "3.11"

[cuda]
packages = ["flash-attn", "sageattention"]

[dependencies]
c-compiler = "*"

[pypi-dependencies]
numpy = ">=1.24,<3"
trimesh = { version = "*", extras = ["easy"] }
pillow = ">=9.0.0"
scipy = "*"

[env_vars]
PYTORCH_CUDA_ALLOC_CONF = "expandable_segments:True"

[target.linux-64.pypi-dependencies]
triton = ">=3.0.0"
"""


def build_tree(top: Path, packs: int, files: int) -> None:
    """`packs` packs with `files` files in all, ten to a directory and up to four levels deep; environments on top."""
    for number in range(packs):
        pack = top / f"pack-{number:04}"
        directories = [pack]
        for index in range(files // packs // _FILES_PER_DIRECTORY):
            directory = directories[index // 3] / f"part{index}"
            directories.append(directory)
            _fill(directory, _FILES_PER_DIRECTORY, "module{}.py")
        if number % _PACKS_PER_CONFIG == 0:
            (pack / "nodes").mkdir()
            (pack / "nodes" / "comfy-env.toml").write_text(_CONFIG, encoding="utf-8")
            _fill(pack / "venv" / "lib", _ENVIRONMENT_FILES, "library{}.py")
            (pack / "venv" / "pyvenv.cfg").touch()


def _fill(directory: Path, count: int, name: str) -> None:
    directory.mkdir(parents=True)
    for number in range(count):
        (directory / name.format(number)).touch()


def best_ms(run: Callable[[], object]) -> float:
    durations = []
    for _ in range(_RUNS + 1):  # the first one warms the caches of the system
        started_s = perf_counter()
        run()
        durations.append((perf_counter() - started_s) * 1000)
    return min(durations[1:])


def main(packs: int, files: int) -> None:
    with tempfile.TemporaryDirectory(prefix="bench-scan-") as temporary:
        top = Path(temporary) / "custom_nodes"
        build_tree(top, packs, files)
        counted = sum(len(names) for _, _, names in os.walk(top))
        skip = host_skips(disable_all=False, whitelist=())
        found = scan([top], skip)
        scan_ms = best_ms(lambda: scan([top], skip))
        walk_ms = best_ms(lambda: [None for _ in os.walk(top)])
        print(
            f"{counted} files, {len(found.packs)} packs, {len(found.sites)} sites: "
            f"scan {scan_ms:.1f} ms, os.walk {walk_ms:.1f} ms, ratio {scan_ms / walk_ms:.2f}"
        )


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:3])) if len(sys.argv) > 2 else main(300, 60_000)
