"""A warm start with 100 ready packs of 20 isolated nodes each: what it adds to ComfyUI's boot; it starts no process.

Run: ``nox -s bench -- boot``. The packs ship the same file, so they share one environment,
built once. Two measurements: our part of the boot alone (prestartup and loading, see boot_part.py), and whole boots
without and with the packs in turn, whose difference is smaller than what importing torch varies by on a busy machine.
Target, judged by the first: under 300 ms; and 0 processes.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import psutil

from host.base import make_base
from host.installation import Installation, prepare
from host.server import ComfyUI, server_environment

TARGET_MS = 300
NODES = 20
BOOT_PART = Path(__file__).with_name("boot_part.py")
CONFIG = '[pypi-dependencies]\nnumpy = "*"\n'
PACK = """
import numpy


class Node:
    CATEGORY = "bench"
    FUNCTION = "run"
    RETURN_TYPES = ("INT", "FLOAT")
    RETURN_NAMES = ("sum", "mean")
    DESCRIPTION = "Adds numbers; one of twenty of its kind."

    @classmethod
    def INPUT_TYPES(cls):
        return {{
            "required": {{
                "value": ("INT", {{"default": {number}, "min": 0, "max": 100, "tooltip": "a number"}}),
                "mode": (["add", "subtract", "multiply"], {{"default": "add"}}),
            }},
            "optional": {{"image": ("IMAGE",), "strength": ("FLOAT", {{"default": 1.0, "step": 0.01}})}},
            "hidden": {{"unique_id": "UNIQUE_ID"}},
        }}

    def run(self, value, mode, **more):
        return int(numpy.add(value, 1)), 1.0


NODE_CLASS_MAPPINGS = {{f"Bench{number:03}x{{i}}": type(f"Node{{i}}", (Node,), {{}}) for i in range({nodes})}}
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packs", type=int, default=100)
    parser.add_argument("--boots", type=int, default=5)
    options = parser.parse_args()
    installation = prepare()
    with tempfile.TemporaryDirectory(prefix="bench-boot-") as name:
        root = Path(name)
        plain = make_base(root / "plain", with_us=False)
        full = make_base(root / "full")
        write_packs(full / "custom_nodes", options.packs)
        environment = {"COMFY_ENV_ROOT": str(root / "store")}
        build(installation, full, environment, options.packs)
        without: list[Boot] = []
        with_packs: list[Boot] = []
        for _ in range(options.boots):
            without.append(boot(installation, plain, {}))
            with_packs.append(boot(installation, full, environment))
        own_ms = [own_part_ms(installation, full, environment) for _ in range(2 * options.boots)]
    return report(without, with_packs, own_ms, options.packs)


def write_packs(custom_nodes: Path, count: int) -> None:
    for number in range(count):
        pack = custom_nodes / f"bench-{number:03}"
        pack.mkdir()
        (pack / "comfy-env.toml").write_text(CONFIG, encoding="utf-8")
        (pack / "__init__.py").write_text(PACK.format(number=number, nodes=NODES), encoding="utf-8")


def build(installation: Installation, base: Path, environment: dict[str, str], count: int) -> None:
    """The first start, until all packs are described. Each needs a worker once: this takes a while."""
    with ComfyUI(installation, base / "first.log") as comfyui:
        comfyui.start(base, environment=environment, deadline_s=600)
        states = [site["state"] for site in comfyui.wait_for_sites(timeout_s=1200).values()]
        if states != ["ready"] * count:
            raise SystemExit(f"not every pack became ready: {states}\n{comfyui.log_tail()}")
        print(
            f"{count} packs ready, {len(list(Path(environment['COMFY_ENV_ROOT']).glob('_env_*')))} environment"
        )


@dataclass(frozen=True)
class Boot:
    """Seconds until the server answered, the processor seconds it used for that, the processes it had started."""

    wall_s: float
    cpu_s: float
    processes: int


def boot(installation: Installation, base: Path, environment: dict[str, str]) -> Boot:
    with ComfyUI(installation, base / "boot.log") as comfyui:
        comfyui.start(base, environment=environment)
        times = psutil.Process(comfyui.pid).cpu_times()
        return Boot(comfyui.boot_s, times.user + times.system, len(comfyui.children()))


def own_part_ms(installation: Installation, base: Path, environment: dict[str, str]) -> float:
    (ours,) = (path.parent for path in (base / "custom_nodes").glob("*/prestartup_script.py"))
    command = [installation.python, BOOT_PART, ours, "--cpu", "--base-directory", base]
    printed = subprocess.run(
        [str(part) for part in command],
        cwd=installation.comfyui,
        env=server_environment(environment),
        check=True,
        capture_output=True,
        text=True,
    )
    return float(printed.stdout.split()[-1])


def report(plain: list[Boot], full: list[Boot], own_ms: list[float], count: int) -> int:
    """Medians and ranges of both clocks, then what is judged."""
    for name, read in (("wall clock", lambda one: one.wall_s), ("processor", lambda one: one.cpu_s)):
        without, with_packs = sorted(map(read, plain)), sorted(map(read, full))
        before, after = statistics.median(without), statistics.median(with_packs)
        print(
            f"{name}: {before:.2f} s without us, {after:.2f} s with {count} isolated packs of {NODES} nodes "
            f"(medians of {len(plain)})"
        )
        print(f"  difference {1000 * (after - before):+.0f} ms, ratio {after / before:.3f};", end=" ")
        print(
            f"without {without[0]:.2f} to {without[-1]:.2f}, with {with_packs[0]:.2f} to {with_packs[-1]:.2f}"
        )
    processes = max(one.processes for one in full)
    added_ms = statistics.median(own_ms)
    boot_ms = 1000 * statistics.median(one.wall_s for one in plain)
    print(
        f"our part alone: {added_ms:.0f} ms (median of {len(own_ms)}, {min(own_ms):.0f} to {max(own_ms):.0f}), "
        f"{added_ms / boot_ms:.3f} of a boot without us; processes started: {processes}"
    )
    held = added_ms < TARGET_MS and processes == 0
    print(f"target (our part under {TARGET_MS} ms, no process): {'held' if held else 'MISSED'}")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
