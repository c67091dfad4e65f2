"""What a user is told when an index cannot give what a file asks for, and what heals by itself."""

from __future__ import annotations

import dataclasses
import io
import os
import shutil
import subprocess
import tarfile
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from building.engines.samples import (
    LoopbackIndex,
    RecordingReport,
    index_of_needs,
    make_plan,
    serving,
    wheel_bytes,
)

from comfy_env_core.building.commands import Completed
from comfy_env_core.building.distribution_names import likely_names
from comfy_env_core.building.engines.availability import Target, exists_for
from comfy_env_core.building.engines.cache_repair import without_half_downloads
from comfy_env_core.building.engines.contract import BuiltEnvironment
from comfy_env_core.building.engines.embedded import EmbeddedEngine
from comfy_env_core.building.engines.engine_packages import EngineTools
from comfy_env_core.building.engines.integrity import damaged_distributions
from comfy_env_core.building.engines.questions import Questions
from comfy_env_core.building.engines.smallest_conflict import smallest_conflict
from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.memory_kills import read_counter
from comfy_env_core.building.platform import Platform
from comfy_env_core.building.report import QuietReport
from comfy_env_core.building.simple_index import IndexFile
from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.environments.store import Store, Workspace

NOWHERE = {"https://conda.anaconda.org": ("http://127.0.0.1:9",)}
FAILING_BACKEND = """
def prepare_metadata_for_build_wheel(directory, settings=None):
    raise SystemExit("error: libfoo.h: No such file or directory")
build_wheel = prepare_metadata_for_build_wheel
"""

Build = Callable[..., BuiltEnvironment]


@pytest.fixture
def store(tmp_path: Path, shared_store: Store, engine_tools: EngineTools) -> Store:
    """A store with caches of its own and the engine that is there already."""
    own = Store(tmp_path / "store")
    own.root.mkdir()
    own.engines_dir.symlink_to(shared_store.engines_dir)
    return own


@pytest.fixture
def build(store: Store, tmp_path: Path, user_settings: UserSettings) -> Build:
    """Builds what is asked of the index that is given."""

    def build(index: LoopbackIndex, *requirements: str) -> BuiltEnvironment:
        environ = {**user_settings.environ, "UV_HTTP_RETRIES": "0"}
        settings = dataclasses.replace(
            user_settings,
            conda_mirrors=NOWHERE,
            environ=environ,
            index_url=f"{index.url}/simple",
            extra_index_urls=(),
            find_links=(),
            index_strategy=None,
            proxies={},
        )
        text = "[pypi-dependencies]\n" + "".join(f"{line}\n" for line in requirements)
        plan = make_plan(tmp_path, text, settings)
        workspace: Workspace = store.environment(plan.environment_id).begin_generation()
        return EmbeddedEngine(store, settings).provision(plan, workspace, RecordingReport())

    return build


def failure(build: Build, index: LoopbackIndex, *requirements: str) -> BuildError:
    with serving(index), pytest.raises(BuildError) as raised:
        build(index, *requirements)
    return raised.value


