"""A workflow of 200 cheap nodes in a chain: isolated, and the same nodes in ComfyUI's own process, in turn.

Run: ``nox -s bench -- workflow``. One server holds both packs. Every run starts with another number, so that ComfyUI's
cache holds nothing of it; its duration is what ComfyUI's own messages say, from start to success.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from host.base import make_base
from host.installation import prepare
from host.server import ComfyUI, Prompt

PACK = """
class Add:
    CATEGORY = "bench"
    FUNCTION = "run"
    RETURN_TYPES = ("{socket}",)

    @classmethod
    def INPUT_TYPES(cls):
        return {{"required": {{"value": ("{socket}", {{}})}}}}

    def run(self, value):
        return (value + 1,)


class Begin(Add):
    @classmethod
    def INPUT_TYPES(cls):
        return {{"required": {{"value": ("INT", {{"default": 0}})}}}}

    def run(self, value):
        {begin}
        return (value,)


class Show(Add):
    RETURN_TYPES = ()
    OUTPUT_NODE = True

    def run(self, value):
        return {{"ui": {{"sum": [float(value.sum() if hasattr(value, "sum") else value)]}}}}


NODE_CLASS_MAPPINGS = {{"{name}Begin": Begin, "{name}Add": Add, "{name}Show": Show}}
"""
KINDS = {"INT": "pass", "IMAGE": "import torch; value = torch.full((1, 512, 512, 3), float(value))"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=200)
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-workflow-") as name:
        root = Path(name)
        base = make_base(root / "base")
        for kind, begin in KINDS.items():
            write_pack(base, f"Plain{kind}", kind, begin, isolated=False)
            write_pack(base, f"Isolated{kind}", kind, begin, isolated=True)
        with ComfyUI(prepare(), root / "log") as server:
            server.start(base, environment={"COMFY_ENV_ROOT": str(root / "store")}, deadline_s=600)
            server.wait_for_nodes(*(f"Isolated{kind}Add" for kind in KINDS))
            for kind in KINDS:
                report(kind, options.nodes, *measure(server, kind, options.nodes, options.runs))
    return 0


def write_pack(base: Path, name: str, socket: str, begin: str, *, isolated: bool) -> None:
    pack = base / "custom_nodes" / name
    pack.mkdir()
    text = PACK.format(name=name, socket=socket, begin=begin)
    (pack / "__init__.py").write_text(text, encoding="utf-8")
    if isolated:
        (pack / "comfy-env.toml").write_text("", encoding="utf-8")


def measure(server: ComfyUI, kind: str, nodes: int, runs: int) -> tuple[list[float], list[float]]:
    """Milliseconds of each run, un-isolated and isolated; a run before them warms both up."""
    plain, isolated = [], []
    for number in range(runs + 1):
        for name, found in ((f"Plain{kind}", plain), (f"Isolated{kind}", isolated)):
            entry = server.queue(chain(name, nodes, 1000 * number))
            if entry["status"]["status_str"] != "success":
                raise SystemExit(f"the workflow failed: {entry['status']}")
            found.append(duration_ms(entry))
    return plain[1:], isolated[1:]


def chain(name: str, nodes: int, first: int) -> Prompt:
    prompt = {"0": {"class_type": f"{name}Begin", "inputs": {"value": first}}}
    for number in range(1, nodes):
        prompt[str(number)] = {"class_type": f"{name}Add", "inputs": {"value": [str(number - 1), 0]}}
    prompt["end"] = {"class_type": f"{name}Show", "inputs": {"value": [str(nodes - 1), 0]}}
    return prompt


def duration_ms(entry: dict) -> float:
    times = {event: data["timestamp"] for event, data in entry["status"]["messages"]}
    return times["execution_success"] - times["execution_start"]


def report(kind: str, nodes: int, plain: list[float], isolated: list[float]) -> None:
    before, after = statistics.median(plain), statistics.median(isolated)
    print(
        f"{nodes} nodes of {kind}: {before:.0f} ms un-isolated ({min(plain):.0f} to {max(plain):.0f}), "
        f"{after:.0f} ms isolated ({min(isolated):.0f} to {max(isolated):.0f}); "
        f"ratio {after / before:.2f}, {1000 * (after - before) / nodes:.0f} us a node more (medians of {len(plain)})",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
