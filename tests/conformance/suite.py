"""One run of ComfyUI's own execution tests against a copy of that ComfyUI.

The tests start ``python main.py`` themselves, a dozen times, in the directory they lie in, and load the nodes of the
pack ``testing-pack`` beside them. To isolate these nodes, an empty ``comfy-env.toml`` is put into that pack and our
own pack into ``custom_nodes``; nothing else differs and no test is changed.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import xml.etree.ElementTree
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from host.base import OUR_NAME, REPOSITORY, renew, shipped_files
from host.installation import NEWEST, OLDEST, Installation, prepare_test_tools
from host.server import ComfyUI, free_port, server_environment

FOLDERS = {NEWEST: "tests/execution", OLDEST: "tests/inference"}
FILES = {
    NEWEST: (
        "test_execution.py",
        "test_async_nodes.py",
        "test_progress_isolation.py",
        "test_public_api.py",
    ),
    OLDEST: ("test_execution.py", "test_async_nodes.py"),
}
PACK = "testing_nodes/testing-pack"


@dataclass(frozen=True)
class Outcome:
    """What pytest said. ``failed``: the names of tests that failed or could not be set up."""

    passed: int
    failed: tuple[str, ...]
    skipped: int
    duration_s: float
    output: str


def copy_comfyui(installation: Installation, directory: Path, *, isolated: bool) -> Path:
    """ComfyUI with its tests in ``directory``, made anew; with ``isolated`` also our pack and the pack's file."""
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(installation.comfyui, directory, ignore=shutil.ignore_patterns("__pycache__"))
    if isolated:
        renew(directory / "custom_nodes" / OUR_NAME, REPOSITORY, shipped_files())
        (directory / FOLDERS[installation.release] / PACK / "comfy-env.toml").write_text("", encoding="utf-8")
    return directory


def boot(comfyui: Path, installation: Installation, environment: Mapping[str, str]) -> dict[str, str]:
    """Start a copy once, building the environment of its test nodes if they are isolated; return what the page is told.

    The tests wait 20 s for a server at most, so this has to come first. Test node → its part of ``/object_info``, as
    text. Raises RuntimeError if the test nodes' environment does not become ready.
    """
    tests = comfyui / FOLDERS[installation.release]
    with ComfyUI(dataclasses.replace(installation, comfyui=comfyui), comfyui / "boot.log") as server:
        arguments = ["--extra-model-paths-config", str(tests / "extra_model_paths.yaml")]
        blocking = {**environment, "COMFY_ENV_BUILD": "blocking"}
        server.start(comfyui, environment=blocking, arguments=arguments, deadline_s=900)
        if (comfyui / "custom_nodes" / OUR_NAME).is_dir():
            states = {name: site["state"] for name, site in server.wait_for_sites().items()}
            if states != {"testing-pack": "ready"}:
                raise RuntimeError(f"The test nodes are not ready: {states}\n{server.log_tail()}")
        everything = server.get("/object_info")
    return {
        name: json.dumps(info)
        for name, info in everything.items()
        if info["python_module"] == "custom_nodes.testing-pack"
    }


def run_suite(
    comfyui: Path,
    installation: Installation,
    *,
    environment: Mapping[str, str],
    selected: Sequence[str] = (),
    deadline_s: float = 1200,
) -> Outcome:
    """Run the tests of a copy and return what came of them; ``selected`` are further arguments of pytest.

    ``environment`` adds to what the servers see (``COMFY_ENV_ROOT``). Raises subprocess.TimeoutExpired.
    """
    release = installation.release
    report = comfyui / "report.xml"
    command = [str(installation.python), "-m", "pytest", "-p", "no:cacheprovider", "-q", "-rA"]
    command += [f"{FOLDERS[release]}/{name}" for name in FILES[release]]
    command += ["--port", str(free_port()), "--output_dir", str(comfyui / "pictures")]
    command += [f"--junitxml={report}", *selected]
    env = server_environment(environment)
    paths = [env["PYTHONPATH"], str(prepare_test_tools(installation))]
    env.update(
        # The tests say "python" and mean ComfyUI's.
        PATH=os.pathsep.join([str(installation.python.parent), env.get("PATH", "")]),
        PYTHONPATH=os.pathsep.join(paths),
    )
    done = subprocess.run(
        command,
        cwd=comfyui,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=deadline_s,
        check=False,
    )
    return _read_report(report, done.stdout)


def _read_report(report: Path, output: str) -> Outcome:
    if not report.is_file():
        raise RuntimeError(f"pytest wrote no {str(report)!r}:\n{output[-4000:]}")
    suite = next(iter(xml.etree.ElementTree.parse(report).getroot().iter("testsuite")))
    failed = [
        f"{case.get('classname')}::{case.get('name')}"
        for case in suite.iter("testcase")
        if case.find("failure") is not None or case.find("error") is not None
    ]
    total, skipped = int(suite.get("tests", 0)), int(suite.get("skipped", 0))
    duration_s = float(suite.get("time", 0))
    return Outcome(total - skipped - len(failed), tuple(failed), skipped, duration_s, output)
