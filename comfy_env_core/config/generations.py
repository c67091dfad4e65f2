"""Sections of older generations of the format, read as what they mean today.

Published packs still carry them, since the format moved several times: one environment under [env] and [packages];
environments under names of their own, [mocap] with [mocap.cuda] and [mocap.packages]; [cuda] with a version for each
package; what a pack asks for beside its environments, in the same file. Each is converted, with a warning that shows
the new spelling. What has no effect any more has a warning of its own, and what cannot be converted is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .conversion import Conversion
from .document import Document
from .errors import ConfigWarning
from .keys import KeyPath, dotted
from .older_packages import (
    SYSTEMS,
    conda,
    cuda,
    follows,
    is_older_cuda,
    packages,
    requirements,
    sources,
    table,
    wheel_sources,
    without_effect,
)
from .values import inline

# What only an environment written under its own name ([mocap], [mocap.cuda], [mocap.packages]) holds.
_NAMED_ENVIRONMENT_KEYS = frozenset(
    (
        *("python", "cuda", "cuda_version", "pytorch", "pytorch_version"),
        *("packages", "requirements", "conda", "isolated"),
    )
)
_LOCAL = (
    "[local] asks for packages in ComfyUI's own Python, which is never changed: the environment gets them"
)

Section = Callable[[Conversion, KeyPath, Any], None]


def modernised(
    document: Document, is_known: Callable[[str], bool]
) -> tuple[Document, tuple[ConfigWarning, ...]]:
    """The document in today's form, with a warning for each thing that was written in an older one.

    `is_known`: of a section of today's file; what else has the shape of a named environment is one. Raises ConfigError.
    """
    named = [
        name
        for name, content in document.tables.items()
        if _is_named_environment(content) and name not in _SECTIONS and not is_known(name)
    ]
    if len(named) > 1:
        raise _several(document, named)
    is_cuda_older = is_older_cuda(document.tables.get("cuda"))
    if not (named or is_cuda_older or document.tables.keys() & _SECTIONS.keys()):
        return document, ()
    conversion = Conversion(document)
    for name in document.tables:
        if name in named:
            _environment(conversion, (name,), conversion.take(name))
            conversion.tell((name,), f"[{name}] is a named environment, from an older form of this file")
        elif name == "cuda" and is_cuda_older:
            cuda(conversion, ("cuda",), conversion.take(name))
            conversion.tell(("cuda",), "[cuda] is written in an older form of this file")
        elif name in _SECTIONS:
            _SECTIONS[name](conversion, (name,), conversion.take(name))
            meaning = _LOCAL if name == "local" else f"[{name}] belongs to an older form of this file"
            conversion.tell((name,), meaning)
    return conversion.converted(), tuple(conversion.warnings)


def modernised_root(document: Document) -> tuple[Document, tuple[ConfigWarning, ...]]:
    """The same for a root file, of which only the sections for a whole pack were ever written in other ways."""
    conversion = Conversion(document)
    for name in ("node_packs", "system"):
        if name in document.tables:
            _SECTIONS[name](conversion, (name,), conversion.take(name))
            conversion.tell((name,), f"[{name}] belongs to an older form of this file")
    return conversion.converted(), tuple(conversion.warnings)


def _is_named_environment(content: Any) -> bool:
    return isinstance(content, dict) and bool(_NAMED_ENVIRONMENT_KEYS & content.keys())


def _several(document: Document, named: list[str]) -> Exception:
    places = " and ".join(f"[{name}] on line {document.line_of((name,))}" for name in named)
    first, second = named[:2]
    return document.error(
        (second,),
        f"the file describes {len(named)} environments, {places}, but one file is one environment",
        f"Put the nodes that use [{first}] and those that use [{second}] into directories of their own, each with a "
        "comfy-env.toml that holds the keys of its environment",
    )


def _environment(conversion: Conversion, key: KeyPath, content: Any) -> None:
    """[env], or an environment under a name: its keys are today's file, or once decided what follows by itself now."""
    for name, value in table(conversion, key, content).items():
        place = (*key, name)
        if name in _ENVIRONMENT:
            _ENVIRONMENT[name](conversion, place, value)
        elif name in _SECTIONS:
            _SECTIONS[name](conversion, place, value)
        elif name in _TODAY:
            _graft(conversion, (name,), place, value)
        elif key == ("env",) and name.isupper():
            remedy = f"Write environment variables under [env_vars]: {name} = {inline(str(value))}"
            raise conversion.document.error(place, f"{name!r} has no meaning under [env]", remedy)
        elif isinstance(value, dict | list) and value:
            remedy = "Write packages under [pypi-dependencies] or [dependencies], variables under [env_vars]"
            raise conversion.document.error(place, f"{name!r} is not known in an environment", remedy)
        else:
            without_effect(conversion, place, value)


