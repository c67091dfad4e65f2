"""`comfy-env.lock` as text: what is damaged is told with its line, what is whole comes back as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from comfy_env_core.building.locks.lock_file import lock_text, read_lock
from comfy_env_core.building.locks.model import (
    CondaPackage,
    IndexedFile,
    Lock,
    LockedEnvironment,
    PypiPackage,
    meaning_of,
)
from comfy_env_core.config import ConfigError, parse_env

PATH = Path("/packs/mesh/comfy-env.lock")
RECORD = {
    "name": "python",
    "version": "3.11.9",
    "build": "h1_0_cpython",
    "build_number": 0,
    "subdir": "linux-64",
    "url": "https://conda.anaconda.org/conda-forge/linux-64/python-3.11.9-h1_0_cpython.conda",
    "sha256": "cd" * 32,
    "depends": ["libzlib >=1.3,<2", "__glibc >=2.17,<3.0.a0"],
}


def sample() -> Lock:
    wheel = IndexedFile(
        "trimesh-4.9.0-py3-none-any.whl", "https://h/trimesh-4.9.0-py3-none-any.whl", "ab" * 32
    )
    git = {"vcs": {"type": "git", "url": "https://h/g", "commit-id": "0" * 40}}
    packages = (
        PypiPackage("g", "1", source=git),
        PypiPackage("trimesh", "4.9.0", (wheel,), "https://h/simple"),
    )
    linux = LockedEnvironment(
        "linux-64",
        "3.11.9",
        {"glibc": "2.28"},
        ("torch",),
        ("https://c/",),
        (CondaPackage(RECORD),),
        packages,
    )
    windows = LockedEnvironment("win-64", "3.11", {}, (), (), (), packages)
    return Lock(PATH, "ef" * 32, (linux, windows))


@pytest.mark.parametrize(
    ("before", "after", "line_with", "problem"),
    [
        ("version = 1\n", "version = 2\n", "version = 2", "format is 2"),
        ('meaning = "', 'meaning = 1 # "', "", "'meaning' is missing"),
        ('sha256 = "cdcd', 'sha256 = "xxcd', 'sha256 = "xxcd', "not a sha256"),
        ('sha256 = "abab', 'sha256 = "abab00', 'sha256 = "abab00', "not a sha256"),
        ("build_number = 0", 'build_number = "0"', "[[environment.conda]]", "'build_number'"),
        ('subdir = "linux-64"', 'color = "red"', "[[environment.conda]]", "'color' is not a key"),
        ('url = "https://conda', 'path = "https://conda', "[[environment.conda]]", "'path' is not a key"),
        ('follows = ["torch"]', "follows = [1]", "[[environment]]", "'follows'"),
        ('filename = "trimesh', 'filename = "../trimesh', "[[environment.pypi]]", "not the name of a file"),
        ("[[environment.pypi]]", "[[environment.pypi]", "[[environment.pypi]", "not TOML"),
    ],
)
def test_a_damaged_lock_is_told_with_its_line(before: str, after: str, line_with: str, problem: str) -> None:
    text = lock_text(sample())
    assert before in text
    damaged = text.replace(before, after, 1)
    with pytest.raises(ConfigError) as raised:
        read_lock(damaged.encode(), PATH)
    assert problem in str(raised.value)
    assert raised.value.path == PATH
    assert raised.value.line is not None
    if line_with:
        assert line_with in damaged.splitlines()[raised.value.line - 1]


def test_a_lock_comes_back_as_it_was_written_and_is_written_the_same_again() -> None:
    text = lock_text(sample())
    again = read_lock(text.encode(), PATH)
    assert again == sample()
    assert lock_text(again) == text
    assert read_lock(text.replace("\n", "\r\n").encode(), PATH) == sample()


def test_only_what_changes_the_packages_changes_the_meaning_of_a_file() -> None:
    def meaning(text: str) -> str:
        return meaning_of(parse_env(text.encode(), PATH))

    same = 'python = "3.11"\n[pypi-dependencies]\na = "*"\nb = ">=2"\n'
    assert meaning(same) == meaning(f'# x\n{same}[env_vars]\nA = "1"\n')
    assert meaning(same) == meaning('python = "3.11"\n[pypi-dependencies]\nb = ">=2"\na = "*"\n')
    for other in (
        same.replace("3.11", "3.12"),
        same.replace(">=2", ">=3"),
        f'{same}[options]\nhost = "torch"\n',
    ):
        assert meaning(other) != meaning(same)
    assert meaning(f'{same}[pypi-options]\nindex-url = "https://h/simple"\n') != meaning(same)
