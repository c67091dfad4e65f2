"""Files by which an author or user meant to isolate something, and which do not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from .site import Mistake, Site

_NAME = "comfy-env.toml"

#: What is taken for `comfy-env.toml`: names of comfy-env's first releases, slips, and what Windows makes of a download.
NEAR_MISSES = frozenset(
    (
        "comfyui_env.toml",
        "comfyui_isolation_reqs.toml",
        "comfyui-env.toml",
        "comfy_env.toml",
        "comfyenv.toml",
        "comfy-env.toml.txt",
        "comfy-env-root.toml.txt",
    )
)


def beside_packs(path: Path) -> Iterator[Mistake]:
    """For a file that lies in `custom_nodes` itself, where there are packs and no code of one."""
    if path.name.endswith((_NAME, "comfy-env-root.toml")) or path.name in NEAR_MISSES:
        yield Mistake(
            path,
            "it lies beside the packs and isolates none of them",
            f"Move it into the folder of the pack that it is for, as {_NAME!r}. A pack that is a single file has none: "
            "make a folder of its name and move the file there, as '__init__.py'",
        )


def misnamed(path: Path) -> Mistake:
    """For a file of a pack whose name is one of the NEAR_MISSES."""
    name = "comfy-env-root.toml" if path.name.startswith("comfy-env-root") else _NAME
    return Mistake(path, "a file of this name is not read", f"If it is meant to be, rename it to {name!r}")


def of_the_pack_alone(path: Path) -> Mistake:
    """For a file of an older form that says nothing of an environment: there was none when it was written."""
    return Mistake(
        path,
        "it asks for things on behalf of its whole pack, describes no environment and isolates nothing",
        "Rename it to 'comfy-env-root.toml'; to isolate this folder, say in it what its environment holds",
    )


def nested_in_isolated_pack(sites: Sequence[Site]) -> Iterator[Mistake]:
    """For the sites of one pack: ComfyUI imports a pack's root, and all else is imported from there."""
    if not any(site.is_root for site in sites):
        return
    for site in sites:
        if not site.is_root:
            yield Mistake(
                site.config_path,
                "the whole pack has an environment by the file at its root, in which its root imports this folder, too",
                "Remove one of the two files",
            )
