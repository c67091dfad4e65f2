"""`POST /comfy-env/doctor`: whether builds can succeed on this machine, and what to do about what is in their way."""

from __future__ import annotations

from typing import Literal, TypedDict

from comfy_env_core.api.backend import Backend
from comfy_env_core.api.operation import Ask, Operation
from comfy_env_core.api.work import Accepted, Work
from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.doctor.examination import examine
from comfy_env_core.doctor.finding import Finding
from comfy_env_core.doctor.surroundings import Surroundings
from comfy_env_core.environments.home import user_home
from comfy_env_core.settings.effective import effective


class FindingJson(TypedDict):
    """One thing that was looked at. "warn": works, but not as well as it could; "fail": builds will fail because of it.

    `remedy`: what to do, "" where nothing needs doing.
    """

    subject: str
    level: Literal["ok", "warn", "fail"]
    text: str
    remedy: str


class Findings(TypedDict):
    """The result of the job."""

    findings: list[FindingJson]


def operations(backend: Backend) -> list[Operation]:
    return [
        Operation(
            "POST", "/doctor", Doctor(backend).begin, Accepted, status=202, result=Findings, tag="doctor"
        )
    ]


class Doctor:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def begin(self, ask: Ask) -> Accepted:
        """Looks at packs, Python, GPU, memory, store, settings, engine and the servers that packages come from.

        Asks each of those servers for one small page: a few seconds in all. The job's text says what is looked at; its
        result is `{"findings": [{"subject", "level": "ok" | "warn" | "fail", "text", "remedy"}]}`.
        """
        return self._backend.works.begin("doctor", "", self._examine)

    def _examine(self, work: Work) -> Findings:
        findings: list[FindingJson] = []
        for finding in examine(surroundings_of(self._backend), work.report):
            work.check()
            findings.append(as_json(finding))
        return {"findings": findings}


def surroundings_of(backend: Backend) -> Surroundings:
    """What this ComfyUI knows of itself, with the settings as they are now."""
    manager = backend.manager
    variables = effective(backend.environ, backend.store)
    return Surroundings(
        store=backend.store,
        settings=UserSettings.gather(variables, user_home()),
        scan=manager.scan,
        custom_nodes=manager.custom_nodes,
        comfyui_source=manager.comfyui_source,
    )


def as_json(finding: Finding) -> FindingJson:
    return {
        "subject": finding.subject,
        "level": finding.level.value,
        "text": finding.text,
        "remedy": finding.remedy,
    }
