"""A build is cancelled wherever it may be: within two seconds all it started is dead, and the next build works."""

from __future__ import annotations

import contextlib
import dataclasses
import http.server
import io
import os
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from building.engines.samples import LoopbackIndex, index_of_needs, make_plan, silent_server, wheel_bytes
from building.faulty_servers import http_server
from patience import eventually

from comfy_env_core.building.engines.embedded import EmbeddedEngine
from comfy_env_core.building.engines.engine_packages import EngineTools
from comfy_env_core.building.jobs import Builder, Job, JobSnapshot
from comfy_env_core.building.plan import BuildPlan
from comfy_env_core.building.report import Phase
from comfy_env_core.building.running_job import read_running_job
from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.environments.locks import build_lock, pypi_lock
from comfy_env_core.environments.states import EnvironmentState
from comfy_env_core.environments.store import Store

WITHIN_S = 2.0
NOWHERE = {"https://conda.anaconda.org": ("http://127.0.0.1:9",)}

#: Starts a child, a child in a session of its own and an orphan in a session of its own, tells their pids, and sleeps.
FAMILY = """
import os, subprocess, sys, time
def settle(place):
    sleeper = [sys.executable, "-c", "import time; time.sleep(300)"]
    pids = [os.getpid(), subprocess.Popen(sleeper).pid, subprocess.Popen(sleeper, start_new_session=True).pid]
    orphan = "import subprocess, sys; print(subprocess.Popen(sys.argv[1:], start_new_session=True).pid, flush=True)"
    command = [sys.executable, "-c", orphan, *sleeper]
    pipe = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
    pids.append(int(pipe.stdout.readline()))
    pipe.wait()
    with open(place + ".part", "w") as file:
        file.write(" ".join(map(str, pids)))
    os.replace(place + ".part", place)
    time.sleep(300)
"""


@dataclasses.dataclass
class Scene:
    """A store of its own with the real engine, and a builder on it."""

    store: Store
    settings: UserSettings
    directory: Path

    def plan(self, text: str = "") -> BuildPlan:
        return make_plan(self.directory, text, self.settings)

    def builder(self, heard: list[JobSnapshot]) -> Builder:
        engine = EmbeddedEngine(self.store, self.settings)
        return Builder(self.store, lambda report: engine, [heard.append], max_builds=1)

    @property
    def pids_path(self) -> Path:
        return self.directory / "pids"


@pytest.fixture
def scene(
    tmp_path: Path,
    shared_store: Store,
    engine_tools: EngineTools,
    user_settings: UserSettings,
) -> Scene:
    store = Store(tmp_path / "store")
    store.root.mkdir()
    store.engines_dir.symlink_to(shared_store.engines_dir)
    settings = dataclasses.replace(
        user_settings, conda_mirrors=NOWHERE, extra_index_urls=(), find_links=(), proxies={}
    )
    return Scene(store, settings, tmp_path)


def on(scene: Scene, url: str) -> None:
    scene.settings = dataclasses.replace(scene.settings, index_url=f"{url}/simple", index_strategy=None)


def answer(index: LoopbackIndex, request: http.server.BaseHTTPRequestHandler) -> bytes:
    status, kind, body = index.answer(request.path)
    request.send_response(status)
    request.send_header("Content-Type", kind)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    return b"" if request.command == "HEAD" else body


@contextlib.contextmanager
def served(index: LoopbackIndex) -> Iterator[str]:
    with http_server(lambda request: request.wfile.write(answer(index, request))) as url:  # type: ignore[arg-type,return-value]
        yield url


