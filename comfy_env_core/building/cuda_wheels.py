"""The index of wheels that are built for one CUDA and one torch each: which there are, and which of them fit.

Layout (github.com/Comfy-Forge/cuda-wheels, `scripts/generate_index.py`): `<base>/packages.json`, and per combination a
simple index `<base>/cu128/torch2.8/<name>/`. JSON shape: {"packages": {name: {"torch_free": bool, "wheels":
[{"filename", "cuda": "12.8", "torch": "2.8", "url", "sha256": hex or ""}]}}}; a torch-free wheel serves every torch of
its CUDA. Older copies have the pages only, where such wheels are linked from every combination they serve.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.fetching import Fetcher, NotThere
from comfy_env_core.building.indexes import cuda_version_of_tag
from comfy_env_core.building.platform import Platform
from comfy_env_core.building.requirements import normalised_name
from comfy_env_core.building.simple_index import project_files
from comfy_env_core.building.user_settings import redact
from comfy_env_core.building.wheel_names import WheelName

DEFAULT_WHEELS_BASE = "https://comfy-forge.github.io/cuda-wheels"
WHEELS_BASE_VARIABLE = "COMFY_ENV_CUDA_WHEELS"

#: From here on a file's URL is the same below a mirror's base.
_RELEASES = "/releases/"


@dataclasses.dataclass(frozen=True, order=True)
class Combination:
    """A CUDA and a torch that wheels are built for: (12, 8) and (2, 8)."""

    cuda: tuple[int, int]
    torch: tuple[int, int]

    @classmethod
    def parse(cls, cuda: str, torch: str) -> Combination | None:
        """Of "12.8" and "2.8.0+cu128"; None for anything else."""
        numbers = [part.partition("+")[0].split(".")[:2] for part in (cuda, torch)]
        if any(len(pair) != 2 or not all(map(str.isdigit, pair)) for pair in numbers):
            return None
        (cuda_major, cuda_minor), (torch_major, torch_minor) = (map(int, pair) for pair in numbers)
        return cls((cuda_major, cuda_minor), (torch_major, torch_minor))

    @property
    def tag(self) -> str:
        return f"cu{self.cuda[0]}{self.cuda[1]}"

    @property
    def torch_text(self) -> str:
        return f"{self.torch[0]}.{self.torch[1]}"

    @property
    def path(self) -> str:
        """Below the base: "cu128/torch2.8/"."""
        return f"{self.tag}/torch{self.torch_text}/"

    def __str__(self) -> str:
        return f"CUDA {self.cuda[0]}.{self.cuda[1]} with torch {self.torch_text}"


@dataclasses.dataclass(frozen=True)
class CudaWheel:
    """One file for one combination. `serves_any_torch`: it does not link torch, so only the CUDA counts."""

    name: WheelName
    url: str
    sha256: str | None
    combination: Combination
    serves_any_torch: bool = False

    def serves(self, combination: Combination) -> bool:
        if self.serves_any_torch:
            return self.combination.cuda == combination.cuda
        return self.combination == combination

    @property
    def requirement(self) -> dict[str, str]:
        """For `[pypi-dependencies]`; both engines verify the hash in the fragment."""
        return {"url": f"{self.url}#sha256={self.sha256}" if self.sha256 else self.url}


class CudaWheels:
    """What an index offers: normalised name → wheels. `is_whole`: every combination is in it, not one alone."""

    def __init__(self, wheels: Mapping[str, Sequence[CudaWheel]], *, is_whole: bool) -> None:
        self._wheels = wheels
        self.is_whole = is_whole

    @classmethod
    def fetch(cls, base: str, names: Iterable[str], combination: Combination, fetcher: Fetcher) -> CudaWheels:
        """Raises BuildError(NETWORK) when the index does not answer or is none."""
        url = f"{base.rstrip('/')}/packages.json"
        try:
            page = fetcher.page(url, accept="application/json")
        except NotThere:
            return cls._from_pages(base, names, combination, fetcher)
        try:
            return cls._from_manifest(json.loads(page.body), base)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BuildError(
                BuildCause.NETWORK,
                f"Reading the list of CUDA wheels {redact(url)!r} failed: it is not what it should be ({error!r}).",
                f"Check {WHEELS_BASE_VARIABLE}, or build again later.",
            ) from error

    @classmethod
    def _from_manifest(cls, manifest: Mapping[str, Any], base: str) -> CudaWheels:
        return cls(
            {
                normalised_name(name): tuple(
                    wheel
                    for entry in package["wheels"]
                    if (wheel := _wheel_of(entry, base, is_free=bool(package.get("torch_free")))) is not None
                )
                for name, package in manifest["packages"].items()
            },
            is_whole=True,
        )

    @classmethod
    def _from_pages(
        cls, base: str, names: Iterable[str], combination: Combination, fetcher: Fetcher
    ) -> CudaWheels:
        index = f"{base.rstrip('/')}/{combination.path}"
        wheels = {
            normalised_name(name): tuple(
                CudaWheel(parsed, _mirrored(file.url, base), file.sha256, combination)
                for file in project_files(index, name, fetcher)
                if (parsed := WheelName.parse(file.filename)) is not None
            )
            for name in names
        }
        return cls({name: found for name, found in wheels.items() if found}, is_whole=False)

    def knows(self, name: str) -> bool:
        return normalised_name(name) in self._wheels

    def wheels_of(self, name: str) -> Sequence[CudaWheel]:
        return self._wheels.get(normalised_name(name), ())

    def best(
        self, name: str, combination: Combination, python: tuple[int, int], platform: Platform
    ) -> CudaWheel | None:
        """The newest version that fits."""
        fitting = [
            wheel
            for wheel in self.wheels_of(name)
            if wheel.serves(combination) and wheel.name.runs_on(python, platform)
        ]
        return max(fitting, key=lambda wheel: wheel.name.release, default=None)

    def combinations(self) -> list[Combination]:
        """All that appear, the newest CUDA first, in it the newest torch."""
        every = {wheel.combination for wheels in self._wheels.values() for wheel in wheels}
        return sorted(every, reverse=True)


def wheels_base(environ: Mapping[str, str]) -> str:
    """`COMFY_ENV_CUDA_WHEELS` names a mirror."""
    return (environ.get(WHEELS_BASE_VARIABLE) or DEFAULT_WHEELS_BASE).rstrip("/")


def combination_of_local_tag(wheel: WheelName) -> Combination | None:
    """Of a file that lies somewhere else: "+cu128torch2.8" says it in its name."""
    cuda, _, torch = wheel.local.partition("torch")
    version = cuda_version_of_tag(cuda)
    return Combination.parse(f"{version[0]}.{version[1]}", torch) if version else None


def _wheel_of(entry: Mapping[str, Any], base: str, *, is_free: bool) -> CudaWheel | None:
    name = WheelName.parse(entry["filename"])
    combination = Combination.parse(str(entry["cuda"]), str(entry["torch"]))
    if name is None or combination is None:
        return None  # a kind of wheel that came after us
    return CudaWheel(name, _mirrored(entry["url"], base), entry.get("sha256") or None, combination, is_free)


def _mirrored(url: str, base: str) -> str:
    """Files lie on another host than the index: under a mirror's base if one is named, at the same path from
    `/releases/` on. A mirror that rewrote the URLs itself is taken at its word."""
    if base == DEFAULT_WHEELS_BASE or urlsplit(url).netloc != "github.com" or _RELEASES not in url:
        return url
    return f"{base.rstrip('/')}{_RELEASES}{url.partition(_RELEASES)[2]}"
