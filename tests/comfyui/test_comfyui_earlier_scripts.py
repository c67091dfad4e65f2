"""Prestartup scripts that failed because they came before ours run once more; all others are left alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fakepack import write_pack

from comfy_env_core.comfyui import earlier_scripts

RAN = "from pathlib import Path\nPath(__file__).with_name('ran').touch()\n"


@pytest.fixture
def custom_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that ComfyUI goes through by name, here."""
    listed = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: sorted(listed(path)))
    # `comfy_env` is what the scripts import; something that every Python has stands for it.
    monkeypatch.setattr(earlier_scripts, "_MODULE", "colorsys")
    return write_pack(tmp_path, {"__init__.py": ""}, name="m-ours").parent


def ran(custom_nodes: Path, name: str, script: str, isolated: frozenset[str] = frozenset()) -> bool:
    """Whether the script of a pack of that name is run by us."""
    write_pack(custom_nodes.parent, {"prestartup_script.py": script}, name=name)
    own, whole = custom_nodes / "m-ours", {custom_nodes / each for each in isolated}
    earlier_scripts.run_again([custom_nodes / "nowhere", custom_nodes], own, whole)
    return (custom_nodes / name / "ran").exists()


@pytest.mark.parametrize(
    "line", ["import colorsys", "from colorsys import hls_to_rgb", "import os, colorsys"]
)
def test_script_before_ours_that_needs_comfy_env_runs_again(custom_nodes: Path, line: str) -> None:
    assert ran(custom_nodes, "a-pack", f"{line}\n{RAN}")


@pytest.mark.parametrize(
    "line",
    [
        "import json",
        "try:\n    import colorsys\nexcept ImportError:\n    pass",
        "def later():\n    import colorsys",
        "from . import colorsys",
        "import colorsys(",
    ],
)
def test_script_that_did_not_fail_for_it_does_not_run_twice(custom_nodes: Path, line: str) -> None:
    assert not ran(custom_nodes, "a-pack", f"{line}\n{RAN}")


def test_script_after_ours_is_comfyuis_to_run(custom_nodes: Path) -> None:
    assert not ran(custom_nodes, "z-pack", f"import colorsys\n{RAN}")


def test_script_of_a_pack_isolated_as_a_whole_is_its_workers(custom_nodes: Path) -> None:
    assert not ran(custom_nodes, "a-pack", f"import colorsys\n{RAN}", frozenset({"a-pack"}))


def test_disabled_pack_stays_so(custom_nodes: Path) -> None:
    assert not ran(custom_nodes, "a-pack.disabled", f"import colorsys\n{RAN}")


@pytest.mark.parametrize("failing", ["raise ValueError('again')", "raise SystemExit(1)"])
def test_script_that_fails_again_is_told_and_the_next_one_runs(
    custom_nodes: Path, caplog: pytest.LogCaptureFixture, failing: str
) -> None:
    write_pack(
        custom_nodes.parent, {"prestartup_script.py": f"import colorsys\n{failing}\n"}, name="a-broken"
    )
    assert ran(custom_nodes, "b-pack", f"import colorsys\n{RAN}")
    assert "prestartup_script.py failed again" in caplog.text
