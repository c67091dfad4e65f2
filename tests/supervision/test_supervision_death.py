"""Workers that die, hang, or lose their host: everybody who waits is told, and nothing is left running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from fakepack import RecordingServices, node_pack, request, spec_for, write_pack
from patience import PATIENCE_S
from workers import StartWorker

from comfy_env_core.environments.states import WorkerState
from comfy_env_core.supervision import (
    WorkerCrashed,
    WorkerPool,
    WorkerStartError,
    WorkerStopped,
    WorkerTimedOut,
)

REPOSITORY = Path(__file__).resolve().parents[2]
SLEEP = """
def run(self):
    print("sleeping now")
    import time
    time.sleep(100)
"""


def is_running(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def wait_for(condition: object, patience_s: float = PATIENCE_S) -> float:
    start = time.monotonic()
    while not condition():  # type: ignore[operator]
        assert time.monotonic() - start < patience_s
        time.sleep(0.01)
    return time.monotonic() - start


def test_worker_crash_fails_every_pending_call_within_a_second(
    tmp_path: Path, start_worker: StartWorker
) -> None:
    pack = node_pack(tmp_path, SLEEP)
    lines: list[str] = []
    worker = start_worker(spec_for(pack), on_output=lambda spec, line: lines.append(line))
    calls = [worker.call("run", request(worker.spec.module_name, "run")) for _ in range(3)]
    wait_for(lambda: "sleeping now" in lines)
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    start = time.monotonic()
    for call in calls:
        with pytest.raises(WorkerCrashed, match="SIGKILL") as caught:
            call.result(PATIENCE_S)
        assert "sleeping now" in caught.value.tail
        assert str(worker.spec.log_path) in str(caught.value)
    assert time.monotonic() - start < 1.0
    assert worker.state is WorkerState.CRASHED
    with pytest.raises(WorkerStopped, match="not running"):
        worker.call("ping")


def test_segmentation_fault_reports_the_python_stack(tmp_path: Path, start_worker: StartWorker) -> None:
    pack = node_pack(tmp_path, "def run(self):\n    import ctypes\n    ctypes.string_at(0)\n")
    worker = start_worker(spec_for(pack))
    with pytest.raises(WorkerCrashed, match="SIGSEGV") as caught:
        worker.call("run", request(worker.spec.module_name, "run")).result(PATIENCE_S)
    report = "\n".join(caught.value.tail)
    assert "Segmentation fault" in report
    assert f'{pack}/__init__.py", line' in report


def test_node_that_calls_os_exit_is_reported_with_its_code(tmp_path: Path, start_worker: StartWorker) -> None:
    pack = node_pack(tmp_path, "def run(self):\n    import os\n    print('last words')\n    os._exit(3)\n")
    worker = start_worker(spec_for(pack))
    with pytest.raises(WorkerCrashed, match=r"exit code 3(.|\n)*last words"):
        worker.call("run", request(worker.spec.module_name, "run")).result(PATIENCE_S)


def test_pool_starts_a_crashed_worker_again(tmp_path: Path, services: RecordingServices) -> None:
    pack = node_pack(
        tmp_path, "def run(self):\n    return 5\ndef die(self):\n    import os\n    os._exit(1)\n"
    )
    pool = WorkerPool(services)
    try:
        spec = spec_for(pack)
        first = pool.get(spec)
        pid = first.pid
        with pytest.raises(WorkerCrashed):
            first.call("run", request(spec.module_name, "die")).result(PATIENCE_S)
        assert pool.running(spec.site_id) is None
        second = pool.get(spec)
        assert second.pid != pid
        assert second.call("run", request(spec.module_name, "run")).result(PATIENCE_S) == 5
        assert [worker.state for worker in pool.workers()] == [WorkerState.IDLE]
    finally:
        pool.stop_all()
    with pytest.raises(RuntimeError, match="shutting down"):
        pool.get(spec)


def test_pool_starts_one_process_for_many_callers_and_replaces_it_when_the_environment_changes(
    tmp_path: Path, services: RecordingServices
) -> None:
    spec = spec_for(node_pack(tmp_path, SLEEP))
    pool = WorkerPool(services)
    try:
        found: list[int | None] = []
        threads = [threading.Thread(target=lambda: found.append(pool.get(spec).pid)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(found)) == 1
        changed = spec_for(spec.pack_dir, env_vars={"GENERATION": "2"})
        assert pool.get(changed).pid != found[0]
        assert found[0] is not None and not is_running(found[0])
        assert len(pool.workers()) == 1
    finally:
        pool.stop_all()


def test_call_that_ignores_cancel_ends_with_its_worker(tmp_path: Path, start_worker: StartWorker) -> None:
    source = "def run(self):\n    import re\n    print('busy now')\n    re.match('(a+)+$', 'a' * 60 + 'b')\n"
    pack = node_pack(tmp_path, source)
    lines: list[str] = []
    worker = start_worker(spec_for(pack), on_output=lambda spec, line: lines.append(line))
    pid = worker.pid
    call = worker.call("run", request(worker.spec.module_name, "run"))
    wait_for(lambda: "busy now" in lines)  # a call that has not begun is simply not begun
    other = worker.call("ping")
    call.cancel(kill_after_s=0.3)
    with pytest.raises(WorkerStopped, match=r"did not react to cancel within 0.3 s"):
        call.result(PATIENCE_S)
    assert other.wait(PATIENCE_S)
    assert worker.state is WorkerState.STOPPED
    assert pid is not None and not is_running(pid)


def test_import_that_hangs_is_stopped_by_its_deadline(tmp_path: Path, start_worker: StartWorker) -> None:
    pack = write_pack(tmp_path, {"__init__.py": "while True:\n    pass\n"})
    worker = start_worker(spec_for(pack))
    with pytest.raises(WorkerTimedOut, match=r"took longer than 0.5 s for 'describe'"):
        worker.call("describe", [worker.spec.module_name], timeout_s=0.5).result(PATIENCE_S)
    assert worker.state is WorkerState.STOPPED


def test_interpreter_that_is_missing_is_a_start_error(tmp_path: Path, start_worker: StartWorker) -> None:
    spec = spec_for(write_pack(tmp_path, {}), python=tmp_path / "no-python")
    with pytest.raises(WorkerStartError, match=r"no-python.*cannot be run"):
        start_worker(spec)


def test_environment_without_msgpack_is_a_start_error_that_says_so(
    tmp_path: Path, start_worker: StartWorker
) -> None:
    fake = tmp_path / "python"
    fake.write_text(f'#!/bin/sh\nexec {sys.executable} -S -E "$@"\n')
    fake.chmod(0o755)
    spec = spec_for(write_pack(tmp_path, {}), python=fake)
    with pytest.raises(WorkerStartError, match=r"exit code 1(.|\n)*No module named 'msgpack'"):
        start_worker(spec)


def test_program_that_never_speaks_is_a_start_error(tmp_path: Path, services: RecordingServices) -> None:
    from comfy_env_core.supervision import Worker

    fake = tmp_path / "python"
    fake.write_text("#!/bin/sh\necho waiting\nexec sleep 100\n")
    fake.chmod(0o755)
    worker = Worker(spec_for(write_pack(tmp_path, {}), python=fake), services)
    with pytest.raises(WorkerStartError, match=r"did not answer within 0.5 s(.|\n)*waiting"):
        worker.start(0.5)
    assert worker.pid is None and worker.state is WorkerState.CRASHED


HOST = """
import sys, time
sys.path[:0] = [{repository!r}, {tests!r}]
from pathlib import Path
from comfy_env_core.supervision import Worker
from fakepack import RecordingServices, spec_for, request
spec = spec_for(Path({pack!r}))
lines = []
worker = Worker(spec, RecordingServices(), on_output=lambda spec, line: lines.append(line))
worker.start()
call = worker.call("run", request(spec.module_name, "run"))
while not lines:
    time.sleep(0.01)
