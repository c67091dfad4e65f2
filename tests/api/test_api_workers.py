"""The routes of workers, over real processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from api.conftest import MakeStage
from api.stage import Stage
from patience import PATIENCE_S, eventually

from comfy_env_core.api.schema import check, schema_of
from comfy_env_core.api.workers import WorkersJson
from comfy_env_core.manager import BuildMode
from comfy_env_core.sites.worker_status import WorkerJson
from comfy_env_core.supervision import WorkerStopped

#: Waits until a file is there; raises when it is told to.
SLOW = """
import os, time


class Echo:
    FUNCTION = "echo"
    RETURN_TYPES = ("STRING",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"text": ("STRING",)}}

    def echo(self, text):
        if text == "raise":
            raise ValueError("as it was told")
        while text == "wait":
            time.sleep(0.01)
        return (text + "!",)


NODE_CLASS_MAPPINGS = {"Echo": Echo}
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Stage(tmp_path_factory.mktemp("workers")) as stage:
        stage.add_pack("mesh", files={"__init__.py": SLOW})
        stage.open()
        assert stage.manager.wait(PATIENCE_S)
        yield stage


@pytest.fixture
def stage(house: Stage) -> Stage:
    """Its worker runs, which was told, perhaps while the node still ran; and it has nothing to do."""
    house.run_node("mesh")
    assert eventually(lambda: states(house)[-1:] in (["idle"], ["busy"]))
    assert worker(house)["state"] == "idle"
    return house


def worker(stage: Stage) -> Any:
    answer = stage.get("/workers")
    check(answer, schema_of(WorkersJson))
    (one,) = answer["workers"]
    return one


def states(stage: Stage) -> list[str]:
    """Of the worker, as events told them."""
    return [
        one["state"]
        for sent in list(stage.sent)
        if sent.event == "comfy-env.changes"
        for one in sent.data["workers"]
    ]


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as threads:
        yield threads


def wait_in_background(stage: Stage, threads: ThreadPoolExecutor) -> Future[Any]:
    """A node that runs until its process ends."""
    call = threads.submit(stage.run_node, "mesh", "wait")
    assert eventually(lambda: worker(stage)["state"] == "busy")
    return call


# --- what goes wrong -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["restart", "stop"])
def test_a_site_that_is_unknown(stage: Stage, what: str) -> None:
    answer = stage.request("POST", f"/comfy-env/workers/other/{what}", {})
    assert (answer.status, answer.json["error"]["code"]) == (404, "unknown_site")


def test_a_site_without_an_environment_is_not_restarted(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage.manager.sites["mesh"], "serving", None)
    answer = stage.request("POST", "/comfy-env/workers/mesh/restart", {})
    assert (answer.status, answer.json["error"]["code"]) == (409, "not_possible")


def test_a_worker_that_crashes_is_told_at_once_and_says_why(stage: Stage) -> None:
    os.kill(worker(stage)["pid"], signal.SIGKILL)
    assert eventually(lambda: states(stage)[-1:] == ["crashed"])
    dead = worker(stage)
    assert (dead["state"], dead["pid"], dead["rss_bytes"], dead["uptime_s"]) == ("crashed", None, None, None)
    assert "SIGKILL" in dead["last_end"]


def test_a_worker_that_cannot_start_is_a_job_that_failed_and_says_why(stage: Stage) -> None:
    runtime = stage.manager.sites["mesh"]
    assert runtime.serving is not None
    stage.wait_for_job(stage.post("/workers/mesh/stop"))
    python = runtime.serving.python
    target = python.readlink()
    python.unlink()
    python.write_text("#!/bin/sh\necho 'no Python here' >&2\nexit 3\n")
    python.chmod(0o755)
    job = stage.wait_for_job(stage.post("/workers/mesh/restart"))
    assert (job["state"], job["error"]["cause"]) == ("failed", "worker_start")
    assert "no Python here" in job["error"]["message"]
    assert worker(stage)["state"] == "crashed"
    python.unlink()
    python.symlink_to(target)
    assert stage.wait_for_job(stage.post("/workers/mesh/restart"))["state"] == "done"


