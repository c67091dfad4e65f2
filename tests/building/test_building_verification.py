"""Done means verified: what is caught by starting the interpreter and importing."""

from __future__ import annotations

import dataclasses
import sys
import time
from pathlib import Path

import pytest
from building.fake_engine import FakeEngine, make_plan, write_config

from comfy_env_core.building import verification
from comfy_env_core.building.cuda_packages import CudaWheelsWanted
from comfy_env_core.building.cuda_wheels import Combination
from comfy_env_core.building.engines import BuiltEnvironment
from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.gpu_traces import GpuTraces
from comfy_env_core.building.report import QuietReport
from comfy_env_core.building.verification import verify
from comfy_env_core.environments.store import Store

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the fake engine lays out a POSIX prefix")


class Listening(QuietReport):
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.asked_to_cancel = False

    def log(self, line: str) -> None:
        self.lines.append(line)

    def check(self) -> None:
        if self.asked_to_cancel and self.lines:
            raise BuildError(BuildCause.CANCELLED, "cancelled", "")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_config(tmp_path, "alpha", "beta")


def build(config: Path, engine: FakeEngine) -> BuiltEnvironment:
    plan = make_plan(config)
    workspace = Store(config.parent / "store").environment(plan.environment_id).generation(1)
    workspace.directory.mkdir(parents=True)
    return engine.provision(plan, workspace, QuietReport())


def failure(config: Path, engine: FakeEngine) -> BuildError:
    built = build(config, engine)
    with pytest.raises(BuildError) as caught:
        verify(built, make_plan(config), Listening())
    return caught.value


def test_a_package_that_does_not_import_is_named_with_its_error(config: Path) -> None:
    error = failure(
        config, FakeEngine(break_modules={"beta": "import ctypes\nctypes.CDLL('libabsent.so.1')"})
    )
    assert error.cause is BuildCause.IMPORT_FAILED
    assert "importing 'beta' of 'beta' failed" in error.message
    assert "libabsent.so.1" in error.message
    assert any("beta.py" in line for line in error.tail)
    assert str(config) in error.message
    assert "system library libabsent.so.1" in error.remedy


def test_an_import_that_crashes_the_interpreter_is_blamed_on_the_package(config: Path) -> None:
    error = failure(config, FakeEngine(break_modules={"alpha": "import os\nos.kill(os.getpid(), 11)"}))
    assert error.cause is BuildCause.IMPORT_FAILED
    assert "'alpha'" in error.message
    assert any("signal 11" in line for line in error.tail)
    assert any("alpha.py" in line for line in error.tail), "faulthandler shows where"


def test_cuda_packages_are_not_tried_where_no_driver_is(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = build(config, FakeEngine(break_modules={"beta": "raise ImportError('libcuda.so.1')"}))
    wanted = CudaWheelsWanted(("beta",), Combination((12, 8), (2, 8)), may_move_torch=False)
    plan = dataclasses.replace(make_plan(config), cuda_wheels=wanted)
    monkeypatch.setattr(verification, "find_gpu_traces", lambda: GpuTraces(nvidia_driver=False))
    listening = Listening()
    verify(built, plan, listening)
    assert any("beta: not imported" in line for line in listening.lines)
    monkeypatch.setattr(verification, "find_gpu_traces", lambda: GpuTraces(nvidia_driver=True))
    with pytest.raises(BuildError, match="libcuda"):
        verify(built, plan, Listening())


def test_an_import_that_exits_is_a_failure_too(config: Path) -> None:
    error = failure(config, FakeEngine(break_modules={"alpha": "import sys\nsys.exit(0)"}))
    assert error.cause is BuildCause.IMPORT_FAILED
    assert "SystemExit" in error.message


def test_an_import_that_leaves_by_the_back_door_is_a_failure_too(config: Path) -> None:
    error = failure(config, FakeEngine(break_modules={"beta": "import os\nos._exit(0)"}))
    assert error.cause is BuildCause.IMPORT_FAILED


def test_a_package_that_the_engine_forgot_is_named(config: Path) -> None:
    error = failure(config, FakeEngine(leave_out=frozenset({"beta"})))
    assert error.cause is BuildCause.IMPORT_FAILED
    assert "'beta' is not installed" in error.message


def test_a_missing_interpreter_is_named(config: Path) -> None:
    built = build(config, FakeEngine())
    built.python.unlink()
    with pytest.raises(BuildError, match="there is no interpreter") as caught:
        verify(built, make_plan(config), Listening())
    assert caught.value.cause is BuildCause.NO_PYTHON


def test_an_import_that_hangs_is_stopped(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = build(config, FakeEngine(break_modules={"alpha": "import time\ntime.sleep(60)"}))
    monkeypatch.setattr(verification, "TIMEOUT_S", 1.0)
    with pytest.raises(BuildError) as caught:
        verify(built, make_plan(config), Listening())
    assert caught.value.cause is BuildCause.TIMED_OUT


def test_verification_can_be_cancelled(config: Path) -> None:
    built = build(config, FakeEngine(break_modules={"alpha": "import time\nprint('here')\ntime.sleep(60)"}))
    report = Listening()
    report.asked_to_cancel = True
    started = time.monotonic()
    with pytest.raises(BuildError, match="cancelled"):
        verify(built, make_plan(config), report)
    assert time.monotonic() - started < 5


def test_what_imports_passes_and_is_logged(config: Path) -> None:
    report = Listening()
    verify(build(config, FakeEngine()), make_plan(config), report)
    assert [line.split(" (")[0] for line in report.lines] == [
        "imported alpha",
        "imported beta",
        "imported msgpack",
    ]


def test_neither_the_users_variables_nor_our_own_package_help_an_import(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (config.parent / "helping.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(config.parent))
    code = "import importlib.util as u\nassert not u.find_spec('helping')\nassert not u.find_spec('import_probe')"
    verify(build(config, FakeEngine(break_modules={"alpha": code})), make_plan(config), Listening())


def test_a_module_of_another_name_is_found_by_the_list_of_files(config: Path) -> None:
    plan_config = write_config(config.parent, "pillow")
    built = build(plan_config, FakeEngine())
    (site,) = built.prefix.glob("lib/python*/site-packages")
    (site / "pillow.py").unlink()
    for name in ("PIL", "tests"):
        (site / name).mkdir()
        (site / name / "__init__.py").write_text("assert __name__ == 'PIL'")
    record = site / "pillow-1.0.dist-info" / "RECORD"
    record.write_text("tests/__init__.py,,\nPIL/__init__.py,,\npillow-1.0.dist-info/METADATA,,\n")
    report = Listening()
    verify(built, make_plan(plan_config), report)
    assert report.lines[0].startswith("imported PIL (pillow)")
