"""The panel's modules, checked where no browser is needed: their types, and their tests in Node.js."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from javascript import PROJECT, node_command, packages, run

from comfy_env_core.building.errors import BuildCause
from comfy_env_core.sites import failure

CHECKED = ("web", "js", "tests/web", "package.json", "tsconfig.json")


@pytest.fixture(scope="module")
def checkout() -> Iterator[Path]:
    """A copy of what is checked, below the packages that check it; the repository itself gets no ``node_modules``."""
    with tempfile.TemporaryDirectory(dir=packages()) as place:
        for name in CHECKED:
            copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copy
            (Path(place) / name).parent.mkdir(parents=True, exist_ok=True)
            copy(PROJECT / name, Path(place) / name)
        yield Path(place)


def test_the_types_of_every_module_fit(checkout: Path) -> None:
    tsc = checkout.parent / "node_modules" / "typescript" / "bin" / "tsc"
    done = run([*node_command(), tsc], checkout)
    assert done.returncode == 0, done.stdout


def test_every_module_does_what_its_tests_say(checkout: Path) -> None:
    tests = sorted(str(path.relative_to(checkout)) for path in (checkout / "tests" / "web").glob("*.test.js"))
    environ = {**os.environ, "COMFY_ENV_TESTS_CAUSES": json.dumps(causes())}
    done = run([*node_command(), "--test", "--test-reporter=spec", *tests], checkout, **environ)
    assert done.returncode == 0, done.stdout
    assert re.search(r"^ℹ skipped 0$", done.stdout, re.MULTILINE), done.stdout


def causes() -> list[str]:
    """All that a site's failure can have: those of builds, and those that `failure_of` names itself."""
    named = re.findall(r'SiteFailure\("(\w+)"', Path(failure.__file__).read_text(encoding="utf-8"))
    assert "node_import" in named, "the causes are no longer written where they were"
    return sorted({*(cause.value for cause in BuildCause), *named})
