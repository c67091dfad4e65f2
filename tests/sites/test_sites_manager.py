"""From a file to nodes that run, and every way that can fail. The engine is a stand-in, workers are real processes."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from patience import PATIENCE_S, eventually

from comfy_env_core.building.plan import BuildPlan
from comfy_env_core.environments.installs import read_installs
from comfy_env_core.environments.states import SiteState
from comfy_env_core.manager import BuildMode, Manager
from comfy_env_core.sites.failure import SiteNotReady
from comfy_env_core.sites.planning import Planner
from comfy_env_core.sites.record import record_path
from comfy_env_core.supervision import WorkerCrashed

House = Any  # the fixture's class; conftest modules cannot be imported by name
Echo = Callable[[Manager, str, str], Any]


def failure_text(manager: Manager, site: str) -> str:
    assert manager.sites[site].state is SiteState.FAILED
    return str(manager.sites[site].failure)


def assert_ready(manager: Manager) -> None:
    assert manager.wait(PATIENCE_S)
    assert {
        site.id: str(site.failure) for site in manager.sites.values() if site.state is not SiteState.READY
    } == {}


def worker_pids(manager: Manager) -> list[int]:
    return [worker["pid"] for worker in manager.workers.status()["workers"] if worker["pid"] is not None]


def test_broken_toml_fails_its_pack_with_file_and_line_and_no_other(house: House) -> None:
    house.pack("bad", config='python = "3.11\n')
    house.pack("good")
    manager = house.open()
    assert manager.wait(PATIENCE_S)
    text = failure_text(manager, "bad")
    assert "comfy-env.toml" in text and "line 1" in text
    assert manager.sites["good"].state is SiteState.READY


def test_requirement_that_does_not_exist_fails_its_pack_with_remedy_and_log(house: House) -> None:
    house.pack("bad", config='[pypi-dependencies]\nmissing = "*"\n')
    house.pack("good")
    manager = house.open()
    assert manager.wait(PATIENCE_S)
    failure = manager.sites["bad"].failure
    assert failure is not None and failure.cause == "no_such_package"
    assert failure.remedy and failure.log_path is not None and failure.log_path.is_file()
    assert manager.sites["good"].state is SiteState.READY


def test_pack_that_raises_on_import_fails_but_its_environment_is_done(house: House) -> None:
    """One pack's import error never spoils an environment that others share."""
    house.pack("bad", __init__="raise RuntimeError('no luck today')")
    house.pack("good")
    manager = house.open()
    assert manager.wait(PATIENCE_S)
    assert "no luck today" in failure_text(manager, "bad")
    log_path = manager.sites["bad"].failure.log_path
    assert "RuntimeError: no luck today" in log_path.read_text() and "__init__.py" in log_path.read_text()
    bad, good = manager.sites["bad"], manager.sites["good"]
    assert bad.environment is not None and bad.environment.is_done()
    assert bad.environment == good.environment and house.engine.builds == 1
    assert good.state is SiteState.READY


def test_pack_that_exits_on_import_fails_and_its_log_is_named(house: House) -> None:
    house.pack("bad", __init__="import os\nprint('last words', flush=True)\nos._exit(3)")
    manager = house.open()
    assert manager.wait(PATIENCE_S)
    text = failure_text(manager, "bad")
    assert "exit code 3" in text and "last words" in text


def test_pack_that_hangs_on_import_is_ended_after_its_time(house: House) -> None:
    house.pack("bad", __init__="import threading\nthreading.Event().wait()")
    manager = house.open(import_timeout_s=1.0)
    assert manager.wait(PATIENCE_S)
    failure = manager.sites["bad"].failure
    assert failure is not None and failure.cause == "timed_out"
    assert worker_pids(manager) == []


def test_node_of_a_failed_pack_says_what_is_wrong(house: House, run_echo: Echo) -> None:
    house.pack("bad", config='[pypi-dependencies]\nmissing = "*"\n')
    manager = house.open()
    assert manager.wait(PATIENCE_S)
    with pytest.raises(SiteNotReady, match=r"no package 'missing'.*Correct the name"):
        run_echo(manager, "bad", "hello")


