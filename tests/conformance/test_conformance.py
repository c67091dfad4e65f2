"""The part of ComfyUI's own tests that is short enough to run every time; ``nox -s conformance`` runs all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.suite import boot, copy_comfyui, run_suite
from host.base import Place
from host.installation import NEWEST, OLDEST, Release, prepare

TESTS = {NEWEST: 66, OLDEST: 17}
"""How many of them the expressions below select."""
EXPRESSIONS = {NEWEST: "server0 or PublicAPI or ProgressIsolation", OLDEST: "AsyncNodes and server0"}


@pytest.mark.parametrize("release", [NEWEST, OLDEST], ids=lambda release: release.comfyui_version)
def test_comfyui_passes_its_own_tests_when_their_nodes_are_isolated(
    release: Release, place: Place, tmp_path: Path
) -> None:
    installation = prepare(release)
    isolated = copy_comfyui(installation, tmp_path / "isolated", isolated=True)
    nodes = boot(isolated, installation, place.environment)
    if release is NEWEST:
        plain = boot(copy_comfyui(installation, tmp_path / "plain", isolated=False), installation, {})
        assert len(plain) == 52
        assert nodes == plain, "what the page is told of the test nodes"

    outcome = run_suite(
        isolated, installation, environment=place.environment, selected=["-k", EXPRESSIONS[release]]
    )

    assert outcome.failed == (), outcome.output[-8000:]
    assert outcome.passed == TESTS[release]
