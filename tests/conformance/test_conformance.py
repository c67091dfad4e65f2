"""The part of ComfyUI's own tests that is short enough to run every time; ``nox -s conformance`` runs all of them."""

from __future__ import annotations

from pathlib import Path

from conformance.suite import boot, copy_comfyui, run_suite
from host.base import Place
from host.installation import NEWEST, prepare

SELECTED = "TestExecution and server0"
"""The tests of execution, which run once for each way of caching: only the first of these ways."""
NUMBER_SELECTED = 44


def test_comfyui_passes_its_own_tests_when_their_nodes_are_isolated(place: Place, tmp_path: Path) -> None:
    installation = prepare(NEWEST)
    isolated = copy_comfyui(installation, tmp_path / "isolated", isolated=True)
    nodes = boot(isolated, installation, place.environment)
    plain = boot(copy_comfyui(installation, tmp_path / "plain", isolated=False), installation, {})
    assert len(plain) == 52
    assert nodes == plain, "what the page is told of the test nodes"

    outcome = run_suite(isolated, installation, environment=place.environment, selected=["-k", SELECTED])

    assert outcome.failed == (), outcome.output[-8000:]
    assert outcome.passed == NUMBER_SELECTED