def test_a_node_that_raises_is_counted_and_the_worker_is_as_it_was(stage: Stage) -> None:
    before = worker(stage)["errors"]
    with pytest.raises(ValueError, match="as it was told"):
        stage.run_node("mesh", "raise")
    one = worker(stage)
    assert (one["state"], one["errors"]) == ("idle", before + 1)


# --- restart and stop ------------------------------------------------------------------------------------------------


def test_a_busy_worker_is_restarted_and_its_node_says_by_whom(
    stage: Stage, threads: ThreadPoolExecutor
) -> None:
    call = wait_in_background(stage, threads)
    before = worker(stage)
    job = stage.wait_for_job(stage.post("/workers/mesh/restart"))
    error = call.exception(10)
    assert isinstance(error, WorkerStopped)
    assert "restarted by hand while this ran" in str(error) and "Run the workflow again" in str(error)
    assert (job["state"], job["kind"], job["target"]) == ("done", "restart", "mesh")
    check(job["result"], schema_of(WorkerJson))
    now = worker(stage)
    assert now["state"] == "idle" and now["pid"] not in (None, before["pid"])
    assert job["result"]["pid"] == now["pid"] and now["uptime_s"] < 30
    assert "restarted by hand" in now["last_end"]
    assert stage.run_node("mesh") == ("hello!",)


def test_a_worker_that_does_not_run_is_started_by_a_restart(stage: Stage) -> None:
    stage.wait_for_job(stage.post("/workers/mesh/stop"))
    assert stage.wait_for_job(stage.post("/workers/mesh/restart"))["state"] == "done"
    assert worker(stage)["state"] == "idle"


def test_a_worker_is_stopped_once_and_twice(stage: Stage, threads: ThreadPoolExecutor) -> None:
    call = wait_in_background(stage, threads)
    first = stage.wait_for_job(stage.post("/workers/mesh/stop"))
    assert first["result"] == {"was_running": True}
    assert "stopped by hand while this ran" in str(call.exception(10))
    assert stage.wait_for_job(stage.post("/workers/mesh/stop"))["result"] == {"was_running": False}
    assert worker(stage)["state"] == "stopped"
    assert stage.run_node("mesh") == ("hello!",), "the next node starts it again"


def test_events_tell_when_it_comes_and_goes_and_not_how_busy_it_is(stage: Stage) -> None:
    told = len(states(stage))
    for _ in range(20):
        stage.run_node("mesh")
    stage.wait_for_job(stage.post("/workers/mesh/stop"))
    assert eventually(lambda: states(stage)[-1:] == ["stopped"])
    assert set(states(stage)[told:]) <= {"stopping", "stopped"}


# --- what is shown ---------------------------------------------------------------------------------------------------


def test_a_site_that_never_ran_has_no_worker(make_stage: MakeStage) -> None:
    idle = make_stage()
    idle.add_pack("mesh")
    idle.open(BuildMode.OFF)
    assert idle.get("/workers")["workers"] == []


def test_calls_that_wait_are_the_queue(stage: Stage, threads: ThreadPoolExecutor) -> None:
    calls = [wait_in_background(stage, threads) for _ in range(4)]
    assert eventually(lambda: (worker(stage)["open_calls"], worker(stage)["queue"]) == (4, 3))
    stage.wait_for_job(stage.post("/workers/mesh/stop"))
    assert [type(call.exception(10)) for call in calls] == [WorkerStopped] * 4


def test_figures_are_those_of_the_process(stage: Stage, threads: ThreadPoolExecutor) -> None:
    wait_in_background(stage, threads)
    first = worker(stage)
    assert first["rss_bytes"] > 1_000_000 and first["private_bytes"] > 0
    assert first["python"].count(".") == 2 and first["uptime_s"] > 0 and first["vram_bytes"] is None
    assert eventually(lambda: worker(stage)["cpu_percent"] is not None)
    assert worker(stage)["cpu_seconds"] >= first["cpu_seconds"] > 0
    stage.wait_for_job(stage.post("/workers/mesh/stop"))
