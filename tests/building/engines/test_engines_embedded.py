"""The embedded engine without any conda channel: real interpreters, real uv, the package index of this machine."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from building.engines.samples import (
    LoopbackIndex,
    RecordingReport,
    index_of_needs,
    make_plan,
    serving,
    sha256,
    silent_server,
    wheel_bytes,
)

from comfy_env_core.building.engines.conda_phase import channel_probe_url, match_spec
from comfy_env_core.building.engines.contract import Package
from comfy_env_core.building.engines.embedded import EmbeddedEngine
from comfy_env_core.building.engines.engine_packages import EngineTools
from comfy_env_core.building.engines.interpreters import Interpreter, Interpreters
from comfy_env_core.building.engines.reachability import Reachability
from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.report import Phase
from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.environments.atomic import remove_tree
from comfy_env_core.environments.store import Store, Workspace

NOWHERE = {"https://conda.anaconda.org": ("http://127.0.0.1:9",)}


@pytest.fixture
def settings(user_settings: UserSettings) -> UserSettings:
    """The user's own, with every conda channel out of reach, also on machines that have one."""
    environ = {**user_settings.environ, "UV_HTTP_RETRIES": "0"}  # a dead host should not be asked for 9 s
    return dataclasses.replace(user_settings, conda_mirrors=NOWHERE, environ=environ)


@pytest.fixture
def engine(
    engine_tools: EngineTools, shared_store: Store, settings: UserSettings, interpreters: Interpreters
) -> EmbeddedEngine:
    return EmbeddedEngine(shared_store, settings, interpreters=interpreters)


@pytest.fixture
def workspace(shared_store: Store) -> Workspace:
    """A place that no test before has used."""
    number = sum(1 for _ in shared_store.environments())
    return shared_store.environment(f"{number:08x}").generation(1)


def series(interpreter: Interpreter) -> str:
    return ".".join(interpreter.version.split(".")[:2])


def failure_of(
    engine: EmbeddedEngine, tmp_path: Path, workspace: Workspace, text: str, settings: UserSettings
) -> BuildError:
    with pytest.raises(BuildError) as raised:
        engine.provision(make_plan(tmp_path, text, settings), workspace, RecordingReport())
    return raised.value


def test_conda_packages_without_a_channel_are_refused_and_never_guessed_on_pypi(
    engine: EmbeddedEngine, workspace: Workspace, tmp_path: Path, settings: UserSettings
) -> None:
    error = failure_of(engine, tmp_path, workspace, '[dependencies]\ncmake = "*"\n', settings)
    assert error.cause is BuildCause.NO_CHANNEL
    assert "cmake" in str(error)
    assert "mirrors" in str(error)


def test_a_python_that_is_not_there_is_named_with_what_was_looked_at(
    engine: EmbeddedEngine, workspace: Workspace, tmp_path: Path, settings: UserSettings
) -> None:
    error = failure_of(engine, tmp_path, workspace, 'python = "3.29"\n', settings)
    assert error.cause is BuildCause.NO_PYTHON
    assert "3.29" in str(error)
    assert "UV_PYTHON_INSTALL_MIRROR" in str(error)
    assert any("ComfyUI's own Python" in line for line in error.tail)


@pytest.mark.parametrize(
    ("requirements", "cause", "named"),
    [
        (
            'a-name-that-nobody-has-taken-7q = "*"',
            BuildCause.NO_SUCH_PACKAGE,
            "a-name-that-nobody-has-taken-7q",
        ),
        ('msgpack = ">=900"', BuildCause.NO_SUCH_PACKAGE, "msgpack>=900"),
        ('local = { path = "./not-there" }', BuildCause.CONFIG, "not-there"),
        (
            'remote = { url = "http://127.0.0.1:9/remote-1-py3-none-any.whl" }',
            BuildCause.NETWORK,
            "127.0.0.1",
        ),
        ('inner = { version = "*", index = "http://127.0.0.1:9/simple" }', BuildCause.NETWORK, "127.0.0.1"),
    ],
)
def test_what_pypi_cannot_give_is_told_apart(
    engine: EmbeddedEngine,
    workspace: Workspace,
    tmp_path: Path,
    settings: UserSettings,
    requirements: str,
    cause: BuildCause,
    named: str,
) -> None:
    error = failure_of(engine, tmp_path, workspace, f"[pypi-dependencies]\n{requirements}\n", settings)
    assert error.cause is cause, str(error)
    assert named in str(error)
    assert error.remedy
    assert error.tail


