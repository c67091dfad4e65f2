"""What a terminal shows of builds and sites: every step once, a heartbeat, few lines for a quiet start."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import pytest

from comfy_env_core.building.job_snapshot import JobSnapshot
from comfy_env_core.building.report import Phase
from comfy_env_core.environments.states import EnvironmentState, SiteState
from comfy_env_core.narration import HEARTBEAT_S, Narrator
from comfy_env_core.sites.failure import SiteFailure
from comfy_env_core.sites.status import SiteStatus

JOB = JobSnapshot(
    id="job",
    environment_id="0123abcd",
    state=EnvironmentState.BUILDING,
    phase=None,
    text="",
    packages_done=0,
    packages_total=0,
    started_at=0.0,
    elapsed_s=0.0,
    error=None,
    log_path=Path("install.log"),
)
SITE = SiteStatus(
    "pack", "pack", SiteState.BUILDING, None, None, "0123abcd", (), None, Path("comfy-env.toml")
)


@pytest.fixture
def narrator(caplog: pytest.LogCaptureFixture) -> Narrator:
    caplog.set_level(logging.INFO)
    return Narrator(logging.getLogger("narration-test"), lambda environment_id: "one, two")


def at(elapsed_s: float, phase: Phase = Phase.INSTALLING, done: int = 0, total: int = 0) -> JobSnapshot:
    return dataclasses.replace(
        JOB, phase=phase, elapsed_s=elapsed_s, packages_done=done, packages_total=total, text="wheels"
    )


def test_a_build_is_told_with_its_packs_its_log_and_then_each_phase(
    narrator: Narrator, caplog: pytest.LogCaptureFixture
) -> None:
    narrator.on_job(JOB)
    narrator.on_job(at(1, Phase.RESOLVING))
    narrator.on_job(at(2, done=3, total=7))
    assert caplog.messages == [
        "one, two: building its environment 0123abcd; log: install.log",
        "one, two: resolving: wheels, 1 s",
        "one, two: installing: wheels, 3 of 7 packages, 2 s",
    ]


def test_a_long_phase_is_told_again_only_after_the_heartbeat(
    narrator: Narrator, caplog: pytest.LogCaptureFixture
) -> None:
    narrator.on_job(JOB)
    for elapsed_s in (1.0, 2.0, 1.0 + HEARTBEAT_S, 2.0 + HEARTBEAT_S):
        narrator.on_job(at(elapsed_s))
    assert len(caplog.messages) == 3


def test_a_pack_that_is_ready_from_the_start_is_not_told(
    narrator: Narrator, caplog: pytest.LogCaptureFixture
) -> None:
    narrator.on_site(dataclasses.replace(SITE, state=SiteState.READY))
    assert caplog.messages == []


def test_a_pack_that_becomes_ready_is_told_once_with_its_nodes(
    narrator: Narrator, caplog: pytest.LogCaptureFixture
) -> None:
    narrator.on_site(SITE)
    for _ in range(2):
        narrator.on_site(dataclasses.replace(SITE, state=SiteState.READY, nodes=("A",)))
    assert caplog.messages == ["pack: ready, 1 node (environment 0123abcd)"]


def test_a_failure_is_an_error_with_cause_remedy_and_log(
    narrator: Narrator, caplog: pytest.LogCaptureFixture
) -> None:
    failure = SiteFailure("network", "No answer.", "Try again.", Path("install.log"))
    narrator.on_site(dataclasses.replace(SITE, state=SiteState.FAILED, failure=failure))
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage() == "pack: failed. No answer. Try again. Log: install.log"


def test_packages_that_were_left_out_for_want_of_a_gpu_are_told_with_the_site(
    narrator: Narrator, caplog: pytest.LogCaptureFixture
) -> None:
    narrator.on_site(SITE)
    ready = dataclasses.replace(SITE, state=SiteState.READY, left_out=("flash-attn", "gsplat"))
    narrator.on_site(ready)
    assert "flash-attn, gsplat left out: no NVIDIA GPU was found" in caplog.messages[-1]
    assert ready.as_json()["left_out"] == ["flash-attn", "gsplat"]
