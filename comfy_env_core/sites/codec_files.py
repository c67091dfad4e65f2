"""Which packs pack their own types, by a file beside their comfy-env-root.toml."""

from __future__ import annotations

import logging
from pathlib import Path

from comfy_env_core.config import CODEC_FILE_NAME, CUSTOM
from comfy_env_core.discovery import Scan

log = logging.getLogger("comfy-env")


def find_codec_files(scan: Scan) -> dict[str, Path]:
    """The file of each pack that has a type of its own, by the pack's name.

    One that is not there is told, and stays in: a worker that needs it fails the call by saying so. A root file that
    cannot be used is told, too; it names no types then.
    """
    for error in scan.root_errors.values():
        log.error("%s", error)
    found = {}
    for pack in scan.packs:
        root = scan.roots.get(pack.name)
        custom = [name for name, way in root.types.items() if way == CUSTOM] if root is not None else []
        if root is None or not custom:
            continue
        path = found[pack.name] = pack.path / CODEC_FILE_NAME
        if not path.is_file():
            log.warning(
                "%s: %r is %r under [types] in %s, but there is no %s. Add the file, or write 'builtin' there; "
                "until then the pack's objects cannot be used in other environments.",
                pack.name, custom[0], CUSTOM, root.path, path,
            )  # fmt: skip
    return found
