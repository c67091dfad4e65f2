"""Doctor as a job: what is looked at, and what was found."""

from __future__ import annotations

import os

from api.conftest import MakeStage

from comfy_env_core.api.doctor import Findings
from comfy_env_core.api.schema import check, inline_schema
from comfy_env_core.manager import BuildMode

#: No server answers, at once.
AWAY = {
    "PIP_CONFIG_FILE": os.devnull,
    "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
    "COMFY_ENV_ENGINE": "embedded",
    "COMFY_ENV_TORCH_WHEELS": "http://127.0.0.1:9/torch",
    "COMFY_ENV_CONDA_MIRROR": "http://127.0.0.1:9/conda-forge",
}


def test_doctor_says_what_is_in_the_way_and_what_to_do(make_stage: MakeStage) -> None:
    stage = make_stage(environ=AWAY)
    stage.add_pack("mistaken", "python = 3.10\n")
    stage.open(BuildMode.OFF, prepare=False)
    job = stage.wait_for_job(stage.post("/doctor"), 60)
    assert (job["kind"], job["state"]) == ("doctor", "done"), job
    check(job["result"], inline_schema(Findings))
    found = {finding["subject"]: finding for finding in job["result"]["findings"]}
    assert found["index"]["level"] == "fail" and found["index"]["remedy"]
    assert found["conda"]["level"] == "warn"
    assert "mistaken" in found["files"]["text"]
    assert found["store"]["text"] == str(stage.store.root)
    told = {
        one["text"]
        for event in stage.sent
        if event.event == "comfy-env.changes"
        for one in event.data["jobs"]
    }
    assert told & {"the servers that packages come from", "the engine", "Python interpreters"}
