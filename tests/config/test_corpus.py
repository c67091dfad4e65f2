"""Files that were published: each is read, or refused with a reason one can act on."""

from __future__ import annotations

from pathlib import Path

import pytest

from comfy_env_core.config import ConfigError, EnvSpec, RootSpec, parse_env, parse_root

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus"
FILES = sorted(CORPUS.rglob("*.toml"))
OURS = frozenset(("python", "dependencies", "pypi-dependencies", "cuda", "env_vars", "options"))

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