print(worker.pid, lines[0], flush=True)
time.sleep(100)
"""


@pytest.mark.parametrize(
    "busy", ["re.match('(a+)+$', 'a' * 60 + 'b')", "time.sleep(100)"], ids=["stuck in C", "asleep"]
)
def test_killed_host_takes_worker_and_grandchild_along_within_a_second(tmp_path: Path, busy: str) -> None:
    pack = node_pack(
        tmp_path,
        f"""
        def run(self):
            print(subprocess.Popen(["sleep", "100"]).pid, flush=True)
            {busy}
        """,
        before="import re, subprocess, time\n",
    )
    tests = str(REPOSITORY / "tests")
    code = textwrap.dedent(HOST).format(repository=str(REPOSITORY), tests=tests, pack=str(pack))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as host:
        assert host.stdout is not None
        pids = [int(word) for word in host.stdout.readline().split()]
        assert len(pids) == 2 and all(is_running(pid) for pid in pids)
        host.kill()
        host.wait()
        assert wait_for(lambda: not any(is_running(pid) for pid in pids)) < 1.0


def test_stopping_lets_exit_handlers_run(tmp_path: Path, start_worker: StartWorker) -> None:
    mark = tmp_path / "left"
    pack = write_pack(
        tmp_path,
        {"__init__.py": f"import atexit, pathlib\natexit.register(pathlib.Path({str(mark)!r}).touch)\n"},
    )
    worker = start_worker(spec_for(pack))
    worker.call("describe", [worker.spec.module_name]).result(PATIENCE_S)
    worker.stop()
    assert mark.exists()
    assert worker.state is WorkerState.STOPPED


def test_forked_child_of_a_node_neither_speaks_nor_keeps_the_connection(
    tmp_path: Path, start_worker: StartWorker
) -> None:
    pack = node_pack(
        tmp_path,
        """
        def run(self):
            child = os.fork()
            if not child:
                try:
                    folder_paths.get_input_directory()
                except Exception as error:
                    print("child:", type(error).__name__, flush=True)
                time.sleep(100)
            return child
        def die(self):
            os.kill(os.getpid(), 9)
        """,
        before="import os, time, folder_paths\n",
    )
    lines: list[str] = []
    worker = start_worker(spec_for(pack), on_output=lambda spec, line: lines.append(line))
    child = worker.call("run", request(worker.spec.module_name, "run")).result(PATIENCE_S)
    wait_for(lambda: any("child: PeerGone" in line for line in lines))
    start = time.monotonic()
    with pytest.raises(WorkerCrashed):
        worker.call("run", request(worker.spec.module_name, "die")).result(PATIENCE_S)
    assert time.monotonic() - start < 1.0
    wait_for(lambda: not is_running(child))


def test_output_floods_and_raw_writes_neither_block_nor_disturb_calls(
    tmp_path: Path, start_worker: StartWorker
) -> None:
    pack = node_pack(
        tmp_path,
        """
        def run(self):
            for _ in range(40):
                print("x" * 100_000)
            for _ in range(2000):
                os.write(1, b"\\r 50% of the bar")
                os.write(2, bytes(range(256)))
            ctypes.CDLL(None).puts(b"from C")
            ctypes.CDLL(None).fflush(None)
            return 1
        """,
        before="import os, ctypes\n",
    )
    lines: list[str] = []
    worker = start_worker(spec_for(pack), on_output=lambda spec, line: lines.append(line))
    assert worker.call("run", request(worker.spec.module_name, "run")).result(PATIENCE_S) == 1
    assert worker.call("ping").result(PATIENCE_S)
    wait_for(lambda: any("from C" in line for line in lines))
    assert max(map(len, lines)) <= 64 * 1024


def test_sockets_and_pipes_are_not_inherited_by_programs_that_nodes_start(
    tmp_path: Path, start_worker: StartWorker
) -> None:
    pack = node_pack(
        tmp_path,
        """
        def run(self):
            code = "import os; os.system('ls -l /proc/$PPID/fd')"
            return subprocess.run([sys.executable, "-c", code], close_fds=False, capture_output=True, text=True).stdout
        """,
        before="import subprocess, sys\n",
    )
    worker = start_worker(spec_for(pack))
    listed = worker.call("run", request(worker.spec.module_name, "run")).result(PATIENCE_S)
    assert "socket:" not in listed


def test_worker_that_is_being_stopped_can_be_started_again_at_once(
    tmp_path: Path, services: RecordingServices
) -> None:
    spec = spec_for(node_pack(tmp_path, SLEEP))
    pool = WorkerPool(services)
    try:
        worker = pool.get(spec)
        pid = worker.pid
        stopping = threading.Thread(target=worker.stop)
        stopping.start()
        wait_for(lambda: worker.state is not WorkerState.IDLE)
        assert pool.get(spec).pid != pid
        stopping.join()
        assert pool.running(spec.site_id) is worker
    finally:
        pool.stop_all()
