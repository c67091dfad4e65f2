"""`settings.json`: whatever stands in it, it is told, defaults are used, and nothing of it is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as of_hypothesis
from hypothesis import strategies as st
from patience import PATIENCE_S

from comfy_env_core.environments.locks import settings_lock
from comfy_env_core.environments.store import Store
from comfy_env_core.settings import writing
from comfy_env_core.settings.stored import read
from comfy_env_core.settings.writing import (
    FileUnusable,
    FixedByVariable,
    UnknownSetting,
    WrongValue,
    change,
)

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    (tmp_path / "store").mkdir()
    return Store(tmp_path / "store")


def in_file(store: Store) -> Any:  # Any: JSON
    return json.loads(store.settings_path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(b'{"max_workers": 2', "delimiter", id="cut off"),
        pytest.param(b"", "Expecting value", id="empty"),
        pytest.param(b"[1]", "a list", id="another shape"),
        pytest.param("{'größe'}".encode("latin-1"), "decode", id="another encoding"),
        pytest.param(b"[" * 100_000, "", id="nested without end"),
        pytest.param(b'{"max_workers": NaN}', "NaN", id="no number"),
        pytest.param(b'{"x": 1e999}', "too large", id="a number that is too large"),
        pytest.param(b" " * (1 << 20) + b"{}", "larger than", id="huge"),
        pytest.param(b"\x00\xff\xfe garbage", "", id="binary"),
    ],
)
def test_a_broken_file_is_told_with_its_path_and_kept_when_a_new_one_is_written(
    store: Store, content: bytes, said: str
) -> None:
    store.settings_path.write_bytes(content)
    stored = read(store)
    assert not list(stored.chosen())
    (problem,) = stored.problems()
    assert str(store.settings_path) in problem and said in problem and "put aside" in problem
    change(store, {"max_workers": 3}, {})
    assert in_file(store) == {"max_workers": 3}
    assert (store.root / "settings.json.broken-1").read_bytes() == content


def test_each_broken_file_is_kept_under_a_name_of_its_own(store: Store) -> None:
    for number in (1, 2):
        store.settings_path.write_text(f"broken {number}")
        change(store, {"engine": "pixi"}, {})
        assert (store.root / f"settings.json.broken-{number}").read_text() == f"broken {number}"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_what_editors_on_windows_write_is_read(store: Store, encoding: str) -> None:
    store.settings_path.write_text('{"engine": "embedded"}', encoding=encoding)
    assert [(setting.name, value) for setting, value in read(store).chosen()] == [("engine", "embedded")]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_workers", -1),
        ("max_workers", 1001),
        ("max_workers", 2.5),
        ("max_workers", True),
        ("max_workers", "2"),
        ("idle_timeout_s", -0.1),
        ("idle_timeout_s", 1e9),
        ("engine", "conda"),
        ("engine", 1),
        ("engine", []),
        ("build_at_start", "OFF"),
        ("pypi_index", "mirror.example/simple"),
        ("pypi_index", "file:///etc"),
        ("pypi_index", "--index-url"),
        ("pypi_index", "https://"),
        ("pypi_index", "https:///simple"),
        ("pypi_index", "https://mirror.example/a b"),
        ("pypi_index", "https://mirror.example/\nb"),
        ("pypi_index", 'https://mirror.example/"'),
        ("pypi_index", "https://mirror.example/simple?token=1"),
        ("pypi_index", "https://mirror.example/simple#x"),
        ("pypi_index", "https://mirror.example:99999/simple"),
        ("pypi_index", "https://-x/simple"),
        ("pypi_index", "https://" + "a" * 3000),
        ("pypi_index", {}),
        ("conda_mirror", "http://user:secret@mirror.example/conda-forge"),
        ("torch_mirror", "http://user@mirror.example/whl"),
    ],
)
def test_a_wrong_value_is_refused_and_in_the_file_it_is_passed_over(
    store: Store, name: str, value: Any
) -> None:
    with pytest.raises(WrongValue, match=name):
        change(store, {"build_at_start": "off", name: value}, {})
    assert not store.settings_path.exists(), "all or nothing"
    store.settings_path.write_text(json.dumps({name: value, "pixi_mirror": "https://m.example/pixi"}))
    stored = read(store)
    assert [setting.name for setting, _ in stored.chosen()] == ["pixi_mirror"]
    (problem,) = stored.problems()
    assert f"settings.json: {name} " in problem and "The default is used" in problem


def test_an_address_with_a_password_is_told_where_that_belongs(store: Store) -> None:
    with pytest.raises(WrongValue, match=r"\.netrc") as raised:
        change(store, {"pypi_index": "https://me:hunter2@mirror.example/simple"}, {})
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://mirror.example/simple",
        "HTTP://10.0.0.1:8080",
        "https://[2001:db8::1]:8443/simple/",
        "https://xn--mller-kva.example/a%20b/@scope/",
    ],
)
def test_addresses_are_taken(store: Store, url: str) -> None:
    change(store, {"pypi_index": url}, {})
    assert in_file(store) == {"pypi_index": url}


def test_an_unknown_name_is_refused_with_the_known_ones(store: Store) -> None:
    with pytest.raises(UnknownSetting, match="max_workers"):
        change(store, {"max_worker": 1}, {})


@pytest.mark.parametrize("variable", ["UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"])
def test_what_the_environment_sets_cannot_be_set_beside_it(store: Store, variable: str) -> None:
    with pytest.raises(FixedByVariable, match=variable):
        change(store, {"pypi_index": "https://mirror.example/simple"}, {variable: "https://other/simple"})
    change(store, {"pypi_index": "https://mirror.example/simple"}, {variable: " "})


def test_a_store_that_refuses_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file stands where the directory of the locks would be: root may write everywhere."""
    store.locks_dir.write_text("")
    with pytest.raises(FileUnusable, match="cannot be written"):
        change(store, {"engine": "pixi"}, {})
    assert not store.settings_path.exists()


