"""Fixtures that start workers and see them ended; imported by the conftest files that need them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fakepack import RecordingServices, find_interpreter

from comfy_env_core.supervision import Worker, WorkerSpec

StartWorker = Callable[..., Worker]


@pytest.fixture
def services() -> RecordingServices:
    return RecordingServices()


@pytest.fixture
def start_worker(services: RecordingServices) -> Iterator[StartWorker]:
    """Start a worker by its spec; all are stopped afterwards."""
    started: list[Worker] = []

    def start(spec: WorkerSpec, **options: Any) -> Worker:
        worker = Worker(spec, services, **options)
        started.append(worker)
        worker.start(30)
        return worker

    yield start
    for worker in started:
        worker.stop(1)


@pytest.fixture(scope="session", params=["3.9", "3.12"])
def bare_python(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An interpreter of another version with msgpack and nothing else: neither numpy nor torch."""
    interpreter = find_interpreter(request.param)
    if interpreter is None:
        pytest.skip(f"no Python {request.param} on this machine")
    home = tmp_path_factory.mktemp(f"python{request.param}")
    subprocess.run([interpreter, "-m", "venv", str(home)], check=True)
    python = home / "bin" / "python"
    installed = subprocess.run(
        [str(python), "-m", "pip", "install", "-q", "msgpack"], capture_output=True, text=True, check=False
    )
    if installed.returncode:
        pytest.skip(f"msgpack cannot be installed for Python {request.param}: {installed.stderr[-300:]}")
    return str(python)
