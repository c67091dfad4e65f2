"""git, told not to ask anybody anything, and to speak to nothing but the addresses that it is given."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from comfy_env_core.building.commands import Completed, run_logged
from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.report import Phase, Report
from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.config import GITHUB
from comfy_env_core.prerequisites.packs.addresses import Addresses
from comfy_env_core.processes import clean_environment

_TIMEOUT_S = 3600.0
_PROGRESS = re.compile(r"((?:remote: )?[A-Z][a-z ]+): +(\d+)% .*")
# What git in a hook of somebody's would tell its children: another repository than the one that we mean.
_KEPT_VARIABLES = ("GIT_SSL_", "GIT_HTTP_", "GIT_CONFIG_", "GIT_EXEC_PATH", "GIT_PROXY_")


class Git:
    """Runs git. The user's own configuration counts: his proxies, certificates and insteadOf addresses."""

    def __init__(
        self, addresses: Addresses, settings: UserSettings, report: Report, timeout_s: float = _TIMEOUT_S
    ) -> None:
        """Raises BuildError (OTHER_TOOL) where there is no git."""
        program = shutil.which("git")
        if program is None:
            raise BuildError(
                BuildCause.OTHER_TOOL,
                "Fetching a pack from its repository needs git, which is not installed.",
                "Install git (Debian and Ubuntu: `sudo apt-get install git`; macOS: `xcode-select --install`; Windows: "
                "https://git-scm.com), or install the pack with ComfyUI-Manager.",
            )
        self._program = program
        self._report = report
        self._timeout_s = timeout_s
        self._environment = _environment(os.environ, addresses, settings)
        self._options = (
            *("-c", f"core.hooksPath={os.devnull}"),
            *("-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=60"),
            *(("-c", f"url.{addresses.github}.insteadOf={GITHUB}") if addresses.github != GITHUB else ()),
        )

    def run(
        self,
        *arguments: str,
        within: Path | None = None,
        attempts_only: bool = False,
        is_question: bool = False,
    ) -> Completed:
        """Runs one git command. Raises BuildError when it fails, unless it `attempts_only`.

        The answer to a question is for us, and is kept out of the log.
        """
        place = ("-C", str(within)) if within is not None else ()
        done = run_logged(
            (self._program, *self._options, *place, *arguments),
            env=self._environment,
            cwd=None,
            report=self._report,
            timeout_s=self._timeout_s,
            on_line=_ignore if is_question else _teller(self._report),
        )
        if done.returncode and not attempts_only:
            raise BuildError(
                BuildCause.OTHER_TOOL,
                f"`git {' '.join(arguments)}` ended with {done.returncode}.",
                "The last lines are git's own words.",
                tail=done.tail(),
            )
        return done

    def line(self, *arguments: str, within: Path) -> str | None:
        """The only line that a command writes; None if it fails."""
        done = self.run(*arguments, within=within, attempts_only=True, is_question=True)
        return done.lines[0] if done.returncode == 0 and len(done.lines) == 1 else None


def _ignore(line: str) -> None:
    """For answers, which are read when they are complete."""


def _teller(report: Report) -> Callable[[str], None]:
    """Sends the percentage of "Receiving objects:  45% …" to the phase, everything else to the log."""
    doing = ""

    def tell(line: str) -> None:
        nonlocal doing
        match = _PROGRESS.fullmatch(line)
        if match is None:
            report.log(line)
            return
        if match[1] != doing:
            doing = match[1]
            report.phase(Phase.DOWNLOADING, doing)
        report.percent(float(match[2]))

    return tell


def _environment(environ: Mapping[str, str], addresses: Addresses, settings: UserSettings) -> dict[str, str]:
    kept = {
        name: value
        for name, value in environ.items()
        if not name.startswith("GIT_") or name.startswith(_KEPT_VARIABLES)
    }
    extra = {
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "",
        "SSH_ASKPASS": "",
        "GCM_INTERACTIVE": "never",
        "GIT_ALLOW_PROTOCOL": ":".join(addresses.git_schemes),
        "LC_ALL": "C",
    }
    for name, value in settings.proxies.items():
        extra.setdefault(
            name.lower(), kept.get(name.lower()) or value
        )  # curl reads http_proxy in small letters only
    if settings.ca_bundle is not None and not any(name.startswith("GIT_SSL_CA") for name in kept):
        extra["GIT_SSL_CAPATH" if settings.ca_bundle.is_dir() else "GIT_SSL_CAINFO"] = str(settings.ca_bundle)
    return clean_environment(kept, extra)
