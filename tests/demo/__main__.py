"""``nox -s demo``: run the example workflow in a real ComfyUI and say what ran where; exit code 0 if all of it held."""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import signal
import sys
import time
from pathlib import Path

from demo.run import DEMO_PACKS, isolated_nodes, load_workflow, shortcomings, surroundings, table
from host.base import PACKS, REPOSITORY, make_base
from host.installation import InstallationError, prepare
from host.server import ComfyUI, ServerError

BUILD = REPOSITORY / "build"
BUILD_DEADLINE_S = 900.0
EXPECTED_TO_FAIL = "broken"


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    # Asked to end in whatever way, the server ends with us: it has a session of its own.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        installation = prepare()
        packages_before = installation.pip_list()
        base = make_base(options.directory, [PACKS / name for name in DEMO_PACKS])
        with ComfyUI(installation, options.directory / "comfyui.log") as comfyui:
            say(f"Starting ComfyUI {installation.release.comfyui_version} on {base}, log: {comfyui.log_path}")
            comfyui.start(base, environment=settings(options.directory), port=options.port)
            say(f"ComfyUI is up after {comfyui.boot_s:.1f} s at {comfyui.url}")
            problems = show(comfyui, options.picture)
            problems += compare_packages(packages_before, installation.pip_list())
            for problem in problems:
                say(f"NOT SHOWN: {problem}")
            if options.serve:
                serve(comfyui)
    except (InstallationError, ServerError) as error:
        say(f"The demo failed: {error}")
        return 1
    return 1 if problems else 0


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="nox -s demo --", description=__doc__)
    parser.add_argument("--serve", action="store_true", help="keep the server up for looking, until Ctrl-C")
    parser.add_argument(
        "--port", type=int, help="port of the server (default: a free one, 8188 with --serve)"
    )
    parser.add_argument("--directory", type=Path, default=BUILD / "demo", help="ComfyUI's base directory")
    parser.add_argument("--picture", type=Path, default=BUILD / "demo.png", help="where the picture is saved")
    options = parser.parse_args(arguments)
    if options.serve and options.port is None:
        options.port = 8188
    options.directory = options.directory.resolve()
    return options


def settings(directory: Path) -> dict[str, str]:
    """The caller's COMFY_ENV_… settings; without one the demo's environments go beside it, not into ``~/.ce``."""
    given = {name: value for name, value in os.environ.items() if name.startswith("COMFY_ENV_")}
    return {"COMFY_ENV_ROOT": str(directory / "environments"), **given}


def show(comfyui: ComfyUI, picture: Path) -> list[str]:
    """Wait for the builds, run the workflow, save the picture, print the table; return what did not hold."""
    workflow = load_workflow()
    problems = wait_for_builds(comfyui)
    comfyui.wait_for_nodes(*isolated_nodes(workflow), timeout_s=30)
    started = time.monotonic()
    entry = comfyui.queue(workflow, timeout_s=300)
    if entry["status"]["status_str"] != "success":
        return [*problems, f"the workflow failed: {json.dumps(entry['status'], indent=2)}"]
    say(f"The workflow ran in {time.monotonic() - started:.1f} s.\n")
    rows = surroundings(workflow, entry["outputs"])
    say(table(rows, comfyui.pid) + "\n")
    host_python = comfyui.get("/system_stats")["system"]["python_version"].split()[0]
    problems += shortcomings(rows, ".".join(host_python.split(".")[:2]))
    saved = save_picture(comfyui, entry["outputs"], picture)
    say(f"Picture: {saved}")
    return problems


def wait_for_builds(comfyui: ComfyUI) -> list[str]:
    """Print every change of a site's state until none is on its way; return those that ended as they should not."""
    said: dict[str, str] = {}

    def settled() -> bool:
        sites = comfyui.sites()
        for name, site in sites.items():
            if said.get(name) != site["state"]:
                said[name] = site["state"]
                say(
                    f"  {name}: {site['state']}"
                    + (f" ({site['failure']['message']})" if site["failure"] else "")
                )
        return all(site["state"] in ("ready", "failed") for site in sites.values())

    comfyui.wait_until(settled, BUILD_DEADLINE_S, "the environments to be built", poll_s=0.5)
    say(f"({EXPECTED_TO_FAIL!r} asks for something that does not exist: its failure is part of the demo.)")
    sites = comfyui.sites()
    wrong = [name for name, state in said.items() if (state == "ready") == (name == EXPECTED_TO_FAIL)]
    return [f"{name} is {sites[name]['state']}: {sites[name]['failure']}" for name in wrong]


def save_picture(comfyui: ComfyUI, outputs: dict[str, dict[str, list[dict[str, str]]]], target: Path) -> Path:
    """Copy what SaveImage wrote to ``target``."""
    image = next(shown["images"][0] for shown in outputs.values() if "images" in shown)
    folder = comfyui.base_directory / "output" / image["subfolder"]
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(folder / image["filename"], target)
    return target


def compare_packages(before: str, after: str) -> list[str]:
    """Prove that ComfyUI's own Python was left alone."""
    if before == after:
        say(f"ComfyUI's own Python has the same {len(before.splitlines())} packages as before.")
        return []
    changed = set(before.splitlines()) ^ set(after.splitlines())
    return [f"ComfyUI's own packages changed: {sorted(changed)}"]


def serve(comfyui: ComfyUI) -> None:
    say(f"Serving at {comfyui.url} until Ctrl-C. Drag the picture onto the page to load the workflow.")
    try:
        comfyui.wait_until(lambda: False, float("inf"), "Ctrl-C", poll_s=1.0)
    except KeyboardInterrupt:
        say("Stopping.")


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
