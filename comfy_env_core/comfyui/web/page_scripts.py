"""Which scripts of a pack a page loads."""

from __future__ import annotations

import glob
import os
import urllib.parse
from collections.abc import Mapping


def page_scripts(web_dirs: Mapping[str, str]) -> tuple[str, ...]:
    """URL paths of the scripts in web folders: those that ComfyUI would list for a page that is opened now.

    `web_dirs`: name → folder, as in ComfyUI's `EXTENSION_WEB_DIRS`. The rule is that of its `GET /extensions` (0.3.52
    to 0.3.75): every `.js` below the folder, the name quoted and the rest of the path as it is.
    """
    return tuple(
        f"/extensions/{urllib.parse.quote(name)}/{os.path.relpath(path, folder).replace(os.sep, '/')}"
        for name, folder in web_dirs.items()
        for path in sorted(glob.glob(os.path.join(glob.escape(folder), "**/*.js"), recursive=True))
    )