def _graft(conversion: Conversion, to: KeyPath, origin: KeyPath, value: Any) -> None:
    """Writes a table key by key, or a plain value, from one place to another."""
    if not isinstance(value, dict):
        conversion.put(to, value, conversion.document.place(origin))
        return
    for name, inner in value.items():
        conversion.put((*to, name), inner, conversion.document.place((*origin, name)))


def _torch(conversion: Conversion, key: KeyPath, value: Any) -> None:
    """A version of torch named beside the packages is a requirement on it; "auto" follows ComfyUI, as torch does."""
    if value == "auto" or not isinstance(value, str):
        follows(conversion, key, value)
    else:
        version = value if value[:1] in "<>=!~" else f"=={value}"
        conversion.put(("pypi-dependencies", "torch"), version, conversion.document.place(key))


def _system(conversion: Conversion, key: KeyPath, value: Any) -> None:
    """[system] linux = ["libgl1"]: names for apt, and for brew on macOS."""
    for name, content in table(conversion, key, value).items():
        place = (*key, name)
        manager = {"linux": "apt", "osx": "brew"}.get(SYSTEMS.get(name, ""))
        listed = content.get("packages") if isinstance(content, dict) else content
        if manager and isinstance(listed, list):
            conversion.extend((manager, "packages"), listed, conversion.document.place(place))
        else:
            without_effect(conversion, place, content)


def _local(conversion: Conversion, key: KeyPath, value: Any) -> None:
    """What other tools install into ComfyUI's own Python."""
    for name, content in table(conversion, key, value).items():
        place = (*key, name)
        if name in ("cuda", "packages"):
            _ENVIRONMENT[name](conversion, place, content)
        else:
            without_effect(conversion, place, content)


def _filled_in(conversion: Conversion, key: KeyPath, value: Any) -> None:
    for name, content in table(conversion, key, value).items():
        problem = (
            f"{dotted((*key, name))} = {content!r} was filled in where {{{name}}} stands, and nowhere else"
        )
        conversion.no_effect(conversion.document.place((*key, name)), problem, "Write the value itself there")


def _nothing(conversion: Conversion, key: KeyPath, value: Any) -> None:
    for name, content in table(conversion, key, value).items():
        without_effect(conversion, (*key, name), content)


def _node_packs(conversion: Conversion, key: KeyPath, value: Any) -> None:
    _graft(conversion, ("node_reqs",), key, table(conversion, key, value))


_SECTIONS: Mapping[str, Section] = {
    "env": _environment,
    "packages": packages,
    "conda": conda,
    "sources": sources,
    "wheel_sources": wheel_sources,
    "variables": _filled_in,
    "worker": _nothing,
    "local": _local,
    "system": _system,
    "node_packs": _node_packs,
}
#: Those that say nothing of an environment.
PACK_SECTIONS = frozenset(("local", "system", "node_packs"))

_ENVIRONMENT: Mapping[str, Section] = {
    "python": lambda conversion, key, value: _graft(conversion, ("python",), key, value),
    "cuda": cuda,
    "cuda_version": follows,
    "pytorch": _torch,
    "pytorch_version": _torch,
    "packages": packages,
    "requirements": requirements,
    "conda": conda,
}

#: Sections that an environment under a name may hold as they are.
_TODAY = frozenset(
    (
        *("dependencies", "pypi-dependencies", "pypi-options", "env_vars", "options", "target", "workspace"),
        *("apt", "brew", "node_reqs", "types", "activation", "system-requirements"),
    )
)
