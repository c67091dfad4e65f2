"""Solves and installs conda packages with rattler: a program of its own, run as `python -I rattler_driver.py REQUEST`.

REQUEST is a JSON file:
    engine_dir (where rattler is), channels, specs, constraints, subdir ("linux-64"), cache_dir, priority ("strict",
    "flexible" or "disabled"), strategy ("highest", "lowest", "lowest-direct"), exclude_newer (ISO 8601 or None),
    config_files (the user's pixi/rattler configuration), config (TOML text laid over them);
    lock: a pixi.lock whose packages are installed without solving, or None; prefix: None to solve only;
    virtual_packages: [[name, version], …] to solve for another machine than this one, or None.
Each line of output that begins with `RECORD` is a JSON object:
    {"event": "packages", "done": int, "total": int}, {"event": "text", "text": str, "percent": float | null},
    {"event": "result", "records": [repodata records]} or
    {"event": "failure", "kind": str, "text": str, "unknown": [specs that no channel can satisfy]}.

The last record counts, not the exit code: rattler 0.28 crashed at interpreter shutdown in 10 of 111 runs *after* the
work was done, so this program ends with `os._exit`, which skips that shutdown.
"""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path
from typing import Any  # Any: rattler is not importable where this file is type-checked
from urllib.parse import urlsplit
from urllib.request import url2pathname

RECORD = "comfy-env-record "
_SOLVE_TIMEOUT_S = 300


def emit(**record: Any) -> None:
    """Writes one record; flushed, because the reader shows progress and `os._exit` flushes nothing."""
    sys.stdout.write(f"{RECORD}{json.dumps(record)}\n")
    sys.stdout.flush()


class Progress:
    """rattler's reporter interface, called from its own threads; counts linked packages and downloaded bytes."""

    def __init__(self, download_bytes: int) -> None:
        self._lock = threading.Lock()
        self._download_bytes = download_bytes
        self._total = 0
        self._linked = 0
        self._downloads: dict[int, tuple[int, int]] = {}
        self._names: dict[int, str] = {}
        self._said_at = 0.0

    def on_transaction_start(self, total_operations: int) -> None:
        self._total = total_operations
        emit(event="packages", done=0, total=total_operations)

    def on_populate_cache_start(self, operation: int, package_name: str) -> int:
        return operation

    def on_download_start(self, cache_entry: int) -> int:
        return cache_entry

    def on_download_progress(self, download_idx: int, progress: int, total: int | None) -> None:
        with self._lock:
            self._downloads[download_idx] = (progress, total or progress)
            now = time.monotonic()
            if now - self._said_at < 0.5:
                return
            self._said_at = now
            done, size = (sum(column) for column in zip(*self._downloads.values(), strict=True))
        size = max(size, self._download_bytes)
        text = f"conda packages, {done / 1e6:.0f} of {size / 1e6:.0f} MB"
        emit(event="text", text=text, percent=100 * done / size if size else None)

    def on_link_start(self, operation: int, package_name: str) -> int:
        with self._lock:
            self._names[operation] = package_name
        return operation

    def on_link_complete(self, index: int) -> None:
        with self._lock:
            self._linked += 1
            done, name = self._linked, self._names.get(index, "")
        emit(event="packages", done=done, total=max(self._total, done), name=name)

    def on_post_link_start(self, package_name: str, script_path: str) -> int:
        return 0

    def _ignore(self, *arguments: object) -> int:
        """The callbacks that nothing is done with; those with a token return the one they were given."""
        return arguments[0] if arguments and isinstance(arguments[0], int) else 0

    on_transaction_operation_start = on_transaction_operation_complete = on_validate_start = _ignore
    on_validate_complete = on_download_completed = on_populate_cache_complete = _ignore
    on_unlink_start = on_unlink_complete = on_transaction_complete = on_post_link_complete = _ignore
    on_pre_unlink_start = on_pre_unlink_complete = _ignore


def load_config(request: dict[str, Any]) -> Any:
    """The user's files and our own lines over them, merged by rattler itself."""
    from rattler.config import Config  # noqa: PLC0415 – its directory is on the path only now

    with tempfile.TemporaryDirectory() as directory:
        ours = Path(directory) / "config.toml"
        ours.write_text(request["config"], encoding="utf-8")
        return Config.load_from_files([*request["config_files"], ours])


async def provision(request: dict[str, Any]) -> list[Any]:
    """The records that the lock names or the solver finds, installed if there is a prefix."""
    from rattler.networking.client import Client  # noqa: PLC0415 – its directory is on the path only now

    config = load_config(request)
    client = Client.from_config(config, user_agent="comfy-env-manager")
    records = locked_records(request) if request["lock"] else await solved_records(request, config, client)
    if request["prefix"] is not None:
        await install(request, config, client, records)
    return records


def locked_records(request: dict[str, Any]) -> list[Any]:
    """The conda packages of the lock, as they stand there."""
    import rattler  # noqa: PLC0415 – its directory is on the path only now

    environment = rattler.LockFile.from_path(Path(request["lock"])).environment("default")
    platform = next(one for one in environment.platforms() if one.name == request["subdir"])
    return list(environment.conda_repodata_records_for_platform(platform) or ())


async def solved_records(request: dict[str, Any], config: Any, client: Any) -> list[Any]:
    """What `solve` finds, asked a second time without our cache where that may be the cause of a failure."""
    from rattler.exceptions import GatewayError  # noqa: PLC0415 – its directory is on the path only now

    try:
        return list(await solve(request, config, client, Path(request["cache_dir"]) / "repodata"))
    except GatewayError as error:
        # A damaged cache, or a server whose "304 Not Modified" names no ETag: rattler 0.28 takes that for a failure.
        sys.stdout.write(f"asking the channels again without our cache, because: {error}\n")
        with tempfile.TemporaryDirectory() as fresh:
            return list(await solve(request, config, client, Path(fresh)))