def test_states_follow_the_way_from_file_to_ready(house: House, run_echo: Echo) -> None:
    house.pack("pack")
    manager = house.open()
    assert manager.wait(PATIENCE_S)
    assert house.history.states["pack"] == ["building", "describing", "ready"]
    assert manager.sites["pack"].status().nodes == ("Echo",)
    assert run_echo(manager, "pack", "hello") == ("hello!",)


def test_which_environment_is_built_is_told_before_it_is_built(house: House) -> None:
    """A page finds the build that a site waits for by this id, which is known only some time after the site began."""
    house.pack("pack")
    manager = house.open()
    assert manager.wait(PATIENCE_S)
    building = [
        site.environment_id for site in house.history.told["pack"] if site.state is SiteState.BUILDING
    ]
    assert building == [None, manager.sites["pack"].status().environment_id]


def test_second_start_is_ready_at_once_and_starts_no_process(house: House) -> None:
    house.pack("pack")
    assert_ready(house.open())
    house.managers[0].shutdown()
    manager = house.open(workers=False)
    assert manager.sites["pack"].state is SiteState.READY
    assert house.history.states["pack"] == ["ready"]
    assert (manager.builds(), manager.workers.status()["workers"]) == ((), [])
    assert house.engine.builds == 1


def test_nothing_is_built_before_comfyui_is_up(house: House) -> None:
    house.pack("pack")
    manager = house.open(prepare=False)
    runtime = manager.sites["pack"]
    assert runtime.describe_for_host(runtime.own_module_name) is None, "the host asks while it boots"
    assert not runtime.wait_until_settled(timeout_s=1.0)
    assert house.engine.builds == 0
    manager.prepare()
    assert_ready(manager)


def test_no_worker_starts_before_comfyui_loads_packs(house: House) -> None:
    """ComfyUI chooses its devices between prestartup and the first pack."""
    house.pack("pack")
    manager = house.open(workers=False)
    runtime = manager.sites["pack"]
    assert not runtime.wait_until_settled(timeout_s=3.0)
    assert manager.workers.status()["workers"] == []
    manager.allow_workers()
    assert manager.wait(PATIENCE_S)


def test_packs_with_the_same_file_share_the_environment_but_no_process(house: House, run_echo: Echo) -> None:
    house.pack("one")
    house.pack("two")
    manager = house.open()
    assert manager.wait(PATIENCE_S)
    assert house.engine.builds == 1
    assert manager.sites["one"].environment == manager.sites["two"].environment
    assert run_echo(manager, "one", "a") == ("a!",) and run_echo(manager, "two", "b") == ("b!",)
    assert len(set(worker_pids(manager))) == 2


def test_changed_source_is_described_anew_without_a_build(house: House) -> None:
    root = house.pack("pack")
    assert_ready(house.open())
    source = (root / "__init__.py").read_text()
    (root / "__init__.py").write_text(source.replace('"Echo": Echo', '"Echo": Echo, "Again": Echo'))
    manager = house.open()
    assert manager.wait(PATIENCE_S)
    assert manager.sites["pack"].status().nodes == ("Again", "Echo")
    assert house.engine.builds == 1


def test_changed_file_is_built_while_the_old_environment_serves(house: House, run_echo: Echo) -> None:
    house.pack("pack")
    assert_ready(house.open())
    house.pack("pack", config="# changed\n")
    manager = house.open(workers=False)
    assert run_echo(manager, "pack", "old") == ("old!",)
    manager.allow_workers()
    assert manager.wait(PATIENCE_S)
    assert house.engine.builds == 2
    assert run_echo(manager, "pack", "new") == ("new!",)


def test_lost_environment_is_built_again(house: House) -> None:
    house.pack("pack")
    assert_ready(house.open())
    shutil.rmtree(next(house.store.environments()).directory)
    manager = house.open()
    assert manager.wait(PATIENCE_S)
    assert manager.sites["pack"].state is SiteState.READY
    assert house.engine.builds == 2


