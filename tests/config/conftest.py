"""Reading texts as if they stood in a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from comfy_env_core.config import ConfigError, EnvSpec, RootSpec, parse_env, parse_root

PATH = Path("custom_nodes/pack/comfy-env.toml")


@pytest.fixture
def env() -> Callable[[str], EnvSpec]:
    return lambda text: parse_env(text.encode(), PATH)


@pytest.fixture
def root() -> Callable[[str], RootSpec]:
    return lambda text: parse_root(text.encode(), PATH.with_name("comfy-env-root.toml"))


@pytest.fixture
def env_error() -> Callable[[str | bytes], ConfigError]:
    """The error that a text ends in."""

    def read(text: str | bytes) -> ConfigError:
        with pytest.raises(ConfigError) as caught:
            parse_env(text if isinstance(text, bytes) else text.encode(), PATH)
        return caught.value

    return read


@pytest.fixture
def root_error() -> Callable[[str], ConfigError]:
    def read(text: str) -> ConfigError:
        with pytest.raises(ConfigError) as caught:
            parse_root(text.encode(), PATH.with_name("comfy-env-root.toml"))
        return caught.value

    return read
