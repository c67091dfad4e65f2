"""What the environments take, and what is given back."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from api.stage import Stage
from patience import PATIENCE_S, eventually

from comfy_env_core.api.disk import Collected, DiskJson, GcPreview
from comfy_env_core.api.schema import check, inline_schema
from comfy_env_core.environments import measuring
from comfy_env_core.environments.garbage import DAY_S
from comfy_env_core.environments.measuring import StoreMeasuring
from comfy_env_core.environments.store import Store
from comfy_env_core.manager import BuildMode

ORPHAN = "0123abcd"


def disk(stage: Stage, query: str = "") -> DiskJson:
    answer: DiskJson = stage.get(f"/disk{query}")
    check(answer, inline_schema(DiskJson))
    return answer


def preview(stage: Stage, query: str = "") -> GcPreview:
    answer: GcPreview = stage.get(f"/gc{query}")
    check(answer, inline_schema(GcPreview))
    return answer


def collect(stage: Stage, **body: Any) -> Any:
    job = stage.wait_for_job(stage.post("/gc", {"caches": False, **body}))
    if job["result"] is not None:
        check(job["result"], inline_schema(Collected))
    return job


def add_orphan(store: Store, id_: str = ORPHAN) -> Path:
    """An environment of 64 KiB that was built long ago and that nobody uses."""
    directory = store.environment(id_).directory
    directory.mkdir(parents=True)
    (directory / "content").write_bytes(os.urandom(65536))
    long_ago = time.time() - 30 * DAY_S
    os.utime(directory, (long_ago, long_ago))
    return directory


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[Store]:
    """One entry for each time that the store was measured."""
    seen: list[Store] = []
    measure = measuring.measure_store

    def counting(store: Store) -> Any:
        seen.append(store)
        time.sleep(0.05)  # a store of some size
        return measure(store)

    monkeypatch.setattr(measuring, "measure_store", counting)
    return seen


def test_owners_are_told_with_the_packs_that_use_them(stage: Stage) -> None:
    stage.add_pack("one", "# same\n")
    stage.add_pack("two", "# same\n")
    assert stage.open().manager.wait(PATIENCE_S)
    add_orphan(stage.store)
    (stage.store.cache_dir / "uv").mkdir(parents=True, exist_ok=True)
    (stage.store.cache_dir / "uv" / "wheel").write_bytes(os.urandom(4096))
    told = disk(stage)
    owners = {owner["name"]: owner for owner in told["owners"]}
    shared = [owner for owner in told["owners"] if owner["packs"]]
    assert [(owner["kind"], owner["packs"]) for owner in shared] == [("environment", ["one", "two"])]
    assert (owners[ORPHAN]["kind"], owners[ORPHAN]["packs"]) == ("environment", [])
    assert owners[ORPHAN]["unique_bytes"] >= 65536
    assert owners["cache/uv"]["kind"] == "cache"
    assert owners["locks"]["kind"] == "other"
    assert told["used_bytes"] >= sum(owner["unique_bytes"] for owner in told["owners"])
    assert told["root"] == str(stage.store.root)


def test_the_size_of_an_environment_is_told_once_it_was_measured(stage: Stage) -> None:
    add_orphan(stage.store)
    stage.open()
    (told,) = stage.get("/environments")["environments"]
    assert told["size"] is None
    disk(stage)
    (told,) = stage.get("/environments")["environments"]
    assert told["size"]["unique_bytes"] >= 65536
    assert told["size"]["shared_bytes"] == 0


def test_it_is_measured_again_only_when_something_was_built_or_removed_or_somebody_insists(
    stage: Stage, counted: list[Store]
) -> None:
    stage.add_pack("mesh")
    stage.open(BuildMode.OFF)
    first = disk(stage)
    assert disk(stage)["measured_at"] == first["measured_at"]
    assert len(counted) == 1
    disk(stage, "?fresh=true")
    assert len(counted) == 2
    stage.wait_for_job(stage.post("/build"))
    assert disk(stage)["used_bytes"] > first["used_bytes"]
    assert len(counted) == 3


def test_those_who_wait_for_a_measurement_share_it(stage: Stage, counted: list[Store]) -> None:
    add_orphan(stage.store)
    together, store_measuring = threading.Barrier(5), StoreMeasuring()
    found = []

    def measure() -> None:
        together.wait(PATIENCE_S)
        found.append(store_measuring.measure(stage.store, fresh=True).measured_at)

    threads = [threading.Thread(target=measure) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert len(found) == 5
    assert len(counted) < 5


def test_an_empty_store_takes_nothing(stage: Stage) -> None:
    told = disk(stage.open())
    assert (told["owners"], told["used_bytes"]) == ([], 0)
    assert preview(stage) == {"items": [], "kept": [], "freed_bytes": 0}


def test_collecting_removes_what_the_preview_names_and_tells_how_much_came_back(stage: Stage) -> None:
    stage.add_pack("mesh")
    assert stage.open().manager.wait(PATIENCE_S)
    directory = add_orphan(stage.store)
    told = preview(stage)
    (item,) = told["items"]
    assert (item["kind"], item["name"]) == ("environment", ORPHAN)
    assert item["reason"] == "no ComfyUI of this machine uses it"
    assert told["freed_bytes"] == item["size_bytes"] >= 65536
    assert directory.exists()
    job = collect(stage)
    assert (job["kind"], job["state"]) == ("collect", "done")
    assert job["result"] == {"freed_bytes": told["freed_bytes"], "removed": [ORPHAN], "left": []}
    assert not directory.exists()
    assert stage.manager.sites["mesh"].is_complete()
    assert preview(stage)["items"] == []


def test_what_a_pack_of_this_comfyui_uses_stays_whatever_the_records_say(stage: Stage) -> None:
    stage.add_pack("mesh")
    assert stage.open().manager.wait(PATIENCE_S)
    stage.manager.workers.stop("mesh")
    environment = stage.manager.sites["mesh"].environment
    assert environment is not None
    for record in stage.store.installs_dir.glob("*.json"):
        record.unlink()
    long_ago = time.time() - 30 * DAY_S
    for path in (environment.directory, environment.pointer_path, environment.log_path):
        os.utime(path, (long_ago, long_ago))
    told = preview(stage)
    assert environment.id not in [item["name"] for item in told["items"]]
    assert {"name": environment.id, "reason": "used by mesh"} in told["kept"]
    collect(stage)
    assert environment.is_done()


def test_caches_go_only_when_that_is_asked_for_and_not_while_something_is_built(stage: Stage) -> None:
    (stage.store.cache_dir / "uv").mkdir(parents=True)
    (stage.store.cache_dir / "uv" / "wheel").write_bytes(os.urandom(4096))
    stage.add_pack("mesh")
    gate = threading.Event()
    stage.add_course("mesh", gate=gate)
    stage.open()
    assert eventually(lambda: [build.phase is not None for build in stage.manager.builds()] == [True])
    assert preview(stage)["items"] == []
    assert [item["name"] for item in preview(stage, "?caches=true")["items"]] == ["cache/uv"]
    (left,) = collect(stage, caches=True)["result"]["left"]
    assert left["name"] == "cache/uv"
    assert "A build runs" in left["reason"]
    gate.set()
    assert stage.manager.wait(PATIENCE_S)
    assert collect(stage, caches=True)["result"]["removed"] == ["cache/uv"]
    assert stage.run_node("mesh") == ("hello!",)


def test_cancelling_keeps_what_is_still_there(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.open()
    ids = [f"0000000{number}" for number in range(3)]
    for id_ in ids:
        add_orphan(stage.store, id_)
    told, go = threading.Event(), threading.Event()

    def wait_after_the_first(environment_id: str) -> None:
        told.set()
        assert go.wait(PATIENCE_S)

    monkeypatch.setattr(stage.backend.feed, "environment_changed", wait_after_the_first)
    accepted = stage.post("/gc", {"caches": False})
    assert told.wait(PATIENCE_S)
    assert stage.post(f"/jobs/{accepted['job']['id']}/cancel") == {"cancelled": True}
    go.set()
    assert stage.wait_for_job(accepted)["state"] == "cancelled"
    assert [id_ for id_ in ids if stage.store.environment(id_).directory.exists()] == ids[1:]


@pytest.mark.parametrize("query", ["/disk?fresh=maybe", "/gc?caches=1", "/disk?other=true"])
def test_a_parameter_that_is_none_is_refused(stage: Stage, query: str) -> None:
    answer = stage.open().request("GET", f"/comfy-env{query}")
    assert (answer.status, answer.json["error"]["code"]) == (400, "bad_request")
