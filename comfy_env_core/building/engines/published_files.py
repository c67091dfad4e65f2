"""Looking into a file that uv would not take: is it whole, is it the one that was published, and what does it need."""

from __future__ import annotations

import email.parser
import zipfile
from collections.abc import Collection
from pathlib import Path

from comfy_env_core.building.engines.availability import newest_version, version_of
from comfy_env_core.building.engines.questions import Asked, Questions
from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.fetching import NotThere, TooLong
from comfy_env_core.building.locks.model import PypiPackage
from comfy_env_core.building.requirements import normalised_name, split_requirement_line

#: Larger files are not fetched a second time just to know more of a failure.
_LONGEST_BYTES = 64 << 20


def check_locked_file(package: PypiPackage, questions: Questions) -> BuildError | None:
    """What is wrong with the file that a lock names, None if nothing is, or if nobody can tell."""
    file = next((file for file in package.files if file.sha256), None)
    if file is None:
        return None
    return _check(file.filename, file.url, file.sha256, _scratch(questions), questions)


def check_newest_file(asked: Asked, questions: Questions, settled: Collection[str]) -> BuildError | None:
    """The same for the newest file that fits, which uv reads to choose versions; and for what it needs in turn.

    `settled`: normalised names that no index is asked for, because conda brings them or an override replaces them.
    """
    files = [file for file in questions.files(asked) if file.sha256]
    newest = newest_version(files)
    file = next((file for file in files if version_of(file) == newest), None)
    if file is None:
        return None
    path = _scratch(questions).with_name(file.filename)
    try:
        error = _check(file.filename, file.url, file.sha256 or "", path, questions, is_kept=True)
        if error is None and path.suffix == ".whl" and path.exists():
            needs = [need for need in needs_of(path) if normalised_name(need.name) not in settled]
            error = questions.about_indexes(needs)
            if error is not None:
                message = f"{error.message} It is needed by {asked.text!r}."
                error = BuildError(error.cause, message, error.remedy, tail=error.tail)
        return error
    finally:
        path.unlink(missing_ok=True)


def needs_of(wheel: Path) -> list[Asked]:
    """What a wheel needs in any case. Needs under a condition are left out: whether they apply here, uv knows."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
            metadata = email.parser.BytesParser().parsebytes(archive.read(name), headersonly=True)
    except (zipfile.BadZipFile, StopIteration):  # uv has said so in its own words
        return []
    needs = []
    for line in metadata.get_all("Requires-Dist") or ():
        parts = None if ";" in line else split_requirement_line(line)
        if parts is not None:
            needs.append(Asked(parts[0], parts[2], line.strip()))
    return needs


def _scratch(questions: Questions) -> Path:
    return questions.directories[0] / "question.download"


def _check(
    filename: str, url: str, sha256: str, path: Path, questions: Questions, *, is_kept: bool = False
) -> BuildError | None:
    if not url.startswith("http"):
        return None
    try:
        questions.fetcher().download(url, path, sha256, limit_bytes=_LONGEST_BYTES)
    except TooLong:
        return None
    except NotThere:
        return questions.error(
            BuildCause.NO_SUCH_PACKAGE, f"the index lists {filename}, and its server does not have it."
        )
    except BuildError as error:
        if error.cause is BuildCause.CANCELLED:
            raise
        return questions.error(error.cause, error.message, error.remedy)
    if not is_kept:
        path.unlink(missing_ok=True)
    return None
