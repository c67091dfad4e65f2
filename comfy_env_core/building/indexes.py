"""Where PyPI packages come from: the file's own indexes, the user's, and the official index of torch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from comfy_env_core.building.host_python import HostPython
from comfy_env_core.building.platform import Platform
from comfy_env_core.building.user_settings import UserSettings

TORCH_WHEELS = "https://download.pytorch.org/whl"

#: The distributions that the torch index holds in builds for one CUDA generation, and that must agree with each other.
TORCH_FAMILY = ("torch", "torchvision", "torchaudio")

_SOURCE_KEYS = ("index-url", "extra-index-urls", "find-links")


def merged_pypi_options(of_file: Mapping[str, Any], settings: UserSettings) -> dict[str, Any]:
    """pixi's `[pypi-options]`: what the file says, then what the user configured for pip, uv or pixi.

    An index-url of the file stands; the user's then joins the extra ones, so that a mirror is still asked.
    """
    options = dict(of_file)
    extra = [*options.get("extra-index-urls", ()), *settings.extra_index_urls]
    if settings.index_url and "index-url" in options:
        extra.append(settings.index_url)
    elif settings.index_url:
        options["index-url"] = settings.index_url
    links = [*options.get("find-links", ()), *(_find_links(place) for place in settings.find_links)]
    if extra:
        options["extra-index-urls"] = list(dict.fromkeys(extra))
    if links:
        options["find-links"] = [link for i, link in enumerate(links) if link not in links[:i]]
    if settings.index_strategy:
        options.setdefault("index-strategy", settings.index_strategy)
    return options


def torch_index(
    of_file: Mapping[str, Any], platform: Platform, host: HostPython, settings: UserSettings
) -> tuple[str | None, str]:
    """(index URL to pin the torch family to, why); None for no pin.

    The rule: whoever names sources of his own gets packages from there, because the official index may be out of his
    reach and the engine sees all of his. Otherwise macOS takes PyPI's torch (there is one build only), an NVIDIA GPU
    the build for ComfyUI's CUDA, and everything else the CPU build, which is a tenth of the size.
    """
    if any(of_file.get(key) for key in _SOURCE_KEYS):
        return None, "the file names package sources of its own, so torch comes from there"
    if settings.find_links or settings.extra_index_urls or settings.no_index:
        return (
            None,
            "your package settings name sources of their own (find-links or extra indexes), so torch comes from there",
        )
    if settings.index_url and urlsplit(settings.index_url).hostname != "pypi.org":
        return None, "your package settings name an index of their own, so torch comes from there"
    if platform.is_macos:
        return None, "macOS has one build of torch, on PyPI"
    base = f"{TORCH_WHEELS}/nightly" if ".dev" in (host.torch_version or "") else TORCH_WHEELS
    if host.cuda is None:
        return f"{base}/cpu", "no NVIDIA GPU was found, so torch is the CPU build"
    return (
        f"{base}/{host.cuda.tag}",
        f"torch is the build for CUDA {host.cuda.version} (from {host.cuda.source})",
    )


def _find_links(place: str) -> dict[str, str]:
    """A pip setting is a directory, a file URL of one, or the URL of a page with links."""
    if place.startswith(("http://", "https://")):
        return {"url": place}
    if place.startswith("file://"):
        return {"path": url2pathname(urlsplit(place).path)}
    return {"path": os.path.abspath(os.path.expanduser(place))}
