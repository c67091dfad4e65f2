"""A machine for examples: a home with a ComfyUI whose packs are those of a page, a store, and no network."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import io
import logging
import os
import shlex
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgpack
import pytest

from comfy_env_core import assembly
from comfy_env_core.building.engines.contract import BuiltEnvironment, Package
from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.job_snapshot import JobSnapshot
from comfy_env_core.building.jobs import Builder
from comfy_env_core.building.plan import BuildPlan
from comfy_env_core.building.report import Phase, Report
from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.cli import custom_nodes, install, program
from comfy_env_core.environments.store import Store, Workspace
from docs.pages import REPOSITORY

_MODULE = ["python", "-m", "comfy_env_core"]
_LOGGER = "comfy-env"
#: Nobody answers there.
_NOWHERE = "http://127.0.0.1:9"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """`text`: what a terminal shows, the directory of the stage written as "~"."""

    text: str
    exit_code: int


class StageEngine:
    """Makes a venv that sees the packages of the Python that runs the tests: nothing is downloaded."""

    name = "embedded"
    version = "py-rattler 0.28.0, uv 0.13.9"

    def provision(self, plan: BuildPlan, workspace: Workspace, report: Report) -> BuiltEnvironment:
        for name in plan.pypi:
            _version_here(name)
        report.phase(Phase.INSTALLING, f"{len(plan.pypi)} PyPI packages")
        venv.EnvBuilder(symlinks=True).create(workspace.prefix)
        (site_packages,) = workspace.prefix.glob("lib/python*/site-packages")
        (site_packages / "stage.pth").write_text(str(Path(msgpack.__file__).parents[1]))
        report.packages(len(plan.pypi), len(plan.pypi))
        packages = tuple(Package(name, _version_here(name), "pypi") for name in sorted(plan.pypi))
        python = "{}.{}.{}".format(*sys.version_info)
        return BuiltEnvironment(workspace.prefix, workspace.python, python, self.name, self.version, packages)

    def forget(self, names: Sequence[str], report: Report) -> None:
        """It keeps no copies of packages."""


def _version_here(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        raise BuildError(BuildCause.NO_SUCH_PACKAGE, f"There is no package {name!r}.") from None


class Stage:
    """`directory` is empty. A stage is used by one thread at a time: it is this process that commands run in."""

    def __init__(self, directory: Path) -> None:
        self.home = directory
        self.custom_nodes = directory / "ComfyUI" / "custom_nodes"
        self.custom_nodes.mkdir(parents=True)

    def write(self, name: str, text: str) -> None:
        """`name`: below custom_nodes."""
        path = self.custom_nodes / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def run(self, command: str) -> Outcome:
        """Raises ValueError for a command that stages do not know."""
        words = shlex.split(command)
        if words[:4] == [*_MODULE, "run"]:
            outcome = self._in_a_process([*words[1:4], "--custom-nodes", str(self.custom_nodes), *words[4:]])
        elif words[:3] == _MODULE:
            outcome = self._here(lambda: program.main(words[3:]))
        elif words[:2] == ["python", "install.py"]:
            outcome = self._here(lambda: install.main([*words[2:], str(self.custom_nodes)]))
        else:
            raise ValueError(f"{command!r}: known are `{' '.join(_MODULE)}` and `python install.py`")
        return dataclasses.replace(outcome, text=outcome.text.replace(str(self.home), "~"))

    @property
    def _environ(self) -> Mapping[str, str]:
        return {
            "HOME": str(self.home),
            "PATH": "/usr/bin:/bin",
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_INDEX_URL": _NOWHERE,
            "COMFY_ENV_CONDA_MIRROR": _NOWHERE,
            "COMFY_ENV_TORCH_WHEELS": _NOWHERE,
            "COMFY_ENV_GITHUB_MIRROR": _NOWHERE,
        }

    def _in_a_process(self, arguments: list[str]) -> Outcome:
        """For what takes the place of the process."""
        completed = subprocess.run(
            [sys.executable, *arguments],
            env={**self._environ, "PYTHONPATH": str(REPOSITORY)},
            cwd=self.custom_nodes,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        return Outcome(completed.stdout, completed.returncode)

    def _here(self, call: Callable[[], int]) -> Outcome:
        """In this process: starting one takes most of a command's time."""
        screen = io.StringIO()
        with self.entered(), _shown(screen):
            try:
                exit_code = call()
            except SystemExit as ended:  # what argparse does
                exit_code = int(ended.code or 0)
        return Outcome(screen.getvalue(), exit_code)

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """This process as a user of the stage would have started it."""
        with pytest.MonkeyPatch.context() as patch:
            for name in os.environ:
                if name.startswith(("COMFY", "PIP_", "UV_", "PIXI_", "CONDA_")) or name.lower().endswith(
                    "_proxy"
                ):
                    patch.delenv(name)
            for name, value in self._environ.items():
                patch.setenv(name, value)
            patch.delenv("PWD", raising=False)
            patch.chdir(self.custom_nodes)
            patch.setattr(sys, "argv", ["-m"])
            patch.setattr(assembly, "_make_builder", _make_builder)
            # Where users have it. It may be where it is, or be tested in a custom_nodes of its own.
            patch.setattr(custom_nodes, "_PACK_ROOT", self.custom_nodes / "comfy-env-manager")
            yield


def _make_builder(store: Store, settings: UserSettings, tell: Callable[[JobSnapshot], None]) -> Builder:
    return Builder(store, lambda report: StageEngine(), [tell])


@contextlib.contextmanager
def _shown(screen: io.StringIO) -> Iterator[None]:
    """Results, log lines and progress on one screen, as in a terminal."""
    logger = logging.getLogger(_LOGGER)
    handler = logging.StreamHandler(screen)
    handler.setFormatter(logging.Formatter("%(message)s"))
    level, propagates = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        with contextlib.redirect_stdout(screen), contextlib.redirect_stderr(screen):
            yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagates
