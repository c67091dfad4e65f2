"""Files that were published: each is read, or refused with a reason one can act on."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from comfy_env_core.config import ConfigError, EnvSpec, RootSpec, parse_env, parse_root

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus"
FILES = sorted(CORPUS.rglob("*.toml"))
ROOT_FILES = [path for path in FILES if path.name.startswith("comfy-env-root")]

needs_corpus = pytest.mark.skipif(
    not FILES, reason=f"the corpus of published files is not beside the repository ({CORPUS})"
)


def read(path: Path) -> EnvSpec | RootSpec:
    parse = parse_root if path.name.startswith("comfy-env-root") else parse_env
    return parse(path.read_bytes(), path)


@needs_corpus
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(CORPUS).as_posix())
def test_published_file_is_read_or_refused_with_place_and_remedy(path: Path) -> None:
    try:
        spec = read(path)
    except ConfigError as error:
        assert error.path == path
        assert error.line is not None
        assert error.problem
        assert error.remedy
    else:
        assert spec.source == path.read_bytes()


@needs_corpus
def test_most_published_files_are_read() -> None:
    refused = []
    for path in FILES:
        try:
            read(path)
        except ConfigError as error:
            refused.append(error)
    syntax_errors = [error for error in refused if error.key is None]
    assert len(FILES) == 81
    assert len(refused) == 4, "what is refused changed: look at each, then change this number"
    assert len(syntax_errors) == 3


def words(value: Any) -> Iterator[str]:
    """Every key and every value of a document, as text."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if inside := list(words(inner)):  # an empty section asks for nothing
                yield from (name, *inside)
    elif isinstance(value, list):
        for inner in value:
            yield from words(inner)
    else:
        yield str(value)


@needs_corpus
@pytest.mark.parametrize("path", ROOT_FILES, ids=lambda path: path.relative_to(CORPUS).as_posix())
def test_everything_that_a_root_file_says_is_kept_or_told_of(path: Path) -> None:
    spec = parse_root(path.read_bytes(), path)
    told = [
        str(spec.prerequisites),
        str(spec.types),
        *map(str, spec.warnings),
        "apt brew node_reqs types packages",
    ]
    silent = [
        word
        for word in words(tomllib.loads(path.read_text("utf-8")))
        if not any(word in line for line in told)
    ]
    assert silent == []
