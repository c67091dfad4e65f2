"""The routes of logs, of builds and of workers."""

from __future__ import annotations

import threading
import urllib.parse
from pathlib import Path
from typing import Any

import pytest
from api.conftest import MakeStage
from api.stage import NODE, Stage
from patience import PATIENCE_S, eventually

from comfy_env_core.api.following import LEASE_S
from comfy_env_core.api.log_file import LogPage
from comfy_env_core.api.logs import Following
from comfy_env_core.api.schema import check, schema_of
from host.events import Event, EventStream

SITE = "pack/nodes/mesh"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A pack whose nodes are in a directory of their own, built and run once."""
    with Stage(tmp_path_factory.mktemp("logs")) as stage:
        pack = stage.custom_nodes / "pack"
        stage.add_pack(
            "pack", files={"nodes/mesh/__init__.py": NODE, "nodes/mesh/comfy-env.toml": "# mesh\n"}
        )
        (pack / "comfy-env.toml").unlink()
        (pack / "__init__.py").write_text("")
        stage.add_course("mesh", lines=50)
        stage.open()
        assert stage.manager.wait(PATIENCE_S)
        stage.run_node(SITE)
        yield stage


def build_log(stage: Stage, query: str = "") -> str:
    (site,) = stage.get("/status")["sites"]
    return f"/comfy-env/environments/{site['environment_id']}/log{query}"


def worker_log(query: str = "") -> str:
    return f"/comfy-env/workers/{urllib.parse.quote(SITE, safe='')}/log{query}"


def code(answer: Any) -> tuple[int, str]:
    return answer.status, answer.json["error"]["code"]


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_logs_of_what_is_unknown(built: Stage, method: str) -> None:
    path = "/log" if method == "GET" else "/log/follow"
    body = None if method == "GET" else {"client_id": "page"}
    for where, refusal in (
        ("environments/0123abcd", "unknown_environment"),
        ("workers/other", "unknown_site"),
    ):
        assert code(built.request(method, f"/comfy-env/{where}{path}", body)) == (404, refusal)


def test_a_log_that_was_never_written(built: Stage) -> None:
    for path in (build_log(built, "?build=1"), worker_log("?build=2")):
        answer = built.request("GET", path)
        assert code(answer) == (404, "no_log")
        assert "There is no '" in answer.json["error"]["message"]


def test_a_log_that_may_not_be_read(built: Stage) -> None:
    older = built.manager.workers.log_path(built.manager.sites[SITE])
    older = older.with_name(older.name + ".1")
    older.mkdir()
    try:
        assert code(built.request("GET", worker_log("?build=1"))) == (507, "disk")
    finally:
        older.rmdir()


@pytest.mark.parametrize(
    "query",
    [
        "?tail=0",
        "?tail=20001",
        "?from=-1",
        "?limit=0",
        "?limit=1048577",
        "?build=3",
        "?tail=5&from=0",
        "?tail=x",
    ],
)
def test_questions_out_of_bounds(built: Stage, query: str) -> None:
    assert code(built.request("GET", build_log(built, query))) == (400, "bad_request")


def test_nobody_follows_without_being_connected(built: Stage) -> None:
    answer = built.request("POST", worker_log("/follow"), {"client_id": "nobody"})
    assert code(answer) == (409, "not_possible")
    assert "clientId" in answer.json["error"]["remedy"]
    assert built.request("DELETE", worker_log("/follow"), {"client_id": "nobody"}).json == {}


@pytest.mark.parametrize("body", [{}, {"client_id": ""}, {"client_id": "x" * 201}, {"client_id": 7}])
def test_a_follower_says_who_it_is(built: Stage, body: Any) -> None:
    assert code(built.request("POST", worker_log("/follow"), body)) == (400, "bad_request")


# --- what is answered ------------------------------------------------------------------------------------------------


def test_the_log_of_a_build_from_both_ends(built: Stage) -> None:
    whole = built.request("GET", build_log(built, "?from=0&limit=1000000")).json
    check(whole, schema_of(LogPage))
    assert whole["text"].startswith("# comfy-env manager") and "line 50 of 50" in whole["text"]
    assert (whole["start"], whole["end"]) == (0, whole["size"])
    last = built.request("GET", build_log(built, "?tail=2")).json
    assert whole["text"].endswith(last["text"]) and last["text"].count("\n") == 2
    assert last["log"] == whole["log"]
    assert built.request("GET", build_log(built)).json == whole, "the last thousand lines"


def test_the_log_of_a_worker_of_a_site_below_a_pack(built: Stage) -> None:
    assert eventually(lambda: "echoes hello" in built.request("GET", worker_log()).json["text"])
    check(built.request("GET", worker_log()).json, schema_of(LogPage))


def test_a_build_is_followed_from_its_first_line_to_its_last(make_stage: MakeStage) -> None:
    stage = make_stage()
    stage.add_pack("mesh", "# followed\n")
    gate = threading.Event()
    stage.add_course("mesh", lines=200, gate=gate)
    stage.open(workers=False, prepare=False)
    stage.manager.prepare()
    stage.wait_for_event(
        "comfy-env.changes", lambda data: any(b["phase"] == "installing" for b in data["builds"])
    )
    with EventStream(stage.url) as events:
        position = stage.request("POST", build_log(stage, "/follow"), {"client_id": events.client_id}).json
        check(position, schema_of(Following))
        assert position["lease_s"] == LEASE_S
        before = stage.request("GET", build_log(stage, f"?from=0&limit={position['end'] or 1}")).json
        gate.set()
        events.wait_for(lambda event: "done after" in event.data.get("text", ""), 30)
        told = events.received("comfy-env.log")
    assert all(event.data["source"]["kind"] == "environment" for event in told)
    assert [event.data["start"] for event in told] == [position["end"], *(ended(one) for one in told[:-1])]
    path = Path(stage.get("/status")["builds"][0]["log_path"])
    text = before["text"] if position["end"] else ""
    assert text + "".join(event.data["text"] for event in told) == path.read_text()


def ended(event: Event) -> int:
    end: int = event.data["end"]
    return end


def test_a_worker_is_followed_until_its_client_leaves(built: Stage) -> None:
    with EventStream(built.url) as events:
        body = {"client_id": events.client_id}
        assert built.request("POST", worker_log("/follow"), body).status == 200
        built.run_node(SITE, "while it is followed")
        events.wait_for(lambda event: "while it is followed" in event.data.get("text", ""), 10)
        assert built.request("DELETE", worker_log("/follow"), body).json == {}
        built.run_node(SITE, "unheard")
        assert eventually(lambda: "unheard" in built.request("GET", worker_log("?tail=1")).json["text"])
        assert built.request("POST", worker_log("/follow"), body).status == 200
        built.run_node(SITE, "heard again")
        events.wait_for(lambda event: "heard again" in event.data.get("text", ""), 10)
        assert not any("unheard" in event.data.get("text", "") for event in events.received())
