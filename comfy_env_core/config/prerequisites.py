"""What a pack asks for outside of Python environments: system packages and other packs."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .document import Document
from .node_requirements import NodeRequirement, read_node_requirements
from .values import strings, table

PREREQUISITE_SECTIONS = ("apt", "brew", "node_reqs")

# Debian policy 5.6.7, with an architecture. A "-" at the end would have apt remove the package; "=", "/", "*" and "^"
# mean something to apt as well.
_APT = re.compile(r"[a-z0-9][a-z0-9+.-]*[a-z0-9+](?::[a-z0-9]+)?")
# A formula, or one of somebody's tap: owner/tap/formula.
_BREW = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9_-]*/[A-Za-z0-9_][A-Za-z0-9_-]*/)?[A-Za-z0-9][A-Za-z0-9@+._-]*")


@dataclass(frozen=True)
class Prerequisites:
    """`apt` and `brew` are names of system packages, each once, safe to stand in an argument list."""

    apt: tuple[str, ...] = ()
    brew: tuple[str, ...] = ()
    node_reqs: tuple[NodeRequirement, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything is asked for."""
        return bool(self.apt or self.brew or self.node_reqs)


def read_prerequisites(document: Document) -> Prerequisites:
    """What the sections [apt], [brew] and [node_reqs] ask for. Raises ConfigError."""
    return Prerequisites(
        apt=_system_packages(document, "apt", _APT),
        brew=_system_packages(document, "brew", _BREW),
        node_reqs=read_node_requirements(document, ("node_reqs",), document.tables.get("node_reqs", {})),
    )


def _system_packages(document: Document, name: str, pattern: re.Pattern[str]) -> tuple[str, ...]:
    section = table(document, (name,), document.tables.get(name, {}))
    for stray in section:
        if stray != "packages":
            remedy = f'Write [{name}] packages = ["{stray}"]'
            raise document.error((name, stray), f"[{name}] has one key, packages, not {stray!r}", remedy)
    packages = strings(document, (name, "packages"), section.get("packages", []))
    for package in packages:
        if not pattern.fullmatch(package):
            # They end in a command that may run as root: nothing that could be an option or a version.
            problem = f"{package!r} is not the name of a package of {name}"
            remedy = "List one name per string, as the system writes it, without version and options"
            raise document.error((name, "packages"), problem, remedy)
    return tuple(dict.fromkeys(packages))
