"""Where PyPI packages come from: the file's own indexes, the user's, and the official indexes of torch.

Everything here is decided from settings alone. Whether an index answers, and which versions it has, is asked when a
build begins (`torch_sources`), so that an environment's id does not depend on the network of the moment.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from comfy_env_core.building.host_python import HostPython
from comfy_env_core.building.platform import Platform
from comfy_env_core.building.user_settings import UserSettings

#: One index per build of torch: `<base>/cpu`, `/cu128`, `/rocm6.4`, `/xpu`. A variable names a mirror of the base.
DEFAULT_TORCH_BASE = "https://download.pytorch.org/whl"
TORCH_BASE_VARIABLE = "COMFY_ENV_TORCH_WHEELS"

#: The distributions that the torch index holds in builds for one accelerator, and that must agree with each other.
TORCH_FAMILY = ("torch", "torchvision", "torchaudio")


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


def torch_index(platform: Platform, host: HostPython, settings: UserSettings) -> tuple[str | None, str]:
    """(index URL to pin the torch family to, why); None for no pin.

    macOS takes PyPI's torch (there is one build only), an NVIDIA GPU the build for ComfyUI's CUDA, other GPUs theirs,
    and everything else the CPU build, which is a tenth of the size.
    """
    if settings.no_index:
        return None, "your package settings allow no index, so torch comes from their find-links"
    if platform.is_macos:
        return None, "macOS has one build of torch, on PyPI"
    base = torch_base(settings, host.torch_version)
    if host.cuda is not None:
        why = f"torch is the build for CUDA {host.cuda.version} (from {host.cuda.source})"
        return f"{base}/{host.cuda.tag}", why
    if host.other_accelerator is not None:
        other = host.other_accelerator
        return f"{base}/{other.tag}", f"torch is the build for {other.tag} (from {other.source})"
    return f"{base}/cpu", "no GPU was found that torch could use, so it is the CPU build"


def torch_base(settings: UserSettings, torch_version: str | None) -> str:
    """Nightly versions have a tree of their own."""
    base = (settings.environ.get(TORCH_BASE_VARIABLE) or DEFAULT_TORCH_BASE).rstrip("/")
    return f"{base}/nightly" if ".dev" in (torch_version or "") else base


def torch_tag(index: str) -> str:
    """ "cu128" of ".../whl/cu128"; "cpu", "rocm6.4" and "xpu" likewise."""
    return index.rstrip("/").rpartition("/")[2]


def cuda_version_of_tag(tag: str) -> tuple[int, int] | None:
    """(12, 8) for "cu128", None for the other accelerators."""
    match = re.fullmatch(r"cu(\d+)(\d)", tag)
    return (int(match[1]), int(match[2])) if match else None


def _find_links(place: str) -> dict[str, str]:
    """A pip setting is a directory, a file URL of one, or the URL of a page with links."""
    if place.startswith(("http://", "https://")):
        return {"url": place}
    if place.startswith("file://"):
        return {"path": url2pathname(urlsplit(place).path)}
    return {"path": os.path.abspath(os.path.expanduser(place))}
