"""Both ways of connecting, and the bare environments at the other end."""

from __future__ import annotations

import dataclasses
import socket
import sys
import threading
from pathlib import Path

import numpy
import pytest
from fakepack import RecordingServices, node_pack, request, spec_for
from patience import PATIENCE_S
from workers import StartWorker

from comfy_env_core.supervision import WorkerStartError
from comfy_env_core.supervision.transports import LoopbackTransport

ECHO = "def run(self, value):\n    return value\n"


def test_worker_over_tcp_answers_and_carries_large_arrays(tmp_path: Path, start_worker: StartWorker) -> None:
    worker = start_worker(spec_for(node_pack(tmp_path, ECHO)), transport=LoopbackTransport)
    image = numpy.random.default_rng(1).random((256, 256, 3), dtype=numpy.float32)
    assert numpy.array_equal(
        worker.call("run", request(worker.spec.module_name, "run", image)).result(PATIENCE_S), image
    )


def test_stranger_on_the_port_is_hung_up_on_and_the_worker_still_connects(
    tmp_path: Path, start_worker: StartWorker
) -> None:
    hung_up = threading.Event()

    def transport() -> LoopbackTransport:
        opened = LoopbackTransport()
        stranger = socket.create_connection(("127.0.0.1", opened.port))
        stranger.sendall(b"0" * 64 + b"\n")

        def watch() -> None:
            with stranger:
                if stranger.recv(1) == b"":
                    hung_up.set()

        threading.Thread(target=watch, daemon=True).start()
        return opened

    worker = start_worker(spec_for(node_pack(tmp_path, ECHO)), transport=transport)
    assert worker.call("run", request(worker.spec.module_name, "run", 3)).result(PATIENCE_S) == 3
    assert hung_up.wait(PATIENCE_S)


def test_port_is_closed_once_the_worker_is_connected(tmp_path: Path, start_worker: StartWorker) -> None:
    opened: list[LoopbackTransport] = []

    def transport() -> LoopbackTransport:
        opened.append(LoopbackTransport())
        return opened[-1]

    start_worker(spec_for(node_pack(tmp_path, ECHO)), transport=transport)
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", opened[0].port), timeout=1)


def test_worker_that_ends_before_it_connects_is_a_start_error(
    tmp_path: Path, start_worker: StartWorker
) -> None:
    fake = tmp_path / "python"
    fake.write_text("#!/bin/sh\necho broken >&2\nexit 7\n")
    fake.chmod(0o755)
    with pytest.raises(WorkerStartError, match=r"exit code 7(.|\n)*broken"):
        start_worker(spec_for(node_pack(tmp_path, ECHO), python=fake), transport=LoopbackTransport)


def test_older_and_newer_pythons_run_nodes_and_say_what_arrays_need(
    tmp_path: Path, start_worker: StartWorker, services: RecordingServices, bare_python: str
) -> None:
    pack = node_pack(tmp_path, ECHO + "\nasync def later(self, value):\n    return value * 2\n")
    worker = start_worker(spec_for(pack, python=bare_python))
    described = worker.call("describe", [worker.spec.module_name]).result(PATIENCE_S)
    assert described["python"] == worker.statistics.python_version != sys.version.split()[0]
    values = [1, 2**70, "a\ud800", (1, (2,)), {None: {3}}, 1.5, b"x", Path("/a"), slice(1, 2), 1j]
    assert worker.call("run", request(worker.spec.module_name, "run", values)).result(PATIENCE_S) == values
    assert worker.call("run", request(worker.spec.module_name, "later", 4)).result(PATIENCE_S) == 8
    for array in (numpy.zeros(3), numpy.zeros((256, 256))):
        with pytest.raises(Exception, match=r"neither torch nor numpy. Add one of them"):
            worker.call("run", request(worker.spec.module_name, "run", array)).result(PATIENCE_S)
    assert (
        worker.call("run", request(worker.spec.module_name, "run", numpy.float32(2))).result(PATIENCE_S)
        == 2.0
    )


def test_prefix_is_activated_and_foreign_settings_stay_out(
    tmp_path: Path, start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PIP_INDEX_URL", "http://nowhere")
    pack = node_pack(
        tmp_path, "def run(self):\n    return dict(os.environ), sys.path\n", before="import os, sys\n"
    )
    worker = start_worker(spec_for(pack, prefix=tmp_path / "prefix", env_vars={"MINE": "1"}))
    seen, path = worker.call("run", request(worker.spec.module_name, "run")).result(PATIENCE_S)
    assert seen["PATH"].startswith(str(tmp_path / "prefix" / "bin"))
    assert seen["CONDA_PREFIX"] == str(tmp_path / "prefix")
    assert seen["MINE"] == "1" and seen["PYTHONNOUSERSITE"] == "1"
    assert "PYTHONPATH" not in seen and "PIP_INDEX_URL" not in seen
    # Neither our package's folder nor the one it lies in: their modules would shadow the environment's.
    repository = Path(__file__).resolve().parents[2]
    assert not {str(repository), str(repository / "comfy_env_core" / "worker")} & set(path)


def test_idle_openmp_threads_of_a_worker_do_not_spin_unless_somebody_wants_them_to(tmp_path: Path) -> None:
    spec = spec_for(node_pack(tmp_path, "def run(self):\n    return 1\n"))
    assert spec.environment({})["OMP_WAIT_POLICY"] == "PASSIVE"
    assert spec.environment({"OMP_WAIT_POLICY": "ACTIVE"})["OMP_WAIT_POLICY"] == "ACTIVE"
    asked = dataclasses.replace(spec, env_vars={"OMP_WAIT_POLICY": "ACTIVE"})
    assert asked.environment({})["OMP_WAIT_POLICY"] == "ACTIVE"
