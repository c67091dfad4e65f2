"""The document's word against the server's: schemathesis asks everything that the document allows, and much that it
does not, of a real server over environments that may be built, rolled back and deleted at will."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

import pytest
import schemathesis
from api.stage import Stage
from hypothesis import HealthCheck, Phase, assume, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from jsonschema import Draft202012Validator
from patience import PATIENCE_S
from schemathesis import Case, GenerationMode
from schemathesis.core.failures import FailureGroup

#: Of each operation and each mode; each may rebuild an environment.
EXAMPLES = 5
#: They ask the network, and tests of their own run them.
NOT_ASKED = {("POST", "/comfy-env/doctor"), ("GET", "/comfy-env/support-bundle")}
#: Of those that begin a job and want to be told what.
BODIES: Mapping[str, Any] = {
    "/comfy-env/build": {"sites": ["whole"]},
    "/comfy-env/rebuild": {"sites": ["whole"]},
    "/comfy-env/gc": {"caches": False},
}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Stage(tmp_path_factory.mktemp("contract")) as opened:
        opened.add_ready_packs(3)
        opened.add_pack(
            "whole", None, {"nodes/mesh/comfy-env.toml": "# inner\n", "nodes/mesh/__init__.py": ""}
        )
        opened.add_pack("mistaken", "python = 3.10\n")
        opened.open()
        assert opened.manager.wait(PATIENCE_S)
        yield opened


@pytest.fixture(scope="module")
def ids(stage: Stage) -> Mapping[str, list[str]]:
    """What is really there, by the names that paths have for it; what works is first."""
    sites = sorted(stage.get("/status")["sites"], key=lambda site: site["state"] != "ready")
    return {
        "site": [site["id"] for site in sites],
        "pack": list(dict.fromkeys(site["pack"] for site in sites)),
        "environment_id": [site["environment_id"] for site in sites if site["environment_id"]],
        "job_id": [stage.post("/build", {"sites": ["whole"]})["job"]["id"]],
    }


@pytest.fixture(scope="module")
def operations(stage: Stage) -> list[Any]:
    """Schemathesis's, those that delete at the end; Any: it has no public name for their type."""
    # A text of a million characters is one that nothing here allows, too.
    refusals = {"negative_data_rejection": {"expected-statuses": [400, 404, 413]}}
    config = schemathesis.Config.from_dict({"checks": refusals})
    schema = schemathesis.openapi.from_dict(stage.get("/openapi.json"), config=config)
    found = [result.ok() for result in schema.get_all_operations()]
    return sorted(found, key=lambda operation: operation.method.upper() == "DELETE")


def ask(stage: Stage, strategy: st.SearchStrategy[Case], look: Callable[[Case, Any], None]) -> list[str]:
    """What schemathesis and `look` find wrong with the answers."""
    wrong: list[str] = []

    @seed(1)
    @given(strategy)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def ask_once(case: Case) -> None:
        # The schemas of two parameters cannot say that they exclude each other.
        assume(not {"tail", "from"} <= set(case.query or {}))
        answer = case.call(base_url=stage.url)
        try:
            case.validate_response(answer)
            look(case, answer)
        except (FailureGroup, AssertionError) as problem:
            wrong.append(f"{case.method} {case.path}: {problem}")

    with contextlib.suppress(Unsatisfiable):  # nothing can be wrong with a request that has no parameters
        ask_once()
    return wrong


def test_what_the_document_allows_is_answered_as_it_says(
    stage: Stage, operations: list[Any], ids: Mapping[str, list[str]]
) -> None:
    wrong: list[str] = []
    for operation in operations:
        if (operation.method.upper(), operation.path) in NOT_ASKED:
            continue
        known = {name: st.sampled_from(ids[name]) for name in path_parameters(operation)}
        strategy = st.builds(
            with_ids,
            operation.as_strategy(generation_mode=GenerationMode.POSITIVE).map(with_addresses),
            st.fixed_dictionaries(known),
        )
        wrong += ask(stage, strategy, looks_like_ours)
    assert not wrong, "\n\n".join(wrong)


def test_jobs_end_with_the_result_that_is_declared(stage: Stage, ids: Mapping[str, list[str]]) -> None:
    document = stage.get("/openapi.json")
    ended = []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if "x-job-result" not in operation or (method.upper(), path) in NOT_ASKED:
                continue
            body = BODIES.get(path, {})
            target = path.format_map({name: quote(known[0], safe="") for name, known in ids.items()})
            answer = stage.request(method.upper(), target, body)
            if answer.status == 202:
                job = stage.wait_for_job(answer.json, 60)
                schema = {**operation["x-job-result"], "components": document["components"]}
                Draft202012Validator(schema).validate(job["result"])
                ended.append(path)
    assert len(ended) >= 6, ended


def test_what_it_does_not_allow_is_refused_as_it_says(stage: Stage, operations: list[Any]) -> None:
    wrong: list[str] = []
    for operation in operations:
        if operation.query or operation.body:
            wrong += ask(
                stage, operation.as_strategy(generation_mode=GenerationMode.NEGATIVE), looks_like_ours
            )
    assert not wrong, "\n\n".join(wrong)


def test_ids_that_name_nothing_are_not_found(stage: Stage, operations: list[Any]) -> None:
    wrong: list[str] = []

    def look(case: Case, answer: Any) -> None:
        assert answer.status_code == 404, answer.text
        assert answer.json()["error"]["code"].startswith("unknown_"), answer.text

    for operation in operations:
        if path_parameters(operation):
            wrong += ask(stage, operation.as_strategy(generation_mode=GenerationMode.POSITIVE), look)
    assert not wrong, "\n\n".join(wrong)


def test_methods_that_are_not_in_it_are_refused(stage: Stage) -> None:
    for path, described in stage.get("/openapi.json")["paths"].items():
        there = {method.upper() for method in described}
        allowed = there | ({"HEAD"} if "GET" in there else set())
        for method in METHODS:
            if method not in allowed:
                answer = stage.request(method, path.replace("{", "").replace("}", ""), {})
                assert answer.status == 405, (method, path)
                assert set(answer.headers["allow"].split(", ")) == allowed, (method, path)


def path_parameters(operation: Any) -> list[str]:
    return [parameter.name for parameter in operation.path_parameters]


def with_ids(case: Case, known: Mapping[str, str]) -> Case:
    quoted = {name: quote(id_, safe="") for name, id_ in known.items()}
    case.path_parameters = {**(case.path_parameters or {}), **quoted}
    return case


def with_addresses(case: Case) -> Case:
    """Settings that hold an address are looked at more closely than a schema can say."""
    if case.path.endswith("/settings") and isinstance(case.body, dict):
        addresses = {
            name
            for name, value in case.body.items()
            if name.endswith(("_index", "_mirror")) and value is not None
        }
        case.body = {**case.body, **dict.fromkeys(addresses, "https://mirror.example/simple")}
    return case


def looks_like_ours(case: Case, answer: Any) -> None:
    """Any: schemathesis's response."""
    assert answer.headers["x-content-type-options"] == ["nosniff"]
    assert answer.headers["cache-control"] == ["no-store"]
    if answer.status_code >= 400:
        error = answer.json()["error"]
        assert set(error) == {"code", "message", "remedy"}
        assert all(error.values()), error
