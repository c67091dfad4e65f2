"""Other node packs that a pack asks for: `[node_reqs]`.

What is written here ends in the argument lists of git, in URLs and in names of directories, on the word of whoever
wrote the file. So each part is matched against what such a part looks like; nothing else is let through.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .document import Document
from .keys import KeyPath
from .values import kind, table

GITHUB = "https://github.com/"

# ComfyUI makes a module's name of the directory's; Windows forbids some characters, and names of devices.
_DIRECTORY = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_ .+-]{0,98}[A-Za-z0-9_+-])?")
_DEVICES = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)
# GitHub's own rules: an owner has letters, digits and single hyphens, a repository also "." and "_".
_OWNER, _REPOSITORY = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})", r"[A-Za-z0-9_.-]{1,100}"
_ON_GITHUB = re.compile(rf"(?:(?:https://)?github\.com/)?({_OWNER})/({_REPOSITORY}?)(?:\.git)?/?")
_ELSEWHERE = re.compile(
    r"https://[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]{1,5})?(?:/[A-Za-z0-9_~][A-Za-z0-9_.~+-]*)+/?"
)
# A subset of what `git check-ref-format` allows: no "..", no "@{", no part that begins with "." or ends in ".lock".
_REF = re.compile(r"(?!.*(?:\.\.|//|\.lock(?:/|$)|/\.))[A-Za-z0-9_][A-Za-z0-9_.+/@#-]{0,198}")
_COMMIT = re.compile(r"[0-9a-fA-F]{7,40}")
# docs.comfy.org/registry/specifications, and the version pattern of api.comfy.org.
_NODE_ID = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,99}")
_VERSION = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+")

_EXAMPLE = '"owner/repository", { github = "owner/repository", tag = "v1.0" } or { registry = "id", version = "1.0.0" }'
_REF_KEYS = ("tag", "branch", "commit")


class RefKind(enum.Enum):
    """How the version of a repository is named."""

    TAG = "tag"
    BRANCH = "branch"
    COMMIT = "commit"


@dataclass(frozen=True)
class GitSource:
    """A repository; `url` is https, without credentials, query and ".git". Without a `ref`: its default branch.

    A COMMIT is 7 to 40 hexadecimal digits.
    """

    url: str
    ref_kind: RefKind | None = None
    ref: str | None = None

    def __str__(self) -> str:
        return f"{self.url} ({self.ref_kind.value} {self.ref})" if self.ref_kind else self.url


@dataclass(frozen=True)
class RegistrySource:
    """A pack of the Comfy registry; without a `version`, the latest."""

    node_id: str
    version: str | None = None

    def __str__(self) -> str:
        return f"{self.node_id} {self.version or '(latest)'} of the Comfy registry"


@dataclass(frozen=True)
class NodeRequirement:
    """`directory`: the name that the pack shall have in custom_nodes."""

    directory: str
    source: GitSource | RegistrySource


def read_node_requirements(document: Document, key: KeyPath, value: Any) -> tuple[NodeRequirement, ...]:
    """The requirements in the order of the file. Raises ConfigError for the first that is not one."""
    return tuple(
        NodeRequirement(_directory(document, (*key, name)), _source(document, (*key, name), source))
        for name, source in table(document, key, value).items()
    )


def _directory(document: Document, key: KeyPath) -> str:
    name = key[-1]
    if _DIRECTORY.fullmatch(name) and not _DEVICES.fullmatch(name) and not name.endswith(".disabled"):
        return name
    problem = f"{name!r} cannot be the name of a directory in custom_nodes"
    raise document.error(key, problem, "Use letters, digits, hyphens and underscores, as in ComfyUI-KJNodes")


def _source(document: Document, key: KeyPath, value: Any) -> GitSource | RegistrySource:
    if isinstance(value, str) and value.strip():
        return GitSource(_repository(document, key, value))
    if not isinstance(value, dict):
        problem = f"where the pack comes from should be a string, but is {kind(value)}, {value!r}"
        raise document.error(key, problem, f"Write {_EXAMPLE}")
    if ("github" in value) == ("registry" in value):
        problem = "where the pack comes from should be named by one of github and registry"
        raise document.error(key, problem, f"Write {_EXAMPLE}")
    return _git(document, key, value) if "github" in value else _registry(document, key, value)


def _git(document: Document, key: KeyPath, value: Mapping[str, Any]) -> GitSource:
    _refuse_strays(document, key, value, ("github", *_REF_KEYS))
    url = _repository(document, (*key, "github"), value["github"])
    named = [name for name in _REF_KEYS if name in value]
    if not named:
        return GitSource(url)
    if len(named) > 1:
        problem = f"{' and '.join(named)} name two versions of the pack"
        raise document.error(key, problem, f"Keep one of them, as in {named[0]} = {value[named[0]]!r}")
    ref_kind = RefKind(named[0])
    pattern, example = (
        (_COMMIT, "7 to 40 hexadecimal digits")
        if ref_kind is RefKind.COMMIT
        else (_REF, f"the name of a {ref_kind.value}, as in {_REF_EXAMPLES[ref_kind]!r}")
    )
    ref = _text(document, (*key, named[0]), value[named[0]], pattern, example)
    return GitSource(url, ref_kind, ref.lower() if ref_kind is RefKind.COMMIT else ref)


_REF_EXAMPLES: Mapping[RefKind, str] = {RefKind.TAG: "v1.0", RefKind.BRANCH: "main"}


def _registry(document: Document, key: KeyPath, value: Mapping[str, Any]) -> RegistrySource:
    _refuse_strays(document, key, value, ("registry", "version"))
    node_id = _text(document, (*key, "registry"), value["registry"], _NODE_ID, "a pack's id in the registry")
    version = value.get("version")
    if version in (None, "*", "latest"):
        return RegistrySource(node_id)
    example = 'three numbers as in "1.0.0", or leave it out for the latest'
    return RegistrySource(node_id, _text(document, (*key, "version"), version, _VERSION, example))


def _repository(document: Document, key: KeyPath, value: Any) -> str:
    """The URL of the repository. Other schemes than https could run programs, read files, or ask for passwords."""
    text = value.strip() if isinstance(value, str) else ""
    if (match := _ON_GITHUB.fullmatch(text)) and match[2].strip("."):
        return f"{GITHUB}{match[1]}/{match[2]}"
    if _ELSEWHERE.fullmatch(text) and not text.startswith(GITHUB):
        return text.rstrip("/").removesuffix(".git")
    problem = f"{value!r} is no repository that can be fetched"
    remedy = (
        'Write "owner/repository" for one on GitHub, or an https:// address without user, password and "?"'
    )
    raise document.error(key, problem, remedy)


def _text(document: Document, key: KeyPath, value: Any, pattern: re.Pattern[str], example: str) -> str:
    if isinstance(value, str) and pattern.fullmatch(value):
        return value
    raise document.error(key, f"{key[-1]} cannot be {value!r}", f"Write {example}")


def _refuse_strays(
    document: Document, key: KeyPath, value: Mapping[str, Any], known: tuple[str, ...]
) -> None:
    for name in value:
        if name not in known:
            problem = f"{name!r} is not known beside {known[0]}"
            raise document.error((*key, name), problem, f"Keys there are {', '.join(known)}")
