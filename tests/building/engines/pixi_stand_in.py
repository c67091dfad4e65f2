"""A program in the place of pixi: refuses what the pixi of its version would refuse, and anything but the command line
and environment it was told to expect; then leaves what pixi leaves: `pixi.lock`, the log lines, and a filled prefix.
Run as `pixi …`; what it expects stands beside it in `expected.json`."""

from __future__ import annotations

import json
import os
import re
import sys
import time
import venv
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HERE = Path(__file__).resolve().parent
VERSION = "{}.{}.{}".format(*sys.version_info[:3])
CHANNEL = "https://conda.anaconda.org/conda-forge"


def refuse(reason: str, code: int = 2) -> None:
    sys.stderr.write(f"Error: stand-in pixi refuses: {reason}\n")
    raise SystemExit(code)


def say(level: str, text: str) -> None:
    """pixi logs to stderr; with `-v` its own crates tell from "info" on."""
    print(f" {level} {text}", file=sys.stderr, flush=True)


def main() -> None:
    expected = json.loads((HERE / "expected.json").read_text())
    arguments = sys.argv[1:]
    if arguments == ["--version"]:
        print(f"pixi {expected['version']}")
        return
    manifest = Path(arguments[2]) if len(arguments) > 2 else Path()
    wanted = ["install", "--manifest-path", str(manifest), "--color", "never", "--no-progress", "-v"]
    is_frozen = arguments == [*wanted, "--frozen"]
    if not (arguments == wanted or is_frozen) or manifest.name != "pixi.toml" or not manifest.is_absolute():
        refuse(f"arguments {arguments}")
    (HERE / "manifest.toml").write_text(manifest.read_text())
    (HERE / "arguments.json").write_text(json.dumps(arguments))
    (HERE / "pid").write_text(str(os.getpid()))
    check_surroundings(manifest, expected)
    check_manifest(tomllib.loads(manifest.read_text()), tuple(map(int, expected["version"].split(".")[:2])))
    say("WARN", "stand-in at work")
    if expected.get("sleep_s"):
        time.sleep(expected["sleep_s"])
    if expected.get("has_chosen"):
        (manifest.parent / "pixi.lock").write_text("version: 6\n")
    if expected.get("exit_code"):
        sys.stderr.write("  × it does not fit together\n")
        raise SystemExit(expected["exit_code"])
    lock_path = manifest.with_name("pixi.lock")
    if is_frozen and not lock_path.is_file():
        refuse("--frozen without a lock", 1)
    if not is_frozen:
        say("INFO", "resolved conda environment for environment 'default' 'linux-64' in 120ms")
        write_lock(lock_path, expected.get("sha256", "ab" * 32))
    time.sleep(expected.get("pause_s", 0))
    fill(manifest.parent / ".pixi/envs/default", packages_of(lock_path.read_text()))
    say("INFO", "pixi_install_pypi: Prepared 1 packages in 12ms")
    say("INFO", "pixi_install_pypi: Installed 1 packages in 3ms")
    print("✔ The default environment has been installed.", file=sys.stderr)


def check_surroundings(manifest: Path, expected: dict[str, Any]) -> None:
    foreign = {
        n for n in os.environ if n.startswith(("PIXI_", "CONDA_", "UV_", "PIP_", "PYTHON", "RATTLER_"))
    }
    if foreign != set(expected["variables"]):
        refuse(f"variables {sorted(foreign)}")
    if os.environ["NO_COLOR"] != "1" or os.environ["PIXI_NO_WRAP"] != "1":
        refuse("colours or wrapped lines")
    config = (manifest.parent / ".pixi/config.toml").read_text()
    if tomllib.loads(config).get("detached-environments") is not False:
        refuse(f"configuration {config!r}")


def check_manifest(tables: dict[str, Any], version: tuple[int, ...]) -> None:
    """What older releases cannot read: platforms that promise something, and modes of the table of names."""
    workspace = tables["workspace"]
    if version < (0, 71) and any(isinstance(platform, dict) for platform in workspace["platforms"]):
        refuse("platforms with guarantees are new in 0.71", 1)
    modes = workspace.get("conda-pypi-map", {})
    if version < (0, 71) and any(isinstance(mode, dict) for mode in modes.values()):
        refuse("modes of conda-pypi-map are new in 0.71", 1)
    if "dependencies" not in tables or "python" not in tables["dependencies"]:
        refuse("a manifest without Python", 1)


def write_lock(path: Path, sha256: str) -> None:
    """What pixi resolved, in its own format: unquoted scalars, one item for each package."""
    lines = [
        "version: 6",
        "environments:",
        "  default:",
        "    channels:",
        f"    - url: {CHANNEL}/",
        "packages:",
    ]
    for name, version in (("python", VERSION), ("condalib", "1.0")):
        lines += [
            f"- conda: {CHANNEL}/linux-64/{name}-{version}-0.conda",
            f"  sha256: {'cd' * 32}",
            "  depends: []",
        ]
    lines += [
        "- pypi: https://files.pythonhosted.org/packages/pypilib-1.0-py3-none-any.whl",
        "  name: pypilib",
        "  version: '1.0'",
        f"  sha256: {sha256}",
        "  requires_python: '>=3.8'",
    ]
    path.write_text("\n".join(lines) + "\n")


def packages_of(lock: str) -> list[tuple[str, str, str]]:
    """(kind, name, version) of each item; conda's stand in the file name if nowhere else, as in pixi."""
    found = []
    for item in re.split(r"(?m)^- ", lock.partition("\npackages:\n")[2])[1:]:
        kind, _, place = item.partition("\n")[0].partition(": ")
        fields = dict(re.findall(r"(?m)^  (name|version): (.*)$", item))
        stem = re.sub(r"\.(conda|tar\.bz2|whl)$", "", place.strip('"').rpartition("/")[2])
        guess = stem.rsplit("-", 2)
        name, version = (
            fields.get(key, guess[place]).strip("\"'") for place, key in enumerate(("name", "version"))
        )
        found.append((kind, name, version))
    return found


def fill(prefix: Path, packages: list[tuple[str, str, str]]) -> None:
    venv.EnvBuilder(symlinks=True).create(prefix)
    site = next(prefix.glob("lib/python*/site-packages"))
    (prefix / "conda-meta").mkdir()
    for kind, name, version in packages:
        files = []
        if name != "python":
            info = site / f"{name}-{version}.dist-info"
            info.mkdir()
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
            (info / "INSTALLER").write_text("conda" if kind == "conda" else "uv-pixi")
            files = [str(path.relative_to(prefix)) for path in info.iterdir()]
        if kind == "conda":
            record = {"name": name, "version": version, "build": "0", "build_number": 0, "subdir": "linux-64"}
            place = {
                "url": f"{CHANNEL}/linux-64/{name}-{version}-0.conda",
                "channel": f"{CHANNEL}/",
                "sha256": "cd" * 32,
            }
            text = json.dumps({**record, **place, "files": files, "paths_data": {"paths": []}})
            (prefix / "conda-meta" / f"{name}-{version}-0.json").write_text(text)


if __name__ == "__main__":
    main()
