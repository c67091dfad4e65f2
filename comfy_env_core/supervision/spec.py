"""What is needed to start a worker."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from comfy_env_core.processes import clean_environment


@dataclass(frozen=True)
class WorkerSpec:
    """One worker: a site, the environment it runs in, and what it is told of the host.

    `module_name` is ComfyUI's `sys.modules` name of the pack root; `comfyui` its source folder or None for a lean
    environment; `host_facts` plain data (see worker.configuration), told once at the start: specs that differ only in
    it are equal, so a new fact does not restart a worker. `pycache_dir` takes the bytecode of the pack's
    files, so that nothing is written into the pack. `codec_file` is the pack's serialization.py if it has types of its
    own, `other_codec_files` those of other packs, by which it opens their objects. `source` is the fingerprint of the
    pack's files that its nodes were described from: when they are described anew, the old code has to go.
    """

    site_id: str
    pack_name: str
    python: Path
    prefix: Path
    module_name: str
    pack_dir: Path
    site_dir: Path
    env_vars: Mapping[str, str] = field(hash=False)
    comfyui: Path | None
    host_facts: Mapping[str, Any] = field(compare=False)
    pycache_dir: Path
    log_path: Path
    codec_file: Path | None = None
    other_codec_files: tuple[Path, ...] = field(default=(), compare=False)
    source: str = ""

    def greeting(self) -> dict[str, Any]:
        """What the worker needs to know, as JSON."""
        return {
            "pack_name": self.pack_name,
            "module_name": self.module_name,
            "pack_dir": str(self.pack_dir),
            "site_dir": str(self.site_dir),
            "comfyui": str(self.comfyui) if self.comfyui else None,
            "host_facts": dict(self.host_facts),
            "pycache_dir": str(self.pycache_dir),
            "codec_file": str(self.codec_file) if self.codec_file else None,
            "other_codec_files": [str(path) for path in self.other_codec_files],
        }

    def environment(self, base: Mapping[str, str]) -> dict[str, str]:
        """The worker's environment variables: the host's, cleaned, with this prefix activated."""
        path = os.pathsep.join([*(str(folder) for folder in self._program_folders()), base.get("PATH", "")])
        activation = {
            "PATH": path,
            "CONDA_PREFIX": str(self.prefix),
            "PYTHONNOUSERSITE": "1",
        }
        environment = clean_environment(base, activation)
        # OpenMP's idle threads spin for milliseconds after each operation of torch. In a process that shares the
        # machine with ComfyUI and other workers they keep cores from those that have work.
        environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        # What ComfyUI was told about the GPUs goes for its workers too; what the pack's file sets wins.
        environment.update(self.env_vars)
        return environment

    def _program_folders(self) -> list[Path]:
        if sys.platform == "win32":
            return [self.prefix, self.prefix / "Library" / "bin", self.prefix / "Scripts"]
        return [self.prefix / "bin"]
