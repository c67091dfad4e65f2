"""Files of the store that are not what they were: no build ends with them in an environment that counts as done."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from chaos.machine import Machine
from effort import Effort

Damage = Callable[[Path], None]


def cut(path: Path) -> None:
    """The second half is missing, as after a power cut."""
    content = path.read_bytes()
    _replace(path, content[: len(content) // 2])


def garble(path: Path) -> None:
    """As long as before, with other bytes in the middle, as from a failing disk."""
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    for at in range(middle, min(middle + 64, len(content))):
        content[at] ^= 0xFF
    _replace(path, bytes(content))


def empty(path: Path) -> None:
    """The name is there and nothing else."""
    _replace(path, b"")


def _replace(path: Path, content: bytes) -> None:
    """Another file under the same name: environments that share the old one keep it."""
    mode = path.stat().st_mode
    path.unlink()
    path.write_bytes(content)
    path.chmod(mode)


DAMAGES = (cut, garble, empty)
#: Wheels, as uv links them into environments.
UNPACKED = "cache/uv/archive-v*/**/*"


def files_of(machine: Machine, pattern: str) -> list[Path]:
    return sorted(
        path for path in machine.store.root.glob(pattern) if path.is_file() and not path.is_symlink()
    )


def damage_some(paths: list[Path], damage: Damage, share: float, chance: random.Random) -> int:
    chosen = [path for path in paths if path.stat().st_size and chance.random() < share]
    for path in chosen:
        damage(path)
    return len(chosen)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("share", [1.0, 0.05], ids=["all", "some"])
@pytest.mark.parametrize(
    "where",
    [
        UNPACKED,
        "cache/uv/{simple,wheels}-v*/**/*",
        "cache/conda/repodata/**/*",
        "cache/conda/pkgs/**/*",
    ],
)
def test_a_damaged_cache_never_gets_into_an_environment(
    machine: Machine, where: str, damage: Damage, share: float, effort: Effort
) -> None:
    machine.start()
    paths = [path for pattern in spelled_out(where) for path in files_of(machine, pattern)]
    assert paths, f"nothing at {where}"
    chance = effort.chance(f"{where} {damage.__name__} {share}")
    count = damage_some(paths, damage, share, chance)
    shutil.rmtree(machine.environment().directory)
    output = machine.start()
    print(f"{count} files damaged\n{output}")
    machine.serving()
    machine.assert_tidy()


def spelled_out(pattern: str) -> Iterator[str]:
    """`{a,b}` is what no glob of Python's knows."""
    head, brace, rest = pattern.partition("{")
    if not brace:
        yield pattern
        return
    choices, _, tail = rest.partition("}")
    for choice in choices.split(","):
        yield f"{head}{choice}{tail}"


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("what", ["engines/embedded-*/bin/uv", "engines/embedded-*/rattler/*.so"])
def test_a_damaged_engine_is_fetched_anew_or_said(machine: Machine, what: str, damage: Damage) -> None:
    (path,) = files_of(machine, what)
    damage(path)
    running = machine.installing()
    code = running.wait()
    assert code == 0 or "engine" in running.lines[-1][1], running.text
    if code == 0:
        machine.serving()


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("what", ["current.json", "*/meta.json", "*/.done", "install.log"])
def test_damaged_records_of_an_environment_are_made_good(machine: Machine, what: str, damage: Damage) -> None:
    machine.start()
    paths = [path for path in machine.environment().directory.glob(what) if path.stat().st_size]
    for path in paths:
        damage(path)
    machine.start()
    machine.serving()


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damaged_descriptions_are_made_anew(machine: Machine, damage: Damage) -> None:
    machine.start()
    for path in (
        files_of(machine, "descriptions/*") + files_of(machine, "locks/*") + files_of(machine, "installs/*")
    ):
        damage(path)
    machine.start()
    machine.serving()
