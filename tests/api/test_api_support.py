"""The support bundle of a server whose every part tells who its user is."""

from __future__ import annotations

import getpass
import io
import json
import os
import socket
import zipfile
from pathlib import Path
from typing import Any

import pytest
from api.conftest import MakeStage
from api.stage import Stage
from patience import PATIENCE_S
from support.test_support_redaction import told

from comfy_env_core.api.backend import HostFacts

AWAY = {
    "PIP_CONFIG_FILE": os.devnull,
    "COMFY_ENV_ENGINE": "embedded",
    "COMFY_ENV_TORCH_WHEELS": "http://127.0.0.1:9/torch",
    "COMFY_ENV_CONDA_MIRROR": "http://127.0.0.1:9/conda-forge",
}
TOLD = {
    "name": "zqwendel",
    "full name": "Wendel Zqünther",
    "host": "zqtower",
    "password": "zq-Passw0rd!1",
    "key": "hf_zqABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "value of a variable": "zq moon project",
    "secret variable": "zqsesameopen",
    "address": "203.0.113.77",
    "mail": "zq.wendel@zqmail.example",
}
LINES = f"""\
collecting from https://zqwendel:{TOLD["password"]}@index.example/simple
{json.dumps({"home": "/home/zqwendel/x", "token": TOLD["password"], "who": TOLD["full name"]})}
HF_TOKEN={TOLD["key"]} file:///home/zqwendel/a%20b C:\\\\Users\\\\zqwendel\\\\AppData
zqwendel@zqtower:~$ ssh {TOLD["address"]} # {TOLD["mail"]} {TOLD["secret variable"]}
"""


@pytest.fixture
def stage(make_stage: MakeStage, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setattr(getpass, "getuser", lambda: TOLD["name"])
    monkeypatch.setattr(socket, "gethostname", lambda: TOLD["host"])
    stage = make_stage(
        environ={
            **AWAY,
            "USER": TOLD["name"],
            "USERNAME": TOLD["full name"],
            "PIP_INDEX_URL": f"http://zqwendel:{TOLD['password']}@127.0.0.1:9/simple",
            "PROJECT": TOLD["value of a variable"],
            "ZQ_TOKEN": TOLD["secret variable"],
        },
        facts=HostFacts("0.3.75", recent_log=lambda: LINES),
    )
    stage.add_pack("zqwendel-nodes", f'# by {TOLD["mail"]}\n[env_vars]\nAPI_KEY = "{TOLD["password"]}"\n')
    stage.add_pack("mistaken", f"python = 3.10  # {TOLD['full name']}\n")
    stage.open()
    assert stage.manager.wait(PATIENCE_S)
    return stage


def bundle(stage: Stage) -> dict[str, str]:
    answer = stage.request("GET", "/comfy-env/support-bundle", timeout_s=60)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/zip"), answer.content[:300]
    assert answer.headers["content-disposition"].startswith('attachment; filename="comfy-env-support-')
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name).decode("utf-8") for name in archive.namelist()}


def test_nothing_in_the_bundle_tells_who_it_comes_from(stage: Stage, tmp_path: Path) -> None:
    for environment in stage.store.environments():
        for name in ("install.log", "install.log.1"):
            (environment.directory / name).write_text(LINES)
    stage.store.logs_dir.mkdir(exist_ok=True)
    (stage.store.logs_dir / "zqwendel-nodes.log").write_bytes(LINES.encode() + LINES.encode("utf-16-le"))
    stage.store.settings_path.write_text(json.dumps({"zq": LINES}))
    files = bundle(stage)
    for name, text in files.items():
        assert told(TOLD.values(), name) == []
        assert told(TOLD.values(), text, most=12) == [], name
        assert str(tmp_path) not in text, (name, text)
    assert {"workers/_user_-nodes.log.txt", "comfyui.log.txt", "settings-file.txt"} <= set(files)


def test_everything_that_explains_a_failure_is_in_it(stage: Stage) -> None:
    files = bundle(stage)
    summary, status = files["summary.txt"], json.loads(files["status.json"])
    assert "2 isolated: 1 failed, 1 ready" in summary and "ComfyUI            0.3.75" in summary
    assert '"3.10"' in summary and "fail index" in summary
    assert {site["state"] for site in status["sites"]} == {"failed", "ready"}
    assert status["store"]["root"] == "<store>"
    assert any(finding["level"] == "fail" for finding in json.loads(files["doctor.json"]))
    (environment,) = [name for name in files if name.endswith("packages.json")]
    assert json.loads(files[environment])["state"] == "done"
    assert environment.replace("packages.json", "install.log.txt") in files
    assert files["packs/mistaken/comfy-env.toml"].startswith("python = 3.10")
    assert (
        "COMFY_ENV_ENGINE=embedded" in files["variables.txt"] and "PROJECT is set" in files["variables.txt"]
    )
    assert json.loads(files["versions.json"])["ComfyUI"] == "0.3.75"
    assert not [name for name, text in files.items() if "could not be gathered" in text]


def test_one_part_that_fails_costs_no_other(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any) -> Any:
        raise RuntimeError("zqwendel broke it")

    monkeypatch.setattr("comfy_env_core.api.support.versions", fail)
    files = bundle(stage)
    assert "RuntimeError: <user> broke it" in files["versions.json"]
    assert json.loads(files["status.json"])["sites"]
