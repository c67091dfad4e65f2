"""Starts a worker. Run as a script, by its path, with an environment's interpreter.

The package is loaded from where this file lies and its parent folder is not put on `sys.path`: that folder is a
node pack whose `install` or `tests` would shadow modules of the environment.
"""

from __future__ import annotations

import importlib.util
import os
import sys


def load_package() -> None:
    """Make `comfy_env_core` importable by its location alone."""
    here = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.realpath(entry) != here]
    package = os.path.dirname(here)
    spec = importlib.util.spec_from_file_location(
        "comfy_env_core", os.path.join(package, "__init__.py"), submodule_search_locations=[package]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"The comfy-env worker cannot load {package!r}: it is not a package")
    module = importlib.util.module_from_spec(spec)
    sys.modules["comfy_env_core"] = module
    spec.loader.exec_module(module)


if __name__ == "__main__":  # multiprocessing imports this file again under another name
    load_package()
    from comfy_env_core.worker.program import main

    main(sys.argv[1:])
