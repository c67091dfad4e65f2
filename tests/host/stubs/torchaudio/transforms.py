"""``torchaudio.transforms``: the one class ComfyUI names at import."""

from __future__ import annotations


class MelScale:
    def __init__(self, *args: object, **kwargs: object) -> None:
        raise NotImplementedError(
            "tests run with a stand-in for torchaudio: install the real one to use this node"
        )
