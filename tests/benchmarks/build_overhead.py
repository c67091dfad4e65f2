"""What a build takes beside the time of the tools that it runs: warm, and with everything to be downloaded."""

from __future__ import annotations

import statistics
from pathlib import Path

from benchmarks.build_bench import Bench, Figure, ToolRun, timed

PACKS = Path(__file__).resolve().parents[1] / "packs"
#: Those of the example packs that ask for packages of their own.
EXAMPLES = {
    "legacy-numpy": "legacy-numpy/comfy-env.toml",
    "modern-numpy": "modern-numpy/comfy-env.toml",
    "geometry": "geometry/nodes/mesh/comfy-env.toml",
}
WARM, COLD = 1.3, 1.15


def measure(directory: Path, runs: int) -> list[Figure]:
    bench = Bench(directory, {name: (PACKS / path).read_text() for name, path in EXAMPLES.items()})
    try:
        first_s = timed(lambda: bench.build("geometry"))  # fetches the engine too
        figures = [Figure("first build of all, the engine's download included", first_s, "s")]
        for name in EXAMPLES:
            bench.build(name)
        figures += of_builds(bench, "warm", runs, WARM)
        figures += of_builds(bench, "cold", runs, COLD)
    finally:
        bench.builder.shutdown()
    return figures


def of_builds(bench: Bench, kind: str, runs: int, limit: float) -> list[Figure]:
    """For each pack the median of rounds in turn with its tools alone; all packs together."""
    built = tools = test = 0.0
    for name in EXAMPLES:
        rounds = [_one_round(bench, name, is_cold=kind == "cold") for _ in range(runs)]
        one_built, one_tools, one_test = (statistics.median(column) for column in zip(*rounds, strict=True))
        built, tools, test = built + one_built, tools + one_tools, test + one_test
    return [
        Figure(f"{kind} builds of the example packs", built, "s"),
        Figure("  uv and rattler alone", tools, "s"),
        Figure("  the import test alone", test, "s"),
        Figure("  build to uv and rattler", built / tools, "", limit),
        Figure("  build to all that it runs, the import test included", built / (tools + test), ""),
    ]


def _one_round(bench: Bench, name: str, *, is_cold: bool) -> tuple[float, float, float]:
    """Seconds: of the build, of uv and rattler alone, of the import test alone."""
    bench.forget_environment(name)
    if is_cold:
        bench.forget_downloads()
    commands: list[ToolRun] = []
    built_s = timed(lambda: commands.extend(bench.tools_of(name)))
    if is_cold:
        bench.forget_downloads()
    return (built_s, *bench.run_alone(name, commands))
