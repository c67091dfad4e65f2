"""Keeps the pack's folder free of bytecode.

`PYTHONPYCACHEPREFIX` for the whole process was tried first: it also hides the bytecode that lies beside the
environment's own packages, so that the first worker compiles all of torch again. Here only files of the pack are
compiled elsewhere; programs that node code starts get the variable.
"""

from __future__ import annotations

import importlib.machinery
import os
import sys
from types import CodeType
from typing import Any


class PackFolders:
    """A path hook for the folders of one pack, and the loader of its source files."""

    def __init__(self, pack_dir: str, pycache_dir: str) -> None:
        self._pack_dir = pack_dir
        members = {"pycache_dir": pycache_dir}
        self._loader: Any = type("_PackSourceLoader", (_SourceLoader,), members)

    def install(self) -> None:
        """From now on, bytecode of modules below `pack_dir` is kept below `pycache_dir`."""
        os.environ["PYTHONPYCACHEPREFIX"] = self._loader.pycache_dir
        sys.path_hooks.insert(0, self)

    def __call__(self, folder: str) -> importlib.machinery.FileFinder:
        if folder != self._pack_dir and not folder.startswith(self._pack_dir + os.sep):
            raise ImportError(f"{folder!r} is not part of the pack")
        return importlib.machinery.FileFinder(
            folder,
            (importlib.machinery.ExtensionFileLoader, importlib.machinery.EXTENSION_SUFFIXES),
            (self._loader, importlib.machinery.SOURCE_SUFFIXES),
            (importlib.machinery.SourcelessFileLoader, importlib.machinery.BYTECODE_SUFFIXES),
        )

    def loader(self, name: str, path: str) -> Any:
        """A loader for one source file of the pack."""
        return self._loader(name, path)


class _SourceLoader(importlib.machinery.SourceFileLoader):
    """Compiles as usual; only the place of the bytecode differs."""

    pycache_dir: str

    def get_code(self, fullname: str) -> CodeType | None:
        """Read or compile the module's code (not yet run it)."""
        before, sys.pycache_prefix = sys.pycache_prefix, self.pycache_dir
        try:
            return super().get_code(fullname)
        finally:
            sys.pycache_prefix = before
