"""Every place that a file can name for its packages, in real builds; and a lock beside what follows the machine."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from building.engines.offline_channel import SUBDIR, index_channel, served, write_package
from building.engines.samples import (
    LoopbackIndex,
    RecordingReport,
    index_of_needs,
    make_plan,
    serving,
    sha256,
    wheel_bytes,
)

from comfy_env_core.building.engines.conda_phase import CondaPhase
from comfy_env_core.building.engines.embedded import EmbeddedEngine
from comfy_env_core.building.engines.engine_packages import EngineTools
from comfy_env_core.building.engines.interpreters import Interpreters
from comfy_env_core.building.engines.version_range import PythonWanted
from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.locks import LOCK_NAME
from comfy_env_core.building.locks.fitting import is_all_there
from comfy_env_core.building.locks.lock_file import lock_text, read_lock
from comfy_env_core.building.locks.locking import Locking
from comfy_env_core.building.locks.model import Lock, meaning_of
from comfy_env_core.building.locks.recording import without_secrets
from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.environments.store import Store, Workspace

SERIES = f"{sys.version_info[0]}.{sys.version_info[1]}"
NOWHERE = {"https://conda.anaconda.org": ("http://127.0.0.1:9",)}
PROJECT = (
    '[project]\nname = "{name}"\nversion = "1.0"\n[build-system]\nrequires = []\n'
    'build-backend = "backend"\nbackend-path = ["."]\n'
)
#: A build backend without requirements of its own, so that no index has to serve one.
BACKEND = """
import pathlib, zipfile
name = pathlib.Path("name").read_text()
def _wheel(directory, content):
    file = f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(directory) / file, "w") as archive:
        info = f"{name}-1.0.dist-info"
        for path, text in content.items():
            archive.writestr(path, text)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\\nName: {name}\\nVersion: 1.0\\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        archive.writestr(f"{info}/RECORD", "")
    return file
def build_wheel(directory, settings=None, metadata=None):
    return _wheel(directory, {f"{name}.py": pathlib.Path(f"{name}.py").read_text()})
def build_editable(directory, settings=None, metadata=None):
    return _wheel(directory, {f"{name}.pth": str(pathlib.Path.cwd())})
"""


def write_project(directory: Path, name: str) -> None:
    directory.mkdir(parents=True)
    files = {
        "pyproject.toml": PROJECT.format(name=name),
        "backend.py": BACKEND,
        "name": name,
        f"{name}.py": "X = 1\n",
    }
    for path, text in files.items():
        (directory / path).write_text(text)


def commit_all(directory: Path) -> str:
    identity = ["-c", "user.name=n", "-c", "user.email=e@h"]
    for arguments in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-qm", "x"]):
        subprocess.run(["git", *arguments], cwd=directory, check=True)
    shown = subprocess.run(["git", "rev-parse", "HEAD"], cwd=directory, check=True, capture_output=True)
    return shown.stdout.decode().strip()


@pytest.fixture
def workspace(shared_store: Store) -> Workspace:
    number = sum(1 for _ in shared_store.root.glob("_env_*"))
    return shared_store.environment(f"e{number:07x}").begin_generation()


@pytest.fixture
def index() -> Iterator[LoopbackIndex]:
    with serving(index_of_needs(needy="helper<1", helper="", followed="under", under="")) as index:
        yield index


@pytest.fixture
def settings(user_settings: UserSettings, index: LoopbackIndex) -> UserSettings:
    return dataclasses.replace(
        user_settings,
        index_url=f"{index.url}/simple",
        extra_index_urls=(),
        find_links=(),
        index_strategy=None,
        proxies={},
        conda_mirrors=NOWHERE,
    )


@pytest.mark.skipif(shutil.which("git") is None, reason="no git here")
def test_git_paths_urls_find_links_overrides_and_extra_indexes_fill_one_prefix(
    engine_tools: EngineTools,
    shared_store: Store,
    workspace: Workspace,
    tmp_path: Path,
    settings: UserSettings,
) -> None:
    write_project(tmp_path / "copied", "copied")
    write_project(tmp_path / "mono/edited", "edited")
    write_project(tmp_path / "repository/sub", "fromgit")
    revision = commit_all(tmp_path / "repository")
    direct, linked, extra = (
        wheel_bytes(name, "1.0", {f"{name}.py": b""}) for name in ("direct", "linked", "extra")
    )
    (tmp_path / "links").mkdir()
    (tmp_path / "links/linked-1.0-py3-none-any.whl").write_bytes(linked)
    with (
        serving(LoopbackIndex({"direct-1.0-py3-none-any.whl": direct})) as host,
        serving(LoopbackIndex({"extra-1.0-py3-none-any.whl": extra})) as second,
    ):
        text = f"""
