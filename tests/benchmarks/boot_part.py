"""Our part of a ComfyUI boot alone: prestartup and the loading of every pack, in ComfyUI's Python, before torch.

Run by bench_boot.py: python boot_part.py PACK_ROOT --cpu --base-directory DIR, in ComfyUI's directory.
Prints the milliseconds that it took.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

OURS = Path(sys.argv.pop(1))
sys.path.insert(0, str(Path.cwd()))

# What ComfyUI's main.py has imported when it comes to prestartup scripts.
import comfy.options  # noqa: E402

comfy.options.enable_args_parsing()
import importlib.util  # noqa: E402

import folder_paths  # noqa: E402
from app.logger import setup_logger  # noqa: E402

for _name in ("comfy_api.feature_flags", "comfy_execution.progress"):
    importlib.import_module(_name)


def load(name: str, location: Path) -> None:
    """As ComfyUI loads prestartup scripts and packs."""
    spec = importlib.util.spec_from_file_location(name, location)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


def main() -> None:
    setup_logger(log_level="ERROR")
    (custom_nodes,) = map(Path, folder_paths.get_folder_paths("custom_nodes"))
    packs = [pack for pack in sorted(custom_nodes.iterdir()) if pack != OURS and pack.is_dir()]
    started = time.perf_counter()
    load("prestartup", OURS / "prestartup_script.py")
    for pack in packs:
        load(str(pack).replace(".", "_x_"), pack / "__init__.py")
    elapsed_ms = (time.perf_counter() - started) * 1e3
    loaded = [name for name in sys.modules if name.startswith(str(custom_nodes).replace(".", "_x_"))]
    assert "torch" not in sys.modules and len(loaded) == len(packs)
    print(f"{elapsed_ms:.1f}")


main()
