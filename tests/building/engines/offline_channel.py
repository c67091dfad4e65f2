"""A conda channel made on this machine: a CPython found here, repacked, and a few tiny packages, over loopback.

The repacked interpreter uses the system's own libraries (libssl, …), so a channel fits the machine it was made on and
is never committed. Making one takes about 5 s per Python version.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import http.server
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

SUBDIR = {"x86_64": "linux-64", "aarch64": "linux-aarch64"}.get(platform.machine(), "")
PLACEHOLDER = "/opt/" + "placeholder_" * 20
_LEFT_OUT = (
    "test",
    "idlelib",
    "tkinter",
    "turtledemo",
    "ensurepip",
    "site-packages",
    "__pycache__",
    "lib2to3",
)

Files = dict[str, bytes]


class NotRepackable(Exception):
    """This interpreter cannot be made into a conda package; the text says why."""


def write_package(
    channel: Path,
    name: str,
    version: str,
    files: Mapping[str, bytes],
    *,
    depends: tuple[str, ...] = (),
    noarch: bool = False,
    extra: Mapping[str, object] | None = None,
    executable: frozenset[str] = frozenset(),
    with_prefix: frozenset[str] = frozenset(),
    links: Mapping[str, str] | None = None,
) -> Path:
    """Adds a `.tar.bz2` package. `with_prefix`: text files in which PLACEHOLDER stands for the prefix."""
    subdir = "noarch" if noarch else SUBDIR
    directory = channel / subdir
    directory.mkdir(parents=True, exist_ok=True)
    index = {
        "name": name,
        "version": version,
        "build": "0",
        "build_number": 0,
        "depends": list(depends),
        "subdir": subdir,
        **({"noarch": "python"} if noarch else {}),
        **(extra or {}),
    }
    links = links or {}
    paths = [_path_record(path, content, path in with_prefix) for path, content in files.items()]
    paths += [
        {"_path": path, "path_type": "softlink", "sha256": "0" * 64, "size_in_bytes": 0} for path in links
    ]
    info = {
        "info/index.json": index,
        "info/paths.json": {"paths": paths, "paths_version": 1},
        "info/about.json": {},
    }
    if noarch:
        info["info/link.json"] = {"noarch": {"type": "python"}, "package_metadata_version": 1}
    package = directory / f"{name}-{version}-0.tar.bz2"
    with tarfile.open(package, "w:bz2", compresslevel=1) as tar:
        for path, value in info.items():
            _add(tar, path, json.dumps(value).encode())
        _add(tar, "info/files", "\n".join([*files, *links]).encode())
        for path, content in files.items():
            _add(tar, path, content, 0o755 if path in executable else 0o644)
        for path, target in links.items():
            member = tarfile.TarInfo(path)
            member.type, member.linkname = tarfile.SYMTYPE, target
            tar.addfile(member)
    return package


def repack_python(channel: Path, interpreter: Path) -> str:
    """Adds `python` made of the installation of `interpreter` (Linux, shared or static libpython). Returns its version.

    Raises NotRepackable where the installation is not of the expected shape.
    """
    facts = _facts(interpreter)
    version, minor, base = facts["version"], facts["minor"], Path(facts["prefix"])
    stdlib = base / "lib" / f"python{minor}"
    if not stdlib.is_dir() or not (base / "bin" / f"python{minor}").is_file():
        raise NotRepackable(f"{base} has no bin/python{minor} or lib/python{minor}")
    files: Files = {f"bin/python{minor}": _relocated(base / "bin" / f"python{minor}", "$ORIGIN/../lib", base)}
    executable = {f"bin/python{minor}"}
    for library in base.glob(f"lib/libpython{minor}*.so*"):
        if not library.is_symlink():
            files[f"lib/{library.name}"] = _relocated(library, "$ORIGIN", base)
            executable.add(f"lib/{library.name}")
    with_prefix = set()
    for path in sorted(stdlib.rglob("*")):
        relative = path.relative_to(base).as_posix()
        if not path.is_file() or path.is_symlink() or _is_left_out(path, stdlib):
            continue
        content = _relocated(path, "$ORIGIN/../..", base) if path.suffix == ".so" else path.read_bytes()
        if path.name.startswith("_sysconfigdata") and str(base).encode() in content:
            content = content.replace(str(base).encode(), PLACEHOLDER.encode())
            with_prefix.add(relative)
        files[relative] = content
    links = {"bin/python": f"python{minor}", "bin/python3": f"python{minor}"}
    write_package(
        channel,
        "python",
        version,
        files,
        depends=(f"python_abi {minor}.*",),
        extra={"python_site_packages_path": f"lib/python{minor}/site-packages"},
        executable=frozenset(executable),
        with_prefix=frozenset(with_prefix),
        links=links,
    )
    write_package(channel, "python_abi", minor, {}, noarch=False)
    return str(version)


def write_tiny_packages(channel: Path) -> None:
    """`tinylib` 1.0 and 2.0 (a conda-only Python module with metadata), `tinydata` (a file that holds the prefix),
    `conflict-a` (wants tinylib 1 and is never compatible with tinylib 2), `needs-nothing-known` (unsolvable)."""
    for version in ("1.0", "2.0"):
        info = f"site-packages/tinylib-{version}.dist-info"
        write_package(
            channel,
            "tinylib",
            version,
            {
                "site-packages/tinylib.py": f"__version__ = {version!r}\n".encode(),
                f"{info}/METADATA": f"Metadata-Version: 2.1\nName: tinylib\nVersion: {version}\n".encode(),
                f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
                f"{info}/RECORD": b"",
                f"{info}/INSTALLER": b"conda\n",
            },
            depends=("python >=3.9",),
            noarch=True,
        )
    text = f"prefix={PLACEHOLDER}\n".encode()
    write_package(channel, "tinydata", "1.0", {"etc/tiny.cfg": text}, with_prefix=frozenset({"etc/tiny.cfg"}))
    write_package(channel, "conflict-a", "1.0", {"etc/conflict-a": b""}, depends=("tinylib <2",))
    write_package(channel, "needs-nothing-known", "1.0", {"etc/n": b""}, depends=("nobody-made-this",))


def index_channel(channel: Path, engine_dir: Path) -> None:
    """Writes repodata with rattler, in a process of its own (it may crash while it ends)."""
    (channel / "noarch").mkdir(parents=True, exist_ok=True)
    program = (
        "import asyncio, os, sys; sys.path.insert(0, sys.argv[1]); from rattler.index import index_fs; "
        "asyncio.run(index_fs(sys.argv[2], force=True)); os._exit(0)"
    )
    argv = [sys.executable, "-I", "-c", program, str(engine_dir), str(channel)]
    subprocess.run(argv, check=True, capture_output=True, timeout=120)


@contextlib.contextmanager
def served(directory: Path) -> Iterator[str]:
    """The directory over loopback HTTP; yields its URL."""
    handler = functools.partial(_Quiet, directory=str(directory))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 – the name is http.server's
        """Requests are not part of a test's output."""