def test_known_nodes_of_a_lost_environment_stay_known_and_say_why_they_cannot_run(
    house: House, run_echo: Echo
) -> None:
    house.pack("pack")
    assert_ready(house.open())
    shutil.rmtree(next(house.store.environments()).directory)
    house.pack("pack", config='[pypi-dependencies]\nmissing = "*"\n')
    manager = house.open()
    assert manager.wait(PATIENCE_S)
    runtime = manager.sites["pack"]
    assert runtime.state is SiteState.FAILED
    assert runtime.describe_for_host(runtime.own_module_name) is not None
    with pytest.raises(SiteNotReady, match="no package 'missing'"):
        run_echo(manager, "pack", "hello")


def test_damaged_record_costs_a_description_and_nothing_else(house: House) -> None:
    root = house.pack("pack")
    assert_ready(house.open())
    record_path(house.store.descriptions_dir, root).write_text("{not json")
    manager = house.open()
    assert manager.wait(PATIENCE_S)
    assert manager.sites["pack"].state is SiteState.READY
    assert house.engine.builds == 1


def test_store_whose_records_cannot_be_written_still_serves(house: House, run_echo: Echo) -> None:
    house.pack("pack")
    house.store.root.mkdir()
    house.store.descriptions_dir.write_text("a file where a directory should be")
    manager = house.open()
    assert manager.wait(PATIENCE_S)
    assert run_echo(manager, "pack", "a") == ("a!",)


def test_module_that_the_host_wants_later_is_described_then(house: House) -> None:
    later = "class Later:\n    FUNCTION = 'f'\n    RETURN_TYPES = ()\n"
    root = house.pack("pack", __init__="NODE_CLASS_MAPPINGS = {}", extra=later)
    manager = house.open()
    assert manager.wait(PATIENCE_S)
    runtime = manager.sites["pack"]
    name = runtime.module_name_of(root / "extra.py")
    assert runtime.describe_for_host(name) is None
    description = runtime.wait_for_description(name)
    assert description is not None and description["classes"][0]["qualname"] == "Later"


def test_killed_worker_fails_the_call_and_the_next_call_has_a_new_one(house: House, run_echo: Echo) -> None:
    house.pack("pack")
    manager = house.open()
    assert manager.wait(PATIENCE_S)
    run_echo(manager, "pack", "warm")
    (pid,) = worker_pids(manager)
    runtime = manager.sites["pack"]
    pool_worker = manager.workers.running("pack")
    assert pool_worker is not None
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(WorkerCrashed, match="SIGKILL"):
        pool_worker.call("ping").result(timeout_s=PATIENCE_S)
    assert run_echo(manager, "pack", "again") == ("again!",)
    assert worker_pids(manager) != [pid] and runtime.state is SiteState.READY


def test_build_off_builds_nothing_and_says_so_when_a_node_runs(house: House, run_echo: Echo) -> None:
    house.pack("pack")
    manager = house.open(BuildMode.OFF)
    assert manager.sites["pack"].state is SiteState.UNBUILT and house.engine.builds == 0
    with pytest.raises(SiteNotReady, match="COMFY_ENV_BUILD"):
        run_echo(manager, "pack", "hello")


def test_pack_that_may_not_be_written_is_served(house: House, tmp_path: Path, run_echo: Echo) -> None:
    """A directory where the link would go stands for a read-only pack: root may write anywhere."""
    root = house.pack("pack")
    manager = house.open()
    assert manager.wait(PATIENCE_S)
    (link,) = [path for path in root.iterdir() if path.name.startswith("_env_")]
    assert link.is_symlink()
    assert {path.name for path in root.iterdir()} == {"__init__.py", "comfy-env.toml", link.name}
    link.unlink()
    assert run_echo(manager, "pack", "a") == ("a!",), "running never depends on the link"


def test_shutdown_leaves_no_process(house: House, run_echo: Echo) -> None:
    house.pack("pack")
    manager = house.open()
    assert manager.wait(PATIENCE_S)
    run_echo(manager, "pack", "warm")
    (pid,) = worker_pids(manager)
    manager.shutdown()
    manager.shutdown()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(RuntimeError, match="shutting down"):
        run_echo(manager, "pack", "late")


