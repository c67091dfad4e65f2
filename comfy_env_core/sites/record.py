"""What is remembered of a site between two starts of ComfyUI, so that a warm start computes and spawns nothing.

One JSON file a site in the store. It is a cache: a missing, damaged or outdated file costs time, never correctness.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from comfy_env_core.environments.atomic import write_atomically

log = logging.getLogger("comfy-env")

#: Grows when the meaning of the fields or of a description changes.
FORMAT = 6


@dataclasses.dataclass(frozen=True)
class SiteRecord:
    """- `plan_key`: hash of all that went into the choice of the environment (file, source, host); see `planning`.
    - `environment_id`, `host_need`: the outcome of that choice; `host_need` is the value of a `HostNeed`.
    - `generation`: the number of the generation that the descriptions were made in.
    - `python`: the version of that environment's interpreter.
    - `has_torch`: whether that environment holds torch; without it its nodes return numpy arrays.
    - `source`: fingerprint of the source at the time of the descriptions.
    - `descriptions`: full module name → what the worker said of that module.
    - `left_out`: packages that the environment does without, because they need a GPU which is not there.
    """

    plan_key: str
    environment_id: str
    generation: int
    host_need: str
    python: str
    has_torch: bool
    source: str
    descriptions: Mapping[str, Mapping[str, Any]]
    left_out: tuple[str, ...] = ()

    def node_names(self) -> tuple[str, ...]:
        """The node ids of every described module's NODE_CLASS_MAPPINGS or comfy_entrypoint, sorted."""
        return self._node_names

    @functools.cached_property
    def _node_names(self) -> tuple[str, ...]:
        found: set[str] = set()
        for description in self.descriptions.values():
            for name, kind in (("NODE_CLASS_MAPPINGS", "classes"), ("comfy_entrypoint", "entrypoint")):
                found.update(description["exports"].get(name, {}).get(kind, {}))
        return tuple(sorted(found))

    def with_inputs(self, inputs: Mapping[tuple[str, str], Mapping[str, Any]]) -> SiteRecord:
        """The same with what a worker says by now of the inputs of its classes ((module, qualname) → the answer of its
        `describe_inputs`); where they could not be had, what was known stays."""

        def renewed(entry: Mapping[str, Any]) -> Mapping[str, Any]:
            described = inputs.get((entry["module"], entry["qualname"]))
            return entry if described is None or described["input_types_error"] else {**entry, **described}

        descriptions = {
            module: {**description, "classes": [renewed(entry) for entry in description["classes"]]}
            for module, description in self.descriptions.items()
        }
        return dataclasses.replace(self, descriptions=descriptions)

    def lacks_inputs(self) -> bool:
        """Whether some class could not say what its inputs are: a list of files or devices, or no network."""
        return any(
            entry["input_types_error"]
            for description in self.descriptions.values()
            for entry in description["classes"]
        )


def record_path(directory: Path, site_directory: Path) -> Path:
    """The record's file: one for each place on disk, whatever ComfyUI it is part of."""
    digest = hashlib.sha256(str(site_directory).encode("utf-8", "surrogatepass")).hexdigest()
    return directory / f"{digest[:16]}.json"


def read_record(path: Path) -> SiteRecord | None:
    """The record, or None when there is none that can be used."""
    try:
        data = json.loads(path.read_bytes())
        if data["format"] != FORMAT:
            return None
        return SiteRecord(**{field.name: data[field.name] for field in dataclasses.fields(SiteRecord)})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("Ignoring the damaged cache file %s (%s); the nodes are described anew.", path, error)
        return None


def write_record(path: Path, record: SiteRecord) -> None:
    """Raises OSError; the caller decides whether a cache that cannot be written matters."""
    path.parent.mkdir(parents=True, exist_ok=True)
    payload = {"format": FORMAT, **dataclasses.asdict(record)}
    write_atomically(path, json.dumps(payload, ensure_ascii=False).encode("utf-8", "surrogatepass"))