def _facts(interpreter: Path) -> dict[str, str]:
    program = (
        "import json, sys; print(json.dumps({'version': '%d.%d.%d' % sys.version_info[:3], "
        "'minor': '%d.%d' % sys.version_info[:2], 'prefix': sys.base_prefix}))"
    )
    completed = subprocess.run(
        [str(interpreter), "-I", "-c", program], capture_output=True, check=True, timeout=20
    )
    facts: dict[str, str] = json.loads(completed.stdout)
    return facts


def _is_left_out(path: Path, stdlib: Path) -> bool:
    parts = path.relative_to(stdlib).parts
    return any(part in _LEFT_OUT or part.startswith("config-") for part in parts) or path.suffix in (
        ".a",
        ".pyc",
    )


def _relocated(path: Path, run_path: str, base: Path) -> bytes:
    """The ELF file without debugging information, its RUNPATH overwritten in place so that it finds our libpython."""
    stripped = _stripped(path)
    old = str(base / "lib").encode()
    at = stripped.find(b"\0" + old)
    if at < 0:
        return stripped
    end = stripped.index(b"\0", at + 1)
    new = run_path.encode()
    if len(new) > end - at - 1:
        raise NotRepackable(f"the run path of {path} is too short to be overwritten")
    return stripped[: at + 1] + new.ljust(end - at - 1, b"\0") + stripped[end:]


def _stripped(path: Path) -> bytes:
    if shutil.which("strip") is None:
        return path.read_bytes()
    target = Path(os.environ.get("TMPDIR", "/tmp")) / f"strip-{os.getpid()}"
    try:
        subprocess.run(
            ["strip", "--strip-debug", "-o", str(target), str(path)], check=True, capture_output=True
        )
        return target.read_bytes()
    except (OSError, subprocess.CalledProcessError):
        return path.read_bytes()
    finally:
        target.unlink(missing_ok=True)


def _path_record(path: str, content: bytes, with_prefix: bool) -> dict[str, object]:
    record: dict[str, object] = {
        "_path": path,
        "path_type": "hardlink",
        "sha256": hashlib.sha256(content).hexdigest(),
        "size_in_bytes": len(content),
    }
    if with_prefix:
        record |= {"file_mode": "text", "prefix_placeholder": PLACEHOLDER}
    return record


def _add(tar: tarfile.TarFile, path: str, content: bytes, mode: int = 0o644) -> None:
    member = tarfile.TarInfo(path)
    member.size, member.mode = len(content), mode
    tar.addfile(member, io.BytesIO(content))
