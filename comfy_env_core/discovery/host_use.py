"""What the nodes of a site need of ComfyUI, told from their source without executing any of it."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..config import HostNeed
from .host_names import (
    HOST_MODULES,
    TORCH_FAMILY,
    Reach,
    is_about_tensors,
    is_live,
    is_whole_module_lean,
    reach,
)
from .imports import FileImports, Import, Use, read_imports
from .walking import walk

# Parsing takes most of the time, and packs carry whole research repositories: a file without any of these words
# neither needs ComfyUI or torch nor leaves the site.
_WORTH_PARSING = re.compile(
    rb"\b(?:%s)\b|from\s*\.\s*\."
    % "|".join(
        sorted(
            {name.partition(".")[0] for name in HOST_MODULES}
            | TORCH_FAMILY
            | {"aiohttp", "import_module", "__import__"}
        )
    ).encode()
)
_SHOWN_PER_NAME = 5
# What ComfyUI's server module has imported and packs take from there.
_AIOHTTP_OF_SERVER = frozenset(("server.aiohttp", "server.web"))


@dataclass(frozen=True)
class HostUse:
    """`need` is NONE, TORCH or COMFYUI. `torch_packages` are the imported ones of torch, torchvision and torchaudio.
    `uses_web`: it imports aiohttp, itself or from ComfyUI's `server`, as packs do that serve routes.

    `evidence` has lines "file:line import x", at most five for each top-level name, paths relative to the site with
    "/"; those that a stand-in satisfies say so. Files that could not be read or parsed have a line too.
    """

    need: HostNeed
    imports_torch: bool
    evidence: tuple[str, ...]
    torch_packages: tuple[str, ...] = ()
    uses_web: bool = False


def host_use(site_dir: Path, nested: Collection[Path], pack_dir: Path | None = None) -> HostUse:
    """What the source of a site uses of ComfyUI and torch; the `nested` sites are not its own.

    Modules outside of the site that it imports relatively (`from ...shared import x`) run in its worker as well and
    are followed, up to `pack_dir` if that is given. This reads every Python file of the site: seconds for a big one,
    so callers keep the answer by the site's fingerprint.
    """
    reading = _Reading(str(site_dir), [str(path) for path in nested], str(pack_dir) if pack_dir else None)
    for _, files in walk(
        reading.top, lambda name: name.endswith(".py"), reading.note_unreadable, reading.nested
    ):
        for path in sorted(entry.path for entry in files):
            reading.read(path, is_followed=False)
    while reading.waiting:
        reading.read(reading.waiting.pop(), is_followed=True)
    return reading.result()


@dataclass
class _Reading:
    """One site being read."""

    top: str
    nested: list[str]
    pack_top: str | None
    needs_comfyui: bool = False
    torch_packages: set[str] = field(default_factory=set)
    imports_aiohttp: bool = False
    imports_server: bool = False
    evidence: list[tuple[str, int, str]] = field(default_factory=list)
    shown: Counter[str] = field(default_factory=Counter)
    seen: set[str] = field(default_factory=set)
    waiting: list[str] = field(default_factory=list)

    def read(self, path: str, *, is_followed: bool) -> None:
        try:
            with open(path, "rb") as file:
                source = file.read()
        except OSError as error:
            self.note_unreadable(path, error)
            return
        if not is_followed and not _WORTH_PARSING.search(source):
            return
        found = read_imports(source)
        if found.problem is not None:
            self._show(path, 0, f"cannot be parsed by this Python, read line by line: {found.problem}")
        for each in found.imports:
            if each.level:
                self._follow(path, each)
            else:
                self._judge_import(path, each)
        self._judge_uses(path, found)

    def note_unreadable(self, path: str, error: OSError) -> None:
        self._show(path, 0, f"cannot be read: {error.strerror or error}")

    def result(self) -> HostUse:
        torch = tuple(sorted(self.torch_packages))
        need = HostNeed.COMFYUI if self.needs_comfyui else HostNeed.TORCH if torch else HostNeed.NONE
        lines = (
            f"{file}:{line} {text}" if line else f"{file} {text}"
            for file, line, text in sorted(self.evidence)
        )
        uses_web = self.imports_aiohttp and self.imports_server
        return HostUse(need, bool(torch), tuple(lines), torch, uses_web)

    def _judge_import(self, path: str, each: Import) -> None:
        top = each.module.partition(".")[0]
        self.imports_aiohttp |= top == "aiohttp" or each.target in _AIOHTTP_OF_SERVER
        self.imports_server |= each.module == "server"
        if top in TORCH_FAMILY and not each.is_guarded:
            self.torch_packages.add(top)
            self._show_once(path, each.line, str(each), top)
            return
        # `import a.b` imports the module a.b even if only a.c is used, `from a import b` may import the module a.b.
        self._judge(path, each.line, str(each), each.target, counts_module=each.bound is None)

    def _judge_uses(self, path: str, found: FileImports) -> None:
        """Judges what is taken from modules that were imported whole; only a few names of theirs have stand-ins."""
        modules = {
            each.bound: each.bound_to
            for each in found.imports
            if each.bound and not each.level and reach(each.bound_to) is Reach.MODULE
        }
        for use in found.uses if modules else ():
            first, _, rest = use.text.partition(".")
            if first in modules:
                target = f"{modules[first]}.{rest}" if rest else modules[first]
                self._judge(path, use.line, use.text, target, counts_module=True)
        for use in found.classes:
            self._judge_class(path, use, found)

    def _judge_class(self, path: str, use: Use, found: FileImports) -> None:
        """What stays in the host can be called, but is no class here."""
        first, _, rest = use.text.partition(".")
        for each in found.imports:
            if each.bound == first and not each.level:
                target = f"{each.bound_to}.{rest}" if rest else each.bound_to
                if is_live(target):
                    self.needs_comfyui = True
                    self._show_once(path, use.line, f"class {use.text}", target.partition(".")[0])

    def _judge(self, path: str, line: int, text: str, target: str, *, counts_module: bool) -> None:
        found = reach(target)
        if found is Reach.NOT_HOST:
            return
        needs_comfyui = found is Reach.COMFYUI or (
            found is Reach.MODULE and counts_module and not is_whole_module_lean(target)
        )
        top = target.partition(".")[0]
        if needs_comfyui:
            self.needs_comfyui = True
            self._show_once(path, line, text, top)
            return
        self._show_once(path, line, f"{text} (has a stand-in)", f"{top} stand-in")
        if is_about_tensors(target):
            self.torch_packages.add("torch")

    def _show_once(self, path: str, line: int, text: str, name: str) -> None:
        self.shown[name] += 1
        if self.shown[name] <= _SHOWN_PER_NAME:
            self._show(path, line, text)

    def _show(self, path: str, line: int, text: str) -> None:
        self.evidence.append((os.path.relpath(path, self.top).replace(os.sep, "/"), line, text))

    def _follow(self, path: str, each: Import) -> None:
        """Queues the modules outside of the site that a relative import reaches."""
        base = os.path.dirname(path)
        for _ in range(each.level - 1):
            base = os.path.dirname(base)
        for file in _module_files(base, [part for part in each.target.split(".") if part and part != "*"]):
            if file not in self.seen and self._is_outside(file):
                self.seen.add(file)
                self.waiting.append(file)

    def _is_outside(self, path: str) -> bool:
        if any(_is_under(path, directory) for directory in (self.top, *self.nested)):
            return False
        return self.pack_top is None or _is_under(path, self.pack_top)


def _is_under(path: str, directory: str) -> bool:
    return path.startswith(directory.rstrip(os.sep) + os.sep)


def _module_files(base: str, names: list[str]) -> Iterator[str]:
    """The files executed by importing names[0].names[1]… in `base`; names that are no module end it."""
    for name in names:
        base = os.path.join(base, name)
        if os.path.isfile(base + ".py"):
            yield base + ".py"
            return
        if os.path.isfile(initialiser := os.path.join(base, "__init__.py")):
            yield initialiser
