"""Which packs are there already, and what fetching does with circles, chains and names that are taken."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.config import GitSource, NodeRequirement, RefKind, RegistrySource
from comfy_env_core.prerequisites.packs import staging
from comfy_env_core.prerequisites.packs.addresses import Addresses, repository_identity
from comfy_env_core.prerequisites.packs.installing import Result
from comfy_env_core.prerequisites.packs.present import difference, find, present_packs

from .conftest import ROOT_FILE_NAME, Fetch, Forge

URL = "https://github.com/Owner/Pack"


@pytest.mark.parametrize(
    "spelling",
    [
        "https://github.com/owner/pack",
        "https://github.com/Owner/Pack.git",
        "https://user@github.com/owner/pack/",
        "git@github.com:owner/pack.git",
        "ssh://git@github.com/owner/pack",
        "https://mirror.org/https://github.com/owner/pack.git",
    ],
)
def test_every_spelling_of_an_address_is_one_repository(spelling: str) -> None:
    assert repository_identity(spelling) == "github.com/owner/pack"


def test_addresses_of_other_hosts_are_told_apart_with_their_ports() -> None:
    assert repository_identity("https://host.org:8443/a/b") == "host.org:8443/a/b"
    assert repository_identity("https://codeberg.org/owner/pack") != repository_identity(URL)


@pytest.mark.parametrize("variable", ["COMFY_ENV_GITHUB_MIRROR", "GITHUB_ENDPOINT", "COMFY_ENV_REGISTRY"])
@pytest.mark.parametrize(
    "address", ["ext::sh -c id", "-x", "ssh://host/", "https://host/a b", "https://h/?a=b"]
)
def test_setting_that_is_no_address_is_refused(variable: str, address: str) -> None:
    with pytest.raises(BuildError, match="is no address to fetch packs from"):
        Addresses.from_environment({variable: address})


def test_mirror_of_the_manager_serves_here_too() -> None:
    addresses = Addresses.from_environment({"GITHUB_ENDPOINT": "https://mirror.org/https://github.com"})
    assert addresses.actual(URL) == "https://mirror.org/https://github.com/Owner/Pack"
    assert addresses.actual("https://codeberg.org/a/b") == "https://codeberg.org/a/b"


def plant(custom_nodes: Path, name: str, *, remote: str = "", head: str = "", project: str = "") -> Path:
    pack = custom_nodes / name
    pack.mkdir(parents=True)
    (pack / "__init__.py").write_text("")
    if remote:
        (pack / ".git").mkdir()
        (pack / ".git/config").write_text(f'[core]\n\tbare = false\n[remote "origin"]\n\turl = {remote}\n')
        (pack / ".git/HEAD").write_text(head or "ref: refs/heads/main\n")
    if project:
        (pack / "pyproject.toml").write_text(project)
    return pack


WANTED = NodeRequirement("Pack", GitSource(URL))


@pytest.mark.parametrize("name", ["Pack", "pack", "PACK.disabled", ".disabled/pack@1_0"])
def test_pack_is_found_by_its_directory_also_when_it_is_switched_off(custom_nodes: Path, name: str) -> None:
    path = plant(custom_nodes, name)
    found = find(WANTED, present_packs(custom_nodes))
    assert found is not None
    assert (found.path, found.is_disabled) == (path, ".disabled" in name)


def test_pack_is_found_under_another_name_by_its_repository(custom_nodes: Path) -> None:
    path = plant(custom_nodes, "pack-main", remote="git@github.com:owner/pack.git")
    found = find(WANTED, present_packs(custom_nodes))
    assert found is not None
    assert found.path == path
    assert difference(WANTED, found) is None


def test_pack_of_the_registry_is_found_by_its_project_name(custom_nodes: Path) -> None:
    plant(custom_nodes, "whatever", project='[project]\nname = "My_Essentials"\nversion = "1.0.0"\n')
    wanted = NodeRequirement("Pack", RegistrySource("my-essentials", "1.2.0"))
    found = find(wanted, present_packs(custom_nodes))
    assert found is not None
    assert difference(wanted, found) == "version 1.2.0 is asked for, 1.0.0 is there"


@pytest.mark.parametrize(
    ("source", "head", "said"),
    [
        (GitSource(URL, RefKind.COMMIT, "a" * 9), "a" * 40, None),
        (
            GitSource(URL, RefKind.COMMIT, "b" * 9),
            "a" * 40,
            f"commit bbbbbbbbb is asked for, {'a' * 12} is there",
        ),
        (GitSource(URL, RefKind.BRANCH, "main"), "ref: refs/heads/main", None),
        (
            GitSource(URL, RefKind.BRANCH, "dev"),
            "ref: refs/heads/main",
            "branch dev is asked for, another one is there",
        ),
        (GitSource(URL, RefKind.TAG, "v1.0"), "a" * 40, f"tag v1.0 is asked for, {'a' * 12} is there"),
        (
            GitSource("https://github.com/other/Pack"),
            "a" * 40,
            "https://github.com/other/Pack is asked for, github.com/owner/pack is there",
        ),
    ],
)
def test_other_version_is_said(custom_nodes: Path, source: GitSource, head: str, said: str | None) -> None:
    plant(custom_nodes, "Pack", remote=URL, head=head)
    (pack,) = present_packs(custom_nodes)
    assert difference(NodeRequirement("Pack", source), pack) == said


@pytest.mark.parametrize(
    "content", ["", "[remote", "\x00\x01", '[project]\nname = 3\nversion = ["x"]', "project = 1"]
)
def test_files_that_make_no_sense_tell_nothing(custom_nodes: Path, content: str) -> None:
    pack = plant(custom_nodes, "Other", remote=URL, project=content or " ")
    (pack / ".git/config").write_text(content)
    assert find(WANTED, present_packs(custom_nodes)) is None


def test_pack_that_is_there_is_left_alone(fetch: Fetch, forge: Forge, custom_nodes: Path) -> None:
    plant(custom_nodes, "Pack", project='[project]\nname = "x"\nversion = "0.9"\n')
    before = sorted(custom_nodes.rglob("*"))
    (outcome,) = fetch('Pack = { github = "owner/pack", tag = "v1.0" }')
    assert (outcome.result, outcome.text) == (Result.PRESENT, "tag v1.0 is asked for, 0.9 is there")
    assert sorted(custom_nodes.rglob("*")) == before


def test_circle_of_packs_is_fetched_once_each(fetch: Fetch, forge: Forge, custom_nodes: Path) -> None:
    forge.publish("owner/a", {ROOT_FILE_NAME: '[node_reqs]\nB = "owner/b"\n'})
    forge.publish("owner/b", {ROOT_FILE_NAME: '[node_reqs]\nA-again = "owner/a"\n'})
    outcomes = fetch('A = "owner/a"')
    assert [(outcome.asked_by, outcome.path.name, outcome.result) for outcome in outcomes] == [
        ("asking", "A", Result.FETCHED),
        ("A", "B", Result.FETCHED),
        ("B", "A", Result.PRESENT),
    ]
    assert sorted(path.name for path in custom_nodes.iterdir()) == ["A", "B"]


def test_endless_chain_of_packs_comes_to_an_end(fetch: Fetch, forge: Forge) -> None:
    for number in range(12):
        forge.publish(
            f"owner/p{number}", {ROOT_FILE_NAME: f'[node_reqs]\nP{number + 1} = "owner/p{number + 1}"\n'}
        )
    *fetched, last = fetch('P0 = "owner/p0"')
    assert [outcome.result for outcome in fetched] == [Result.FETCHED] * 8
    assert last.error is not None
    assert last.error.cause is BuildCause.CONFLICT


def test_manager_that_we_replace_is_never_fetched(fetch: Fetch, custom_nodes: Path) -> None:
    (outcome,) = fetch('ComfyUI-Env-Manager = "PozzettiAndrea/ComfyUI-Env-Manager"')
    assert outcome.result is Result.REPLACED
    assert list(custom_nodes.iterdir()) == []


def test_what_older_files_of_a_fetched_pack_ask_for_is_fetched_too(fetch: Fetch, forge: Forge) -> None:
    forge.publish("owner/a", {"nodes/comfy-env.toml": '[node_reqs]\nB = "owner/b"\n'})
    forge.publish("owner/b")
    assert [outcome.path.name for outcome in fetch('A = "owner/a"')] == ["A", "B"]


def test_one_pack_that_fails_does_not_stop_the_others(fetch: Fetch, forge: Forge) -> None:
    forge.publish("owner/good")
    assert [outcome.result for outcome in fetch('Gone = "owner/gone"\nGood = "owner/good"')] == [
        Result.FAILED,
        Result.FETCHED,
    ]


def test_two_packs_of_one_name_are_not_mixed(fetch: Fetch, forge: Forge, custom_nodes: Path) -> None:
    forge.publish("one/pack", {"who": "one", ROOT_FILE_NAME: '[node_reqs]\nPack = "two/pack"\n'})
    forge.publish("two/pack", {"who": "two"})
    first, second = fetch('Pack = "one/pack"')
    assert (first.result, second.result) == (Result.FETCHED, Result.PRESENT)
    assert "two/pack is asked for" in second.text
    assert (custom_nodes / "Pack/who").read_text() == "one"


def test_wrong_root_file_of_a_fetched_pack_is_noted(fetch: Fetch, forge: Forge) -> None:
    forge.publish("owner/a", {ROOT_FILE_NAME: "[node_reqs]\nB = 1\n"})
    (outcome,) = fetch('A = "owner/a"')
    assert outcome.result is Result.FETCHED
    assert "line 2" in outcome.notes[0]


def test_name_that_is_taken_meanwhile_is_left_alone(custom_nodes: Path) -> None:
    with staging.staging_directory(custom_nodes) as directory:
        (directory / "Pack").mkdir()
        plant(custom_nodes, "Pack")
        with pytest.raises(BuildError) as caught:
            staging.publish(directory / "Pack", custom_nodes / "Pack")
    assert caught.value.cause is BuildCause.CONFLICT
    assert [path.name for path in custom_nodes.iterdir()] == ["Pack"]


def test_staging_of_a_living_process_is_not_taken_for_a_leftover(custom_nodes: Path) -> None:
    with staging.staging_directory(custom_nodes) as directory:
        assert str(os.getpid()) in directory.name
        assert staging.leftovers(custom_nodes) == ()
        staging.remove_leftovers(custom_nodes)
        assert directory.is_dir()
    assert list(custom_nodes.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_custom_nodes_that_may_not_be_written_is_said_once(fetch: Fetch, custom_nodes: Path) -> None:
    custom_nodes.chmod(0o555)
    try:
        with pytest.raises(BuildError) as caught:
            fetch('A = "owner/a"\nB = "owner/b"')
        assert caught.value.cause is BuildCause.PERMISSION
        assert "custom_nodes" in caught.value.remedy
    finally:
        custom_nodes.chmod(0o755)
