"""The bundle: nothing of it may be missing because one part fails, and nobody's name is anywhere in it."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import pytest

from comfy_env_core.support.bundle import Part, write_bundle
from comfy_env_core.support.identity import Identity
from comfy_env_core.support.logs import LogFile, log_parts, logs_of_workers, tail
from comfy_env_core.support.machine import variables
from comfy_env_core.support.redaction import Redactor

SOMEBODY = Identity(places=(("/home/zquser", "<home>"),), users=("zquser",), secrets=("zq-hidden-value",))


def opened(content: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name).decode("utf-8") for name in archive.namelist()}


def test_a_part_that_fails_is_told_in_its_place(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> str:
        raise OSError(5, "Input/output error", "/home/zquser/x")

    files = opened(write_bundle([Part("a.txt", fail), Part("b.txt", lambda: "fine")], Redactor(SOMEBODY)))
    assert files["b.txt"] == "fine"
    assert "could not be gathered: OSError" in files["a.txt"] and "<home>/x" in files["a.txt"]


def test_names_of_files_tell_nothing_either_and_stay_apart() -> None:
    parts = [Part("packs/zquser nodes/a.toml", str), Part("packs/ZQUSER nodes/a.toml", str)]
    content = write_bundle(parts, Redactor(SOMEBODY))
    assert b"zquser" not in content.lower()
    assert set(opened(content)) == {"packs/_user_ nodes/a.toml", "packs/_user_ nodes/a-2.toml"}


def test_the_same_content_is_the_same_bundle() -> None:
    parts = [Part("a.json", lambda: {"x": 1})]
    assert write_bundle(parts, Redactor(SOMEBODY)) == write_bundle(parts, Redactor(SOMEBODY))


def test_a_long_log_is_cut_where_a_line_begins(tmp_path: Path) -> None:
    """Half a line may be the second half of a password."""
    path = tmp_path / "x.log"
    path.write_text("".join(f"{number} password=zq{number}\n" for number in range(1000)))
    found = tail(path, 5000)
    head, first, *_ = found.splitlines()
    assert "left out" in head and first.split(" ")[1].startswith("password=")
    path.write_text("zq-secret" * 1000)
    assert "zq-secret" not in tail(path, 5000)


def test_a_log_of_several_encodings_is_read_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_bytes("zqü 漢\n".encode() + "zqü\n".encode("cp1252") + b"\xff\x81\n")
    lines = tail(path).split("\n")
    assert lines[:2] == ["zqü 漢", "zqü"] and len(lines) == 4


def test_no_more_logs_than_somebody_reads_and_the_newest_first(tmp_path: Path) -> None:
    logs = []
    for number in range(40):
        path = tmp_path / f"{number:02}.log"
        path.write_bytes(b"x" * 300_000)
        os.utime(path, (number, number))
        logs.append(LogFile(path.name, path))
    names = [part.name for part in log_parts([*logs, LogFile("gone", tmp_path / "gone")])]
    assert names[0] == "39.log" and len(names) == 16


def test_the_log_before_is_taken_as_well(tmp_path: Path) -> None:
    names = [one.name for one in logs_of_workers([tmp_path / "mesh.log"])]
    assert names == ["workers/mesh.log.txt", "workers/mesh.log.1.txt"]


def test_of_variables_the_value_is_told_only_where_it_is_of_use() -> None:
    text = variables(
        {
            "COMFY_ENV_ENGINE": "pixi",
            "SECRET_PROJECT": "moon",
            "UV_PUBLISH_TOKEN": "pypi-x",
            "LANG": "C.UTF-8",
        }
    )
    assert text.splitlines() == [
        "COMFY_ENV_ENGINE=pixi",
        "LANG=C.UTF-8",
        "SECRET_PROJECT is set",
        "UV_PUBLISH_TOKEN is set",
    ]
