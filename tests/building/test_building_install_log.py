"""The log of a build: complete at any speed, without secrets, the last three kept."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from comfy_env_core.building.install_log import InstallLog


@pytest.mark.parametrize(
    "text",
    [
        "Downloading https://me:s3cret@index/simple/x",
        "index https://me:pass@s3cret@host/simple with an unescaped sign",
        "GET https://bucket/x.whl?X-Amz-Signature=s3cret&x=1",
        "https://host/x?access_token=s3cret",
        "two: http://a:s3cret@b/ and 'http://c:s3cret@d/'",
    ],
)
def test_no_secret_of_a_url_gets_into_the_log(tmp_path: Path, text: str) -> None:
    log = InstallLog(tmp_path / "install.log", (text,))
    log.line(text)
    log.close(f"FAILED: {text}")
    assert "s3cret" not in log.path.read_text()
    assert "s3cret" not in "".join(log.tail())
    assert log.path.read_text().count("***") >= 3


def test_what_only_looks_like_a_secret_stays(tmp_path: Path) -> None:
    text = "numpy @ https://host/numpy.whl?x=1 by somebody@host"
    log = InstallLog(tmp_path / "install.log", ())
    log.line(text)
    assert log.tail() == (text,)
    log.close("done")


def test_a_thousand_lines_a_second_are_no_burden_and_all_of_them_arrive(tmp_path: Path) -> None:
    log = InstallLog(tmp_path / "install.log", ("header",))
    started = time.monotonic()
    for number in range(5000):
        log.line(f"line {number} \udcff")
    assert time.monotonic() - started < 2.5
    log.close("done")
    lines = log.path.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 5002
    assert "line 4999" in lines[-2]


def test_the_last_three_logs_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "install.log"
    for number in range(5):
        InstallLog(path, (f"build {number}",)).close("done")
    kept = {file.name: file.read_text().splitlines()[0] for file in tmp_path.iterdir()}
    assert kept == {
        "install.log": "# build 4",
        "install.log.1": "# build 3",
        "install.log.2": "# build 2",
    }
