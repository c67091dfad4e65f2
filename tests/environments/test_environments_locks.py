"""Locks between processes, and what a removal does with them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from comfy_env_core.environments.locks import build_lock
from comfy_env_core.environments.removal import EnvironmentBusy, remove_environment
from comfy_env_core.environments.store import Store

_HOLD = """
import sys
from pathlib import Path
from comfy_env_core.environments.locks import build_lock
from comfy_env_core.environments.store import Store
lock = build_lock(Store(Path(sys.argv[1])), "0123abcd")
assert lock.try_acquire()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_a_lock_goes_with_its_holder_however_that_ends(store: Store) -> None:
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", _HOLD, str(store.root)]
    process = subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    lock = build_lock(store, "0123abcd")
    try:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == b"held"
        assert not lock.try_acquire()
        assert lock.holder() == process.pid
        with pytest.raises(EnvironmentBusy, match=str(process.pid)):
            remove_environment(store, "0123abcd")
    finally:
        process.kill()
        process.communicate()
    assert lock.holder() is None
    assert lock.try_acquire(2.0)
    assert lock.holder() == os.getpid()
    lock.release()
    assert lock.holder() is None


def test_two_locks_of_one_process_exclude_each_other_and_other_ids_do_not(store: Store) -> None:
    first, second = build_lock(store, "0123abcd"), build_lock(store, "0123abcd")
    assert first.try_acquire()
    assert not second.try_acquire(0.1)
    other = build_lock(store, "aaaaaaaa")
    assert other.try_acquire()
    other.release()
    first.release()
    assert second.try_acquire()
    second.release()


def test_an_environment_is_removed_whole(store: Store) -> None:
    workspace = store.environment("0123abcd").generation(1)
    workspace.prefix.mkdir(parents=True)
    (workspace.prefix / "file").write_text("x")
    workspace.done_path.touch()
    remove_environment(store, "0123abcd")
    assert list(store.environments()) == []
    assert not list(store.root.glob("*env*"))
    remove_environment(store, "0123abcd")
