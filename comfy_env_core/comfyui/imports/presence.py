"""How one isolated site shows itself in the host's modules, before and after its environment is ready."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FrameType, ModuleType

from comfy_env_core.comfyui.imports import modules
from comfy_env_core.comfyui.imports.in_host import MixedFactory
from comfy_env_core.comfyui.nodes.node_calls import NodeCaller
from comfy_env_core.comfyui.nodes.proxies import ProxyFactory
from comfy_env_core.environments.states import SiteState
from comfy_env_core.manager import BuildMode
from comfy_env_core.sites.runtime import Description, SiteRuntime

log = logging.getLogger("comfy-env")

#: How long a node waits for a module that nobody has imported before: as long as an import may take.
_PATIENCE_S = 180.0


class Presence:
    """Provides the host's modules for one site. A `ModuleProvider` for the import hooks.

    A module for which there is a description is filled from it. For any other the site is told that the host wants it,
    and the module gets through its import with stubs. When the site has got further, `is_outdated` says that the pack
    should be imported anew, and `forget` names the modules that have to go for that.
    """

    def __init__(self, site: SiteRuntime, caller: NodeCaller, mode: BuildMode) -> None:
        self.site = site
        self._factory = MixedFactory(ProxyFactory(caller), site)
        self._mode = mode
        self._provided: dict[str, tuple[ModuleType, str, Description | None]] = {}
        self._importers: set[str] = set()

    def provide(self, module: ModuleType, location: Path) -> None:
        if (
            self.site.is_root
            and location == self.site.site.directory / "__init__.py"
            and not location.is_file()
        ):
            raise ImportError(_why_without_init(location.parent))
        name = self.site.module_name_of(location)
        description = self.site.describe_for_host(name)
        if self._mode is BuildMode.BLOCKING:
            description = self._waited_for(name)
        elif description is None and threading.current_thread() is not threading.main_thread():
            description = self._described_meanwhile(name)
        self._provided[module.__name__] = (module, name, description)
        self._importers.update(_modules_being_imported(self.site.pack_module_name))
        if description is not None:
            modules.fill(module, description, self._factory)
        elif self.site.is_root and self.site.failure is not None:
            # Nothing to show and nothing under way: let ComfyUI and its Manager list the pack as failed.
            raise ImportError(str(self.site.failure))
        else:
            self._warn_other_packs(name)
            modules.fill_unready(module, location if location.is_file() else None)

    def _waited_for(self, name: str) -> Description | None:
        """What the finished build makes of the module, also where an older environment could serve meanwhile."""
        if self.site.state is SiteState.READY or self.site.notice is not None:
            # Nothing is being built. A module that nobody has imported before is described by a worker that runs.
            return self.site.wait_for_description(name)
        self.site.wait_until_settled(None)
        return self.site.wait_for_description(name)

    def _described_meanwhile(self, name: str) -> Description:
        """A node imports it while it runs, which may take its time: only ComfyUI's event loop must not wait.

        Raises ImportError: the environment is not there, or the module fails in it.
        """
        known = None
        if self.site.serving is not None and self.site.state is not SiteState.FAILED:
            known = self.site.wait_for_description(name, _PATIENCE_S)
        if known is None:
            raise ImportError(
                f"{name!r} belongs to {self.site.id!r}, which runs in an environment of its own, and that is "
                f"{self.site.state.value}{f': {self.site.failure}' if self.site.failure else ''}. Try again when its "
                "nodes are there.",
                name=name,
            )
        return known

    def _warn_other_packs(self, name: str) -> None:
        """A pack of this site is imported anew when it is ready. To do so to others, they have not asked for."""
        own = self.site.site.pack.path
        for pack in sorted(_packs_being_imported(own.parent) - {own.name}):
            log.warning(
                "%s imports %s, whose environment is not ready yet; what it makes of it comes with the next start.",
                pack,
                name,
            )

    def is_outdated(self) -> bool:
        """Whether the host holds a module of this site that would look different by now."""
        return any(self.site.description(name) != known for _, name, known in list(self._provided.values()))

    def forget(self) -> set[str]:
        """Names in `sys.modules` that hold something of this site or were computed from it, the pack's root left out.

        The caller removes them and imports the pack anew, which makes new proxies.
        """
        names = set(self._provided) | self._importers
        ours = {id(module) for module, _, _ in self._provided.values()}
        ours |= {id(value) for module, _, _ in self._provided.values() for value in _exports(module)}
        prefix = self.site.pack_module_name + "."
        for name, module in list(sys.modules.items()):
            if name.startswith(prefix) and any(id(value) in ours for value in vars(module).values()):
                names.add(name)
        self._provided.clear()
        self._importers.clear()
        self._factory.forget_all()
        names.discard(self.site.pack_module_name)
        return names


def _why_without_init(pack: Path) -> str:
    """A comfy-env.toml alone, or one beside a pack that is a single file."""
    problem = (
        f"{str(pack)!r} has a comfy-env.toml but no __init__.py, which is what ComfyUI loads of a pack. "
    )
    single_file = pack.with_suffix(".py")
    if single_file.is_file():
        return problem + (
            f"{str(single_file)!r} is another pack, a single file, and runs in ComfyUI's own Python. To isolate it, "
            f"move it to {str(pack / '__init__.py')!r}."
        )
    return problem + "Add one that defines NODE_CLASS_MAPPINGS, or remove the folder."


def _exports(module: ModuleType) -> Iterable[object]:
    """What is recognisable by identity in an importing module: not constants, which Python may share."""
    return [
        value
        for name, value in vars(module).items()
        if not name.startswith("__") and isinstance(value, (dict, type))
    ]


def _modules_being_imported(root: str) -> set[str]:
    """The pack's own modules on the call stack: each of them is being computed from what is imported now."""
    names = (frame.f_globals.get("__name__") for frame in _callers())
    return {name for name in names if isinstance(name, str) and (name == root or name.startswith(root + "."))}


def _packs_being_imported(custom_nodes: Path) -> set[str]:
    """The folders of packs with a module whose own code is under way, in contrast to a function that loads others."""
    files = (frame.f_code.co_filename for frame in _callers() if frame.f_code.co_name == "<module>")
    below = str(custom_nodes) + os.sep
    return {file[len(below) :].partition(os.sep)[0] for file in files if file.startswith(below)}


def _callers() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back
