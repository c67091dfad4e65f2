"""A program in the place of pixi: refuses anything but the command line and environment it was told to expect, then
makes a prefix as pixi leaves it. Run as `pixi …`; what it expects stands beside it in `expected.json`."""

from __future__ import annotations

import json
import os
import sys
import time
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent


def refuse(reason: str) -> None:
    sys.stderr.write(f"Error: stand-in pixi refuses: {reason}\n")
    raise SystemExit(2)


def main() -> None:
    expected = json.loads((HERE / "expected.json").read_text())
    arguments = sys.argv[1:]
    if arguments == ["--version"]:
        print(f"pixi {expected['version']}")
        return
    manifest = Path(arguments[2]) if len(arguments) > 2 else Path()
    wanted = ["install", "--manifest-path", str(manifest), "--color", "never", "--no-progress", "-v"]
    if arguments != wanted or manifest.name != "pixi.toml" or not manifest.is_absolute():
        refuse(f"arguments {arguments}")
    (HERE / "manifest.toml").write_text(manifest.read_text())
    (HERE / "pid").write_text(str(os.getpid()))
    foreign = {
        n for n in os.environ if n.startswith(("PIXI_", "CONDA_", "UV_", "PIP_", "PYTHON", "RATTLER_"))
    }
    if foreign != set(expected["variables"]):
        refuse(f"variables {sorted(foreign)}")
    if os.environ["NO_COLOR"] != "1" or os.environ["PIXI_NO_WRAP"] != "1":
        refuse("colours or wrapped lines")
    config = (manifest.parent / ".pixi/config.toml").read_text()
    if "detached-environments = false" not in config:
        refuse(f"configuration {config!r}")
    print("WARN stand-in at work", file=sys.stderr, flush=True)
    if expected.get("sleep_s"):
        time.sleep(expected["sleep_s"])
    if expected.get("exit_code"):
        sys.stderr.write("  × it does not fit together\n")
        raise SystemExit(expected["exit_code"])
    fill(manifest.parent / ".pixi/envs/default")


def fill(prefix: Path) -> None:
    venv.EnvBuilder(symlinks=True).create(prefix)
    version = "{}.{}.{}".format(*sys.version_info[:3])
    site = next(prefix.glob("lib/python*/site-packages"))
    for name, owner in (("condalib", "conda"), ("pypilib", "uv-pixi")):
        info = site / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "INSTALLER").write_text(owner)
    (prefix / "conda-meta").mkdir()
    files = [str(path.relative_to(prefix)) for path in (site / "condalib-1.0.dist-info").iterdir()]
    for name, its_version, its_files in (("python", version, []), ("condalib", "1.0", files)):
        record = {"name": name, "version": its_version, "files": its_files}
        (prefix / "conda-meta" / f"{name}-{its_version}-0.json").write_text(json.dumps(record))


if __name__ == "__main__":
    main()
