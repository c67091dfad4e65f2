"""Moving the store to another disk: interrupted, refused, and in the end there."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from comfy_env_core.environments import moving
from comfy_env_core.environments.locks import build_lock
from comfy_env_core.environments.mirroring import Mirror
from comfy_env_core.environments.moving import Move, MoveRefused
from comfy_env_core.environments.place import StoreUnreachable, former_of, successor_of
from comfy_env_core.environments.store import Store
from comfy_env_core.environments.workspace import Workspace

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="the stand-in for an environment is a POSIX prefix"
)

ID = "0000000a"


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment, from which those of the tests are made."""
    place = tmp_path_factory.mktemp("prefix") / "prefix"
    venv.EnvBuilder(symlinks=True).create(place)
    return place


@pytest.fixture
def store(tmp_path: Path, prefix: Path) -> Store:
    """With one environment, which shares a file with the cache."""
    store = Store(tmp_path / "home" / "ce")
    environment = store.environment(ID)
    workspace = environment.begin_generation()
    workspace.prefix.parent.mkdir(parents=True)
    Mirror(prefix, workspace.prefix, prefix, lambda copied: None).run()
    cached = store.cache_dir / "uv" / "torch"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"x" * 1024)
    os.link(cached, workspace.prefix / "torch")
    (store.cache_dir / "link").symlink_to(cached)
    (workspace.prefix / "read-only").mkdir(mode=0o500)
    workspace.done_path.touch()
    environment.switch_to(workspace)
    return store


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    return tmp_path / "disk" / "ce"


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "mounted"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1g", "tmpfs", str(place)]
    if sys.platform != "linux" or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("SKIPPED LOUDLY: mounting needs root; another disk is not tested here")
    yield place
    subprocess.run(["umount", str(place)], check=False)


def quiet(copied_bytes: int) -> None:
    pass


def prepare(store: Store, destination: Path) -> Move:
    move = moving.prepare_move(store, destination)
    assert move is not None
    return move


def move_to(store: Store, destination: Path) -> None:
    move = prepare(store, destination)
    moving.copy(move, quiet)
    assert moving.try_out(move) == ()
    moving.switch(store, move)
    moving.remove_source(store)


def current(store: Store) -> Workspace:
    found = Store.default({"COMFY_ENV_ROOT": str(store.root)}).environment(ID).current()
    assert found is not None
    return found


def runs(store: Store) -> bool:
    command = [current(store).python, "-c", "import sys; print(sys.prefix)"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == str(
        current(store).prefix
    )


def beside(store: Store) -> list[str]:
    return sorted(path.name for path in store.root.parent.iterdir())


def test_a_moved_store_keeps_its_path_its_links_and_its_environments(store: Store, other_disk: Path) -> None:
    before = current(store)
    move_to(store, other_disk / "ce")
    assert current(store) == before
    assert runs(store)
    assert store.root.is_symlink()
    assert beside(store) == ["ce"]
    cached = other_disk / "ce" / "cache" / "uv" / "torch"
    assert os.path.samefile(cached, before.prefix / "torch"), "what was shared is shared"
    assert (store.cache_dir / "link").read_bytes() == cached.read_bytes()
    assert sorted(path.name for path in (other_disk / "ce").iterdir()) == ["_env_0000000a", "cache", "locks"]


def test_a_disk_that_is_not_connected_is_an_error_and_no_second_store(store: Store, other_disk: Path) -> None:
    move_to(store, other_disk / "ce")
    subprocess.run(["umount", str(other_disk)], check=True)
    with pytest.raises(StoreUnreachable, match="connect that disk"):
        Store.default({"COMFY_ENV_ROOT": str(store.root)})


def test_a_store_moves_on_and_back_to_where_it_was(store: Store, tmp_path: Path) -> None:
    for name in ("one", "two"):
        move_to(store, tmp_path / name / "ce")
        assert runs(store)
    assert not (tmp_path / "one" / "ce").exists()
    (tmp_path / "one" / "ce").mkdir()  # as if its deletion had been interrupted
    (tmp_path / "two" / "ce" / ".moving-from").write_text(str(tmp_path / "one" / "ce"))
    assert moving.prepare_move(store, tmp_path / "two" / "ce") is None
    assert not (tmp_path / "one" / "ce").exists()
    move_to(store, store.root)
    assert runs(store)
    assert not store.root.is_symlink()
    assert not (tmp_path / "two" / "ce").exists()
    assert (store.cache_dir / "link").exists()
    assert beside(store) == ["ce"]


def test_moving_to_where_it_lies_already_clears_what_an_interrupted_move_left(
    store: Store, destination: Path
) -> None:
    move = prepare(store, destination)
    moving.copy(move, quiet)
    moving.switch(store, move)
    assert former_of(store.root).exists()
    assert runs(store)
    assert moving.prepare_move(store, destination) is None
    assert beside(store) == ["ce"]


def test_a_copy_that_was_interrupted_goes_on_where_it_stopped(store: Store, destination: Path) -> None:
    class Stopped(Exception):
        pass

    copied = []

    def stop(copied_bytes: int) -> None:
        copied.append(copied_bytes)
        if len(copied) == 3:
            raise Stopped

    move = prepare(store, destination)
    with pytest.raises(Stopped):
        moving.copy(move, stop)
    assert runs(store)
    (store.root / "new").write_text("since then")
    (destination / "no more").write_text("in the store")
    first = len(copied)
    moving.copy(prepare(store, destination), copied.append)
    assert (destination / "new").exists()
    assert not (destination / "no more").exists()
    again: list[int] = []
    moving.copy(prepare(store, destination), again.append)
    assert again == []
    assert len(copied) > first


def test_a_move_killed_at_any_moment_leaves_a_store_that_works_and_can_be_ended(
    store: Store, destination: Path
) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from comfy_env_core.environments import moving\n"
        "from comfy_env_core.environments.store import Store\n"
        "store = Store.default(); print('ready', flush=True)\n"
        "move = moving.prepare_move(store, Path(sys.argv[1]))\n"
        "if move: moving.copy(move, lambda copied: None); moving.switch(store, move); moving.remove_source(store)"
    )
    root = Path(__file__).resolve().parents[2]
    environ = {**os.environ, "COMFY_ENV_ROOT": str(store.root)}
    for delay_s in (0.04, 0.09, 0.14):
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(destination)], cwd=root, env=environ, stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(delay_s)
        process.kill()
        process.communicate()
        assert runs(store)
    subprocess.run([sys.executable, "-c", code, str(destination)], cwd=root, env=environ, check=True)
    assert runs(store)
    assert (store.root.is_symlink(), beside(store)) == (True, ["ce"])


