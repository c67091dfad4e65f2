"""pixi's dates and durations as one moment for both halves of a build."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from building.engines.samples import make_plan

from comfy_env_core.building.engines.exclude_newer import cutoff, newest_moment
from comfy_env_core.building.engines.uv_project import uv_project
from comfy_env_core.building.errors import BuildCause, BuildError

NOW = datetime.datetime(2026, 4, 10, 12, tzinfo=datetime.timezone.utc)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-04-01", "2026-04-02T00:00:00+00:00"),
        ("2026-04-01T10:00:00Z", "2026-04-01T10:00:00+00:00"),
        ("2026-04-01T10:00:00+02:00", "2026-04-01T08:00:00+00:00"),
        ("1 week", "2026-04-03T12:00:00+00:00"),
        ("2d 12h", "2026-04-08T00:00:00+00:00"),
        ("90m", "2026-04-10T10:30:00+00:00"),
        ("0d", "2026-04-10T12:00:00+00:00"),
    ],
)
def test_dates_and_durations_become_one_moment(text: str, moment: str) -> None:
    assert cutoff(text, NOW) == datetime.datetime.fromisoformat(moment)


@pytest.mark.parametrize("text", ["soon", "2026-13-01", "3 moons", ""])
def test_other_text_is_none(text: str) -> None:
    assert cutoff(text, NOW) is None


def test_a_moment_that_cannot_be_read_names_the_file(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, '[workspace]\nexclude-newer = "2026-13-01"\n')
    with pytest.raises(BuildError) as raised:
        newest_moment(plan)
    assert raised.value.cause is BuildCause.CONFIG
    assert "2026-13-01" in str(raised.value)


def test_uv_is_told_the_moment_and_those_of_single_packages(tmp_path: Path) -> None:
    text = 'exclude-newer = "2026-04-01"\n[pypi-exclude-newer]\nSome_Thing = "2026-05-01"\n'
    options = uv_project(make_plan(tmp_path, text), added={}).resolver_options
    assert options == (
        *("--exclude-newer", "2026-04-02T00:00:00Z"),
        *("--exclude-newer-package", "some-thing=2026-05-01"),
    )