def source_of(name: str) -> bytes:
    """An sdist whose build fails."""
    content = io.BytesIO()
    files = {
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
        "backend.py": FAILING_BACKEND,
        "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n",
    }
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for path, text in files.items():
            member = tarfile.TarInfo(f"{name}-1.5/{path}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return content.getvalue()


def test_a_name_that_no_index_knows_is_told_with_one_that_it_knows(build: Build) -> None:
    index = index_of_needs()
    index.files["opencv_python-4.0-py3-none-any.whl"] = wheel_bytes("opencv_python", "4.0", {})
    error = failure(build, index, 'cv2 = "*"')
    assert error.cause is BuildCause.NO_SUCH_PACKAGE
    assert "'opencv-python': was that meant?" in error.message


def test_a_wheel_for_other_pythons_is_told_with_those_it_exists_for(build: Build) -> None:
    index = index_of_needs()
    for tag in ("cp27-cp27m-win32", "cp39-cp39-manylinux_2_17_x86_64", "cp39-cp39-manylinux_2_17_aarch64"):
        index.files[f"old-1.5-{tag}.whl"] = wheel_bytes("old", "1.5", {})
    error = failure(build, index, 'old = "*"')
    assert error.cause is BuildCause.NO_MATCHING_WHEEL
    assert f"On {Platform.current().name}, old 1.5 exists for Python 3.9." in error.message


def test_a_conflict_names_the_two_among_many_that_exclude_each_other_and_says_why(build: Build) -> None:
    index = index_of_needs(left="shared==1.5", right="shared==2.5", shared="", a="", b="", c="")
    text = b"Metadata-Version: 2.1\nName: shared\nVersion: 2.5\n"
    index.files["shared-2.5-py3-none-any.whl"] = wheel_bytes(
        "shared", "2.5", {"shared-2.5.dist-info/METADATA": text}
    )
    error = failure(build, index, *(f'{name} = "*"' for name in ("a", "left", "b", "right", "c")))
    assert error.cause is BuildCause.CONFLICT
    assert "'left' and 'right' cannot be had together" in error.message
    assert "shared==2.5" in error.message, "who wants what"
    assert "env-" not in error.message


def test_what_a_package_needs_in_turn_and_nobody_has_is_named_with_who_needs_it(build: Build) -> None:
    error = failure(build, index_of_needs(left="nowhere>=1", fine=""), 'left = "*"', 'fine = "*"')
    assert error.cause is BuildCause.NO_SUCH_PACKAGE
    assert "no index knows 'nowhere'" in error.message
    assert "needed by 'left'" in error.message


def test_a_source_that_does_not_build_is_named_with_who_needs_it_and_its_last_words(build: Build) -> None:
    index = index_of_needs(needy="srconly")
    index.files["srconly-1.5.tar.gz"] = source_of("srconly")
    error = failure(build, index, 'needy = "*"')
    assert error.cause is BuildCause.SOURCE_BUILD
    assert "srconly 1.5, needed by 'needy'" in error.message
    assert any("libfoo.h" in line for line in error.tail)


def test_a_file_that_is_not_the_published_one_is_refused_and_not_taken_for_a_network_fault(
    build: Build,
) -> None:
    class Lying(LoopbackIndex):
        def answer(self, path: str) -> tuple[int, str, bytes]:
            status, kind, body = super().answer(path)
            is_it = path.startswith("/files/alpha") and not path.endswith(".metadata")
            return status, kind, wheel_bytes("alpha", "1.5", {"alpha.py": b"evil"}) if is_it else body

    error = failure(build, Lying(index_of_needs(alpha="").files), 'alpha = "*"')
    assert error.cause is BuildCause.CHECKSUM
    assert "alpha-1.5" in error.message


def test_a_download_that_breaks_off_is_the_networks_fault(build: Build) -> None:
    class Breaking(LoopbackIndex):
        """Has the list and the metadata, and sends half of a file."""

        def answer(self, path: str) -> tuple[int, str, bytes]:
            if path.endswith(".metadata"):
                name = path.rpartition("/")[2].split("-")[0]
                return 200, "text/plain", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n".encode()
            status, kind, body = super().answer(path)
            if path.startswith("/files/"):
                raise ConnectionResetError("the server drops the connection")
            return status, kind, body.replace(b"<a ", b'<a data-core-metadata="true" ')

    error = failure(build, Breaking(index_of_needs().files))
    assert error.cause is BuildCause.NETWORK


def test_a_damaged_cache_heals_by_itself(build: Build, store: Store) -> None:
    index = index_of_needs(alpha="")
    index.files["alpha-1.5-py3-none-any.whl"] = wheel_bytes("alpha", "1.5", {"alpha.py": b"NAME = 'alpha'\n"})
    with serving(index):
        shutil.rmtree(build(index, 'alpha = "*"').prefix)
        for name in ("alpha.py", "alpha-1.5.dist-info/METADATA"):
            (found,) = (store.cache_dir / "uv").glob(f"archive-v*/*/{name}")
            found.write_bytes(b"")
        built = build(index, 'alpha = "*"')
    program = "import alpha; print(alpha.NAME)"
    completed = subprocess.run([built.python, "-I", "-c", program], capture_output=True, check=True)
    assert completed.stdout == b"alpha\n"


def installed(prefix: Path, name: str, files: Mapping[str, bytes]) -> None:
    """A distribution as an installer leaves it."""
    place = prefix / "lib/python3.11/site-packages"
    with zipfile.ZipFile(io.BytesIO(wheel_bytes(name, "1.5", files))) as archive:
        archive.extractall(place)


def test_files_of_another_size_than_listed_are_found_and_shared_ones_left_to_the_import_test(
    tmp_path: Path,
) -> None:
    installed(tmp_path, "whole", {"whole.py": b"x = 1", "tests/__init__.py": b""})
    installed(tmp_path, "other", {"other.py": b"x = 1", "tests/__init__.py": b"# larger"})
    assert damaged_distributions(tmp_path) == ()
    place = tmp_path / "lib/python3.11/site-packages"
    (place / "whole.py").unlink()
    (place / "other.py").write_bytes(b"x")
    assert damaged_distributions(tmp_path) == ("other", "whole")


def questions(tmp_path: Path, completed: Completed, path: str = "") -> Questions:
    target = Target("3.11", Platform("linux-64", glibc="2.36"))
    settings = UserSettings(environ={"PATH": path})
    return Questions("Installing", completed, settings, target, (tmp_path,), QuietReport())


def test_a_machine_without_a_compiler_is_told_what_to_install(tmp_path: Path) -> None:
    failed = Completed(("uv",), 1, ("error: libfoo.h",))
    error = questions(tmp_path, failed, path=str(tmp_path)).not_built("flash 2.0")
    assert error.cause is BuildCause.NO_COMPILER
    assert "build-essential" in error.remedy
    (tmp_path / "cc").touch(mode=0o755)
    assert (
        questions(tmp_path, failed, path=str(tmp_path)).not_built("flash 2.0").cause
        is BuildCause.SOURCE_BUILD
    )


@pytest.mark.parametrize(
    ("completed", "cause", "named"),
    [
        (Completed(("uv",), -9, ()), BuildCause.KILLED, "SIGKILL"),
        (Completed(("uv",), -9, (), ran_out_of_memory=True), BuildCause.OUT_OF_MEMORY, "memory"),
        (Completed(("uv",), 1, (), ran_out_of_memory=True), BuildCause.OUT_OF_MEMORY, "memory"),
        (Completed(("uv",), 2, (), least_free_bytes=5 << 20), BuildCause.DISK_FULL, "at one moment 5 MB"),
    ],
)
def test_a_killed_tool_is_told_from_one_that_the_kernel_ended(
    tmp_path: Path, completed: Completed, cause: BuildCause, named: str
) -> None:
    error = questions(tmp_path, completed).about_the_machine()
    assert error is not None
    assert error.cause is cause
    assert named in error.message
    assert questions(tmp_path, Completed(("uv",), 1, ())).about_the_machine() is None


def test_the_kernels_counter_is_read_where_there_is_one(tmp_path: Path) -> None:
    path = tmp_path / "memory.events"
    assert read_counter(path, "oom_kill") is None
    path.write_text("low 0\noom 3\noom_kill 2\noom_group_kill 0\n")
    assert read_counter(path, "oom_kill") == 2
    assert read_counter(path, "absent") is None


def test_the_smallest_conflict_is_found_among_many_with_few_questions() -> None:
    asked: list[Sequence[int]] = []

    def fits(items: Sequence[int]) -> bool:
        asked.append(items)
        return not {3, 17} <= set(items)

    assert set(smallest_conflict(range(40), fits)) == {3, 17}
    assert len(asked) < 20
    assert smallest_conflict([1, 2], fits) == ()
    assert smallest_conflict([5], lambda items: 5 not in items) == (5,)


def test_what_a_project_exists_for_is_said_in_words() -> None:
    target = Target("3.14", Platform("linux-64", glibc="2.28"))
    files = [
        IndexFile("x-1.0-cp310-cp310-win_amd64.whl", ""),
        IndexFile("x-2.0-cp311-cp311-win_amd64.whl", ""),
        IndexFile("x-2.0-cp312-abi3-macosx_11_0_arm64.whl", ""),
    ]
    told = exists_for(files, "x", target)
    assert told == "x 2.0 exists for Python 3.11, 3.12 and newer on Windows, macOS (Apple)."
    here = [*files, IndexFile("x-2.0-cp39-cp39-manylinux2014_x86_64.whl", "")]
    assert exists_for(here, "x", target) == "On linux-64, x 2.0 exists for Python 3.9."


@pytest.mark.parametrize(
    ("python", "requires", "takes"),
    [("3.11", ">=3.11.4", True), ("3.11.3", ">=3.11.4", False), (">=3.10,<3.13", ">=3.12", True)],
)
def test_a_python_that_is_not_fully_known_gets_the_benefit_of_the_doubt(
    python: str, requires: str, *, takes: bool
) -> None:
    target = Target(python, Platform("linux-64"))
    assert target.takes(IndexFile("x-1.0-py3-none-any.whl", "", None, requires)) is takes


def test_names_that_people_mix_up_are_guessed() -> None:
    assert likely_names("sklearn")[0] == "scikit-learn"
    assert "opencv-python" in likely_names("opencv")
    assert "pyyaml" in likely_names("yaml") or "PyYAML" in likely_names("yaml")
    assert "numpy" not in likely_names("numpy")


def test_halves_of_downloads_leave_the_cache_with_the_build_that_was_killed(tmp_path: Path) -> None:
    def half(name: str, age_s: float) -> Path:
        directory = tmp_path / name
        directory.mkdir()
        os.utime(directory, (time.time() - age_s,) * 2)
        return directory

    earlier, own, foreign = half(".tmpearlier", 600), half(".tmpown", 10), half(".tmpforeign", 0)
    kept = half("archive-v0", 600)
    with pytest.raises(BuildError), without_half_downloads(tmp_path):
        assert not earlier.exists()
        assert own.exists()
        raise BuildError(BuildCause.CANCELLED, "cancelled")
    assert not own.exists()
    assert foreign.exists(), "another uv may be at work this very moment"
    assert kept.exists()
