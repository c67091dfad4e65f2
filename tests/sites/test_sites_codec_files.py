"""Which packs have types of their own, and what is said when their file is missing."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from comfy_env_core.discovery import host_skips, scan
from comfy_env_core.sites.codec_files import find_codec_files

CUSTOM = '[types]\nAREA = "builtin"\nMESH = "custom"\n'


def plant(parent: Path, name: str, root_file: str, *, has_codecs: bool) -> Path:
    pack = parent / name
    pack.mkdir(parents=True)
    (pack / "comfy-env.toml").write_text("")
    (pack / "comfy-env-root.toml").write_text(root_file)
    if has_codecs:
        (pack / "serialization.py").write_text("raise RuntimeError('executed')\n")
    return pack / "serialization.py"


def test_missing_file_is_told_with_file_and_remedy_and_fails_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = plant(tmp_path, "mesh", CUSTOM, has_codecs=False)
    with caplog.at_level(logging.WARNING):
        assert find_codec_files(scan([tmp_path], host_skips(False, ()))) == {"mesh": path}
    (record,) = caplog.records
    for part in ("'MESH' is 'custom'", "comfy-env-root.toml", str(path), "write 'builtin'"):
        assert part in record.getMessage()


def test_only_packs_with_a_custom_type_have_one_and_it_is_not_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = plant(tmp_path, "mesh", CUSTOM, has_codecs=True)
    plant(tmp_path, "plain", '[types]\nAREA = "builtin"\n', has_codecs=True)
    assert find_codec_files(scan([tmp_path], host_skips(False, ()))) == {"mesh": path}
    assert caplog.records == []


def test_root_file_that_cannot_be_used_is_told_with_file_key_and_remedy(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plant(tmp_path, "wrong", '[types]\nAREA = "pickle"\n', has_codecs=True)
    assert find_codec_files(scan([tmp_path], host_skips(False, ()))) == {}
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    for part in (str(tmp_path / "wrong" / "comfy-env-root.toml"), "AREA", "'pickle'", "custom"):
        assert part in record.getMessage()
