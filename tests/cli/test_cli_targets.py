"""Which custom_nodes, packs and environments the words on a command line stand for."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import pytest

from comfy_env_core.cli import custom_nodes
from comfy_env_core.cli.context import Context
from comfy_env_core.cli.exit_codes import FAILED, NOT_FOUND, USAGE, CommandError
from comfy_env_core.cli.targets import environment_named, known_sites_named, sites_named


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    """`mesh` isolates all of itself, `tools` two folders, `plain` nothing, `broken` cannot be read."""
    monkeypatch.setenv("COMFY_ENV_ROOT", str(tmp_path / "store"))
    directory = tmp_path / "custom_nodes"
    for folder, config in (
        ("mesh", ""),
        ("tools/one", 'python = "3.11"'),
        ("tools/two", 'python = "3.12"'),
        ("plain", None),
        ("broken", "python = 3.10"),
    ):
        (directory / folder).mkdir(parents=True)
        if config is not None:
            (directory / folder / "comfy-env.toml").write_text(config)
    return Context(argparse.Namespace(custom_nodes=[directory]))


def refusal(call: object, *arguments: object) -> CommandError:
    with pytest.raises(CommandError) as raised:
        call(*arguments)  # type: ignore[operator]
    return raised.value


def test_an_unknown_pack_is_answered_with_close_names(context: Context) -> None:
    error = refusal(sites_named, context.scan, ["Mehs"])
    assert error.exit_code == NOT_FOUND and "'Mehs'" in str(error) and "'mesh'" in str(error)


def test_a_pack_that_isolates_nothing_is_told_so(context: Context) -> None:
    assert "init" in str(refusal(sites_named, context.scan, ["plain"]))


def test_an_unknown_environment_is_answered_with_close_names(context: Context) -> None:
    assert "'tools/one'" in str(refusal(environment_named, context, "tools/on"))


def test_a_pack_of_several_environments_is_no_environment(context: Context) -> None:
    error = refusal(environment_named, context, "tools")
    assert error.exit_code == USAGE and "tools/one" in str(error) and "tools/two" in str(error)


def test_a_file_that_cannot_be_read_is_told_where_its_environment_is_asked_for(context: Context) -> None:
    error = refusal(environment_named, context, "broken")
    assert error.exit_code == FAILED and "comfy-env.toml" in str(error)


def test_a_beginning_that_several_environments_share_is_not_enough(context: Context) -> None:
    for id_ in ("abc00001", "abc00002"):
        context.store.environment(id_).begin_generation()
    assert "abc00001" in str(refusal(environment_named, context, "abc"))
    environment, sites = environment_named(context, "abc00002")
    assert (environment.id, sites) == ("abc00002", ())


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], ["broken", "mesh", "tools/one", "tools/two"]),
        (["tools"], ["tools/one", "tools/two"]),
        (["tools/two/", "mesh/"], ["tools/two", "mesh"]),
        (["tools", "tools/one"], ["tools/one", "tools/two"]),
    ],
)
def test_packs_sites_and_completed_folders_are_known(
    context: Context, names: Sequence[str], expected: Sequence[str]
) -> None:
    assert [site.id for site in sites_named(context.scan, names)] == expected


def test_a_pack_is_known_by_its_path(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(context.custom_nodes[0] / "mesh")
    assert [site.id for site in sites_named(context.scan, ["."])] == ["mesh"]


def test_an_environment_stands_for_the_sites_that_use_it(context: Context) -> None:
    environment, sites = environment_named(context, "mesh")
    environment.begin_generation()
    assert [site.site.id for site in sites] == ["mesh"]
    assert [site.site.id for site in known_sites_named(context, [environment.id[:6]])] == ["mesh"]


def test_an_environment_can_be_looked_at_where_there_are_no_packs(
    context: Context, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    context.store.environment("abc00001").begin_generation()
    lonely = Context(argparse.Namespace(custom_nodes=[]))
    monkeypatch.delenv("COMFYUI_PATH", raising=False)
    monkeypatch.setenv("PWD", tmp_path.anchor)
    assert environment_named(lonely, "abc")[0].id == "abc00001"
    assert "--custom-nodes" in str(refusal(environment_named, lonely, "mesh"))


def test_custom_nodes_are_those_named_else_comfyuis_else_the_current_directory(tmp_path: Path) -> None:
    comfyui, here = tmp_path / "ComfyUI", tmp_path / "here" / "custom_nodes"
    for directory in (comfyui / "custom_nodes", here / "pack"):
        directory.mkdir(parents=True)
    both = {"COMFYUI_PATH": str(comfyui), "PWD": str(here / "pack")}
    assert custom_nodes.named_or_found([here], both) == (here,)
    assert custom_nodes.named_or_found([], both) == (comfyui / "custom_nodes",)
    assert custom_nodes.named_or_found([], {"PWD": str(here / "pack")}) == (here,)


def test_no_custom_nodes_at_all_names_the_option_that_helps(tmp_path: Path) -> None:
    error = refusal(custom_nodes.named_or_found, [], {"PWD": tmp_path.anchor})
    assert error.exit_code == NOT_FOUND and "--custom-nodes DIR" in str(error)
