"""Which ComfyUI of this machine uses which environments: what garbage collection asks before it removes one.

One small JSON file an install in the store, written when a ComfyUI has chosen its environments. An install is known by
its first custom_nodes directory, and one whose directories are all gone counts no more.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from comfy_env_core.environments.atomic import write_atomically
from comfy_env_core.environments.store import Store

#: What an install has not used for so long is forgotten.
FORGET_S = 90 * 86400.0
#: An install that uses the same as before is written again after so long, to say that it still does.
RENEW_S = 86400.0


class DamagedInstall(Exception):
    """The record of an install cannot be read, so that nobody knows what that ComfyUI uses."""


@dataclasses.dataclass(frozen=True)
class Use:
    """When an install used an environment for the first time and last, in seconds since 1970."""

    since: float
    used_at: float


@dataclasses.dataclass(frozen=True)
class Install:
    """- `path`: its record. `recorded_at`: when it was written, in seconds since 1970.
    - `uses`: environment id → when; those it uses now have `used_at` equal to `recorded_at`.
    """

    path: Path
    custom_nodes: tuple[Path, ...]
    recorded_at: float
    uses: Mapping[str, Use]

    def is_there(self) -> bool:
        """Whether any of its directories still exists."""
        return any(directory.is_dir() for directory in self.custom_nodes)

    def uses_now(self, environment_id: str) -> bool:
        use = self.uses.get(environment_id)
        return use is not None and use.used_at == self.recorded_at


def record(
    store: Store, custom_nodes: Sequence[Path], environment_ids: Collection[str], now: float | None = None
) -> None:
    """Notes that the ComfyUI with these directories uses these environments now. Writes only what changed, or is old.

    Raises OSError. `now`: seconds since 1970.
    """
    now = time.time() if now is None else now
    path = _path(store, custom_nodes)
    try:
        known = _read(path)
    except DamagedInstall:
        known = None
    if known is not None and now - known.recorded_at < RENEW_S:
        used_now = {id_ for id_ in known.uses if known.uses_now(id_)}
        if (known.custom_nodes, used_now) == (tuple(custom_nodes), set(environment_ids)):
            return
    uses = dict(known.uses) if known is not None else {}
    uses = {id_: use for id_, use in uses.items() if now - use.used_at < FORGET_S}
    for id_ in environment_ids:
        uses[id_] = Use(uses[id_].since if id_ in uses else now, now)
    payload = {
        "custom_nodes": [str(directory) for directory in custom_nodes],
        "recorded_at": now,
        "uses": {id_: dataclasses.asdict(uses[id_]) for id_ in sorted(uses)},
    }
    store.installs_dir.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(payload, indent=1).encode())


def read_installs(store: Store) -> tuple[Install, ...]:
    """All that are recorded, also those that are gone from the disk. Raises `DamagedInstall`."""
    installs = (_read(path) for path in sorted(store.installs_dir.glob("*.json")))
    return tuple(install for install in installs if install is not None)


def _path(store: Store, custom_nodes: Sequence[Path]) -> Path:
    digest = hashlib.sha256(str(custom_nodes[0]).encode("utf-8", "surrogatepass")).hexdigest()
    return store.installs_dir / f"{digest[:16]}.json"


def _read(path: Path) -> Install | None:
    try:
        raw = json.loads(path.read_bytes())
        return Install(
            path=path,
            custom_nodes=tuple(Path(directory) for directory in raw["custom_nodes"]),
            recorded_at=float(raw["recorded_at"]),
            uses={id_: Use(float(use["since"]), float(use["used_at"])) for id_, use in raw["uses"].items()},
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedInstall(
            f"Reading {str(path)!r}, the record of a ComfyUI of this machine, failed: {error!r}. Start that ComfyUI "
            "once, which writes it anew, or delete the file if that ComfyUI is gone."
        ) from error
