"""What Python package indexes and find-links places offer for one project. Stdlib only.

Sources: the simple repository API (PEP 503 HTML, PEP 691 JSON; many mirrors have the HTML form only) and pip's
find-links (a directory, or a page with links). `file:` URLs work for both, because pip's do.
"""

from __future__ import annotations

import dataclasses
import html.parser
import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.fetching import Fetcher, NotThere, Page
from comfy_env_core.building.user_settings import UserSettings, local_path, redact

_ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"


@dataclasses.dataclass(frozen=True)
class IndexFile:
    """One file of a project. `sha256` as the index says it, None if it says none; `url` may be a `file:` URL."""

    filename: str
    url: str
    sha256: str | None = None
    requires_python: str | None = None


def normalised(name: str) -> str:
    """The name as indexes write it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def offered_files(
    project: str, settings: UserSettings, fetcher: Fetcher, *, is_strict: bool = False
) -> Iterator[IndexFile]:
    """Every file of `project` at the user's find-links places and indexes, in the order they should be tried.

    If a place fails the next one is asked; if no index answered, the first failure's BuildError (NETWORK) is raised.
    `is_strict`: any failure is raised at once, as installers do it; what the fetcher's `check` raises always is.
    """
    failure: BuildError | None = None
    answered = False
    for place in settings.find_links:
        try:
            yield from _linked_files(place, project, fetcher)
        except BuildError as error:
            if is_strict or error.cause is BuildCause.CANCELLED:
                raise
            failure = failure or error
    for index in (settings.main_index_url, *settings.extra_index_urls):
        if index is None:
            continue
        try:
            yield from project_files(index, project, fetcher)
            answered = True
        except BuildError as error:
            if is_strict or error.cause is BuildCause.CANCELLED:
                raise
            failure = failure or error
    if failure is not None and not answered:
        raise failure


def project_files(index_url: str, project: str, fetcher: Fetcher) -> tuple[IndexFile, ...]:
    """The files of one project on one index; empty if the index does not know it."""
    url = f"{index_url.rstrip('/')}/{normalised(project)}/"
    try:
        if urlsplit(url).scheme == "file":
            return _local_project(url)
        return _parsed(fetcher.page(url, accept=_ACCEPT))
    except NotThere:
        return ()


def _local_project(url: str) -> tuple[IndexFile, ...]:
    directory = Path(local_path(url))
    page = directory / "index.html"
    if page.is_file():
        return _parsed(Page(url, "text/html", page.read_bytes()))
    return _directory_files(directory)


def _linked_files(place: str, project: str, fetcher: Fetcher) -> Iterator[IndexFile]:
    wanted = normalised(project)
    scheme = urlsplit(place).scheme
    if scheme in ("http", "https"):
        try:
            files = _parsed(fetcher.page(place, accept="text/html"))
        except NotThere:
            return
    else:
        path = Path(local_path(place) if scheme == "file" else place).expanduser()
        if path.is_file():
            files = _parsed(Page(path.absolute().as_uri(), "text/html", path.read_bytes()))
        else:
            files = _directory_files(path)
    yield from (file for file in files if normalised(file.filename.split("-")[0]) == wanted)


def _directory_files(directory: Path) -> tuple[IndexFile, ...]:
    return tuple(
        IndexFile(path.name, path.absolute().as_uri())
        for path in sorted(directory.glob("*"))
        if path.name.endswith((".whl", ".tar.gz", ".zip"))
    )


def _parsed(page: Page) -> tuple[IndexFile, ...]:
    if page.content_type.endswith("json"):
        return _from_json(page)
    links = _Links()
    links.feed(page.body.decode("utf-8", "replace"))
    base = urljoin(page.url, links.base) if links.base else page.url
    return tuple(_from_link(urljoin(base, href), requires) for href, requires in links.found)


def _from_link(url: str, requires_python: str | None) -> IndexFile:
    parts = urlsplit(url)
    digest = re.search(r"sha256=([0-9a-f]{64})", parts.fragment)
    filename = unquote(parts.path.rsplit("/", 1)[-1])
    return IndexFile(filename, parts._replace(fragment="").geturl(), digest and digest[1], requires_python)


def _from_json(page: Page) -> tuple[IndexFile, ...]:
    try:
        return tuple(
            IndexFile(
                file["filename"],
                urljoin(page.url, file["url"]),
                (file.get("hashes") or {}).get("sha256"),
                file.get("requires-python"),
            )
            for file in json.loads(page.body)["files"]
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BuildError(
            BuildCause.NETWORK,
            f"Reading the package index page {redact(page.url)!r} failed: it is not a list of files ({error!r}).",
            "Check the index-url in pip's or uv's configuration.",
        ) from error


class _Links(html.parser.HTMLParser):
    """Collects (href, data-requires-python) of every anchor, and the page's base."""

    def __init__(self) -> None:
        super().__init__()
        self.base: str | None = None
        self.found: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        href = values.get("href")
        if tag == "base" and href:
            self.base = href
        elif tag == "a" and href:
            self.found.append((href, values.get("data-requires-python")))
