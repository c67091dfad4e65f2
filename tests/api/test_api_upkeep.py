"""What can be done to environments through the routes, and what is refused."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from api.conftest import MakeStage
from api.scripted_engine import Course
from api.stage import NODE, Stage
from patience import PATIENCE_S, eventually

from comfy_env_core.api.environments import EnvironmentJson
from comfy_env_core.api.jobs import Cancelled, JobList
from comfy_env_core.api.schema import check, inline_schema
from comfy_env_core.api.site_builds import Settled
from comfy_env_core.api.upkeep import Deleted, RolledBack
from comfy_env_core.api.work import Accepted, JobJson
from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.environments import removal
from comfy_env_core.environments.store import Store
from comfy_env_core.manager import BuildMode

#: It works until there is the file that it is told.
WAITING_NODE = NODE.replace(
    'print("echoes", text)', "import os, time\n        while not os.path.exists(text): time.sleep(0.01)"
)
FAILURE = BuildError(
    BuildCause.NO_MATCHING_WHEEL, "There is no wheel of 'gone' here.", "Ask for another version."
)


def ask(stage: Stage, path: str, body: Any = None, method: str = "POST") -> Any:
    answer = stage.request(method, f"/comfy-env{path}", {} if body is None else body)
    return answer.status, answer.json


def begun(stage: Stage, path: str, body: Any = None, method: str = "POST") -> Accepted:
    status, answer = ask(stage, path, body, method)
    assert status == 202, answer
    check(answer, inline_schema(Accepted))
    return answer  # type: ignore[no-any-return]


def done(stage: Stage, path: str, body: Any = None, method: str = "POST") -> JobJson:
    job: JobJson = stage.wait_for_job(begun(stage, path, body, method))
    check(job, inline_schema(JobJson))
    return job


def refusal(answer: tuple[int, Any]) -> tuple[int, str]:
    status, body = answer
    assert body["error"]["message"]
    assert body["error"]["remedy"]
    return status, body["error"]["code"]


def state(stage: Stage, site_id: str = "mesh") -> str:
    return stage.manager.sites[site_id].state.value


def environment_id(stage: Stage, site_id: str = "mesh") -> str:
    environment = stage.manager.sites[site_id].environment
    assert environment is not None
    return environment.id


def only(stage: Stage) -> EnvironmentJson:
    (one,) = stage.get("/environments")["environments"]
    return one  # type: ignore[no-any-return]


@pytest.fixture
def ready(stage: Stage) -> Stage:
    """With one pack, which is built."""
    stage.add_pack("mesh")
    assert stage.open().manager.wait(PATIENCE_S)
    return stage


@pytest.fixture
def held(stage: Stage) -> Course:
    """A stage whose pack is being built, until its gate opens."""
    stage.add_pack("mesh")
    course = stage.add_course("mesh", gate=threading.Event())
    stage.open()
    assert eventually(lambda: [build.phase is not None for build in stage.manager.builds()] == [True])
    return course


@contextmanager
def another_process_builds(store: Store, environment_id: str) -> Iterator[int]:
    """Its process number, while it holds the lock of that environment."""
    program = (
        "import sys; from pathlib import Path\n"
        "from comfy_env_core.environments.locks import build_lock\n"
        "from comfy_env_core.environments.store import Store\n"
        f"lock = build_lock(Store(Path({str(store.root)!r})), {environment_id!r})\n"
        "assert lock.try_acquire(10)\n"
        "print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process.pid
        finally:
            process.stdin.close()
            process.wait(PATIENCE_S)


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("POST", "/build", {"sites": ["none"]}, (404, "unknown_site")),
        ("POST", "/build", {"sites": ["mesh", "../mesh"]}, (404, "unknown_site")),
        ("POST", "/build", {"sites": []}, (400, "bad_request")),
        ("POST", "/build", {"sites": "mesh"}, (400, "bad_request")),
        ("POST", "/rebuild", {}, (400, "bad_request")),
        ("POST", "/rebuild", {"sites": ["none"]}, (404, "unknown_site")),
        ("POST", "/environments/0123abcd/rebuild", {}, (404, "unknown_environment")),
        ("POST", "/environments/0123abcd/cancel", {}, (404, "unknown_environment")),
        ("POST", "/environments/%2e%2e/roll-back", {}, (404, "unknown_environment")),
        ("DELETE", "/environments/0123abcd", {}, (404, "unknown_environment")),
        ("GET", "/jobs/0123456789ab", None, (404, "unknown_job")),
        ("POST", "/jobs/0123456789ab/cancel", {}, (404, "unknown_job")),
    ],
)
def test_what_is_not_there_is_refused_and_nothing_happens(
    stage: Stage, method: str, path: str, body: Any, expected: tuple[int, str]
) -> None:
    stage.add_pack("mesh")
    stage.open(prepare=False)
    answer = stage.request(method, f"/comfy-env{path}", body)
    assert refusal((answer.status, answer.json)) == expected
    assert stage.get("/jobs") == {"jobs": []}
    assert stage.engine.builds == []


def test_rolling_back_without_an_earlier_build_is_refused_with_the_way_on(ready: Stage) -> None:
    status, answer = ask(ready, f"/environments/{environment_id(ready)}/roll-back")
    assert refusal((status, answer)) == (409, "not_possible")
    assert "anew" in answer["error"]["remedy"]


def test_cancelling_where_nothing_is_built_says_so(ready: Stage) -> None:
    status, answer = ask(ready, f"/environments/{environment_id(ready)}/cancel")
    check(answer, inline_schema(Cancelled))
    assert (status, answer) == (200, {"cancelled": False})


def test_what_another_process_builds_is_neither_deleted_nor_rolled_back(ready: Stage) -> None:
    id_ = environment_id(ready)
    with another_process_builds(ready.store, id_) as pid:
        for path, method in ((f"/environments/{id_}/roll-back", "POST"), (f"/environments/{id_}", "DELETE")):
            status, answer = ask(ready, path, method=method)
            assert refusal((status, answer)) == (409, "busy")
            assert str(pid) in answer["error"]["message"]
    assert only(ready)["state"] == "done"


def test_what_is_being_built_here_is_not_deleted(stage: Stage, held: Course) -> None:
    id_ = environment_id(stage)
    assert refusal(ask(stage, f"/environments/{id_}", method="DELETE")) == (409, "busy")
    assert held.gate is not None
    held.gate.set()
    assert stage.manager.wait(PATIENCE_S)


def test_one_whose_node_runs_is_neither_deleted_nor_moved_to_its_new_build(
    stage: Stage, tmp_path: Path
) -> None:
    stage.add_pack("mesh", files={"__init__.py": WAITING_NODE})
    assert stage.open().manager.wait(PATIENCE_S)
    held = threading.Thread(target=stage.run_node, args=("mesh", str(tmp_path / "go")))
    held.start()
    try:
        assert eventually(
            lambda: [one.state.value for one in stage.manager.workers.all_running()] == ["busy"]
        )
        status, answer = ask(stage, f"/environments/{environment_id(stage)}", method="DELETE")
        assert refusal((status, answer)) == (409, "busy")
        assert "nodes of 'mesh' run" in answer["error"]["message"]
        job = done(stage, "/rebuild", {"sites": ["mesh"]})
        assert (job["state"], job["result"]) == ("done", {"sites": {"mesh": "ready"}, "later": ["mesh"]})
    finally:
        (tmp_path / "go").touch()
        held.join(PATIENCE_S)


def test_a_disk_that_refuses_is_told_as_one(ready: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("comfy_env_core.environments.environment.write_atomically", full)
    monkeypatch.setattr(removal, "set_aside", full)
    id_ = environment_id(ready)
    assert done(ready, f"/environments/{id_}/rebuild")["error"] is not None
    status, answer = ask(ready, f"/environments/{id_}", method="DELETE")
    assert refusal((status, answer)) == (507, "disk")
    assert "No space left" in answer["error"]["message"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may delete everywhere")
def test_a_store_that_may_not_be_written_is_told(ready: Stage) -> None:
    ready.store.root.chmod(0o500)
    try:
        answer = ask(ready, f"/environments/{environment_id(ready)}", method="DELETE")
    finally:
        ready.store.root.chmod(0o700)
    assert refusal(answer) == (507, "disk")


def test_an_environment_that_no_pack_asks_for_is_not_rebuilt(ready: Stage) -> None:
    (ready.store.root / "_env_0123abcd").mkdir()
    status, answer = ask(ready, "/environments/0123abcd/rebuild")
    assert refusal((status, answer)) == (409, "not_possible")
    assert "Delete it" in answer["error"]["remedy"]


# --- building ---------------------------------------------------------------------------------------------------------


def test_a_click_builds_where_building_at_start_is_off(stage: Stage) -> None:
    stage.add_pack("mesh")
    stage.open(BuildMode.OFF)
    assert state(stage) == "unbuilt"
    job = done(stage, "/build")
    check(job["result"], inline_schema(Settled))
    assert (job["kind"], job["state"], job["target"]) == ("build", "done", "")
    assert job["result"] == {"sites": {"mesh": "ready"}, "later": []}
    assert state(stage) == "ready"


def test_only_the_sites_that_were_named_are_built(stage: Stage) -> None:
    stage.add_pack("mesh")
    stage.add_pack("other")
    stage.open(BuildMode.OFF)
    job = done(stage, "/build", {"sites": ["other", "other"]})
    assert job["result"]["sites"] == {"other": "ready"}
    assert state(stage) == "unbuilt"
    assert stage.engine.builds == ["other"]


def test_nothing_to_build_is_a_job_that_ends_at_once(ready: Stage) -> None:
    assert done(ready, "/build")["result"] == {"sites": {}, "later": []}


def test_a_build_that_fails_ends_the_job_with_cause_and_remedy_and_the_others_are_built(stage: Stage) -> None:
    stage.add_pack("gone")
    stage.add_course("gone", failure=FAILURE)
    stage.add_pack("mesh")
    stage.open(BuildMode.OFF)
    job = done(stage, "/build")
    assert job["state"] == "failed"
    assert job["error"] == {
        "cause": "no_matching_wheel",
        "message": f"gone: {FAILURE.message}",
        "remedy": FAILURE.remedy,
    }
    assert job["result"]["sites"] == {"gone": "failed", "mesh": "ready"}


def test_a_file_that_was_corrected_meanwhile_is_read_again(stage: Stage) -> None:
    directory = stage.add_pack("mesh", "python = 3.10\n")
    stage.open()
    job = done(stage, "/build", {"sites": ["mesh"]})
    assert (job["state"], job["error"] and job["error"]["cause"]) == ("failed", "config")
    assert "line 1" in (job["error"] or {})["message"]
    (directory / "comfy-env.toml").write_text("# corrected\n")
    assert done(stage, "/build", {"sites": ["mesh"]})["state"] == "done"


def test_a_pack_whose_folder_is_gone_fails_with_words(ready: Stage) -> None:
    (ready.custom_nodes / "mesh").rename(ready.custom_nodes.parent / "elsewhere")
    job = done(ready, "/build", {"sites": ["mesh"]})
    assert job["state"] == "failed"
    assert "gone" in (job["error"] or {})["message"]


def test_the_job_tells_what_its_build_does(stage: Stage, held: Course) -> None:
    accepted = begun(stage, "/build")
    path = f"/jobs/{accepted['job']['id']}"
    assert eventually(lambda: stage.get(path)["text"] == "installing: installing")
    assert [one["id"] for one in stage.get("/status")["jobs"]] == [accepted["job"]["id"]]
    answer = stage.get("/jobs")
    check(answer, inline_schema(JobList))
    assert held.gate is not None
    held.gate.set()
    assert stage.wait_for_job(accepted)["state"] == "done"


# --- cancelling -------------------------------------------------------------------------------------------------------


def test_cancelling_a_job_cancels_its_builds(stage: Stage) -> None:
    stage.add_pack("mesh")
    stage.add_pack("other")
    for name in ("mesh", "other"):
        stage.add_course(name, gate=threading.Event())
    stage.open(BuildMode.OFF)
    accepted = begun(stage, "/build")
    path = f"/jobs/{accepted['job']['id']}"
    assert eventually(lambda: len(stage.manager.builds()) == 2)
    assert ask(stage, f"{path}/cancel") == (200, {"cancelled": True})
    assert stage.wait_for_job(accepted)["state"] == "cancelled"
    assert {build.state.value for build in stage.manager.builds()} == {"cancelled"}
    assert ask(stage, f"{path}/cancel") == (200, {"cancelled": False})
    assert {one["state"] for one in stage.get("/environments")["environments"]} == {"cancelled"}


def test_a_job_that_is_cancelled_before_its_build_began_begins_none(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.add_pack("mesh")
    stage.add_course("mesh", gate=threading.Event())
    stage.open(BuildMode.OFF)
    planning, go = threading.Event(), threading.Event()
    plan = stage.manager._parts.planner.plan

    def slow(*args: Any) -> Any:
        planning.set()
        assert go.wait(PATIENCE_S)
        return plan(*args)

    monkeypatch.setattr(stage.manager._parts.planner, "plan", slow)
    accepted = begun(stage, "/build")
    assert planning.wait(PATIENCE_S)
    assert ask(stage, f"/jobs/{accepted['job']['id']}/cancel") == (200, {"cancelled": True})
    go.set()
    assert stage.wait_for_job(accepted)["state"] == "cancelled"


def test_a_job_whose_builds_are_done_can_be_left_while_the_nodes_are_imported(stage: Stage) -> None:
    stage.add_pack("mesh")
    stage.open(BuildMode.OFF, workers=False)
    accepted = begun(stage, "/build")
    path = f"/jobs/{accepted['job']['id']}"
    assert eventually(lambda: stage.get(path)["text"] == "importing the nodes")
    assert ask(stage, f"{path}/cancel") == (200, {"cancelled": True})
    assert stage.wait_for_job(accepted)["state"] == "cancelled"
    stage.manager.allow_workers()
    assert stage.manager.wait(PATIENCE_S)
    assert state(stage) == "ready"


def test_an_environment_that_is_deleted_while_others_are_built_does_not_hold_up_the_job(stage: Stage) -> None:
    stage.add_pack("mesh")
    stage.add_pack("other")
    course = stage.add_course("other", gate=threading.Event())
    stage.open(BuildMode.OFF)
    accepted = begun(stage, "/build")
    assert eventually(lambda: state(stage) == "ready")
    assert eventually(lambda: stage.get(f"/jobs/{accepted['job']['id']}")["text"].startswith("1 of 2"))
    stage.wait_for_job(begun(stage, f"/environments/{environment_id(stage)}", method="DELETE"))
    assert course.gate is not None
    course.gate.set()
    assert stage.wait_for_job(accepted)["result"]["sites"] == {"mesh": "unbuilt", "other": "ready"}


def test_cancelling_an_environment_ends_its_build_and_the_jobs_that_wait_for_it(
    stage: Stage, held: Course
) -> None:
    accepted = begun(stage, "/build")
    id_ = environment_id(stage)
    assert ask(stage, f"/environments/{id_}/cancel") == (200, {"cancelled": True})
    assert stage.wait_for_job(accepted)["state"] == "cancelled"
    told = only(stage)
    assert (told["state"], told["reason"]) == ("cancelled", "Its build was cancelled.")
    assert held.gate is not None
    held.gate.set()
    assert done(stage, "/build")["state"] == "done"


def test_a_build_of_another_process_is_asked_to_stop(
    make_stage: MakeStage, stage: Stage, held: Course
) -> None:
    other = make_stage()
    other.store = stage.store
    other.open(BuildMode.OFF)
    id_ = environment_id(stage)
    assert eventually(lambda: [one["id"] for one in other.get("/environments")["environments"]] == [id_])
    assert ask(other, f"/environments/{id_}/cancel") == (200, {"cancelled": True})
    assert eventually(lambda: [build.state.value for build in stage.manager.builds()] == ["cancelled"])


# --- building anew, rolling back, deleting ----------------------------------------------------------------------------


def test_a_rebuild_serves_anew_can_be_rolled_back_and_that_undone(ready: Stage) -> None:
    id_ = environment_id(ready)
    job = done(ready, "/rebuild", {"sites": ["mesh"]})
    assert (job["kind"], job["target"], job["result"]) == (
        "rebuild",
        "mesh",
        {"sites": {"mesh": "ready"}, "later": []},
    )
    assert (only(ready)["generation"], only(ready)["can_roll_back"]) == (2, True)
    for generation in (1, 2):
        status, answer = ask(ready, f"/environments/{id_}/roll-back")
        check(answer, inline_schema(RolledBack))
        assert (status, answer["environment"]["generation"]) == (200, generation)
    assert eventually(ready.manager.sites["mesh"].is_complete)
    assert ready.run_node("mesh") == ("hello!",)


def test_all_sites_of_an_environment_move_to_its_new_build(stage: Stage) -> None:
    stage.add_pack("one", "# same\n")
    stage.add_pack("two", "# same\n")
    assert stage.open().manager.wait(PATIENCE_S)
    job = done(stage, f"/environments/{environment_id(stage, 'one')}/rebuild")
    assert job["result"] == {"sites": {"one": "ready", "two": "ready"}, "later": []}
    assert {site["serving"]["generation"] for site in stage.get("/status")["sites"]} == {2}
    job = done(stage, "/rebuild", {"sites": ["one"]})
    assert job["result"]["sites"] == {"one": "ready", "two": "ready"}


def test_a_rebuild_that_fails_is_told_and_the_build_before_goes_on(ready: Stage) -> None:
    ready.add_course("mesh", failure=FAILURE)
    job = done(ready, "/rebuild", {"sites": ["mesh"]})
    assert (job["state"], job["error"] and job["error"]["cause"]) == ("failed", "no_matching_wheel")
    told = only(ready)
    assert (told["state"], told["generation"]) == ("failed", 1)
    assert told["reason"] == f"{FAILURE.message} The build before goes on serving."
    assert state(ready) == "ready"
    assert ready.run_node("mesh") == ("hello!",)


def test_a_rebuild_that_is_cancelled_leaves_all_as_it_was(ready: Stage) -> None:
    ready.add_course("mesh", gate=threading.Event())
    accepted = begun(ready, "/rebuild", {"sites": ["mesh"]})
    assert eventually(lambda: only(ready)["state"] == "building")
    assert ask(ready, f"/jobs/{accepted['job']['id']}/cancel") == (200, {"cancelled": True})
    assert ready.wait_for_job(accepted)["state"] == "cancelled"
    told = only(ready)
    assert (told["state"], told["reason"]) == (
        "done",
        "The rebuild was cancelled. The build before goes on serving.",
    )


def test_a_mistaken_file_fails_a_rebuild_before_anything_is_built(ready: Stage) -> None:
    (ready.custom_nodes / "mesh" / "comfy-env.toml").write_text("[options]\nhost = 'moon'\n")
    job = done(ready, "/rebuild", {"sites": ["mesh"]})
    assert (job["error"] and job["error"]["cause"]) == "config"
    assert ready.engine.builds == ["mesh"]


def test_a_rebuild_builds_what_was_never_built(stage: Stage) -> None:
    stage.add_pack("mesh")
    stage.open(BuildMode.OFF)
    assert done(stage, "/rebuild", {"sites": ["mesh"]})["result"]["sites"] == {"mesh": "ready"}


def test_a_deleted_environment_is_gone_at_once_its_worker_with_it_and_it_can_be_built_again(
    ready: Stage,
) -> None:
    ready.run_node("mesh")
    id_ = environment_id(ready)
    accepted = begun(ready, f"/environments/{id_}", method="DELETE")
    assert not ready.store.environment(id_).directory.exists()
    job = ready.wait_for_job(accepted)
    check(job["result"], inline_schema(Deleted))
    assert (job["kind"], job["target"], job["result"]) == ("delete", id_, {"left": []})
    assert list(ready.store.root.glob(".*.trash")) == []
    assert state(ready) == "unbuilt"
    told = only(ready)
    assert (told["state"], told["reason"]) == ("missing", "It was deleted.")
    assert refusal(ask(ready, f"/environments/{id_}", method="DELETE")) == (409, "not_possible")
    assert done(ready, "/build")["result"]["sites"] == {"mesh": "ready"}
    assert ready.run_node("mesh") == ("hello!",)