def family_index(scene: Scene, where: str) -> LoopbackIndex:
    """An index with `family`, which settles down in its build backend ("build") or when it is imported ("import")."""
    index = index_of_needs()
    settle = f"{FAMILY}\nsettle({str(scene.pids_path)!r})\n"
    if where == "import":
        index.files["family-1.5-py3-none-any.whl"] = wheel_bytes(
            "family", "1.5", {"family.py": settle.encode()}
        )
        return index
    backend = FAMILY + f"def build_wheel(*arguments, **more): settle({str(scene.pids_path)!r})\n"
    backend += "prepare_metadata_for_build_wheel = build_wheel\n"
    content = io.BytesIO()
    table = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name, text in (("pyproject.toml", table), ("backend.py", backend)):
            member = tarfile.TarInfo(f"family-1.5/{name}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    index.files["family-1.5.tar.gz"] = content.getvalue()
    return index


def tools() -> list[psutil.Process]:
    """Everything that we have started, except what has ended."""
    return [p for p in psutil.Process().children(recursive=True) if p.status() != psutil.STATUS_ZOMBIE]


def is_alive(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def cancel_and_look(scene: Scene, job: Job, when: Callable[[], bool]) -> None:
    """Cancels at the moment, and looks at all that a cancelled build must not leave."""
    assert eventually(when, 60), job.snapshot()
    before = {process.pid for process in tools()}
    if scene.pids_path.exists():
        before |= set(map(int, scene.pids_path.read_text().split()))
    asked = time.monotonic()
    job.cancel()
    assert eventually(lambda: not any(map(is_alive, before)), 10), "something is alive"
    dead_s = time.monotonic() - asked
    end = job.wait(30)
    ended_s = time.monotonic() - asked
    print(f"dead after {dead_s:.2f} s ({len(before)} processes), ended after {ended_s:.2f} s")
    assert end.state is EnvironmentState.CANCELLED, end.error
    assert dead_s < WITHIN_S
    assert ended_s < WITHIN_S
    environment = scene.store.environment(job.environment_id)
    left = (
        sorted(path.name for path in environment.directory.glob("*"))
        if environment.directory.exists()
        else []
    )
    assert left in ([], ["install.log"])
    assert read_running_job(environment) is None
    for lock in (build_lock(scene.store, job.environment_id), pypi_lock(scene.store)):
        assert lock.try_acquire(), lock.path
        lock.release()


def cancel_in(scene: Scene, text: str, when: Callable[[JobSnapshot], bool]) -> None:
    heard: list[JobSnapshot] = []
    builder = scene.builder(heard)
    try:
        job = builder.submit(scene.plan(text))
        cancel_and_look(scene, job, lambda: when(job.snapshot()))
    finally:
        assert builder.shutdown()


def assert_no_half_downloads(scene: Scene) -> None:
    left = [
        path for path in scene.store.cache_dir.rglob("*") if path.is_file() and path.stat().st_size > 1 << 19
    ]
    assert left == []


def builds_afterwards(scene: Scene) -> None:
    with served(index_of_needs()) as url:
        on(scene, url)
        builder = scene.builder([])
        try:
            assert builder.submit(scene.plan()).wait(60).state is EnvironmentState.DONE
        finally:
            assert builder.shutdown()


def test_while_it_waits_in_the_queue(scene: Scene) -> None:
    with silent_server() as url:
        on(scene, url)
        builder = scene.builder([])
        try:
            builder.submit(scene.plan())
            waiting = builder.submit(scene.plan('[pypi-dependencies]\nx = "*"\n'))
            asked = time.monotonic()
            waiting.cancel()
            assert waiting.wait(5).state is EnvironmentState.CANCELLED
            assert time.monotonic() - asked < 1
        finally:
            assert builder.shutdown()


def test_while_it_waits_for_another_process(scene: Scene) -> None:
    plan = scene.plan()
    held = build_lock(scene.store, plan.environment_id)
    assert held.try_acquire()
    builder = scene.builder([])
    job = builder.submit(plan)
    assert eventually(lambda: job.is_elsewhere)
    asked = time.monotonic()
    job.cancel()
    assert job.wait(5).state is EnvironmentState.CANCELLED
    assert time.monotonic() - asked < 1
    held.release()
    assert builder.shutdown()


def test_while_the_engine_itself_is_fetched_from_a_silent_server(scene: Scene) -> None:
    scene.store.engines_dir.unlink()
    with silent_server() as url:
        on(scene, url)
        cancel_in(scene, "", lambda snapshot: "build engine" in snapshot.text and snapshot.elapsed_s > 0.5)
    assert not list(scene.store.engines_dir.glob("*"))


def test_while_uv_asks_a_silent_index(scene: Scene) -> None:
    with silent_server() as url:
        on(scene, url)
        cancel_in(scene, "", lambda snapshot: "requirements" in snapshot.text and bool(tools()))
    builds_afterwards(scene)


def test_while_we_ask_a_silent_index_why_uv_failed(scene: Scene) -> None:
    with silent_server() as url:
        on(scene, url)
        environ = {**scene.settings.environ, "UV_HTTP_TIMEOUT": "1", "UV_HTTP_RETRIES": "0"}
        scene.settings = dataclasses.replace(scene.settings, environ=environ)
        asking = lambda: any(t.name.startswith("comfy-env-questions") for t in threading.enumerate())  # noqa: E731
        cancel_in(scene, "", lambda snapshot: asking())


def test_while_a_download_stalls_in_the_middle(scene: Scene) -> None:
    index = index_of_needs()
    index.files["msgpack-1.5-py3-none-any.whl"] = wheel_bytes(
        "msgpack", "1.5", {"msgpack.py": os.urandom(3 << 20)}
    )
    halves, go_on = 0, threading.Event()

    def stall(request: http.server.BaseHTTPRequestHandler) -> None:
        nonlocal halves
        body = answer(index, request)
        request.wfile.write(body[: 1 << 20])
        request.wfile.flush()
        if len(body) > 1 << 20:
            halves += 1
            go_on.wait(60)

    with http_server(stall) as url:
        on(scene, url)
        try:
            # uv reads what it has to know from the beginning of the file; only then does it download the whole.
            cancel_in(
                scene,
                "",
                lambda snapshot: snapshot.phase is Phase.INSTALLING and halves == 2 and bool(tools()),
            )
        finally:
            go_on.set()
    assert_no_half_downloads(scene)
    builds_afterwards(scene)


def test_while_a_channel_stalls(scene: Scene) -> None:
    """The probe asks for one byte and gets it; rattler asks for the whole and waits."""
    stalled, go_on = threading.Event(), threading.Event()

    def stall(request: http.server.BaseHTTPRequestHandler) -> None:
        if request.headers.get("Range") is None:
            stalled.set()
            go_on.wait(60)
        request.send_response(200)
        request.send_header("Content-Length", "2")
        request.end_headers()
        request.wfile.write(b"{}")

    with http_server(stall) as url:
        mirrors = {"https://conda.anaconda.org/conda-forge": (url,)}
        home = scene.directory / "home"
        (home / ".pixi").mkdir(parents=True)
        text = f'[mirrors]\n"https://conda.anaconda.org/conda-forge" = ["{url}"]\n'
        (home / ".pixi" / "config.toml").write_text(text)
        scene.settings = dataclasses.replace(
            scene.settings, conda_mirrors=mirrors, conda_files=(home / ".pixi" / "config.toml",)
        )
        try:
            cancel_in(scene, '[dependencies]\ncmake = "*"\n', lambda snapshot: stalled.is_set())
        finally:
            go_on.set()


def test_while_a_source_is_built_by_a_family_of_processes(scene: Scene) -> None:
    with served(family_index(scene, "build")) as url:
        on(scene, url)
        cancel_in(scene, '[pypi-dependencies]\nfamily = "*"\n', lambda snapshot: scene.pids_path.exists())
    builds_afterwards(scene)


def test_while_it_is_verified(scene: Scene) -> None:
    with served(family_index(scene, "import")) as url:
        on(scene, url)
        cancel_in(scene, '[pypi-dependencies]\nfamily = "*"\n', lambda snapshot: scene.pids_path.exists())
    builds_afterwards(scene)
