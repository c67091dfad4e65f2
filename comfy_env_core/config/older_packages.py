"""Packages as older generations of the format listed them: requirement lines, and names with versions for CUDA."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .conversion import Conversion
from .document import Document
from .keys import KeyPath, dotted
from .requirement_lines import NotARequirement, read_line
from .values import kind

#: What systems were called → the `[target]` section of pixi's.
SYSTEMS = {
    **dict.fromkeys(("linux",), "linux"),
    **dict.fromkeys(("darwin", "macos", "osx"), "osx"),
    **dict.fromkeys(("windows", "win", "win32"), "win"),
}
#: "torch=={pytorch_version}": filled in when the environment was made, from what the machine had.
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_CUDA_VERSION = re.compile(r"\d+(\.\d+)*|cu\d+|auto|none|null|cpu")
_FOLLOWS = "follows from ComfyUI and this machine, and has no effect"


def is_older_cuda(content: Any) -> bool:
    """Not [cuda] packages = ["name", …], which is today's form (or a slip in it, for its reader to name)."""
    if not isinstance(content, dict):
        return isinstance(content, (list, str))
    listed = content.get("packages", [])
    return bool(content.keys() - {"packages"}) or isinstance(listed, str) or _has_versions(listed)


def _has_versions(listed: Any) -> bool:
    return isinstance(listed, list) and any(_is_versioned(item) for item in listed)


def _is_versioned(item: Any) -> bool:
    try:
        return isinstance(item, str) and read_line(item).requirement != "*"
    except NotARequirement:
        return False


def cuda(conversion: Conversion, key: KeyPath, value: Any) -> None:
    """Packages compiled for CUDA, by name and version or as requirement lines; in an environment, CUDA's version."""
    if isinstance(value, str) and (len(key) > 1 or _CUDA_VERSION.fullmatch(value)):
        follows(conversion, key, value)
    elif isinstance(value, (str, list)):
        _cuda_lines(conversion, key, value)
    else:
        for name, version in table(conversion, key, value).items():
            _cuda_entry(conversion, (*key, name), version)


def _cuda_entry(conversion: Conversion, key: KeyPath, value: Any) -> None:
    name = key[-1]
    is_pinned = isinstance(value, dict) and value.keys() == {"version"} and isinstance(value["version"], str)
    if name == "packages" and isinstance(value, (str, list)):
        _cuda_lines(conversion, key, value)
    elif name in ("version", "cuda_version", "cuda"):
        follows(conversion, key, value)
    elif isinstance(value, str) or is_pinned:
        _cuda_package(conversion, name, value if isinstance(value, str) else value["version"], key)
    else:
        problem = (
            f"{name!r} should be the name of a package with its version, but holds {kind(value)}, {value!r}"
        )
        raise conversion.document.error(key, problem, f'List the names: [cuda] packages = ["{name}"]')


def _cuda_lines(conversion: Conversion, key: KeyPath, value: str | list[Any]) -> None:
    """What is more than a name and a version is left for the reader of [cuda] to refuse."""
    for item in [value] if isinstance(value, str) else value:
        try:
            line = read_line(item) if isinstance(item, str) else None
        except NotARequirement:
            line = None
        if line is None or line.marker or not isinstance(line.requirement, str):
            conversion.extend(("cuda", "packages"), [item], conversion.place_of_item(key, item))
        else:
            _cuda_package(conversion, line.name, line.requirement, key, item)


def _cuda_package(
    conversion: Conversion, name: str, version: str, origin: KeyPath, item: str | None = None
) -> None:
    place = conversion.place_of_item(origin, item)
    conversion.extend(("cuda", "packages"), [name], place)
    if version not in ("*", ""):
        problem = (
            f"the version of {name}, {version!r}, has no effect: which there is depends on torch and CUDA"
        )
        remedy = f'Write the name alone, or {name} = "=={version.lstrip("=")}" under [pypi-dependencies]'
        conversion.no_effect(place, problem, remedy)


def packages(conversion: Conversion, key: KeyPath, value: Any) -> None:
    """[packages]: requirement lines, for all platforms and for single ones."""
    if isinstance(value, list) and len(key) > 1:
        requirements(conversion, key, value)
        return
    for name, content in table(conversion, key, value).items():
        place = (*key, name)
        if name == "requirements":
            requirements(conversion, place, content)
        elif name == "no_deps":
            cuda(conversion, place, [content] if isinstance(content, str) else content)
        elif name in SYSTEMS:
            _for_system(conversion, place, content)
        elif name == "requirements_file":
            problem = (
                f"the packages in {content!r} are not part of this file, so the environment would lack them"
            )
            remedy = 'Write them under [pypi-dependencies], one a line: name = ">=1.2"'
            raise conversion.document.error(place, problem, remedy)
        else:
            raise conversion.document.error(place, *_unclear_package(name, content))


def _for_system(conversion: Conversion, key: KeyPath, value: Any) -> None:
    """[packages.linux] requirements = […], or packages.linux = […]."""
    target = ("target", SYSTEMS[key[-1]])
    if isinstance(value, list):
        requirements(conversion, key, value, target)
        return
    for name, content in table(conversion, key, value).items():
        if name == "requirements":
            requirements(conversion, (*key, name), content, target)
        else:
            without_effect(conversion, (*key, name), content)


