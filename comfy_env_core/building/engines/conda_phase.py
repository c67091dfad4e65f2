"""The conda part of an embedded build: channels, requirements in conda's words, and the driver that does the work."""

from __future__ import annotations

import collections
import dataclasses
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from comfy_env_core.building.commands import run_logged
from comfy_env_core.building.engines.conda_failures import explain_driver
from comfy_env_core.building.engines.engine_packages import EngineTools
from comfy_env_core.building.engines.exclude_newer import newest_moment
from comfy_env_core.building.engines.rattler_driver import RECORD
from comfy_env_core.building.engines.version_range import PythonWanted
from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.locks.conda_meta import conda_package
from comfy_env_core.building.locks.model import CondaPackage
from comfy_env_core.building.locks.pixi_lock import pixi_lock_text
from comfy_env_core.building.plan import BuildPlan
from comfy_env_core.building.report import Phase, Report
from comfy_env_core.building.toml_text import toml_string, toml_value
from comfy_env_core.building.user_settings import DEFAULT_INDEX_URL, UserSettings
from comfy_env_core.config import Requirement
from comfy_env_core.environments.store import Store
from comfy_env_core.processes import clean_environment

CHANNEL_ALIAS = "https://conda.anaconda.org"
_TIMEOUT_S = 3600.0
_LINES_KEPT = 40
_DRIVER_PATH = Path(__file__).with_name("rattler_driver.py")
#: What a plain interpreter brings or PyPI offers under the same name: no channel is needed for these.
NOT_WORTH_A_CHANNEL = frozenset({"python", "pip", "setuptools", "wheel"})
#: The keys of pixi's table form, as conda writes them in brackets.
_BRACKET_KEYS = {"file-name": "fn", "build-number": "build_number"}
_PLAIN_KEYS = frozenset(
    {"version", "build", "channel", "subdir", "md5", "sha256", "license", "file-name", "build-number"}
)


def channel_probe_url(channel: str, mirrors: Mapping[str, tuple[str, ...]]) -> str:
    """A small file that every channel has; behind the user's mirror if one stands for this channel."""
    url = channel.rstrip("/") if urlsplit(channel).scheme else f"{CHANNEL_ALIAS}/{channel.strip('/')}"
    for original, replacements in sorted(mirrors.items(), key=lambda item: -len(item[0])):
        stem = original.rstrip("/")
        if replacements and (url == stem or url.startswith(f"{stem}/")):
            url = replacements[0].rstrip("/") + url[len(stem) :]
            break
    return f"{url}/noarch/repodata.json"


def match_spec(name: str, requirement: Requirement) -> str:
    """The requirement as a conda match spec. Raises BuildError(CONFIG) for a package that would have to be built."""
    if isinstance(requirement, str):
        return f"{name} {requirement}"
    if "url" in requirement:
        return str(requirement["url"])
    foreign = sorted(set(requirement) - _PLAIN_KEYS)
    if foreign:
        raise BuildError(
            BuildCause.CONFIG,
            f"Installing the conda package {name!r} failed: {', '.join(foreign)} needs pixi, which cannot be had here.",
            "Install pixi (https://pixi.sh) and build again, or name a released version of the package.",
        )
    pairs = (f'{_BRACKET_KEYS.get(key, key)}="{value}"' for key, value in requirement.items())
    return f"{name}[{', '.join(pairs)}]"


@dataclasses.dataclass(frozen=True)
class CondaPhase:
    """One build's conda part. `directory` holds the request and may be looked into afterwards."""

    plan: BuildPlan
    directory: Path
    tools: EngineTools
    store: Store
    settings: UserSettings
    report: Report

    def install(self, prefix: Path) -> tuple[CondaPackage, ...]:
        """Fills `prefix` with Python and the plan's conda packages. Raises BuildError with its cause."""
        lock = self.plan.lock
        if lock is None or not lock.conda:
            self.report.phase(Phase.RESOLVING, "conda packages")
            return self._run({"prefix": str(prefix)})
        path = self.directory / "conda.lock"
        only_conda = dataclasses.replace(lock, pypi=())
        path.write_text(pixi_lock_text(only_conda, DEFAULT_INDEX_URL), encoding="utf-8")
        return self._run({"prefix": str(prefix), "lock": str(path)})

    def solve(self, offers: Mapping[str, str]) -> tuple[CondaPackage, ...]:
        """What a machine of the plan's platform would get; `offers`: its virtual packages ("__glibc" → version)."""
        self.report.phase(Phase.RESOLVING, f"conda packages for {self.plan.platform.name}")
        return self._run({"virtual_packages": sorted(offers.items())})

    def _run(self, request: Mapping[str, Any]) -> tuple[CondaPackage, ...]:  # Any: JSON, as the driver says
        request_path = self.directory / "conda-request.json"
        content = {**_request(self.plan, self.tools, self.store, self.settings, self.report), **request}
        request_path.write_text(json.dumps(content, indent=1), encoding="utf-8")
        output = DriverOutput(self.report)
        completed = run_logged(
            [sys.executable, "-I", "-B", str(_DRIVER_PATH), str(request_path)],
            env=clean_environment(self.settings.environ, _environment(self.plan, self.store, self.settings)),
            cwd=self.directory,
            report=self.report,
            timeout_s=_TIMEOUT_S,
            on_line=output.take,
        )
        outcome = output.outcome
        if outcome is None or outcome["event"] == "failure":
            mirrors = self.settings.conda_mirrors
            urls = {channel: channel_probe_url(channel, mirrors) for channel in self.plan.channels}
            told = dataclasses.replace(completed, lines=output.told)
            raise explain_driver(
                outcome, told, self.plan, self.directory, self.store, self.settings, self.report, urls
            )
        return tuple(sorted(map(conda_package, outcome["records"]), key=lambda package: package.name))


