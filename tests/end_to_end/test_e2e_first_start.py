"""The first start: nothing is built, the server is up all the same, nodes arrive while it runs, a picture comes out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from demo.run import isolated_nodes, load_workflow, shortcomings, surroundings
from host.base import Place
from host.events import EventStream
from host.fixtures import StartComfyUI
from host.installation import Installation
from host.server import ComfyUI


@dataclass(frozen=True)
class FirstStart:
    """What was seen: the sites when the server first answered and at the end, the messages, the packages before."""

    comfyui: ComfyUI
    events: EventStream
    at_first: dict[str, dict[str, Any]]
    in_the_end: dict[str, dict[str, Any]]
    packages_before: str


@pytest.fixture(scope="module")
def first_start(
    place: Place, installation: Installation, start_comfyui: StartComfyUI
) -> Iterator[FirstStart]:
    packages_before = installation.pip_list()
    comfyui = start_comfyui(place.base, environment=place.environment)
    with EventStream(comfyui.url) as events:
        at_first = comfyui.sites()
        in_the_end = comfyui.wait_for_sites()
        comfyui.wait_for_nodes(*isolated_nodes(load_workflow()), timeout_s=30)
        yield FirstStart(comfyui, events, at_first, in_the_end, packages_before)


@pytest.fixture(scope="module")
def history(first_start: FirstStart) -> dict[str, Any]:
    """The history entry of the demo's workflow."""
    return first_start.comfyui.queue(load_workflow(), timeout_s=240)


def test_the_broken_pack_fails_alone_and_says_why(first_start: FirstStart) -> None:
    failed = {
        name: site["failure"] for name, site in first_start.in_the_end.items() if site["state"] == "failed"
    }

    assert list(failed) == ["broken"]
    assert failed["broken"]["cause"] == "no_such_package"
    assert "numpy" in failed["broken"]["message"]
    assert failed["broken"]["remedy"]


def test_only_the_packs_of_the_user_are_sites_not_the_examples_inside_ours(first_start: FirstStart) -> None:
    assert sorted(first_start.in_the_end) == ["broken", "geometry/nodes/mesh", "legacy-numpy", "modern-numpy"]


def test_the_server_answers_before_the_environments_are_built(first_start: FirstStart) -> None:
    assert any(site["state"] not in ("ready", "failed") for site in first_start.at_first.values())


def test_each_pack_that_arrives_is_announced_to_the_page(first_start: FirstStart) -> None:
    late = {
        site["pack"] for site in first_start.at_first.values() if site["state"] not in ("ready", "failed")
    }

    for pack in late - {"broken"}:
        first_start.events.wait_for(
            lambda event, pack=pack: event.type == "comfy-env.nodes" and pack in event.data["packs"], 10
        )
    numbers = [event.data["sequence"] for event in first_start.events.received("comfy-env.nodes")]
    assert numbers == sorted(set(numbers))


def test_a_pack_that_is_still_being_built_is_not_listed_as_failed_to_import(first_start: FirstStart) -> None:
    lines = [line for line in first_start.comfyui.log().splitlines() if "IMPORT FAILED" in line]

    assert [line for line in lines if not line.endswith("broken")] == []


def test_nodes_of_all_packs_and_of_comfyui_make_one_picture(history: dict[str, Any]) -> None:
    assert history["status"]["status_str"] == "success", history["status"]
    assert any(shown.get("images") for shown in history["outputs"].values())


def test_the_workflow_ran_in_two_foreign_pythons_and_both_numpy_majors(
    first_start: FirstStart, history: dict[str, Any]
) -> None:
    rows = surroundings(load_workflow(), history["outputs"])
    host_python = first_start.comfyui.get("/system_stats")["system"]["python_version"]

    assert shortcomings(rows, ".".join(host_python.split(".")[:2])) == []
    assert {row.pid for row in rows if row.node == "GeometryAimCamera"} == {first_start.comfyui.pid}
    assert len({row.pid for row in rows}) == 4


def test_an_isolated_output_node_gets_an_array_and_its_node_id(history: dict[str, Any]) -> None:
    _, kind, shape, node_id = history["outputs"]["12"]["text"]

    assert (kind, shape, node_id) == ("ndarray", "1x640x1024x3", "12")


def test_comfyuis_own_packages_are_the_same_afterwards(
    first_start: FirstStart, history: dict[str, Any], installation: Installation
) -> None:
    assert installation.pip_list() == first_start.packages_before
