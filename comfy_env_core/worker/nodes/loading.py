"""Makes a pack's modules importable under the names ComfyUI gives them.

A pack isolated as a whole is imported as ComfyUI would: its `__init__.py` under the folder's path as a name. Of a
pack with an isolated sub-folder only that folder is executed; the packages above it exist empty, so that relative
imports work without running the host's part.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

from comfy_env_core.worker.configuration import Configuration
from comfy_env_core.worker.nodes.bytecode import PackFolders
from comfy_env_core.worker.nodes.prestartup import Prestartup

#: What ComfyUI has imported before it loads the first pack: no folder that a pack puts first in `sys.path` hides it.
_COMFYUI_FIRST = frozenset(
    (
        "api_server",
        "app",
        "comfy",
        "comfy_api",
        "comfy_config",
        "comfy_execution",
        "comfy_extras",
        "comfyui_version",
        "execution",
        "latent_preview",
        "middleware",
        "node_helpers",
        "nodes",
        "protocol",
        "utils",
    )
)

#: What ComfyUI writes for a dot in a pack's path.
_DOT = "_x_"


class SiteLoader:
    """Owns the import hooks for the pack's own names, for the site folder's bare name, and for ComfyUI's modules.

    The fact "pack_paths" are the folders of the pack that ComfyUI's process has in `sys.path`, put there by the part of
    the pack that runs there.
    """

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        folders = [configuration.pack_dir]
        names = [configuration.module_name]
        for part in configuration.site_parts:
            folders.append(folders[-1] / part)
            names.append(f"{names[-1]}.{part.replace('.', _DOT)}")
        self.site_module = names[-1]
        self._folders = PackFolders(str(configuration.pack_dir), str(configuration.pycache_dir))
        self._own = _Packages(self._folders, dict(zip(names[:-1], folders[:-1])), {names[-1]: folders[-1]})
        bare = {configuration.site_dir.name: configuration.site_dir} if configuration.site_parts else {}
        self._bare = _Packages(self._folders, {}, bare)
        script = None if configuration.site_parts else configuration.pack_dir / "prestartup_script.py"
        self._prestartup = Prestartup(script, self._load_file)
        #: Called after each import that `load` made.
        self.after_import: list[Callable[[], None]] = []

    def install(self) -> None:
        """Put the hooks in place, and behind everything else ComfyUI's source, then what the pack's host part added."""
        self._folders.install()
        if self._configuration.comfyui is not None:
            sys.path.append(str(self._configuration.comfyui))
            sys.meta_path.insert(0, _FromComfyUI(str(self._configuration.comfyui)))
        sys.path.extend(self._configuration.host_facts.get("pack_paths") or ())
        sys.meta_path.insert(0, self._own)
        # Behind all others: a site folder called "nodes" must not hide ComfyUI's module of that name.
        sys.meta_path.append(self._bare)

    def load(self, name: str, path: str | None = None) -> ModuleType:
        """The module, imported if it is not yet. `path` is its file, for names only a pack's own loop knows.

        Before the first one the pack's prestartup script is run, if the whole pack is isolated. Raises whatever the
        import raises.
        """
        self._prestartup.run_once()
        if name in sys.modules:
            return sys.modules[name]
        if self._bare.has(name.partition(".")[0]) and sys.meta_path[0] is not self._bare:
            # Asked for by name: the host saw the pack import it so, with the folder first in sys.path.
            sys.meta_path.remove(self._bare)
            sys.meta_path.insert(0, self._bare)
        is_by_path = path is not None and self._own.find_spec(name) is None
        module = self._load_file(name, str(path)) if is_by_path else importlib.import_module(name)
        for follow in self.after_import:
            follow()
        return module

    def _load_file(self, name: str, path: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, path, loader=self._folders.loader(name, path))
        if spec is None or spec.loader is None:
            raise ImportError(f"{path!r} cannot be imported as {name!r}: it is not a Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            sys.modules.pop(name, None)
            raise
        return module


class _Packages:
    """A meta path finder for packages at known places; `empty` ones are not executed."""

    def __init__(self, folders: PackFolders, empty: dict[str, Path], executed: dict[str, Path]) -> None:
        self._folders = folders
        self._empty = empty
        self._executed = executed

    def has(self, name: str) -> bool:
        """Whether it is one of ours."""
        return name in self._executed or name in self._empty

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Called by the import system."""
        if path is not None and _DOT in fullname.rpartition(".")[2] and not self.has(fullname):
            return self._find_dotted(fullname, path)
        folder = self._executed.get(fullname)
        if folder is not None and (folder / "__init__.py").is_file():
            source = str(folder / "__init__.py")
            return importlib.util.spec_from_file_location(
                fullname,
                source,
                loader=self._folders.loader(fullname, source),
                submodule_search_locations=[str(folder)],
            )
        folder = folder or self._empty.get(fullname)
        if folder is None:
            return None
        spec = importlib.machinery.ModuleSpec(fullname, _EmptyLoader(), is_package=True)  # type: ignore[arg-type]  # a loader by its methods
        spec.submodule_search_locations = [str(folder)]
        return spec

    def _find_dotted(self, fullname: str, path: Sequence[str]) -> importlib.machinery.ModuleSpec | None:
        """A file with a dot in its name, which only a loop of the pack's finds; the host names it as ComfyUI would."""
        for folder in path:
            source = Path(folder, fullname.rpartition(".")[2].replace(_DOT, ".") + ".py")
            if source.is_file():
                loader = self._folders.loader(fullname, str(source))
                return importlib.util.spec_from_file_location(fullname, str(source), loader=loader)
        return None


class _FromComfyUI:
    """A finder for what ComfyUI has in `sys.modules` when it loads packs."""

    def __init__(self, source: str) -> None:
        self._source = source

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Called by the import system."""
        if fullname not in _COMFYUI_FIRST:
            return None
        return importlib.machinery.PathFinder.find_spec(fullname, [self._source])


class _EmptyLoader:
    """Gives a package without content."""

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        """The default module will do."""

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to execute."""