class DriverOutput:
    """Turns the driver's records into progress and a result; every other line goes to the log."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self.outcome: dict[str, Any] | None = None  # Any: JSON of the driver, shaped as its docstring says
        self._told: collections.deque[str] = collections.deque(maxlen=_LINES_KEPT)

    @property
    def told(self) -> tuple[str, ...]:
        """The last lines that are meant for people."""
        return tuple(self._told)

    def take(self, line: str) -> None:
        """One line, as it comes."""
        if not line.startswith(RECORD):
            self._tell(line)
            return
        record = json.loads(line[len(RECORD) :])
        if record["event"] == "packages":
            self._count(record)
        elif record["event"] == "text":
            self._report.phase(Phase.DOWNLOADING, record["text"])
            self._report.percent(record["percent"])
        else:
            self.outcome = record
            if record["event"] == "failure":
                for text in record["text"].splitlines():
                    self._tell(text)

    def _tell(self, line: str) -> None:
        self._told.append(line)
        self._report.log(line)

    def _count(self, record: dict[str, Any]) -> None:
        if record["done"] == 0:
            self._report.phase(Phase.INSTALLING, "conda packages")
        elif record.get("name"):
            self._report.log(f"linked {record['name']}")
        self._report.packages(record["done"], record["total"])


def _request(
    plan: BuildPlan, tools: EngineTools, store: Store, settings: UserSettings, report: Report
) -> dict[str, Any]:
    wanted = {name: requirement for name, requirement in plan.conda.items() if name != "python"}
    specs = [f"python {PythonWanted(plan.python).conda_spec}"]
    specs += [match_spec(name, requirement) for name, requirement in wanted.items()]
    constraints = plan.passthrough.get("constraints", {})
    workspace_table = {**plan.passthrough.get("project", {}), **plan.passthrough.get("workspace", {})}
    channels = (entry for entry in workspace_table.get("channels", ()) if isinstance(entry, Mapping))
    of_packages = isinstance(plan.passthrough.get("exclude-newer"), Mapping)
    if of_packages or any("exclude-newer" in channel for channel in channels):
        report.log(
            "exclude-newer of single channels and conda packages has no effect here: only pixi knows it"
        )
    newest = newest_moment(plan)
    return {
        "engine_dir": str(tools.directory),
        "channels": list(plan.channels),
        "specs": specs,
        "constraints": [match_spec(name, requirement) for name, requirement in constraints.items()],
        "subdir": plan.platform.name,
        "prefix": None,
        "lock": None,
        "virtual_packages": None,
        "cache_dir": str(store.cache_dir / "conda"),
        "priority": workspace_table.get("channel-priority", "strict"),
        "strategy": workspace_table.get("solve-strategy", "highest"),
        "exclude_newer": newest.isoformat() if newest else None,
        "config_files": [str(path) for path in settings.conda_files],
        "config": _configuration(settings),
    }


def _configuration(settings: UserSettings) -> str:
    """What the user's files do not say, or not alone, as lines of rattler's configuration."""
    lines = []
    if settings.system_certificates or settings.ca_bundle is not None:
        lines.append('tls-root-certs = "system"')
    if settings.conda_mirrors:
        lines.append("[mirrors]")
        lines += [
            f"{toml_string(url)} = {toml_value(list(urls))}" for url, urls in settings.conda_mirrors.items()
        ]
    return "".join(f"{line}\n" for line in lines)


def _environment(plan: BuildPlan, store: Store, settings: UserSettings) -> dict[str, str]:
    """A `cuda` under `[system-requirements]`, or of the plan, promises the solver that driver, as it does in pixi."""
    variables = {**settings.pixi_environment(), "RATTLER_CACHE_DIR": str(store.cache_dir / "conda")}
    cuda = plan.passthrough.get("system-requirements", {}).get("cuda") or plan.cuda_version
    if cuda:
        variables["CONDA_OVERRIDE_CUDA"] = str(cuda)
    return variables
