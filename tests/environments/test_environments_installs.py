"""The record of which ComfyUI uses which environments."""

from __future__ import annotations

from pathlib import Path

import pytest

from comfy_env_core.environments.installs import DamagedInstall, read_installs, record
from comfy_env_core.environments.store import Store

DAY_S = 86400.0


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def custom_nodes(tmp_path: Path) -> Path:
    directory = tmp_path / "ComfyUI" / "custom_nodes"
    directory.mkdir(parents=True)
    return directory


def test_a_store_without_records_has_no_installs(store: Store) -> None:
    assert read_installs(store) == ()
    assert not store.root.exists()


def test_what_an_install_used_before_keeps_its_day_and_is_not_what_it_uses_now(
    store: Store, custom_nodes: Path
) -> None:
    record(store, [custom_nodes], ["0000000a", "0000000b"], now=1 * DAY_S)
    record(store, [custom_nodes], ["0000000b", "0000000c"], now=5 * DAY_S)
    (install,) = read_installs(store)
    assert install.is_there()
    assert [install.uses_now(id_) for id_ in ("0000000a", "0000000b", "0000000c", "0000000d")] == [
        False,
        True,
        True,
        False,
    ]
    assert install.uses["0000000a"].used_at == 1 * DAY_S
    assert install.uses["0000000b"].since == 1 * DAY_S
    record(store, [custom_nodes], ["0000000c"], now=200 * DAY_S)
    (install,) = read_installs(store)
    assert set(install.uses) == {"0000000c"}


def test_an_install_that_uses_the_same_is_written_once_a_day(store: Store, custom_nodes: Path) -> None:
    record(store, [custom_nodes], ["0000000a"], now=DAY_S)
    (path,) = store.installs_dir.iterdir()
    before = path.read_bytes()
    record(store, [custom_nodes], ["0000000a"], now=1.5 * DAY_S)
    assert path.read_bytes() == before
    record(store, [custom_nodes], ["0000000a"], now=2.5 * DAY_S)
    assert path.read_bytes() != before


def test_an_install_is_there_as_long_as_one_of_its_directories_is(
    store: Store, custom_nodes: Path, tmp_path: Path
) -> None:
    other = tmp_path / "elsewhere"
    other.mkdir()
    record(store, [custom_nodes, other], ["0000000a"])
    custom_nodes.rmdir()
    assert read_installs(store)[0].is_there()
    other.rmdir()
    assert not read_installs(store)[0].is_there()


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"{}", b'{"custom_nodes": 1, "recorded_at": 1, "uses": {}}', b"\xff"]
)
def test_a_damaged_record_is_said_and_written_anew_by_its_install(
    store: Store, custom_nodes: Path, text: bytes
) -> None:
    record(store, [custom_nodes], ["0000000a"])
    (path,) = store.installs_dir.iterdir()
    path.write_bytes(text)
    with pytest.raises(DamagedInstall, match="Start that ComfyUI once"):
        read_installs(store)
    record(store, [custom_nodes], ["0000000a"])
    assert read_installs(store)[0].uses_now("0000000a")
