"""Sections of older generations of the format, and how each is written today.

Published packs still carry them (the format moved several times). Each table maps a section's name to a function that
shows the new spelling of what the section holds; nothing is guessed or dropped meanwhile, the file is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from .document import Document, dotted

NewSpelling = Callable[[str, Any], str]

ROOT_FILE_NAME = "comfy-env-root.toml"

# What only an environment written under its own name ([mocap], [mocap.cuda], [mocap.packages]) holds.
_NAMED_ENVIRONMENT_KEYS = frozenset(
    ("python", "cuda", "cuda_version", "pytorch_version", "packages", "requirements", "isolated")
)
_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9_.-]+)\s*(?:\[([^\]]*)\])?\s*([^;@]*)")
_SHOWN = 3


def refuse_older_forms(document: Document, spellings: Mapping[str, NewSpelling]) -> None:
    """Raises ConfigError with the new spelling for the first section of the file that an older generation wrote."""
    for section, content in document.tables.items():
        if section in spellings:
            remedy = spellings[section](section, content)
            raise document.error((section,), f"[{section}] belongs to an older form of this file", remedy)


def refuse_named_environments(document: Document, known: frozenset[str]) -> None:
    """Raises ConfigError for the first section outside `known` that has the shape of a named environment."""
    for section, content in document.tables.items():
        if section not in known and isinstance(content, dict) and _NAMED_ENVIRONMENT_KEYS & content.keys():
            problem = f"[{section}] is a named environment, from an older form of this file"
            raise document.error((section,), problem, _named_environment(section, content))


def _to_root_file(section: str, content: Any) -> str:
    return f"Move [{section}] into a {ROOT_FILE_NAME} at the top of the pack: {_sample(section, content)}"


def _to_node_reqs(section: str, content: Any) -> str:
    return f"Rename the section: {_sample('node_reqs', content)}"


def _node_packs_in_environment(section: str, content: Any) -> str:
    return f"Move it into a {ROOT_FILE_NAME} at the top of the pack, as {_sample('node_reqs', content)}"


def _isolation(section: str, content: Any) -> str:
    python = content.get("python") if isinstance(content, dict) else None
    return (
        f"Write python = {json.dumps(str(python or '3.11'))} at the top of the file and remove [{section}]: "
        "name, cuda and torch follow from the pack and from ComfyUI"
    )


def _packages(section: str, content: Any) -> str:
    requirements = content.get("requirements") if isinstance(content, dict) else None
    return f"Write them as [pypi-dependencies], one line each: {_pypi_lines(requirements)}"


def _sources(section: str, content: Any) -> str:
    urls = content.get("index_urls") if isinstance(content, dict) else None
    return f"Write [pypi-options] extra-index-urls = {json.dumps(urls or ['https://…'])}, and find-links beside it"


def _named_environment(section: str, content: Mapping[str, Any]) -> str:
    steps = [f"Take its keys out of [{section}]"]
    if "python" in content:
        steps.append(f"python = {json.dumps(str(content['python']))} goes to the top of the file")
    if isinstance(cuda := content.get("cuda"), dict):
        steps.append(f"[{section}.cuda] becomes [cuda] packages = {_shown_list(cuda)}")
    packages = content.get("packages")
    if isinstance(packages, dict):
        steps.append(
            f"[{section}.packages] becomes [pypi-dependencies] {_pypi_lines(packages.get('requirements'))}"
        )
    if {"cuda_version", "pytorch_version"} & content.keys():
        steps.append("cuda_version and pytorch_version follow from ComfyUI and are removed")
    return "; ".join(steps)


def _local(section: str, content: Any) -> str:
    cuda = content.get("cuda") if isinstance(content, dict) else None
    listed = _shown_list(cuda if isinstance(cuda, dict) else {})
    return (
        "ComfyUI's own Python is never changed: put the nodes that need these packages into a directory with a "
        f"comfy-env.toml of its own, holding [cuda] packages = {listed}"
    )


def _sample(section: str, content: Any) -> str:
    """The section as it would be written, shortened to its first keys."""
    if not isinstance(content, dict):
        return f"[{section}]"
    lines = [f"{dotted((name,))} = {json.dumps(value, default=str)}" for name, value in content.items()]
    return ", ".join([f"[{section}] " + (lines[0] if lines else ""), *lines[1:_SHOWN]]).strip() + _more(lines)


def _shown_list(names: Mapping[str, Any]) -> str:
    return json.dumps(list(names)[:_SHOWN] or ["name"]) + _more(names)


def _pypi_lines(requirements: Any) -> str:
    texts = [text for text in requirements if isinstance(text, str)] if isinstance(requirements, list) else []
    return ", ".join(_pypi_line(text) for text in texts[:_SHOWN] or ["name"]) + _more(texts)


def _pypi_line(requirement: str) -> str:
    match = _REQUIREMENT.match(requirement)
    if match is None:
        return json.dumps(requirement)
    name, extras, version = match.groups()
    version_text = json.dumps(version.strip() or "*")
    if not extras:
        return f"{name} = {version_text}"
    return f"{name} = {{ version = {version_text}, extras = {json.dumps([e.strip() for e in extras.split(',')])} }}"


def _more(items: Any) -> str:
    return ", and so on" if len(items) > _SHOWN else ""


# System packages and other packs are asked for by the pack, not by one of its environments.
OLDER_ENVIRONMENT_SECTIONS: Mapping[str, NewSpelling] = {
    "apt": _to_root_file,
    "brew": _to_root_file,
    "node_reqs": _to_root_file,
    "types": _to_root_file,
    "node_packs": _node_packs_in_environment,
    "env": _isolation,
    "packages": _packages,
    "sources": _sources,
    "local": _local,
}

OLDER_ROOT_SECTIONS: Mapping[str, NewSpelling] = {
    "node_packs": _to_node_reqs,
    "local": _local,
}
