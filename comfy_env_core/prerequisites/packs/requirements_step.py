"""Python packages that a fetched pack wants in ComfyUI's own Python.

We never install into that Python. ComfyUI-Manager does, by its own rules; where it is not there, the commands are told.
Sources: cm-cli of ComfyUI-Manager (`post-install PATH`; cm-cli.py up to version 3, the module cm_cli from version 4).
"""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from comfy_env_core.building.commands import run_logged
from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.report import Phase, Report

_TIMEOUT_S = 3600.0


@dataclasses.dataclass(frozen=True)
class RequirementsStep:
    """What is left to do for a pack. `is_by_manager`: ComfyUI-Manager's installer does it, and `run` may be called."""

    argv: tuple[tuple[str, ...], ...]
    variables: Mapping[str, str]
    directory: Path
    is_by_manager: bool

    def shell_lines(self) -> tuple[str, ...]:
        """As one types it, in `directory`."""
        if os.name == "nt":
            settings = [f'set "{name}={value}"' for name, value in self.variables.items()]
            return (*settings, *(subprocess.list2cmdline(command) for command in self.argv))
        words = [f"{name}={shlex.quote(value)}" for name, value in self.variables.items()]
        return tuple(" ".join([*words, shlex.join(command)]) for command in self.argv)

    def run(self, report: Report) -> None:
        """Lets ComfyUI-Manager install. Raises BuildError when it fails, ValueError if it is not there."""
        if not self.is_by_manager:
            raise ValueError(f"Without ComfyUI-Manager, {self.argv!r} is for the user to run.")
        for command in self.argv:
            report.phase(Phase.INSTALLING, f"ComfyUI-Manager installs for {self.directory.name}")
            # The whole environment: what the user set for pip is meant for the Manager too.
            done = run_logged(
                command,
                env={**os.environ, **self.variables},
                cwd=self.directory,
                report=report,
                timeout_s=_TIMEOUT_S,
            )
            if done.returncode:
                raise BuildError(
                    BuildCause.OTHER_TOOL,
                    f"ComfyUI-Manager could not install what {self.directory.name!r} needs: {command[0]!r} ended with "
                    f"{done.returncode}.",
                    f"Type it yourself to see more: {' && '.join(self.shell_lines())}",
                    tail=done.tail(),
                )


def requirements_step(
    pack: Path, comfyui_source: Path | None, python: str = sys.executable
) -> RequirementsStep | None:
    """What is left to do for the pack, None if it asks for nothing."""
    wanted: list[tuple[str, ...]] = []
    if _asks_for_packages(pack / "requirements.txt"):
        wanted.append((python, "-m", "pip", "install", "-r", "requirements.txt"))
    if (pack / "install.py").is_file():
        wanted.append((python, "install.py"))
    if not wanted:
        return None
    manager = _manager(pack.parent, comfyui_source, python)
    if manager is None or comfyui_source is None:
        return RequirementsStep(tuple(wanted), {}, pack, is_by_manager=False)
    command = (*manager, "post-install", str(pack))
    return RequirementsStep((command,), {"COMFYUI_PATH": str(comfyui_source)}, pack, is_by_manager=True)


def _asks_for_packages(path: Path) -> bool:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    stripped = (line.strip() for line in lines)
    # A pack that is isolated has nothing but comfy-env there, whose work is ours.
    return any(line and not line.startswith(("#", "comfy-env", "comfy_env")) for line in stripped)


def _manager(custom_nodes: Path, comfyui_source: Path | None, python: str) -> tuple[str, ...] | None:
    """The beginning of ComfyUI-Manager's command line."""
    if comfyui_source is None:  # it starts from ComfyUI's own code
        return None
    for path in sorted(custom_nodes.glob("*/cm-cli.py")):
        if not path.parent.name.endswith(".disabled"):
            return (python, str(path))
    if importlib.util.find_spec("cm_cli") is not None:
        return (python, "-m", "cm_cli")
    return None
