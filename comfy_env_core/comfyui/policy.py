"""Whether an organisation has decided for this ComfyUI what custom nodes may do.

Newer ComfyUI has `app/governance.py`: a signed build in which an administrator restricts packs. What we put into our
environments is outside of what it verifies, so under a policy we stand down: no hook, no build, no worker.
"""

from __future__ import annotations

import importlib.util
from types import ModuleType

#: The value of governance's private mode when there is no policy, as far as released versions show it.
_UNRESTRICTED = (None, "", "open", "off", "none", "unrestricted")


def governance_module() -> ModuleType | None:
    """ComfyUI's `app.governance`, or None where this ComfyUI has none. Raises whatever that module raises on import."""
    if importlib.util.find_spec("app") is None or importlib.util.find_spec("app.governance") is None:
        return None
    return importlib.import_module("app.governance")


def reason_to_stand_down(governance: ModuleType | None) -> str | None:
    """Why nothing of ours may run, as a sentence; None when no policy applies.

    A governance module whose mode cannot be read counts as a policy: the safe answer to an unknown lock is 'locked'.
    """
    if governance is None:
        return None
    if not hasattr(governance, "_custom_node_mode"):
        return "ComfyUI's governance module is present, but its mode cannot be read; assuming that a policy applies."
    mode = governance._custom_node_mode
    plain = getattr(mode, "value", mode)
    if plain is None or (isinstance(plain, str) and plain.lower() in _UNRESTRICTED):
        return None
    return f"An organisation policy applies to custom nodes (mode {plain!r})."