def test_environments_that_this_comfyui_uses_are_on_record_for_garbage_collection(house: House) -> None:
    house.pack("first")
    assert house.open(prepare=False).wait(0) is False
    assert read_installs(house.store) == (), "nothing is chosen yet, and no store is made for nothing"
    manager = house.open()
    assert manager.wait(PATIENCE_S)
    (install,) = read_installs(house.store)
    used = manager.sites["first"].environment
    assert used is not None
    assert install.uses_now(used.id)
    assert install.custom_nodes == (house.custom_nodes,)


def test_failed_pack_is_built_by_its_corrected_file_without_a_restart(house: House, run_echo: Echo) -> None:
    root = house.pack("pack", config='[pypi-dependencies]\nmissing = "*"\n')
    manager = house.open()
    assert manager.wait(PATIENCE_S)
    assert "There is no package 'missing'" in failure_text(manager, "pack")
    (root / "comfy-env.toml").write_text("")
    manager.upkeep.build([manager.sites["pack"]])
    assert_ready(manager)
    assert run_echo(manager, "pack", "hello") == ("hello!",)


def test_file_that_was_broken_while_comfyui_runs_fails_with_its_line_when_it_is_built(house: House) -> None:
    root = house.pack("pack")
    manager = house.open()
    assert_ready(manager)
    (root / "comfy-env.toml").write_text("python = 3.10\n")
    manager.upkeep.build([manager.sites["pack"]])
    assert manager.wait(PATIENCE_S)
    assert "line 1" in failure_text(manager, "pack")


def test_somebody_s_click_builds_although_builds_at_start_are_off(house: House) -> None:
    house.pack("pack")
    manager = house.open(BuildMode.OFF)
    manager.upkeep.build(manager.sites.values())
    assert_ready(manager)


def test_what_was_clicked_last_overtakes_what_waits(house: House) -> None:
    for name in "abcdef":
        house.pack(name, config=f'[env_vars]\nNAME = "{name}"\n')
    started: list[str] = []
    places = threading.Semaphore(0)

    def begin(plan: BuildPlan) -> None:
        started.append(plan.env_vars["NAME"])
        assert places.acquire(timeout=PATIENCE_S)

    house.engine.before_build = begin
    manager = house.open()
    eventually(lambda: len(manager.builds()) == 6 and len(started) == 2)
    # Which two are under way the threads that plan decide, and it is the last of the others that somebody wants.
    wanted = max(set("abcdef") - set(started))
    manager.upkeep.build([manager.sites[wanted]])
    places.release()  # one of the two ends, so one of the others begins
    eventually(lambda: len(started) == 3)
    assert started[2] == wanted
    places.release(5)
    assert_ready(manager)


def test_a_build_that_is_cancelled_can_be_asked_for_again(house: House) -> None:
    house.pack("pack")
    gate = threading.Event()
    house.engine.before_build = lambda plan: gate.wait(PATIENCE_S)
    manager = house.open()
    eventually(lambda: house.engine.builds == 1)
    environment = manager.sites["pack"].environment
    assert environment is not None
    assert manager.upkeep.cancel(environment.id)
    gate.set()
    assert manager.wait(PATIENCE_S)
    assert "was cancelled" in failure_text(manager, "pack")
    assert not manager.upkeep.cancel(environment.id), "nothing is under way any more"
    manager.upkeep.build(manager.sites.values())
    assert_ready(manager)


def test_mistake_of_ours_while_planning_is_not_told_as_the_packs(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mistaken(self: Planner, *args: object) -> None:
        raise KeyError("a mistake")

    monkeypatch.setattr(Planner, "plan", mistaken)
    house.pack("pack")
    manager = house.open()
    assert manager.wait(PATIENCE_S)
    assert "mistake in comfy-env manager: KeyError" in failure_text(manager, "pack")
    assert manager.sites["pack"].failure.cause == "internal"