def on_index(settings: UserSettings, index: LoopbackIndex) -> UserSettings:
    return dataclasses.replace(
        settings,
        index_url=f"{index.url}/simple",
        extra_index_urls=(),
        find_links=(),
        index_strategy=None,
        proxies={},
    )


def test_a_wheel_for_another_python_only_is_told_from_a_missing_one(
    engine_tools: EngineTools,
    shared_store: Store,
    workspace: Workspace,
    tmp_path: Path,
    settings: UserSettings,
) -> None:
    index = index_of_needs()
    index.files["onlyold-1.5-cp27-cp27m-win32.whl"] = wheel_bytes("onlyold", "1.5", {})
    with serving(index):
        mine = on_index(settings, index)
        text = '[pypi-dependencies]\nonlyold = "*"\n'
        error = failure_of(EmbeddedEngine(shared_store, mine), tmp_path, workspace, text, mine)
    assert error.cause is BuildCause.NO_MATCHING_WHEEL, str(error)
    assert "onlyold" in str(error)


def test_a_file_that_the_index_lists_and_its_server_has_lost_is_told_as_such(
    engine_tools: EngineTools,
    shared_store: Store,
    workspace: Workspace,
    tmp_path: Path,
    settings: UserSettings,
) -> None:
    class Away(LoopbackIndex):
        """Answers with metadata and the list of files, and has lost the files."""

        def answer(self, path: str) -> tuple[int, str, bytes]:
            if path.endswith(".metadata"):
                name = path.rpartition("/")[2].split("-")[0]
                return 200, "text/plain", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n".encode()
            if path.startswith("/files/"):
                return 404, "text/plain", b""
            status, kind, body = super().answer(path)
            return status, kind, body.replace(b"<a ", b'<a data-core-metadata="true" ')

    with serving(Away(index_of_needs().files)) as index:
        mine = on_index(settings, index)
        error = failure_of(EmbeddedEngine(shared_store, mine), tmp_path, workspace, "", mine)
    assert error.cause is BuildCause.NO_SUCH_PACKAGE, str(error)


def test_a_cancelled_build_leaves_no_process_and_no_finished_prefix(
    engine: EmbeddedEngine, shared_store: Store, workspace: Workspace, tmp_path: Path, settings: UserSettings
) -> None:
    with silent_server() as url:
        mine = dataclasses.replace(settings, index_url=f"{url}/simple", extra_index_urls=(), find_links=())
        plan = make_plan(tmp_path, "", mine)
        uv = str(shared_store.engines_dir)

        def is_resolving(report: RecordingReport) -> bool:
            return (
                bool(report.phases)
                and report.phases[-1][1].endswith("PyPI requirements")
                and bool(tools_running(uv))
            )

        with pytest.raises(BuildError) as raised:
            EmbeddedEngine(shared_store, mine).provision(
                plan, workspace, RecordingReport(cancel_at=is_resolving)
            )
    assert raised.value.cause is BuildCause.CANCELLED
    assert tools_running(uv) == []
    assert not workspace.is_done()


