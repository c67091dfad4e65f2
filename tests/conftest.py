"""Make ``comfy_env_core`` and the test host importable wherever pytest was started, and its fixtures known."""

from __future__ import annotations

import gc
import random
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent

for directory in (TESTS, TESTS.parent):
    if str(directory) not in sys.path:
        sys.path.insert(0, str(directory))

from effort import LEVELS, Effort  # noqa: E402 – its directory is on the path only now

pytest_plugins = ["host.fixtures"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--effort", choices=LEVELS, default="short", help="how long killing and fuzzing go on")
    parser.addoption("--quick", action="store_const", const="quick", dest="effort", help="--effort quick")
    parser.addoption(
        "--seed", type=int, help="of all random choices; 1 in a short run, else another each time"
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.option.seed is None:
        config.option.seed = (
            1 if config.option.effort == "short" else random.SystemRandom().randrange(1 << 30)
        )


def pytest_report_header(config: pytest.Config) -> str:
    return f"effort: {config.option.effort}, seed: {config.option.seed}"


@pytest.fixture(scope="module", autouse=True)
def own_garbage() -> None:
    """Garbage collections, which many tests ask for, need not look through what all modules before have left."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def effort(request: pytest.FixtureRequest) -> Effort:
    return Effort(request.config.option.effort, request.config.option.seed)