def test_a_switch_killed_between_its_last_two_steps_is_ended_by_the_next_start(
    store: Store, destination: Path
) -> None:
    move = prepare(store, destination)
    moving.copy(move, quiet)
    moving.switch(store, move)
    os.rename(store.root, successor_of(store.root))
    assert not os.path.lexists(store.root)
    assert runs(store)


def test_nothing_is_moved_while_a_process_runs_or_a_build_does(store: Store, destination: Path) -> None:
    command = [str(current(store).python), "-c", "print('runs', flush=True); input()"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/")
    try:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(MoveRefused, match=f"({process.pid})"):
            moving.prepare_move(store, destination)
    finally:
        process.kill()
        process.communicate()
    lock = build_lock(store, ID)
    assert lock.try_acquire()
    with pytest.raises(MoveRefused, match="is being built"):
        moving.prepare_move(store, destination)
    lock.release()
    assert not destination.exists()


def test_what_starts_while_it_is_copied_stops_the_switch_and_nothing_is_lost(
    store: Store, destination: Path
) -> None:
    move = prepare(store, destination)
    moving.copy(move, quiet)
    lock = build_lock(store, ID)
    assert lock.try_acquire()
    with pytest.raises(MoveRefused):
        moving.switch(store, move)
    lock.release()
    assert not store.root.is_symlink()
    moving.switch(store, prepare(store, destination))
    assert runs(store)


def test_an_environment_that_does_not_start_at_the_new_place_is_built_anew(
    store: Store, destination: Path
) -> None:
    move = prepare(store, destination)
    moving.copy(move, quiet)
    Workspace(destination / current(store).directory.relative_to(store.root)).python.unlink()
    assert [environment.id for environment in moving.try_out(move)] == [ID]
    assert store.environment(ID).is_done()
    moving.switch(store, move)
    assert not store.environment(ID).is_done()


@pytest.mark.parametrize("place", ["inside", "around", "file", "full", "top"])
def test_places_where_a_store_cannot_be_are_refused(
    store: Store, tmp_path: Path, place: str, request: pytest.FixtureRequest
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious").write_text("")
    where = {"inside": store.root / "x", "around": store.root.parent}.get(place, tmp_path / place)
    if place == "top":
        where = request.getfixturevalue("other_disk")
    with pytest.raises(MoveRefused, match=r"lie in each other|no directory|not empty|top of a disk"):
        moving.prepare_move(store, where)
    assert runs(store)


def test_a_disk_that_is_too_small_is_refused_before_anything_is_copied(
    store: Store, other_disk: Path
) -> None:
    subprocess.run(["mount", "-o", "remount,size=64m", str(other_disk)], check=True)
    with pytest.raises(MoveRefused, match=r"has 6\d\.\d MB left, and 2\d\d\.\d MB are needed"):
        moving.prepare_move(store, other_disk / "ce")