def tools_running(directory: str) -> list[psutil.Process]:
    """Descendants of ours whose program lies in `directory`."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if (
                process.cmdline()
                and process.cmdline()[0].startswith(directory)
                and process.status() != "zombie"
            ):
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def test_an_environment_on_another_python_is_built_and_a_warm_one_shares_its_files(
    engine: EmbeddedEngine,
    shared_store: Store,
    tmp_path: Path,
    settings: UserSettings,
    other_python: Interpreter,
) -> None:
    text = (
        f'python = "{series(other_python)}"\n[dependencies]\npip = "*"\n[pypi-dependencies]\npillow = "*"\n'
    )
    plan = make_plan(tmp_path, text, settings)
    inodes = []
    for number in ("aaaaaaa1", "aaaaaaa2"):
        workspace, report = shared_store.environment(number).generation(1), RecordingReport()
        built = engine.provision(plan, workspace, report)
        inodes.append(
            next(workspace.prefix.glob("lib/python*/site-packages/PIL/_imaging.*.so")).stat().st_ino
        )
    assert inodes[0] == inodes[1], "the two prefixes should be hard links into one cache"
    assert built.python_version.startswith(series(other_python))
    assert (built.engine, built.prefix, built.python) == ("embedded", workspace.prefix, workspace.python)
    assert {package.name for package in built.packages} == {"pip", "pillow", "msgpack"}
    assert all(package.source == "pypi" for package in built.packages)
    program = "import sys, json, PIL, msgpack, pip; print(json.dumps([sys.prefix, sys.version_info[:2]]))"
    answer = json.loads(
        subprocess.run([built.python, "-I", "-c", program], capture_output=True, check=True).stdout
    )
    assert answer == [str(workspace.prefix), [int(part) for part in series(other_python).split(".")]]
    assert report.counts[-1] == (3, 3)
    assert {phase for phase, _ in report.phases} >= {Phase.RESOLVING, Phase.INSTALLING}
    assert (workspace.directory / "pyproject.toml").is_file()
    assert "[[packages]]" in (workspace.directory / "pylock.toml").read_text()


def test_settings_with_credentials_leave_none_in_the_workspace_or_the_log(
    engine_tools: EngineTools,
    shared_store: Store,
    workspace: Workspace,
    tmp_path: Path,
    settings: UserSettings,
) -> None:
    with serving(index_of_needs()) as index:
        secret = dataclasses.replace(
            on_index(settings, index), index_url=index.url.replace("//", "//me:s3cret@") + "/simple"
        )
        plan = make_plan(tmp_path, "", secret)
        report = RecordingReport()
        built = EmbeddedEngine(shared_store, secret).provision(plan, workspace, report)
        assert index.requests[0][1] is not None
    assert Package("msgpack", "1.5", "pypi") in built.packages
    written = [path for path in workspace.directory.glob("*") if path.is_file()]
    assert [path for path in written if "s3cret" in path.read_text()] == []
    assert not any("s3cret" in line for line in report.lines)


def test_indexes_of_the_file_serve_the_packages_that_name_them(
    engine_tools: EngineTools,
    shared_store: Store,
    workspace: Workspace,
    tmp_path: Path,
    settings: UserSettings,
) -> None:
    decoy = index_of_needs(special="")
    with serving(decoy), serving(index_of_needs(special="")) as own:
        marked = wheel_bytes("special", "1.5", {"special.py": b"ORIGIN = 'own'\n"})
        own.files["special-1.5-py3-none-any.whl"] = marked
        mine = on_index(settings, decoy)
        text = f'[pypi-dependencies]\nspecial = {{ version = "*", index = "{own.url}/simple" }}\n'
        built = EmbeddedEngine(shared_store, mine).provision(
            make_plan(tmp_path, text, mine), workspace, RecordingReport()
        )
    assert next(built.prefix.glob("lib/python*/site-packages/special.py")).read_bytes() == b"ORIGIN = 'own'\n"
    assert sha256(marked) in (workspace.directory / "pylock.toml").read_text()


def test_dead_hosts_are_waited_for_once_and_together(settings: UserSettings) -> None:
    with silent_server() as url, silent_server() as other:
        reachability = Reachability(settings, deadline_s=0.5)
        started = time.monotonic()
        reachability.start([url, other])
        assert not reachability.answers(url)
        assert not reachability.answers(other)
        assert time.monotonic() - started < 1.0
        started = time.monotonic()
        assert not reachability.answers(url)
        assert time.monotonic() - started < 0.1


def test_a_channel_is_looked_for_behind_its_mirror() -> None:
    mirrors = {
        "https://conda.anaconda.org": ("https://all",),
        "https://conda.anaconda.org/conda-forge/": ("https://cf",),
    }
    assert channel_probe_url("conda-forge", mirrors) == "https://cf/noarch/repodata.json"
    assert channel_probe_url("nvidia", mirrors) == "https://all/nvidia/noarch/repodata.json"
    assert channel_probe_url("https://own/channel/", mirrors) == "https://own/channel/noarch/repodata.json"


def test_conda_requirements_are_written_as_rattler_reads_them() -> None:
    assert match_spec("cmake", "*") == "cmake *"
    table = {"version": ">=1", "build": "*cuda*", "channel": "nvidia", "build-number": ">=2"}
    assert match_spec("x", table) == 'x[version=">=1", build="*cuda*", channel="nvidia", build_number=">=2"]'
    assert match_spec("x", {"url": "https://h/x-1-0.conda"}) == "https://h/x-1-0.conda"
    with pytest.raises(BuildError) as raised:
        match_spec("x", {"git": "https://h/x"})
    assert raised.value.cause is BuildCause.CONFIG


def test_a_prefix_can_be_removed_and_filled_again(
    engine: EmbeddedEngine, shared_store: Store, tmp_path: Path, settings: UserSettings, workspace: Workspace
) -> None:
    plan = make_plan(tmp_path, "", settings)
    for _ in range(2):
        engine.provision(plan, workspace, RecordingReport())
        remove_tree(workspace.prefix)
    assert not workspace.prefix.exists()