def test_a_file_that_cannot_be_opened_is_left_as_it_is(store: Store) -> None:
    store.settings_path.mkdir()
    (problem,) = read(store).problems()
    assert "cannot be read" in problem
    with pytest.raises(FileUnusable):
        change(store, {"engine": "pixi"}, {})
    assert store.settings_path.is_dir()


def test_a_store_that_does_not_exist_yet_gets_its_settings(tmp_path: Path) -> None:
    store = Store(tmp_path / "not" / "yet")
    change(store, {"max_workers": 1}, {})
    assert in_file(store) == {"max_workers": 1}


def test_whoever_does_not_let_go_is_named(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "_WAIT_S", 0.05)
    lock = settings_lock(store)
    assert lock.try_acquire()
    try:
        with pytest.raises(FileUnusable, match=str(os.getpid())):
            change(store, {"engine": "pixi"}, {})
    finally:
        lock.release()


def test_back_to_the_default_takes_the_line_out(store: Store) -> None:
    change(store, {"engine": "pixi", "max_workers": 2}, {})
    change(store, {"engine": None}, {})
    assert in_file(store) == {"max_workers": 2}


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@of_hypothesis(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(foreign=st.dictionaries(st.text(max_size=8).map("x".__add__), _JSON, max_size=4))
def test_keys_of_other_versions_outlive_every_change(store: Store, foreign: dict[str, Any]) -> None:
    store.settings_path.write_text(json.dumps({**foreign, "max_workers": 9}), encoding="utf-8")
    change(store, {"max_workers": 2}, {})
    assert in_file(store) == {**foreign, "max_workers": 2}
    assert list(in_file(store))[: len(foreign)] == list(foreign)


_WRITER = """
import sys
from pathlib import Path
from comfy_env_core.environments.store import Store
from comfy_env_core.settings.writing import change
name, values = sys.argv[2], sys.argv[3:]
for value in values:
    change(Store(Path(sys.argv[1])), {name: int(value)}, {})
"""


def test_processes_that_write_at_once_lose_nothing_of_each_other(store: Store) -> None:
    """Each writes one setting again and again; a lost update would leave an older value, or none."""
    store.settings_path.write_text('{"foreign": {"kept": true}}')
    values = [str(number) for number in range(25)]
    writers = [
        subprocess.Popen([sys.executable, "-c", _WRITER, str(store.root), name, *values], cwd=REPOSITORY)
        for name in ("max_workers", "idle_timeout_s")
    ]
    assert [writer.wait(timeout=PATIENCE_S) for writer in writers] == [0, 0]
    assert in_file(store) == {"foreign": {"kept": True}, "max_workers": 24, "idle_timeout_s": 24}
    assert sorted(path.name for path in store.root.iterdir()) == ["locks", "settings.json"]
