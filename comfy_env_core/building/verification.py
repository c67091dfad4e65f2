"""Done means verified: the environment's own interpreter starts and imports what the file asked for."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comfy_env_core.building.commands import Completed, run_logged
from comfy_env_core.building.engines.integrity import changed_distributions
from comfy_env_core.building.errors import BuildCause, BuildError, DamagedFiles
from comfy_env_core.building.gpu_traces import find_gpu_traces
from comfy_env_core.building.plan import BuildPlan
from comfy_env_core.building.report import Phase, QuietReport, Report
from comfy_env_core.building.requirements import normalised_name
from comfy_env_core.building.system_libraries import library_remedy, missing_library
from comfy_env_core.processes import clean_environment

if TYPE_CHECKING:
    from comfy_env_core.building.engines.contract import BuiltEnvironment

TIMEOUT_S = 120.0
_PROBE = Path(__file__).with_name("import_probe.py")

#: Added by us and worth trying: without msgpack no worker starts, and torch most often arrives in a wrong build.
_ALSO_TRIED = ("msgpack", "torch")


def verify(built: BuiltEnvironment, plan: BuildPlan, report: Report) -> None:
    """Returns when everything that the file asked for imports.

    Raises BuildError: IMPORT_FAILED naming the package, the module and the error; NO_PYTHON when the interpreter is
    missing or is not the version planned; DamagedFiles; TIMED_OUT after 120 s; CANCELLED.
    """
    names = _names(plan)
    untried = _wanting_a_gpu(plan)
    if untried:
        report.log(f"{', '.join(untried)}: not imported, because no NVIDIA driver is loaded here")
    if not built.python.exists():
        raise BuildError(
            BuildCause.NO_PYTHON,
            f"The engine {built.engine!r} reported success, but there is no interpreter at {str(built.python)!r}.",
            "Build again; if it happens again, report it with the log.",
        )
    report.phase(Phase.VERIFYING, f"importing {len(names)} packages")
    outcomes: dict[str, dict[str, Any]] = {}  # Any: the records described in import_probe.py
    last: dict[str, Any] = {}

    def on_line(line: str) -> None:
        record = _record(line)
        if record is None:
            report.log(line)
            return
        last.clear()
        last.update(record)
        if "outcome" in record:
            outcomes[record["name"]] = record
            report.log(_describe(record))
            report.packages(len(outcomes), len(names))

    # -I: neither the directory of the probe nor the user's site-packages may help an import. -u: see prints at once.
    argv: list[str | Path] = [built.python, "-I", "-u", _PROBE, json.dumps(names)]
    env = probe_environment(built.prefix, plan.env_vars)
    completed = run_logged(
        argv, env=env, cwd=built.prefix, report=report, timeout_s=TIMEOUT_S, on_line=on_line
    )
    try:
        _check(completed, outcomes, last, plan, built)
    except BuildError as error:
        changed = changed_distributions(built.prefix) if error.cause is BuildCause.IMPORT_FAILED else ()
        if not changed:
            raise
        report.log(error.message)
        text = (
            f"Importing failed because the files of {', '.join(changed)} are not those that were published."
        )
        raise DamagedFiles(changed, text, error.tail) from error


def try_package(python: Path, prefix: Path, name: str) -> str | None:
    """Why a package of an environment does not import; None if it does, or has nothing to import.

    Raises BuildError (TIMED_OUT, INTERNAL) when the interpreter does not end or does not start.
    """
    argv: list[str | Path] = [python, "-I", "-u", _PROBE, json.dumps([name])]
    completed = run_logged(
        argv, env=probe_environment(prefix, {}), cwd=prefix, report=QuietReport(), timeout_s=TIMEOUT_S
    )
    outcomes = [record for line in completed.lines if (record := _record(line)) and "outcome" in record]
    if not outcomes:
        return "\n".join(
            [f"the interpreter ended with {_exit_name(completed.returncode)}", *completed.tail(3)]
        )
    if outcomes[-1]["outcome"] != "failed":
        return None
    lines = str(outcomes[-1]["error"]).strip().splitlines()
    return lines[-1] if lines else "no message"


def probe_environment(prefix: Path, env_vars: Mapping[str, str]) -> dict[str, str]:
    """As a worker sees it: the prefix's programs and libraries first, the user's tool settings not at all."""
    folders = ("", "Library/bin", "Scripts") if sys.platform == "win32" else ("bin",)
    path = os.pathsep.join([*(str(prefix / folder) for folder in folders), os.environ.get("PATH", "")])
    activation = {"PATH": path, "CONDA_PREFIX": str(prefix), "PYTHONNOUSERSITE": "1", "PYTHONUTF8": "1"}
    return clean_environment(os.environ, {**activation, **env_vars})


def _names(plan: BuildPlan) -> list[str]:
    wanted = {normalised_name(name): name for name in plan.requested}
    added = {normalised_name(name): name for name in plan.pypi if normalised_name(name) in _ALSO_TRIED}
    untried = _wanting_a_gpu(plan)
    return [name for name in {**wanted, **added}.values() if name not in untried]


def _wanting_a_gpu(plan: BuildPlan) -> tuple[str, ...]:
    """Packages of the CUDA index where no driver is: COMFY_ENV_CUDA_VERSION demanded them, for use elsewhere."""
    if plan.cuda_wheels is None or find_gpu_traces().nvidia_driver:
        return ()
    return plan.cuda_wheels.names


def _record(line: str) -> dict[str, Any] | None:
    """The probe marks its own lines with "@"; whatever else an imported module prints is just output."""
    if not line.startswith("@{"):
        return None
    try:
        record = json.loads(line[1:])
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _describe(record: Mapping[str, Any]) -> str:
    if record["outcome"] == "imported":
        return f"imported {record['module']} ({record['name']}) in {record['seconds']} s"
    if record["outcome"] == "failed":
        return f"importing {record['module']} ({record['name']}) failed:\n{record['error']}"
    return f"{record['name']}: {record['outcome']}, nothing to import"


def _check(
    completed: Completed,
    outcomes: Mapping[str, Mapping[str, Any]],
    last: Mapping[str, Any],
    plan: BuildPlan,
    built: BuiltEnvironment,
) -> None:
    """Raises for the first thing that is wrong."""
    failed = next((record for record in outcomes.values() if record["outcome"] == "failed"), None)
    if failed is not None:
        raise _import_failed(failed["name"], failed["module"], str(failed["error"]).strip(), plan)
    if completed.returncode != 0 and "trying" in last:
        how = f"the interpreter ended with {_exit_name(completed.returncode)}"
        raise _import_failed(last["trying"], last["module"], "\n".join([how, *completed.tail(20)]), plan)
    if completed.returncode != 0 or not outcomes.keys() >= set(_names(plan)):
        raise BuildError(
            BuildCause.IMPORT_FAILED,
            f"The interpreter {str(built.python)!r} did not get through its first start: it ended with "
            f"{_exit_name(completed.returncode)}.",
            "See the last lines of the log; build again.",
            tail=completed.tail(),
        )
    missing = [name for name in plan.pypi if outcomes.get(name, {}).get("outcome") == "not Python"]
    if missing:
        raise BuildError(
            BuildCause.IMPORT_FAILED,
            f"The engine {built.engine!r} reported success, but {', '.join(map(repr, missing))} is not installed.",
            "Build again; if it happens again, report it with the log.",
        )


def _import_failed(name: str, module: str, error: str, plan: BuildPlan) -> BuildError:
    lines = tuple(line for line in error.splitlines() if line.strip())
    reason = lines[-1] if lines else "no message"
    library = missing_library(reason)
    return BuildError(
        BuildCause.IMPORT_FAILED,
        f"Everything that {str(plan.spec.path)!r} asks for was installed, but importing {module!r} of {name!r} failed: "
        f"{reason}.",
        library_remedy(library) if library else None,
        tail=lines[-20:],
    )


def _exit_name(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
