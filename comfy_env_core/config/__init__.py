"""From the text of a configuration file to a checked, frozen specification.

Pure: bytes in, dataclasses out; nothing is read from disk and nothing but ConfigError is raised.
"""

from __future__ import annotations

from .environment_file import EnvSpec, parse_env
from .errors import ConfigError, ConfigWarning
from .node_requirements import GITHUB, GitSource, NodeRequirement, RefKind, RegistrySource
from .options import HostNeed, Options
from .pixi_tables import PIXI_KEYS
from .prerequisites import Prerequisites
from .requirements import Requirement
from .root_file import CODEC_FILE_NAME, CUSTOM, RootSpec, parse_root

__all__ = [
    "CODEC_FILE_NAME",
    "CUSTOM",
    "GITHUB",
    "PIXI_KEYS",
    "ConfigError",
    "ConfigWarning",
    "EnvSpec",
    "GitSource",
    "HostNeed",
    "NodeRequirement",
    "Options",
    "Prerequisites",
    "RefKind",
    "RegistrySource",
    "Requirement",
    "RootSpec",
    "parse_env",
    "parse_root",
]
