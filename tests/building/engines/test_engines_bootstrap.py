"""The libraries that ComfyUI's Python lacks, in a real interpreter that has none of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from building.engines.samples import silent_server
from patience import PATIENCE_S

REPOSITORY = Path(__file__).resolve().parents[3]
PROGRAM = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from comfy_env_core.bootstrap import ensure_runtime
started = time.perf_counter()
outcome = ensure_runtime(Path(sys.argv[2]), budget_s=float(sys.argv[3]))
seconds = time.perf_counter() - started
modules = sorted(name for name in sys.modules if "." not in name)
found = None
if not outcome.missing:
    import msgpack, filelock, psutil
    found = msgpack.__file__
print(json.dumps([outcome.missing, outcome.problem, seconds, found, modules]))
"""


def run(
    store: Path, budget_s: float, environ: dict[str, str] | None = None
) -> tuple[list[str], str, float, str, list[str]]:
    """In a Python without site-packages: it has no msgpack, filelock or psutil."""
    argv = [sys.executable, "-S", "-c", PROGRAM, str(REPOSITORY), str(store), str(budget_s)]
    completed = subprocess.run(argv, capture_output=True, text=True, timeout=60, env=environ, check=False)
    assert completed.returncode == 0, completed.stderr
    missing, problem, seconds, found, modules = json.loads(completed.stdout)
    return missing, problem, seconds, found, modules


def test_a_silent_index_costs_no_more_than_the_budget_and_is_explained(tmp_path: Path) -> None:
    with silent_server() as url:
        environ = {
            "PIP_CONFIG_FILE": "/dev/null",
            "PIP_INDEX_URL": f"{url}/simple",
            "HOME": str(tmp_path),
            "PATH": "",
        }
        missing, problem, seconds, _, _ = run(tmp_path / "store", 0.5, environ)
    assert seconds < 5
    assert missing[:3] == ["msgpack", "filelock", "psutil"]
    assert problem


def test_a_store_that_cannot_be_written_is_explained(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file")
    missing, problem, _, _, _ = run(tmp_path / "store", PATIENCE_S)
    assert missing
    assert str(tmp_path / "store") in problem


def test_what_is_missing_is_fetched_once_and_found_again_without_the_network(
    tmp_path: Path, engine_tools: object
) -> None:
    missing, problem, _, found, _ = run(tmp_path / "store", PATIENCE_S)
    assert (missing, problem) == ([], None)
    assert str(tmp_path / "store" / "runtime") in found
    nowhere = {
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "HOME": str(tmp_path),
    }
    missing, problem, seconds, _, modules = run(tmp_path / "store", PATIENCE_S, nowhere)
    assert (missing, problem) == ([], None)
    assert "ssl" not in modules  # nothing that talks to the network was even imported
    assert seconds < 0.5