async def install(request: dict[str, Any], config: Any, client: Any, records: list[Any]) -> None:
    import rattler  # noqa: PLC0415 – its directory is on the path only now

    for record in records:
        check_local_file(record)
    download_bytes = bytes_to_download(records, Path(request["cache_dir"]) / "pkgs")
    check_space(Path(request["cache_dir"]), download_bytes)
    await rattler.install(
        records,
        request["prefix"],
        cache_dir=Path(request["cache_dir"]) / "pkgs",
        platform=rattler.Subdir(request["subdir"]),
        client=client,
        config=config,
        requested_specs=[
            rattler.MatchSpec(spec)._match_spec for spec in request["specs"]
        ],  # it takes no wrappers
        execute_link_scripts=False,  # as pixi: they are arbitrary code, and nearly no package needs one
        reporter=Progress(download_bytes),
    )


def bytes_to_download(records: list[Any], packages_dir: Path) -> int:
    """The size of the packages that the cache does not hold unpacked."""
    names = {re.sub(r"\.(conda|tar\.bz2)$", "", record.file_name): record.size or 0 for record in records}
    return sum(size for name, size in names.items() if not (packages_dir / name).is_dir())


def check_space(cache_dir: Path, download_bytes: int) -> None:
    """Raises `TooLittleSpace` where not even the packed packages have room; unpacked they take some three times it."""
    cache_dir.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(cache_dir).free
    if free < download_bytes:
        raise TooLittleSpace(
            f"the packages to download are {download_bytes / 1e6:.0f} MB, and the disk of {str(cache_dir)!r} has "
            f"{free / 1e6:.0f} MB left"
        )


class TooLittleSpace(Exception):
    """The disk is too small for what would be downloaded."""


def check_local_file(record: Any) -> None:
    """rattler 0.28 checks what it downloads, and not what it takes from a channel on this disk."""
    parts = urlsplit(record.url)
    if parts.scheme != "file" or record.sha256 is None:
        return
    path = Path(url2pathname(parts.path))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != record.sha256.hex():
        raise ChecksumMismatch(f"{path} has sha256 {digest}, expected {record.sha256.hex()}")


class ChecksumMismatch(Exception):
    """A package is not the one that was published."""


async def solve(request: dict[str, Any], config: Any, client: Any, repodata_dir: Path) -> Any:
    """The records that fulfil the request. Raises `Unsolvable`, or rattler's GatewayError."""
    import rattler  # noqa: PLC0415 – its directory is on the path only now
    from rattler.exceptions import SolverError  # noqa: PLC0415

    gateway = rattler.Gateway.from_config(config, cache_dir=repodata_dir, client=client)
    channels = [rattler.Channel(channel) for channel in request["channels"]]
    subdirs = [rattler.Subdir(request["subdir"]), rattler.Subdir("noarch")]
    specs = [rattler.MatchSpec(spec) for spec in request["specs"]]
    newest = request["exclude_newer"]
    try:
        return await rattler.solve(
            channels,
            specs,
            gateway=gateway,
            platforms=subdirs,
            constraints=request["constraints"],
            virtual_packages=virtual_packages(request),
            channel_priority=getattr(rattler.ChannelPriority, request["priority"].capitalize()),
            strategy=request["strategy"],
            exclude_newer=datetime.datetime.fromisoformat(newest) if newest else None,
            timeout=datetime.timedelta(seconds=_SOLVE_TIMEOUT_S),
        )
    except SolverError as error:
        unknown = [str(spec) for spec in specs if not await is_known(gateway, channels, subdirs, spec)]
        raise Unsolvable(str(error), unknown) from error


def virtual_packages(request: dict[str, Any]) -> list[Any]:
    """What the machine offers: this one, or the one that is asked for."""
    import rattler  # noqa: PLC0415 – its directory is on the path only now
    from rattler.package.build_string import BuildString  # noqa: PLC0415

    if request["virtual_packages"] is None:
        return list(rattler.VirtualPackage.detect(rattler.VirtualPackageOverrides.from_env()))
    return [
        rattler.GenericVirtualPackage(rattler.PackageName(name), rattler.Version(version), BuildString("0"))
        for name, version in request["virtual_packages"]
    ]


class Unsolvable(Exception):
    """The solver found no answer; `unknown` are the specs that no package of any channel fits, taken alone."""

    def __init__(self, text: str, unknown: list[str]) -> None:
        super().__init__(text)
        self.unknown = unknown


async def is_known(gateway: Any, channels: list[Any], subdirs: list[Any], spec: Any) -> bool:
    """Whether any package in the channels fits this one requirement."""
    found = await gateway.query(channels, subdirs, [spec], recursive=False)
    return any(spec.matches(record) for records in found for record in records)


def main(request_path: str) -> None:
    request = json.loads(Path(request_path).read_text(encoding="utf-8"))
    sys.path.insert(0, request["engine_dir"])  # an embedded Windows Python ignores PYTHONPATH
    try:
        records = asyncio.run(provision(request))
    except Unsolvable as error:
        emit(event="failure", kind="Unsolvable", text=str(error), unknown=error.unknown)
    except Exception as error:  # noqa: BLE001 – the boundary of this process: every failure becomes a record
        if type(error).__module__ != "exceptions":  # rattler's own errors say all there is to say
            traceback.print_exc()
        emit(event="failure", kind=type(error).__name__, text=str(error) or repr(error), unknown=[])
    else:
        emit(
            event="result",
            records=[json.loads(record.to_json()) for record in records],
        )


if __name__ == "__main__":
    main(sys.argv[1])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
