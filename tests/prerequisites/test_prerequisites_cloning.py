"""Packs from git: the version that was asked for, whole, or nothing at all."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from patience import eventually

from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.report import Phase, QuietReport
from comfy_env_core.prerequisites.packs.installing import Outcome, Result

from .conftest import Fetch, Forge

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="a forge of file: addresses is made for POSIX"
)


def failure(outcomes: list[Outcome]) -> tuple[BuildCause, str]:
    (outcome,) = outcomes
    assert outcome.result is Result.FAILED
    assert outcome.error is not None
    return outcome.error.cause, str(outcome.error)


def test_tag_that_does_not_exist_is_named_with_those_that_do(
    fetch: Fetch, forge: Forge, custom_nodes: Path
) -> None:
    forge.publish("owner/pack", tag="v1.0")
    cause, text = failure(fetch('Pack = { github = "owner/pack", tag = "v2.0" }'))
    assert cause is BuildCause.NO_SUCH_PACKAGE
    assert "has no tag v2.0; it has v1.0" in text
    assert list(custom_nodes.iterdir()) == []


def test_branch_and_commit_that_do_not_exist_are_named(fetch: Fetch, forge: Forge) -> None:
    forge.publish("owner/pack")
    assert (
        "has no branch dev; it has main" in failure(fetch('P = { github = "owner/pack", branch = "dev" }'))[1]
    )
    assert "no commit abcdef0" in failure(fetch('P = { github = "owner/pack", commit = "abcdef0" }'))[1]
    whole = "0123456789" * 4
    assert f"no commit {whole}" in failure(fetch(f'P = {{ github = "owner/pack", commit = "{whole}" }}'))[1]


def test_repository_that_does_not_exist_leaves_nothing_behind(
    fetch: Fetch, served_forge: str, custom_nodes: Path
) -> None:
    cause, text = failure(fetch('Pack = "owner/gone"', github=served_forge))
    assert cause is BuildCause.NO_SUCH_PACKAGE
    assert "no public repository at https://github.com/owner/gone" in text
    assert list(custom_nodes.iterdir()) == []


def test_server_that_does_not_answer_is_a_network_failure(fetch: Fetch) -> None:
    assert failure(fetch('Pack = "owner/pack"', github="http://127.0.0.1:9"))[0] is BuildCause.NETWORK


def test_without_git_the_message_says_what_to_install(
    fetch: Fetch, monkeypatch: pytest.MonkeyPatch, custom_nodes: Path
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    cause, text = failure(fetch('Pack = "owner/pack"'))
    assert cause is BuildCause.OTHER_TOOL
    assert "git, which is not installed" in text
    assert list(custom_nodes.iterdir()) == []


def test_submodule_by_another_way_than_https_is_refused(
    fetch: Fetch, forge: Forge, served_forge: str, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    forge.git(secret, "init", "--quiet")
    (secret / "x").write_text("x")
    forge.git(secret, "add", "-A")
    forge.git(secret, "commit", "--quiet", "-m", "x")
    forge.publish("owner/pack")
    forge.git(forge.root / "owner/pack", "submodule", "--quiet", "add", str(secret), "sub")
    forge.publish("owner/pack")
    forge.git(forge.root / "owner/pack", "update-server-info")
    shutil.copytree(forge.root / "owner/pack/.git", forge.root / "owner/bare")
    cause, text = failure(fetch('Pack = "owner/bare"', github=served_forge))
    assert cause is BuildCause.OTHER_TOOL
    assert "submodule" in text


def test_default_branch_is_cloned_shallow_and_follows_its_server(
    fetch: Fetch, forge: Forge, custom_nodes: Path
) -> None:
    forge.publish("owner/pack")
    commit = forge.publish("owner/pack", {"nodes.py": "x = 1\n"})
    (outcome,) = fetch('My-Pack = "owner/pack"')
    assert (outcome.result, outcome.text) == (Result.FETCHED, f"commit {commit[:12]}")
    pack = custom_nodes / "My-Pack"
    assert (pack / "nodes.py").read_text() == "x = 1\n"
    assert forge.git(pack, "rev-list", "--count", "HEAD") == "1"
    assert forge.git(pack, "status", "--porcelain=v2", "--branch").splitlines()[1:3] == [
        "# branch.head main",
        "# branch.upstream origin/main",
    ]
    assert forge.git(pack, "remote", "get-url", "origin") == "https://github.com/owner/pack"
    assert [path.name for path in custom_nodes.iterdir()] == ["My-Pack"]


def test_tag_branch_and_commit_are_checked_out_exactly(
    fetch: Fetch, forge: Forge, custom_nodes: Path
) -> None:
    first = forge.publish("owner/pack", {"version": "1"}, tag="v1")
    second = forge.publish("owner/pack", {"version": "2"})
    forge.git(forge.root / "owner/pack", "branch", "v1")  # a branch of the tag's name, elsewhere
    forge.publish("owner/pack", {"version": "3"})
    for name in ("b", "c", "d"):  # a pack is fetched once: the same repository under other names
        (forge.root / "owner" / name).symlink_to(forge.root / "owner/pack")
    outcomes = fetch(
        'ByTag = { github = "owner/pack", tag = "v1" }\n'
        'ByBranch = { github = "owner/b", branch = "v1" }\n'
        f'ByCommit = {{ github = "owner/c", commit = "{second}" }}\n'
        f'Abbreviated = {{ github = "owner/d", commit = "{first[:9]}" }}'
    )
    assert [outcome.result for outcome in outcomes] == [Result.FETCHED] * 4, outcomes
    versions = {outcome.path.name: (outcome.path / "version").read_text() for outcome in outcomes}
    assert versions == {"ByTag": "1", "ByBranch": "2", "ByCommit": "2", "Abbreviated": "1"}
    assert outcomes[0].text == f"tag v1, commit {first[:12]}"
    assert forge.git(custom_nodes / "ByCommit", "rev-list", "--count", "HEAD") == "1"


def test_branch_of_a_server_that_looks_like_an_option_is_taken_by_its_commit(
    fetch: Fetch, forge: Forge
) -> None:
    commit = forge.publish("owner/pack")
    forge.git(forge.root / "owner/pack", "update-ref", "refs/heads/--exec=x", commit)
    forge.git(forge.root / "owner/pack", "symbolic-ref", "HEAD", "refs/heads/--exec=x")
    (outcome,) = fetch('Pack = "owner/pack"')
    assert (outcome.result, outcome.text) == (Result.FETCHED, f"commit {commit[:12]}"), outcome


def test_server_of_plain_files_hands_out_everything(fetch: Fetch, forge: Forge, served_forge: str) -> None:
    forge.publish("owner/pack", {"version": "1"}, tag="v1")
    forge.publish("owner/pack", {"version": "2"})
    forge.git(forge.root / "owner/pack", "update-server-info")
    shutil.copytree(forge.root / "owner/pack/.git", forge.root / "owner/bare")
    (outcome,) = fetch('Pack = { github = "owner/bare", tag = "v1" }', github=served_forge)
    assert outcome.result is Result.FETCHED, outcome
    assert (outcome.path / "version").read_text() == "1"


def test_what_git_is_told_by_the_surroundings_does_not_count(
    fetch: Fetch, forge: Forge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forge.publish("owner/pack")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path))
    (outcome,) = fetch('Pack = "owner/pack"')
    assert outcome.result is Result.FETCHED, outcome


def test_hooks_and_filters_of_a_repository_do_not_run(fetch: Fetch, forge: Forge, tmp_path: Path) -> None:
    told = tmp_path / "ran"
    forge.publish(
        "owner/pack",
        {"hooks/post-checkout": f"#!/bin/sh\ntouch '{told}'\n", ".gitattributes": "* filter=x\n"},
    )
    (outcome,) = fetch('Pack = "owner/pack"')
    assert outcome.result is Result.FETCHED, outcome
    assert not told.exists()


def test_files_in_lfs_are_noted_where_lfs_is_not_installed(fetch: Fetch, forge: Forge) -> None:
    forge.publish("owner/pack", {".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n"})
    (outcome,) = fetch('Pack = "owner/pack"')
    if shutil.which("git-lfs") is None:
        assert "git lfs pull" in outcome.notes[0]


class _Stopping(QuietReport):
    """Cancels as soon as something is being downloaded."""

    def __init__(self) -> None:
        self._stop = False

    def phase(self, phase: Phase, text: str = "") -> None:
        self._stop = phase is Phase.DOWNLOADING

    def check(self) -> None:
        if self._stop:
            raise BuildError(BuildCause.CANCELLED, "Cancelled.")


def test_cancelled_fetch_leaves_nothing_behind(fetch: Fetch, forge: Forge, custom_nodes: Path) -> None:
    forge.publish("owner/pack")
    with pytest.raises(BuildError) as caught:
        fetch('Pack = "owner/pack"', report=_Stopping())
    assert caught.value.cause is BuildCause.CANCELLED
    assert list(custom_nodes.iterdir()) == []


_KILLED = """
import sys, threading
from pathlib import Path
from comfy_env_core.building.report import QuietReport
from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.config import GitSource, NodeRequirement
from comfy_env_core.prerequisites.packs.addresses import Addresses
from comfy_env_core.prerequisites.packs.installing import Wanted, fetch_packs
from comfy_env_core.prerequisites.packs.sources import PackSources

custom_nodes, github = Path(sys.argv[1]), sys.argv[2]
inner = PackSources(Addresses(github), UserSettings.gather({}, Path.home()), QuietReport()).fetch

def fetch(source, directory):
    brought = inner(source, directory)
    print("whole but not published", flush=True)
    threading.Event().wait()

requirement = NodeRequirement("Pack", GitSource("https://github.com/owner/pack"))
fetch_packs([Wanted(requirement, "asking")], custom_nodes, fetch, lambda outcome: None)
"""


def test_killed_fetch_leaves_nothing_that_comfyui_would_load_and_the_next_one_cleans_up(
    fetch: Fetch, forge: Forge, custom_nodes: Path
) -> None:
    forge.publish("owner/pack")
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", _KILLED, str(custom_nodes), forge.address + "/"],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(root)},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"whole but not published\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
    (left,) = custom_nodes.iterdir()
    assert left.name.endswith(".disabled")  # which ComfyUI passes over
    assert eventually(lambda: fetch('Pack = "owner/pack"')[0].result in (Result.FETCHED, Result.PRESENT))
    assert [path.name for path in custom_nodes.iterdir()] == ["Pack"]
