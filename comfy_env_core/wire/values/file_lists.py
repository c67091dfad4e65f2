"""Lists of files in the inputs of a node, which change while ComfyUI runs.

A worker that describes its nodes notes where file names came from: `folder_paths.get_filename_list` gives texts that
remember their folder, so that `["None"] + names`, `sorted(names)` and `[n for n in names if ...]` can still be told
from constants. The host fills in today's files when it is asked.

Frozen, such a list is `{"$files": [span, ...]}`, a span `{"items": [...]}` or one with "folder" and "is_whole" as well;
one that the page uploads into is `{"$uploads": option, "directory": name, "items": [...], "others": [...]}`, the others
being files of that directory that the pack left out.
"""

from __future__ import annotations

import contextlib
import contextvars
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Optional, Protocol

_recording: contextvars.ContextVar[bool] = contextvars.ContextVar("recording file names", default=False)

#: Options of an input that make ComfyUI's page upload into its directory, and the kind of file that is taken.
UPLOADS = {
    "image_upload": "image",
    "animated_image_upload": "image",
    "video_upload": "video",
    "audio_upload": "audio",
    "file_upload": None,
}


class Files(Protocol):
    """Today's files, as the host knows them. None when ComfyUI has no such folder."""

    def in_folder(self, folder: str) -> Optional[Sequence[str]]:
        """As `folder_paths.get_filename_list`."""

    def in_directory(self, directory: str) -> Optional[Sequence[str]]:
        """The files right in ComfyUI's "input", "output" or "temp" directory."""


class FileName(str):  # noqa: SLOT000  # remembers where it came from
    """One of the names that `folder_paths.get_filename_list(folder)` gave; `all_names` are all of them."""

    folder: str
    all_names: tuple[str, ...]


class FileList(list):  # type: ignore[type-arg]  # of file names and what a pack adds
    """Such names, also none at all, and lists that were put together with `+`."""

    spans: Sequence[dict[str, Any]] = ()

    def __add__(self, other: Any) -> FileList:
        return _joined([*self.spans, *_spans_of(other)])

    def __radd__(self, other: Any) -> FileList:
        return _joined([*_spans_of(other), *self.spans])


@contextlib.contextmanager
def recording_file_names() -> Iterator[None]:
    """Within this, `file_names` remembers: only descriptions may get texts that are no plain `str`."""
    token = _recording.set(True)
    try:
        yield
    finally:
        _recording.reset(token)


def file_names(folder: str, names: Sequence[str]) -> list[str]:
    """A folder's file names, remembering the folder while nodes are described."""
    if not _recording.get():
        return list(names)
    made = []
    for name in names:
        file_name = FileName(name)
        file_name.folder, file_name.all_names = folder, tuple(names)
        made.append(file_name)
    return _joined([{"folder": folder, "items": made, "is_whole": True}])


def freeze_files(items: Sequence[Any]) -> Optional[list[dict[str, Any]]]:
    """The spans of a list of plain values that holds file names of a folder; None if it is any list."""
    spans = _spans_of(items)
    if not any("folder" in span for span in spans):
        return None
    return [{**span, "items": [_plain(item) for item in span["items"]]} for span in spans]


def thaw_files(spans: Sequence[dict[str, Any]], files: Optional[Files]) -> list[Any]:
    """The list now.

    All of a folder's files are those of today, in the order the pack gave them: new ones where a sorted list has them,
    else at the end. A choice among them is without those that are gone: which of the new ones belong to it is for the
    pack to say.
    """
    return [item for span in spans for item in _today(span, files)]


def freeze_uploads(items: Sequence[Any], options: Any) -> Optional[dict[str, Any]]:
    """The frozen form of a list of choices whose input has `options`; None if the page does not upload into it, or if
    it lists something else than the directory that is uploaded into."""
    if not isinstance(options, dict) or not all(isinstance(item, str) for item in items):
        return None
    option = next((name for name in UPLOADS if options.get(name) is True), None)
    if option is None:
        return None
    directory = str(getattr(options.get("image_folder"), "value", options.get("image_folder") or "input"))
    known = [_plain(item) for item in items]
    here = _files_here(directory)
    if here is None or (known and here and here.isdisjoint(known)):
        return None
    return {
        "$uploads": option,
        "directory": directory,
        "items": known,
        "others": sorted(here.difference(known)),
    }


def thaw_uploads(frozen: dict[str, Any], files: Optional[Files]) -> list[Any]:
    """The list now, with what came into its directory since: ComfyUI refuses a value that is not in the list."""
    known, kind = frozen["items"], UPLOADS.get(frozen["$uploads"])
    current = files.in_directory(frozen["directory"]) if files is not None else None
    left_out = {*known, *frozen["others"]}
    added = [
        name for name in current or () if name not in left_out and (kind is None or _kind_of(name) == kind)
    ]
    if not added:
        return list(known)
    return sorted([*known, *added]) if known == sorted(known) else [*known, *added]


def _joined(spans: list[dict[str, Any]]) -> FileList:
    made = FileList(item for span in spans for item in span["items"])
    made.spans = spans
    return made


def _spans_of(items: Sequence[Any]) -> list[dict[str, Any]]:
    if isinstance(items, FileList) and list(items) == [
        item for span in items.spans for item in span["items"]
    ]:
        return list(items.spans)
    spans: list[dict[str, Any]] = []
    for item in items:
        folder = item.folder if isinstance(item, FileName) else None
        if not spans or spans[-1].get("folder") != folder:
            spans.append({"items": []} if folder is None else {"folder": folder, "items": []})
        spans[-1]["items"].append(item)
    for span in spans:
        if "folder" in span:
            span["is_whole"] = sorted(span["items"]) == sorted(span["items"][0].all_names)
    return spans


def _today(span: dict[str, Any], files: Optional[Files]) -> list[Any]:
    known = span["items"]
    current = files.in_folder(span["folder"]) if files is not None and "folder" in span else None
    if current is None:
        return list(known)
    there = set(current)
    kept = [name for name in known if name in there]
    if not span["is_whole"]:
        return kept
    added = [name for name in current if name not in set(known)]
    return sorted(kept + added) if known == sorted(known) else kept + added


def _files_here(directory: str) -> Optional[set[str]]:
    """The files right in one of ComfyUI's directories; None for a pack without `folder_paths`: it cannot know them."""
    folder_paths: Any = sys.modules.get("folder_paths")
    path = folder_paths.get_directory_by_type(directory) if folder_paths is not None else None
    return set(files_in(path)) if isinstance(path, str) else None


def files_in(path: str) -> list[str]:
    """The names of the files right in a directory, sorted; none if there is no such directory."""
    try:
        with os.scandir(path) as entries:
            return sorted(entry.name for entry in entries if entry.is_file())
    except OSError:
        return []


def _plain(item: Any) -> Any:
    return str.__str__(item) if isinstance(item, FileName) else item


def _kind_of(name: str) -> str:
    import mimetypes  # noqa: PLC0415  # only the host asks, and workers start quicker without

    return (mimetypes.guess_type(name)[0] or "").partition("/")[0]
