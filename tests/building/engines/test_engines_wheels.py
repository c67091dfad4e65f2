"""Pinned wheels from an index that may be slow, wrong, damaged or away."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from building.engines.samples import LoopbackIndex, serving, sha256, silent_server, wheel_bytes

from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.fetching import Fetcher
from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.building.wheel_tags import current_tags, rank
from comfy_env_core.building.wheels import Pinned, install_wheels, load_pins

NAME = "tiny-0-py3-none-any.whl"
MEMBERS = {
    "tiny.py": b"VALUE = 7\n",
    "tiny-0.data/scripts/tiny-tool": b"#!python\n",
    "tiny-0.data/purelib/tiny_extra.py": b"",
    "tiny-0.data/headers/tiny.h": b"",
}
WHEEL = wheel_bytes("tiny", "0", MEMBERS)
PINNED = Pinned("tiny", "0", {NAME: sha256(WHEEL)})


def settings_for(url: str, **more: object) -> UserSettings:
    return UserSettings(index_url=url, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("as_json", [True, False])
def test_a_file_with_another_checksum_is_refused_and_nothing_is_left(tmp_path: Path, as_json: bool) -> None:
    class Lying(LoopbackIndex):
        def answer(self, path: str) -> tuple[int, str, bytes]:
            if path.startswith("/files/"):
                return 200, "application/octet-stream", b"something else"
            return super().answer(path)

    with serving(Lying({NAME: WHEEL}, as_json=as_json)) as index, pytest.raises(BuildError) as raised:
        install_wheels([PINNED], tmp_path / "target", settings_for(f"{index.url}/simple"))
    assert raised.value.cause is BuildCause.CHECKSUM
    assert sha256(b"something else") in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_the_index_publishes_with_another_checksum_is_not_even_fetched(tmp_path: Path) -> None:
    with serving(LoopbackIndex({NAME: wheel_bytes("tiny", "0", {"evil.py": b""})})) as index:
        with pytest.raises(BuildError) as raised:
            install_wheels([PINNED], tmp_path / "target", settings_for(f"{index.url}/simple"))
        assert not any(path.startswith("/files/") for path, _ in index.requests)
    assert raised.value.cause is BuildCause.NO_SUCH_PACKAGE


def test_an_unknown_project_and_a_broken_index_are_told_apart(tmp_path: Path) -> None:
    with serving(LoopbackIndex({})) as index, pytest.raises(BuildError) as unknown:
        install_wheels([PINNED], tmp_path / "target", settings_for(f"{index.url}/simple"))
    with serving(LoopbackIndex({}, status=503)) as index, pytest.raises(BuildError) as broken:
        install_wheels([PINNED], tmp_path / "target", settings_for(f"{index.url}/simple"))
    assert unknown.value.cause is BuildCause.NO_SUCH_PACKAGE
    assert broken.value.cause is BuildCause.NETWORK
    assert "503" in str(broken.value)


def test_a_silent_index_ends_at_the_deadline(tmp_path: Path) -> None:
    started = time.monotonic()
    with silent_server() as url, pytest.raises(BuildError) as raised:
        settings = settings_for(f"{url}/simple")
        fetcher = Fetcher(settings, timeout_s=30, deadline=time.monotonic() + 0.3)
        install_wheels([PINNED], tmp_path / "target", settings, fetcher)
    assert raised.value.cause is BuildCause.NETWORK
    assert time.monotonic() - started < 3


def test_what_is_cancelled_is_not_taken_for_an_index_that_fails(tmp_path: Path) -> None:
    """Another place was asked instead, and the failure was that it did not have the file."""

    def check() -> None:
        raise BuildError(BuildCause.CANCELLED, "Cancelled.", "")

    empty = tmp_path / "simple"
    empty.mkdir()
    with silent_server() as url, pytest.raises(BuildError) as raised:
        settings = settings_for(f"{url}/simple", extra_index_urls=(empty.as_uri(),))
        install_wheels([PINNED], tmp_path / "target", settings, Fetcher(settings, check=check))
    assert raised.value.cause is BuildCause.CANCELLED


def test_a_wheel_that_reaches_outside_is_refused(tmp_path: Path) -> None:
    evil = wheel_bytes("tiny", "0", {"../outside.py": b""})
    pinned = Pinned("tiny", "0", {NAME: sha256(evil)})
    with serving(LoopbackIndex({NAME: evil})) as index, pytest.raises(BuildError, match="lies outside"):
        install_wheels([pinned], tmp_path / "target", settings_for(f"{index.url}/simple"))
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_archive_says_so(tmp_path: Path) -> None:
    pinned = Pinned("tiny", "0", {NAME: sha256(b"no zip")})
    with (
        serving(LoopbackIndex({NAME: b"no zip"})) as index,
        pytest.raises(BuildError, match="Unpacking") as raised,
    ):
        install_wheels([pinned], tmp_path / "target", settings_for(f"{index.url}/simple"))
    assert raised.value.cause is BuildCause.NETWORK


def test_a_place_that_cannot_be_written_is_a_permission_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BuildError) as raised:
        install_wheels([PINNED], tmp_path / "file" / "target", settings_for("http://127.0.0.1:9/simple"))
    assert raised.value.cause in (BuildCause.PERMISSION, BuildCause.INTERNAL)
    assert "file" in str(raised.value)


@pytest.mark.parametrize("as_json", [True, False])
def test_a_wheel_is_installed_whole_with_its_scripts_executable(tmp_path: Path, as_json: bool) -> None:
    target = tmp_path / "target"
    with serving(LoopbackIndex({NAME: WHEEL}, as_json=as_json)) as index:
        install_wheels([PINNED], target, settings_for(f"{index.url}/simple"))
        asked = len(index.requests)
        install_wheels([PINNED], target, settings_for(f"{index.url}/simple"))
        assert len(index.requests) == asked  # the stamp was enough
    assert (target / "tiny.py").read_bytes() == MEMBERS["tiny.py"]
    assert (target / "bin/tiny-tool").stat().st_mode & 0o111
    assert (target / "tiny_extra.py").is_file()
    assert not list(target.rglob("*.h"))
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_find_links_serve_a_wheel_without_any_index(tmp_path: Path) -> None:
    links = tmp_path / "links"
    links.mkdir()
    (links / NAME).write_bytes(WHEEL)
    install_wheels([PINNED], tmp_path / "target", UserSettings(find_links=(str(links),), no_index=True))
    assert (tmp_path / "target/tiny.py").is_file()


def test_a_half_filled_target_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "half.py").write_text("")
    with serving(LoopbackIndex({NAME: WHEEL})) as index:
        install_wheels([PINNED], target, settings_for(f"{index.url}/simple"))
    assert not (target / "half.py").exists()
    assert (target / "tiny.py").is_file()


def test_two_installers_at_once_leave_one_whole_target(tmp_path: Path) -> None:
    target = tmp_path / "target"
    failures: list[BaseException] = []
    with serving(LoopbackIndex({NAME: WHEEL})) as index:

        def install() -> None:
            try:
                install_wheels([PINNED], target, settings_for(f"{index.url}/simple"))
            except Exception as error:  # noqa: BLE001 – the test looks at whatever it was
                failures.append(error)

        threads = [threading.Thread(target=install) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []
    assert (target / "tiny.py").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_credentials_go_to_the_named_host_and_into_no_message(tmp_path: Path) -> None:
    with serving(LoopbackIndex({})) as index, pytest.raises(BuildError) as raised:
        url = index.url.replace("http://", "http://me:s3cret@")
        install_wheels([PINNED], tmp_path / "target", settings_for(f"{url}/simple"))
    assert index.requests[0][1] == "Basic bWU6czNjcmV0"
    assert "s3cret" not in str(raised.value)


def test_credentials_do_not_follow_a_redirect(tmp_path: Path) -> None:
    with serving(LoopbackIndex({NAME: WHEEL})) as other:

        class Redirecting(LoopbackIndex):
            def answer(self, path: str) -> tuple[int, str, bytes]:
                name = f"{other.url}/files/{NAME}#sha256={sha256(WHEEL)}"
                return 200, "text/html", f'<a href="{name}">{NAME}</a>'.encode()

        with serving(Redirecting({})) as index:
            url = index.url.replace("http://", "http://me:s3cret@")
            install_wheels([PINNED], tmp_path / "target", settings_for(f"{url}/simple"))
        assert [authorization for _, authorization in other.requests] == [None]


def test_the_best_tag_wins_and_foreign_wheels_never_fit() -> None:
    tags = current_tags()
    assert rank("a-1-py3-none-any.whl", tags) is not None
    assert rank("a-1-cp27-cp27mu-any.whl", tags) is None
    assert rank("a-1.tar.gz", tags) is None
    best = tags[0]
    assert rank(f"a-1-{best}.whl", tags) == 0
    both = Pinned("a", "1", {"a-1-py3-none-any.whl": "", f"a-1-{best}.whl": ""})
    assert both.best_filename(tags) == f"a-1-{best}.whl"


@pytest.mark.parametrize("name", ["msgpack", "filelock", "psutil", "py-rattler", "uv"])
def test_every_package_of_ours_is_pinned_for_this_interpreter(name: str) -> None:
    pinned = load_pins()[name]
    assert pinned.best_filename(current_tags()) is not None
    assert all(len(digest) == 64 for digest in pinned.sha256s.values())


@pytest.mark.parametrize("name", ["py-rattler", "uv", "psutil"])
@pytest.mark.parametrize(
    "system", ["manylinux.*x86_64", "manylinux.*aarch64", "macosx.*x86_64", "macosx.*arm64", "win_amd64"]
)
def test_native_packages_are_pinned_for_every_supported_platform(name: str, system: str) -> None:
    import re

    assert any(re.search(system, filename) for filename in load_pins()[name].sha256s)
