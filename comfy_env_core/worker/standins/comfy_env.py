"""`import comfy_env` in a worker: the pack is where its file says, so most of what it asks for is done."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from comfy_env_core.compat import ComfyEnvFinder
from comfy_env_core.wire.objects.codecs import Codec, Codecs
from comfy_env_core.worker.configuration import Configuration

#: How a pack tells that it is imported by a worker, in every generation of comfy-env.
_MARK = "COMFYUI_ISOLATION_WORKER"


class WorkerBackend:
    """`codecs` are those of the connection to ComfyUI."""

    def __init__(self, configuration: Configuration, codecs: Codecs) -> None:
        # The pack's bytecode is kept in <store>/cache/pycache/<environment>.
        self.store = configuration.pycache_dir.parents[2]
        self._codecs = codecs

    def install(self, directory: Path, say: Any = None) -> bool:
        """This is the environment."""
        return True

    def refuse_to_isolate(self, what: str, directory: Path) -> None:
        """It is isolated."""

    def register_serializer(
        self, type_name: str, serialize: Any, deserialize: Any, tag: str, source: Path
    ) -> None:
        self._codecs.register(Codec(type_name, tag, serialize, deserialize, source))


def install_comfy_env(configuration: Configuration, codecs: Codecs) -> None:
    """Served from now on, also in an environment that has comfy-env among its packages."""
    os.environ[_MARK] = "1"
    ComfyEnvFinder(WorkerBackend(configuration, codecs)).install()
