"""What the host tells a worker about itself in the greeting."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from comfy_env_core.wire.objects.codecs import Codecs


class Configuration(NamedTuple):
    """The site this worker serves. (A named tuple: dataclasses would import inspect at every start.)

    `module_name` is what ComfyUI calls the pack root in `sys.modules`. `comfyui` is ComfyUI's source folder, or
    None in a lean environment. `host_facts` is JSON: `cli_args` (name -> value of comfy.cli_args.args) and
    `folder_paths` (name -> value of its constants), `source` (ComfyUI's source folder, for lean environments as well),
    all optional. `pycache_dir` takes the bytecode of the pack. `codec_file` packs and unpacks the pack's own types,
    None if it has none; `other_codec_files` those of other packs.
    """

    pack_name: str
    module_name: str
    pack_dir: Path
    site_dir: Path
    comfyui: Path | None
    host_facts: Mapping[str, Any]
    pycache_dir: Path
    codec_file: Path | None
    other_codec_files: tuple[Path, ...]

    @staticmethod
    def from_greeting(facts: Mapping[str, Any]) -> Configuration:
        """Read what `supervision` sent. Raises KeyError if something is missing."""
        return Configuration(
            pack_name=facts["pack_name"],
            module_name=facts["module_name"],
            pack_dir=Path(facts["pack_dir"]),
            site_dir=Path(facts["site_dir"]),
            comfyui=Path(facts["comfyui"]) if facts["comfyui"] else None,
            host_facts=facts["host_facts"],
            pycache_dir=Path(facts["pycache_dir"]),
            codec_file=Path(facts["codec_file"]) if facts["codec_file"] else None,
            other_codec_files=tuple(Path(path) for path in facts["other_codec_files"]),
        )

    def codecs(self) -> Codecs:
        """The pack's own, and the others' for what those do not open; none of the files is run before it is needed."""
        own = [self.codec_file] if self.codec_file is not None else []
        return Codecs(own, others=Codecs(self.other_codec_files))

    @property
    def max_upload_bytes(self) -> int:
        """The largest request body that a pack's routes read at once, as ComfyUI was told (in MiB)."""
        told_mib = (self.host_facts.get("cli_args") or {}).get("max_upload_size", 100)
        return round(float(told_mib) * 1024 * 1024)

    @property
    def site_parts(self) -> tuple[str, ...]:
        """The names of the folders from the pack down to the site; empty for a pack isolated as a whole."""
        return self.site_dir.relative_to(self.pack_dir).parts
