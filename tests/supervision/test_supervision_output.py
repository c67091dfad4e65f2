"""What a worker prints and logs, as it arrives in ComfyUI's log."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakepack import node_pack, request, spec_for
from patience import PATIENCE_S, eventually
from workers import StartWorker

from comfy_env_core.supervision import Worker, WorkerCrashed
from comfy_env_core.supervision.telling import MAX_WAITING

LOGGER = "comfy-env.fake-pack"


class Records(logging.Handler):
    """Keeps what reaches the host's log."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[logging.LogRecord] = []
        self.gate = threading.Event()
        self.gate.set()

    def emit(self, record: logging.LogRecord) -> None:
        self.gate.wait()
        self.kept.append(record)

    def lines(self) -> list[tuple[str, str, str]]:
        return [(record.levelname, record.name, record.getMessage()) for record in self.kept]

    def has(self, text: str) -> bool:
        return eventually(lambda: any(text in record.getMessage() for record in list(self.kept)))


@pytest.fixture
def records() -> Iterator[Records]:
    handler, logger = Records(), logging.getLogger(LOGGER)
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield handler
    handler.gate.set()
    logger.removeHandler(handler)
    logger.setLevel(before)


def run(worker: Worker, function: str = "run", *args: Any) -> Any:
    return worker.call("run", request(worker.spec.module_name, function, *args)).result(PATIENCE_S)


def node(
    tmp_path: Path, start_worker: StartWorker, body: str, level: int = logging.DEBUG, before: str = ""
) -> Worker:
    imports = "import logging, os, sys, threading, ctypes\n"
    return start_worker(
        spec_for(node_pack(tmp_path, body, imports + before), host_facts={"log_level": level})
    )


def test_a_record_keeps_its_level_its_logger_and_its_place_among_what_is_printed(
    tmp_path: Path, start_worker: StartWorker, records: Records
) -> None:
    worker = node(
        tmp_path,
        start_worker,
        """
        def run(self):
            log = logging.getLogger("mesh.io")
            print("first")
            log.debug("a detail")
            print("no line end", end="")
            logging.info("root says %d%%", 50)
            log.warning("careful")
            sys.stderr.write("from stderr\\n")
            log.error("bad")
            log.critical("worse")
            ctypes.CDLL(None).puts(b"from C")
            ctypes.CDLL(None).fflush(None)
            print("last")
        """,
    )
    run(worker)
    assert records.has("last")
    mesh = f"{LOGGER}.mesh.io"
    assert records.lines() == [
        ("INFO", LOGGER, "first"),
        ("DEBUG", mesh, "a detail"),
        ("INFO", LOGGER, "no line end"),
        ("INFO", LOGGER, "root says 50%"),
        ("WARNING", mesh, "careful"),
        ("INFO", LOGGER, "from stderr"),
        ("ERROR", mesh, "bad"),
        ("CRITICAL", mesh, "worse"),
        ("INFO", LOGGER, "from C"),
        ("INFO", LOGGER, "last"),
    ]
    kept = worker.spec.log_path.read_text(encoding="utf-8")
    assert "WARNING mesh.io: careful" in kept and "\nroot says 50%\n" in kept


def test_a_traceback_is_one_record(tmp_path: Path, start_worker: StartWorker, records: Records) -> None:
    worker = node(
        tmp_path,
        start_worker,
        """
        def run(self):
            try:
                {}["näme"]
            except KeyError:
                logging.exception("cannot look up")
        """,
    )
    run(worker)
    assert records.has("KeyError")
    (record,) = [record for record in records.kept if record.levelno == logging.ERROR]
    lines = record.getMessage().splitlines()
    assert (
        lines[0] == "cannot look up" and lines[1].startswith("Traceback") and lines[-1] == "KeyError: 'näme'"
    )


def test_what_the_host_does_not_want_to_hear_is_not_sent(
    tmp_path: Path, start_worker: StartWorker, records: Records
) -> None:
    body = "def run(self):\n    logging.info('quiet')\n    logging.warning('loud')\n"
    run(node(tmp_path, start_worker, body, logging.WARNING))
    assert records.has("loud")
    assert not any(record.getMessage() == "quiet" for record in records.kept)


def test_a_pack_that_configures_logging_does_not_print_twice(
    tmp_path: Path, start_worker: StartWorker, records: Records
) -> None:
    body = "def run(self):\n    logging.basicConfig()\n    logging.getLogger('x').warning('once')\n    print('end')\n"
    run(node(tmp_path, start_worker, body))
    assert records.has("end")
    assert [line[2] for line in records.lines()].count("once") == 1


def test_redirected_output_does_not_take_the_records_along(
    tmp_path: Path, start_worker: StartWorker, records: Records
) -> None:
    worker = node(
        tmp_path,
        start_worker,
        """
        def run(self, path):
            sys.stdout.flush()
            kept, file = os.dup(1), os.open(path, os.O_WRONLY | os.O_CREAT)
            os.dup2(file, 1)
            print("to the file")
            logging.warning("to the host")
            os.dup2(kept, 1)
        """,
    )
    run(worker, "run", str(tmp_path / "captured"))
    assert records.has("to the host")
    assert (tmp_path / "captured").read_text() == "to the file\n"


def test_arguments_that_do_not_fit_are_reported_and_harm_nothing(
    tmp_path: Path, start_worker: StartWorker, records: Records
) -> None:
    run(node(tmp_path, start_worker, "def run(self):\n    logging.info('%d', 'text')\n    print('end')\n"))
    assert records.has("end")
    assert any("--- Logging error ---" in line[2] for line in records.lines())


def test_a_flood_is_shortened_in_the_log_and_whole_in_the_file(
    tmp_path: Path, start_worker: StartWorker, records: Records
) -> None:
    worker = node(
        tmp_path,
        start_worker,
        """
        def run(self):
            for number in range(100_000):
                logging.info("line %d", number)
        """,
    )
    run(worker)
    assert records.has("line 99999")
    assert len(records.kept) < 50_000
    assert any("lines of output are left out here" in record.getMessage() for record in records.kept)
    assert eventually(lambda: worker.spec.log_path.read_text().count("\n") == 100_000)


def test_a_log_that_stands_still_does_not_hold_up_the_node(
    tmp_path: Path, start_worker: StartWorker, records: Records
) -> None:
    worker = node(
        tmp_path,
        start_worker,
        """
        def run(self, lines):
            for number in range(lines):
                print("line", number)
        def die(self):
            logging.error("last words")
            os._exit(3)
        """,
    )
    records.gate.clear()
    run(worker, "run", 3 * MAX_WAITING)
    assert not any("line 99" in record.getMessage() for record in records.kept)
    records.gate.set()
    with pytest.raises(WorkerCrashed, match="ERROR root: last words"):
        run(worker, "die")
