"""What is installed on a Debian-like system, read from dpkg's own database."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path

STATUS_PATH = Path("/var/lib/dpkg/status")

# The third word of a Status field: deb-version(7) and dpkg(1), "Package states".
_INSTALLED = frozenset(("installed", "triggers-awaited", "triggers-pending"))
_UNFINISHED = frozenset(("half-installed", "unpacked", "half-configured"))

#: Debian 13 and Ubuntu 24.04 renamed libraries whose ABI has 64-bit times: libasound2 → libasound2t64.
RENAMED = "t64"

#: Transitional packages that newer releases have dropped, and what they had pulled in.
SUCCESSORS: Mapping[str, tuple[str, ...]] = {
    "libgl1-mesa-glx": ("libgl1", "libglx-mesa0"),
    "libegl1-mesa": ("libegl1",),
    "libgles2-mesa": ("libgles2",),
    "libwayland-egl1-mesa": ("libwayland-egl1",),
}


@dataclasses.dataclass(frozen=True)
class DpkgState:
    """`installed` and `provided` hold names, with and without ":architecture".

    `unfinished`: packages whose installation was interrupted; apt does nothing until dpkg has finished them.
    """

    installed: frozenset[str]
    provided: frozenset[str]
    unfinished: tuple[str, ...]

    def has(self, name: str) -> bool:
        """Whether a package of this name is there, or one that took its place."""
        if name in self.installed or name in self.provided:
            return True
        bare, colon, architecture = name.partition(":")
        renamed = bare.removesuffix(RENAMED) if bare.endswith(RENAMED) else bare + RENAMED
        if f"{renamed}{colon}{architecture}" in self.installed:
            return True
        successors = SUCCESSORS.get(name, ())
        return bool(successors) and all(self.has(successor) for successor in successors)


def read_dpkg_state(path: Path = STATUS_PATH) -> DpkgState:
    """The state of the machine. Raises OSError where the database cannot be read."""
    installed: set[str] = set()
    provided: set[str] = set()
    unfinished: list[str] = []
    for package in _paragraphs(path.read_text(encoding="utf-8", errors="replace")):
        name, architecture = package.get("Package", ""), package.get("Architecture", "")
        state = package.get("Status", "").rpartition(" ")[2]
        if state in _UNFINISHED:
            unfinished.append(name)
        if state in _INSTALLED:
            installed |= {name, f"{name}:{architecture}"}
            for clause in package.get("Provides", "").split(","):
                virtual = clause.partition("(")[0].strip()
                provided |= {virtual, f"{virtual}:{architecture}"}
    return DpkgState(frozenset(installed), frozenset(provided - {""}), tuple(unfinished))


def _paragraphs(text: str) -> Iterator[Mapping[str, str]]:
    """The fields of each package; only those of one line are of interest."""
    for paragraph in text.split("\n\n"):
        fields = (line.partition(": ") for line in paragraph.split("\n") if not line.startswith((" ", "\t")))
        yield {name: value for name, _, value in fields}
