"""Rebuilding, collecting and rolling back in several processes, each killed at random: one build always serves."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

from building import fake_engine
from building.fake_engine import FakeEngine, make_plan, write_config
from patience import PATIENCE_S

from comfy_env_core.building.jobs import Builder
from comfy_env_core.environments import installs
from comfy_env_core.environments.collection import collect, plan_collection
from comfy_env_core.environments.garbage import Rules
from comfy_env_core.environments.store import Store
from comfy_env_core.environments.workspace import Workspace

ROUNDS = 40

#: Collects and rolls back for ever: argv are the store and an environment.
_DISTURBING = """
import sys
from pathlib import Path
from comfy_env_core.environments.collection import collect, plan_collection
from comfy_env_core.environments.environment import NothingToRollBackTo
from comfy_env_core.environments.garbage import Rules
from comfy_env_core.environments.removal import EnvironmentBusy, locked
from comfy_env_core.environments.store import Store
store, environment_id = Store(Path(sys.argv[1])), sys.argv[2]
print("ready", flush=True)
while True:
    collect(store, plan_collection(store, Rules(unused_for_s=0.0)))
    try:
        with locked(store, environment_id, "rolled back"):
            store.environment(environment_id).roll_back()
    except (EnvironmentBusy, NothingToRollBackTo):
        pass
"""


def begin(command: list[str]) -> subprocess.Popen[bytes]:
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ)
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == b"ready\n"
    process.stdin.write(b"\n")
    process.stdin.flush()
    return process


def imports_alpha(workspace: Workspace) -> bool:
    return subprocess.run([workspace.python, "-c", "import alpha"], check=False).returncode == 0


def test_one_build_always_serves_whoever_is_killed(tmp_path: Path) -> None:
    store, config = Store(tmp_path / "store"), write_config(tmp_path, "alpha")
    plan = make_plan(config)
    environment = store.environment(plan.environment_id)
    custom_nodes = tmp_path / "custom_nodes"
    custom_nodes.mkdir()
    installs.record(store, [custom_nodes], [plan.environment_id])
    builder = Builder(store, lambda report: FakeEngine())
    assert builder.submit(plan).wait(PATIENCE_S).error is None
    rebuild = [sys.executable, fake_engine.__file__, str(store.root), str(config), "0", "rebuild"]
    disturb = [sys.executable, "-c", _DISTURBING, str(store.root), plan.environment_id]
    commands = [rebuild, rebuild, disturb]
    processes = [begin(command) for command in commands]
    randomness = random.Random(11)
    seen = set()
    try:
        for _ in range(ROUNDS):
            time.sleep(randomness.uniform(0.0, 0.4))
            index = randomness.randrange(len(processes))
            processes[index].kill()
            processes[index].communicate()
            processes[index] = begin(commands[index])
            current = environment.current()
            assert current is not None
            # What is current may be rolled back from and collected while it is being tried.
            assert imports_alpha(current) or environment.current() != current
            seen.add(current.number)
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert len(seen) > 3, "generations came and went"
    assert builder.submit(plan, rebuild=True).wait(PATIENCE_S).error is None
    assert collect(store, plan_collection(store, Rules(unused_for_s=0.0))).left == ()
    assert environment.generations() == (environment.current(),)
    assert not list(store.root.rglob("*.trash"))
    assert builder.shutdown()