python = "{SERIES}"
[pypi-dependencies]
copied = {{ path = "copied" }}
edited = {{ path = "mono", subdirectory = "edited", editable = true }}
fromgit = {{ git = "{(tmp_path / "repository").as_uri()}", rev = "{revision}", subdirectory = "sub" }}
direct = {{ url = "{host.url}/files/direct-1.0-py3-none-any.whl#sha256={sha256(direct)}" }}
linked = "==1.0"
extra = "*"
needy = "*"
[pypi-options]
find-links = [{{ path = "links" }}]
extra-index-urls = ["{second.url}/simple"]
dependency-overrides = {{ helper = ">=1" }}
"""
        plan = make_plan(tmp_path, text, settings)
        built = EmbeddedEngine(shared_store, settings).provision(plan, workspace, RecordingReport())
    program = (
        "import copied, edited, fromgit, direct, linked, extra, needy, helper, json; print(edited.__file__)"
    )
    shown = subprocess.run(
        [built.python, "-I", "-c", program], check=True, capture_output=True
    ).stdout.decode()
    assert Path(shown.strip()) == tmp_path / "mono/edited/edited.py"
    (result,) = read_lock((workspace.directory / LOCK_NAME).read_bytes(), Path(LOCK_NAME)).environments
    sources = {package.name: package.source for package in result.pypi}
    assert sources["fromgit"]["vcs"]["commit-id"] == revision
    assert sources["edited"]["directory"]["editable"] is True
    assert sources["direct"]["archive"]["hashes"] == {"sha256": sha256(direct)}
    assert sources["extra"] == {}


def test_what_follows_the_machine_is_resolved_beside_the_lock_and_the_rest_is_the_lock(
    engine_tools: EngineTools,
    shared_store: Store,
    workspace: Workspace,
    tmp_path: Path,
    settings: UserSettings,
    index: LoopbackIndex,
) -> None:
    plan = make_plan(tmp_path, f'python = "{SERIES}"\n[pypi-dependencies]\nhelper = "*"\n', settings)
    plan = dataclasses.replace(
        plan, pypi={**plan.pypi, "followed": "==1.5"}, facts=(*plan.facts, "host.followed===1.5")
    )
    environment = Locking(shared_store, settings, RecordingReport()).environment(plan)
    assert environment.follows == ("followed",)
    assert [package.name for package in environment.pypi] == ["helper", "msgpack"]
    index.files["helper-2.0-py3-none-any.whl"] = wheel_bytes("helper", "2.0", {"helper.py": b""})
    fixed = dataclasses.replace(plan, lock=environment)
    assert not is_all_there(fixed)
    report = RecordingReport()
    built = EmbeddedEngine(shared_store, settings).provision(fixed, workspace, report)
    assert {package.name: package.version for package in built.packages} == {
        "followed": "1.5",
        "under": "1.5",
        "helper": "1.5",
        "msgpack": "1.5",
    }

    clashing = dataclasses.replace(
        fixed, pypi={**plan.pypi, "needy": "*"}, facts=(*plan.facts, "host.needy=*")
    )
    with pytest.raises(BuildError) as raised:  # needs helper<1, which the index does not have at all
        EmbeddedEngine(shared_store, settings).provision(clashing, _next(shared_store), report)
    assert any("resolving without it" in line for line in report.lines)
    assert raised.value.cause in (
        BuildCause.CONFLICT,
        BuildCause.NO_MATCHING_WHEEL,
        BuildCause.NO_SUCH_PACKAGE,
    )


def _next(store: Store) -> Workspace:
    number = sum(1 for _ in store.root.glob("_env_*"))
    return store.environment(f"e{number:07x}").begin_generation()


def test_a_lock_holds_nothing_of_its_authors_machine(
    engine_tools: EngineTools,
    shared_store: Store,
    tmp_path: Path,
    settings: UserSettings,
    index: LoopbackIndex,
) -> None:
    write_project(tmp_path / "lib", "copied")
    text = f'python = "{SERIES}"\n[pypi-dependencies]\nhelper = "*"\ncopied = {{ path = "lib" }}\n'
    secret = dataclasses.replace(settings, index_url=f"{index.url}/simple".replace("//", "//me:s3cret@"))
    plan = make_plan(tmp_path, text, secret)
    locking = Locking(shared_store, secret, RecordingReport())
    environment = locking.environment(plan)
    written = lock_text(Lock(tmp_path / LOCK_NAME, meaning_of(plan.spec), (environment,)))
    for private in ("s3cret", "127.0.0.1", str(tmp_path)):
        assert private not in written
    assert 'directory = { path = "lib"' in written
    assert lock_text(Lock(tmp_path, meaning_of(plan.spec), (locking.environment(plan),))) == written


@pytest.mark.skipif(not SUBDIR or sys.platform != "linux", reason="the channels are for Linux")
def test_channels_are_asked_by_priority_with_constraints_from_the_disk_and_up_to_a_date(
    engine_tools: EngineTools, shared_store: Store, tmp_path: Path, settings: UserSettings
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for version in ("1.0", "2.0"):
        write_package(first, "lib", version, {})
    write_package(second, "lib", "3.0", {})
    write_package(second, "python", f"{SERIES}.1", {})
    for channel in (first, second):
        index_channel(channel, engine_tools.directory)

    def version_of_lib(url: str, more: str, tables: str = "") -> str:
        text = f'python = "{SERIES}"\n[workspace]\nchannels = ["{first.as_uri()}", "{url}/second"]\n{more}\n'
        plan = make_plan(tmp_path, f'{text}[dependencies]\nlib = "*"\n{tables}', settings)
        phase = CondaPhase(plan, tmp_path, engine_tools, shared_store, settings, RecordingReport())
        return next(one.version for one in phase.solve({}) if one.name == "lib")

    with served(tmp_path) as url:
        assert version_of_lib(url, "") == "2.0"
        assert version_of_lib(url, 'channel-priority = "disabled"') == "3.0"
        assert version_of_lib(url, "", '[constraints]\nlib = "<2"\n') == "1.0"
        with pytest.raises(BuildError, match="cutoff date of 2022-01-02"):
            version_of_lib(url, 'exclude-newer = "2022-01-01"')
        assert version_of_lib(url, 'solve-strategy = "lowest"') == "1.0"
    request = json.loads((tmp_path / "conda-request.json").read_text())
    assert request["prefix"] is None


def test_a_mirror_of_interpreters_is_asked_where_no_python_fits(
    engine_tools: EngineTools,
    tmp_path: Path,
    settings: UserSettings,
    shared_store: Store,
    index: LoopbackIndex,
) -> None:
    environ = {**settings.environ, "UV_HTTP_RETRIES": "0"}
    mine = dataclasses.replace(settings, python_mirror=f"{index.url}/pythons", environ=environ, home=tmp_path)
    nothing = Interpreters(dataclasses.replace(mine, environ={"PATH": ""}), tmp_path / "none")
    engine = EmbeddedEngine(shared_store, mine, interpreters=nothing)
    unused = next(minor for minor in ("3.14", "3.13", "3.12") if nothing.find(PythonWanted(minor))[0] is None)
    with pytest.raises(BuildError) as raised:
        engine.provision(
            make_plan(tmp_path, f'python = "{unused}"\n', mine), _next(shared_store), RecordingReport()
        )
    assert raised.value.cause is BuildCause.NO_PYTHON
    assert any(path.startswith("/pythons/") and f"cpython-{unused}." in path for path, _ in index.requests)


@pytest.mark.skipif(not SUBDIR or sys.platform != "linux", reason="the channel is for Linux")
def test_credentials_of_a_channel_are_sent_to_it_and_kept_out_of_the_lock(
    engine_tools: EngineTools, shared_store: Store, tmp_path: Path, settings: UserSettings
) -> None:
    write_package(tmp_path / "private", "python", f"{SERIES}.1", {})
    index_channel(tmp_path / "private", engine_tools.directory)

    class Guarded(LoopbackIndex):
        def answer(self, path: str) -> tuple[int, str, bytes]:
            file = tmp_path / path.lstrip("/")
            if self.requests[-1][1] is None:
                return 401, "text/plain", b""
            return (
                (200, "application/json", file.read_bytes()) if file.is_file() else (404, "text/plain", b"")
            )

    with serving(Guarded({})) as server:
        secrets = tmp_path / "auth.json"
        secrets.write_text(json.dumps({"127.0.0.1": {"BasicHTTP": {"username": "me", "password": "s3cret"}}}))
        mine = UserSettings.gather({**settings.environ, "RATTLER_AUTH_FILE": str(secrets)}, tmp_path)
        with_url = server.url.replace("//", "//me:s3cret@")
        for base in (server.url, with_url):
            text = f'python = "{SERIES}"\n[workspace]\nchannels = ["{base}/private"]\n'
            plan = make_plan(tmp_path, text, mine)
            phase = CondaPhase(plan, tmp_path, engine_tools, shared_store, mine, RecordingReport())
            (python,) = phase.solve({})
            assert "s3cret" not in str(without_secrets(python).record)
            mine = dataclasses.replace(mine, environ=settings.environ)
