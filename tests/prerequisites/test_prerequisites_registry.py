"""Packs of the Comfy registry: archives that lie, answers that are none, and what stays of a good one."""

from __future__ import annotations

import io
import stat
import zipfile
from pathlib import Path

import pytest

from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.report import QuietReport
from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.config import RegistrySource
from comfy_env_core.prerequisites.packs.addresses import Addresses
from comfy_env_core.prerequisites.packs.installing import Result
from comfy_env_core.prerequisites.packs.sources import PackSources
from comfy_env_core.prerequisites.packs.unpacking import Bounds, unpack

from .conftest import Fetch, LoopbackRegistry, zipped


def failing(
    fetch: Fetch, registry: LoopbackRegistry, lines: str = 'Pack = { registry = "essentials" }'
) -> BuildError:
    (outcome,) = fetch(lines, registry=registry.address)
    assert outcome.result is Result.FAILED
    assert outcome.error is not None
    assert not outcome.path.exists()
    return outcome.error


@pytest.mark.parametrize(
    "name",
    [
        "../outside.py",
        "/etc/cron.d/x",
        "a/../../outside.py",
        "..\\outside.py",
        "C:/x.py",
        "C:x.py",
        "a/..",
        ".git/hooks/post-checkout",
        "x. /y",
        "nul\nl",
    ],
)
def test_archive_that_writes_outside_of_the_pack_is_thrown_away(
    fetch: Fetch, registry: LoopbackRegistry, custom_nodes: Path, name: str
) -> None:
    registry.archive = zipped({"__init__.py": "", name: "x"})
    error = failing(fetch, registry)
    assert error.cause is BuildCause.CHECKSUM
    assert repr(name) in error.message
    assert list(custom_nodes.iterdir()) == []
    assert {path.name for path in custom_nodes.parent.iterdir()} <= {"forge", custom_nodes.name}


def test_link_in_an_archive_is_refused(fetch: Fetch, registry: LoopbackRegistry) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        link = zipfile.ZipInfo("models")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc")
    registry.archive = buffer.getvalue()
    assert "not a plain file" in failing(fetch, registry).message


def test_archive_that_unpacks_to_too_much_is_thrown_away(tmp_path: Path) -> None:
    archive = tmp_path / "bomb.zip"
    archive.write_bytes(zipped({"zeros": bytes(5_000_000)}))
    with pytest.raises(BuildError, match="unpacks to 5,000,000 bytes, more than 1,000,000"):
        unpack(archive, tmp_path / "out", Bounds(unpacked_bytes=1_000_000), lambda: None)


def test_archive_that_understates_its_size_is_thrown_away(tmp_path: Path) -> None:
    archive = tmp_path / "liar.zip"
    honest = zipped({"zeros": bytes(5_000_000)})
    archive.write_bytes(honest.replace((5_000_000).to_bytes(4, "little"), (1_000).to_bytes(4, "little")))
    with pytest.raises(BuildError) as caught:
        unpack(archive, tmp_path / "out", Bounds(unpacked_bytes=1_000_000), lambda: None)
    assert caught.value.cause is BuildCause.CHECKSUM
    assert (tmp_path / "out" / "zeros").stat().st_size <= 1_000_000


@pytest.mark.parametrize(
    ("files", "bounds", "word"),
    [
        ({}, Bounds(), "empty"),
        ({"a": "", "b": "", "c": ""}, Bounds(files=2), "holds 3 files"),
        ({"a.py": "", "A.py": ""}, Bounds(), "one name"),
    ],
)
def test_archive_out_of_bounds_says_which(
    tmp_path: Path, files: dict[str, str], bounds: Bounds, word: str
) -> None:
    archive = tmp_path / "a.zip"
    archive.write_bytes(zipped(files))
    with pytest.raises(BuildError, match=word):
        unpack(archive, tmp_path / "out", bounds, lambda: None)


def test_broken_archive_is_thrown_away(fetch: Fetch, registry: LoopbackRegistry) -> None:
    registry.archive = registry.archive[:60]
    assert "cannot be read" in failing(fetch, registry).message


def test_unknown_pack_and_version_are_named(fetch: Fetch, registry: LoopbackRegistry) -> None:
    error = failing(fetch, registry, 'Pack = { registry = "nobodys", version = "9.9.9" }')
    assert error.cause is BuildCause.NO_SUCH_PACKAGE
    assert "'nobodys' in version 9.9.9" in error.message


def test_withdrawn_version_is_not_fetched(fetch: Fetch, registry: LoopbackRegistry) -> None:
    registry.answer["status"] = "NodeVersionStatusBanned"
    error = failing(fetch, registry)
    assert error.cause is BuildCause.PERMISSION
    assert "NodeVersionStatusBanned" in error.message


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/x.zip", "data:,x", ""])
def test_download_by_another_way_than_the_registrys_is_refused(
    fetch: Fetch, registry: LoopbackRegistry, url: str
) -> None:
    registry.answer["downloadUrl"] = url
    assert failing(fetch, registry).cause is BuildCause.CHECKSUM


@pytest.mark.parametrize("answer", [b"<html>log in</html>", b"[]", b"{}", b'{"version": "1.0.0"}', b"\xff"])
def test_answer_that_is_not_the_registrys_is_told(
    fetch: Fetch, registry: LoopbackRegistry, answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "reply", lambda path: (200, answer))
    error = failing(fetch, registry)
    assert error.cause is BuildCause.NETWORK
    assert "COMFY_ENV_REGISTRY" in error.remedy


def test_good_archive_becomes_a_pack_that_comfyui_manager_can_update(
    fetch: Fetch, registry: LoopbackRegistry, custom_nodes: Path
) -> None:
    registry.answer["deprecated"] = True
    (outcome,) = fetch('Pack = { registry = "essentials", version = "1.2.0" }', registry=registry.address)
    assert (outcome.result, outcome.text) == (Result.FETCHED, "version 1.2.0")
    assert "deprecated" in outcome.notes[0]
    assert registry.asked[0] == "/nodes/essentials/install?version=1.2.0"
    pack = custom_nodes / "Pack"
    assert sorted(path.relative_to(pack).as_posix() for path in pack.rglob("*") if path.is_file()) == [
        ".tracking",
        "__init__.py",
        "web/x.js",
    ]
    assert (pack / ".tracking").read_text().split("\n") == ["__init__.py", "web/x.js"]
    assert [path.name for path in custom_nodes.iterdir()] == ["Pack"]


def test_preview_tells_the_version_and_the_size_and_fetches_nothing(
    registry: LoopbackRegistry, settings: UserSettings, custom_nodes: Path
) -> None:
    sources = PackSources(Addresses(registry=registry.address), settings, QuietReport())
    preview = sources.preview(RegistrySource("essentials"))
    assert preview.as_json() == {"version": "version 1.2.0", "size_bytes": len(registry.archive)}
    assert list(custom_nodes.iterdir()) == []
