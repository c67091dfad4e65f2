"""Where packs are fetched from: GitHub and the Comfy registry, or what the user has in their place."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from urllib.parse import quote, urlsplit

from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.config import GITHUB, RegistrySource

DEFAULT_REGISTRY = "https://api.comfy.org"


@dataclasses.dataclass(frozen=True)
class Addresses:
    """`github` takes the place of https://github.com/, `registry` that of the Comfy registry's API."""

    github: str = GITHUB
    registry: str = DEFAULT_REGISTRY

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Addresses:
        """COMFY_ENV_GITHUB_MIRROR (or GITHUB_ENDPOINT, by which ComfyUI-Manager is told) and COMFY_ENV_REGISTRY.

        Raises BuildError (CONFIG) for what is no address.
        """
        mirror = (
            environ.get("COMFY_ENV_GITHUB_MIRROR", "").strip() or environ.get("GITHUB_ENDPOINT", "").strip()
        )
        registry = environ.get("COMFY_ENV_REGISTRY", "").strip()
        return cls(
            github=_checked(mirror, ("https", "http", "file")).rstrip("/") + "/" if mirror else GITHUB,
            registry=_checked(registry, ("https", "http")).rstrip("/") if registry else DEFAULT_REGISTRY,
        )

    @property
    def git_schemes(self) -> tuple[str, ...]:
        """The ways of transport that git may use."""
        return tuple(dict.fromkeys(("https", urlsplit(self.github).scheme)))

    def actual(self, url: str) -> str:
        """The address that is asked for `url`."""
        return self.github + url.removeprefix(GITHUB) if url.startswith(GITHUB) else url

    def node(self, source: RegistrySource) -> str:
        """The address that tells of a pack of the registry."""
        url = f"{self.registry}/nodes/{quote(source.node_id, safe='')}/install"
        return url if source.version is None else f"{url}?version={quote(source.version, safe='')}"


def _checked(address: str, schemes: tuple[str, ...]) -> str:
    if urlsplit(address).scheme in schemes and "=" not in address and not any(map(str.isspace, address)):
        return address
    raise BuildError(
        BuildCause.CONFIG,
        f"{address!r} is no address to fetch packs from.",
        f"Set COMFY_ENV_GITHUB_MIRROR, GITHUB_ENDPOINT and COMFY_ENV_REGISTRY to {' or '.join(schemes)} addresses, or "
        "to nothing.",
    )


def repository_identity(url: str) -> str:
    """The same text for every spelling of a repository's address: "github.com/owner/name".

    Knows https://host/path.git, ssh://git@host/path, git@host:path, and mirrors that put their own address before
    the whole of GitHub's.
    """
    text = url.strip().lower().removesuffix("/").removesuffix(".git")
    if (at := text.rfind("github.com")) > 0:
        text = text[at:]
    text = re.sub(r"^[a-z+]+://", "", text).rpartition("@")[2]
    return text.replace(":", "/", 1) if re.match(r"[^/:]+:(?!\d+/)", text) else text