def _unclear_package(name: str, content: Any) -> tuple[str, str]:
    """The problem and its remedy: for a while these were packages for CUDA, to everyone else they are PyPI's."""
    version = content if isinstance(content, str) else "*"
    return (
        f"{name!r} under [packages] may mean a package for CUDA or one of PyPI",
        f'Write [cuda] packages = ["{name}"] if it is compiled for CUDA, else [pypi-dependencies] {name} = "{version}"',
    )


def requirements(conversion: Conversion, key: KeyPath, value: Any, prefix: KeyPath = ()) -> None:
    """A list of requirement lines. `prefix`: ("target", "linux") for lines that are meant for one system."""
    if not isinstance(value, list):
        problem = f"this should be a list of strings, but is {kind(value)}, {value!r}"
        raise conversion.document.error(key, problem, f'Write {key[-1]} = ["name>=1.2"]')
    for item in value:
        text = _filled_in(conversion.document, item) if isinstance(item, str) else item
        if isinstance(text, str) and _PLACEHOLDER.search(text):
            _made_for_this_machine(conversion, key, item)
            continue
        place = conversion.place_of_item(key, item)
        if text != item:
            conversion.no_effect(place, f"{item!r} was read as {text!r}", "Write it so")
        conversion.require(text, place, prefix)


def _filled_in(document: Document, text: str) -> str:
    """The text with the placeholders that the file itself explains, under [variables]."""
    variables = document.tables.get("variables")
    known = variables if isinstance(variables, dict) else {}
    return _PLACEHOLDER.sub(lambda match: str(known.get(match[1], match[0])), text)


def _made_for_this_machine(conversion: Conversion, key: KeyPath, item: str) -> None:
    """A version that names CUDA or torch by a placeholder belongs to a package built for each of them: [cuda]'s."""
    name = re.split(r"[^A-Za-z0-9_.-]", item.strip(), maxsplit=1)[0]
    place = conversion.place_of_item(key, item)
    conversion.extend(("cuda", "packages"), [name], place)
    conversion.no_effect(place, f"the version in {item!r} {_FOLLOWS}", "Write the name alone, under [cuda]")


def sources(conversion: Conversion, key: KeyPath, value: Any) -> None:
    for name, urls in table(conversion, key, value).items():
        place = (*key, name)
        listed = [urls] if isinstance(urls, str) else urls
        if name not in ("wheel_sources", "index_urls") or not isinstance(listed, list):
            without_effect(conversion, place, urls)
        elif name == "index_urls":
            conversion.extend(("pypi-options", "extra-index-urls"), listed, conversion.document.place(place))
        else:
            links = [{"url" if "://" in str(url) else "path": url} for url in listed]
            conversion.extend(("pypi-options", "find-links"), links, conversion.document.place(place))


def wheel_sources(conversion: Conversion, key: KeyPath, value: Any) -> None:
    for name, url in table(conversion, key, value).items():
        if not isinstance(url, str) or _PLACEHOLDER.search(url):
            problem = f"the place of {name!r} is a pattern, {url!r}, that was filled in for each machine"
            remedy = f'Write the wheel of each platform: [target.linux-64.pypi-dependencies] {name} = {{ url = "…" }}'
            raise conversion.document.error((*key, name), problem, remedy)
        conversion.put(("pypi-dependencies", name), {"url": url}, conversion.document.place((*key, name)))


def conda(conversion: Conversion, key: KeyPath, value: Any) -> None:
    """[name.conda] packages = ["cgal>=5"], channels = […]."""
    given = {"packages": value} if isinstance(value, list) else table(conversion, key, value)
    for name, content in given.items():
        place = key if isinstance(value, list) else (*key, name)
        if name == "packages" and isinstance(content, list):
            for item in content:
                package, version = _conda_spec(item)
                conversion.put(("dependencies", package), version, conversion.place_of_item(place, item))
        elif name == "channels" and isinstance(content, list):
            conversion.extend(("workspace", "channels"), content, conversion.document.place(place))
        elif isinstance(content, (str, dict)):
            conversion.put(("dependencies", name), content, conversion.document.place(place))
        else:
            without_effect(conversion, place, content)


def _conda_spec(item: Any) -> tuple[str, str]:
    """("cgal", ">=5") for "cgal>=5" and "cgal >=5"; what is no text is left for the reader of [dependencies]."""
    match = re.fullmatch(r"\s*([A-Za-z0-9_.-]+)\s*(.*?)\s*", str(item))
    return (match[1], match[2] or "*") if match else (str(item), "*")


def without_effect(conversion: Conversion, key: KeyPath, value: Any) -> None:
    problem = f"{dotted(key)} = {value!r} has no meaning any more, and no effect"
    conversion.no_effect(conversion.document.place(key), problem, "Remove it")


def follows(conversion: Conversion, key: KeyPath, value: Any) -> None:
    remedy = (
        "Remove it" if value == "auto" else 'Remove it; COMFY_ENV_CUDA_VERSION="12.4" chooses another CUDA'
    )
    conversion.no_effect(conversion.document.place(key), f"{dotted(key)} = {value!r} {_FOLLOWS}", remedy)


def table(conversion: Conversion, key: KeyPath, value: Any) -> Mapping[str, Any]:
    if isinstance(value, dict):
        return value
    problem = f"this should be a table, but is {kind(value)}, {value!r}"
    raise conversion.document.error(key, problem, f"Write it as a section: [{dotted(key)}], its keys below")
