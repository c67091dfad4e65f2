"""Lists of files: told from constants where they are made, filled with today's files where they are shown."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from comfy_env_core.wire import freeze, thaw
from comfy_env_core.wire.values.file_lists import FileName, file_names, recording_file_names

THEN = ["a.pt", "b.pt", "c.pt"]


class Today:
    """`Files` with other files than at the time of the description."""

    def __init__(self, folder: list[str] | None = None, directory: list[str] | None = None) -> None:
        self._folder = folder
        self._directory = directory

    def in_folder(self, folder: str) -> list[str] | None:
        return self._folder if folder == "loras" else None

    def in_directory(self, directory: str) -> list[str] | None:
        return self._directory if directory == "input" else None


def frozen(make: Callable[[list[str]], Any], then: list[str] = THEN) -> Any:
    with recording_file_names():
        return json.loads(json.dumps(freeze(make(file_names("loras", then)))))


@pytest.mark.parametrize(
    "make, now",
    [
        (lambda names: names, ["b.pt", "bb.pt", "c.pt"]),
        (lambda names: ["None"] + names, ["None", "b.pt", "bb.pt", "c.pt"]),  # noqa: RUF005
        (lambda names: ["None", *names, "other"], ["None", "b.pt", "bb.pt", "c.pt", "other"]),
        (lambda names: names + ["None"], ["b.pt", "bb.pt", "c.pt", "None"]),  # noqa: RUF005
        (lambda names: sorted(names, reverse=True), ["c.pt", "b.pt", "bb.pt"]),
        (lambda names: [name for name in names if name != "c.pt"], ["b.pt"]),
        (lambda names: [name.upper() for name in names], ["A.PT", "B.PT", "C.PT"]),
    ],
    ids=["all", "after none", "between", "before none", "backwards", "chosen", "changed"],
)
def test_list_of_files_is_that_of_today(make: Callable[[list[str]], Any], now: list[str]) -> None:
    data = frozen(make)
    assert thaw(data) == make(THEN), "nobody knows better"
    assert thaw(data, Today(THEN)) == make(THEN), "nothing changed"
    assert thaw(data, Today(["b.pt", "bb.pt", "c.pt"])) == now


def test_empty_folder_is_known_when_files_come() -> None:
    for make in (lambda names: names, lambda names: ["None"] + names):  # noqa: RUF005
        data = frozen(make, [])
        assert thaw(data, Today(["new.pt"])) == make(["new.pt"])


def test_folder_that_comfyui_no_longer_has_keeps_its_files() -> None:
    assert thaw(frozen(lambda names: names), Today(None)) == THEN


def test_names_are_plain_texts_while_nodes_run() -> None:
    names = file_names("loras", THEN)
    assert type(names) is list and not any(isinstance(name, FileName) for name in names)


@pytest.fixture
def input_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the pack's own folder_paths says."""
    module = types.ModuleType("folder_paths")
    vars(module)["get_directory_by_type"] = {"input": str(tmp_path)}.get
    monkeypatch.setitem(sys.modules, "folder_paths", module)
    for name in ("old.png", "left-out.png", "notes.txt"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    "declare, choices",
    [
        (lambda files: (files, {"image_upload": True}), lambda info: info[0]),
        (
            lambda files: ("COMBO", {"options": files, "image_upload": True, "image_folder": "input"}),
            lambda info: info[1]["options"],
        ),
    ],
    ids=["V1", "V3"],
)
def test_what_the_page_uploads_can_be_chosen(
    input_directory: Path, declare: Callable[[Any], Any], choices: Callable[[Any], Any]
) -> None:
    """ComfyUI refuses values that are not in the list, and nobody asks the worker in between."""
    data = json.loads(json.dumps(freeze(declare(["old.png"]))))
    now = ["left-out.png", "new.png", "notes.txt", "old.png", "other.txt"]
    assert choices(thaw(data, Today(directory=now))) == ["new.png", "old.png"]
    assert choices(thaw(data)) == ["old.png"]


@pytest.mark.parametrize(
    "declared",
    [(["old.png"], {"image_upload": False}), (["fast", "good"], {"image_upload": True})],
    ids=["no uploads", "no files of that directory"],
)
def test_other_lists_stay_as_they_are(input_directory: Path, declared: Any) -> None:
    assert thaw(freeze(declared), Today(directory=["new.png"])) == declared
