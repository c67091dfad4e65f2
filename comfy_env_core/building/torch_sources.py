"""Where torch comes from at this moment: its official index, an older CUDA's, or what the user has of his own.

The plan pins torch to one index without asking it. Here, when a build begins, the index is asked; the outcome is a plan
that can be built, with a note of what was decided, or an error that says what to configure. The id stays as it is.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from comfy_env_core.building.engines.reachability import Reachability
from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.fetching import Fetcher, NotThere
from comfy_env_core.building.indexes import TORCH_BASE_VARIABLE, cuda_version_of_tag, torch_tag
from comfy_env_core.building.plan import BuildPlan
from comfy_env_core.building.requirements import exact_version, is_any, range_of
from comfy_env_core.building.simple_index import IndexFile, offered_files, project_files
from comfy_env_core.building.user_settings import UserSettings, redact
from comfy_env_core.building.wheel_names import WheelName
from comfy_env_core.config import Requirement

#: Builds that PyTorch publishes or has published, the newest first: an older torch is there for an older CUDA only.
_CUDA_TAGS = ("cu132", "cu130", "cu129", "cu128", "cu126", "cu124", "cu121", "cu118")


@dataclasses.dataclass(frozen=True)
class TorchFile:
    """One wheel of torch's family; `index` is where it was seen, None for the user's own places."""

    wheel: WheelName
    url: str
    index: str | None


class TorchSources:
    """Asks for one plan that has `torch_pins`."""

    def __init__(
        self,
        plan: BuildPlan,
        settings: UserSettings,
        reachability: Reachability,
        fetcher: Fetcher,
        check: Callable[[], None],
    ) -> None:
        self._plan = plan
        self._settings = settings
        self._reachability = reachability
        self._fetcher = fetcher
        self._check = check
        self._index = str(_table(plan, plan.torch_pins[0])["index"])
        self._tag = torch_tag(self._index)
        self._failure: BuildError | None = None

    def settle(self) -> BuildPlan:
        """The plan with a source for torch that answers and has it. Raises BuildError(NETWORK) when there is none."""
        main = self._plan.torch_pins[0]
        own = self._best(self._of_the_file(main), main)
        if own is not None:
            why = f"the file's own package sources have it ({own.wheel.filename})"
            return self._from_own_places(why, {main: own})
        local = self._very_build(main)
        if local is not None and exact_version(self._plan.pypi[main]):
            return self._from_own_places(f"the build is in your own find-links ({local.wheel.filename})")
        candidates = self._candidates()
        self._reachability.start(f"{index}/{main}/" for index in candidates)
        answering = [
            index for index in candidates if self._reachability.answers(f"{index}/{main}/", self._check)
        ]
        if answering and self._tag == "cpu":
            return self._plan  # one index only: the engine looks into it anyway
        for index in answering:
            found = self._best(self._files_of(index, main), main)
            if found is not None:
                return self._from_index(index, found)
        if answering:
            return self._plan  # the engine explains which versions there are
        return self._without_the_index(main)

    def _candidates(self) -> list[str]:
        """The plan's own index, then those of older CUDAs that the same GPU and driver run."""
        own = cuda_version_of_tag(self._tag)
        base = self._index.rpartition("/")[0]
        older = [tag for tag in _CUDA_TAGS if own and (cuda_version_of_tag(tag) or own) < own]
        return [self._index, *(f"{base}/{tag}" for tag in older)]

    def _from_index(self, index: str, found: TorchFile) -> BuildPlan:
        """Every member from there; what torch itself needs from no other place as well."""
        pypi = dict(self._plan.pypi)
        reasons = dict(self._plan.reasons)
        for key in self._plan.torch_pins:
            pypi[key] = {**_table(self._plan, key), "index": index}
        for name in self._companions(found):
            pypi.setdefault(name, {"version": "*", "index": index})
            reasons.setdefault(f"pypi-dependencies.{name}", "torch needs it, and only its own index has it")
        changed = dataclasses.replace(self._plan, pypi=pypi, reasons=reasons)
        if index == self._index:
            return changed
        note = (
            f"torch {found.wheel.version} is not published for {self._tag} on {self._plan.platform.name}: it comes "
            f"from {redact(index)}."
        )
        return changed.with_notes(note)

    def _companions(self, found: TorchFile) -> Iterator[str]:
        """Triton in the builds for AMD and Intel has names that PyPI does not serve."""
        if self._tag == "cpu" or (cuda_version_of_tag(self._tag) and "/nightly/" not in self._index):
            return
        try:
            page = self._fetcher.page(f"{found.url}.metadata")
        except NotThere:
            return
        for name in re.findall(
            r"^Requires-Dist:\s*([\w.-]*triton[\w.-]*)", page.body.decode("utf-8", "replace"), re.MULTILINE
        ):
            if project_files(found.index or "", name, self._fetcher):
                yield name

    def _without_the_index(self, main: str) -> BuildPlan:
        """PyPI, the user's mirror or his find-links, if what they have computes on this hardware."""
        found = self._best(self._offered(main), main)
        if found is None:
            raise self._nowhere()
        where = "your own package sources" if found.wheel.local else "your package index"
        return self._from_own_places(
            f"{redact(self._index)} gives no answer, and {where} has {found.wheel.filename}"
        )

    def _from_own_places(self, why: str, known: Mapping[str, TorchFile] = MappingProxyType({})) -> BuildPlan:
        """No pin, so that the engine looks everywhere; a build that is known is named, so that it takes that one.

        `known`: what was found already, by key.
        """
        pypi = dict(self._plan.pypi)
        reasons = dict(self._plan.reasons)
        builds: dict[str, str] = {}
        for key in self._plan.torch_pins:
            found = known.get(key) or self._very_build(key) or self._best(self._offered(key), key)
            builds[key] = (found.wheel.local or "PyPI's") if found is not None else "unknown"
            pypi[key] = self._unpinned(key, found)
            reasons[f"pypi-dependencies.{key}"] = f"not from torch's own index: {why}"
        changed = dataclasses.replace(self._plan, pypi=pypi, reasons=reasons)
        notes = [f"{', '.join(self._plan.torch_pins)}: {why}."]
        if len(set(builds.values())) > 1:
            listed = ", ".join(f"{key} ({build})" for key, build in builds.items())
            notes.append(
                f"The builds of {listed} differ; if they do not import together, offer them in one build."
            )
        return changed.with_notes(*notes)

    def _unpinned(self, key: str, found: TorchFile | None) -> Requirement:
        requirement = self._plan.pypi[key]
        table = {name: value for name, value in _table(self._plan, key).items() if name != "index"}
        if found is not None and found.wheel.local and (exact_version(requirement) or is_any(requirement)):
            table["version"] = f"=={found.wheel.version}+{found.wheel.local}"
        return table if len(table) > 1 else str(table["version"])

    def _very_build(self, key: str) -> TorchFile | None:
        """Exactly the build that is wanted, in a directory of the user's: nobody needs to be asked for it."""
        found = self._best(self._local_files(key), key)
        return found if found is not None and found.wheel.local == self._tag else None

    def _best(self, files: Sequence[TorchFile], key: str) -> TorchFile | None:
        """The one whose build fits best; None when none computes on this hardware."""
        wanted = range_of(self._plan.pypi[key]) or "*"
        fitting = [
            file
            for file in files
            if file.wheel.allowed_by(wanted)
            and file.wheel.runs_on(self._plan.python_minor, self._plan.platform)
            and self._rank(file) is not None
        ]
        return min(fitting, key=lambda file: (self._rank(file) or 0, _newest_first(file)), default=None)

    def _rank(self, file: TorchFile) -> int | None:
        """0: exactly this build. PyPI's wheels have no tag: on x86 Linux they compute with CUDA, else on the CPU."""
        local = file.wheel.local
        if file.index is not None or local == self._tag:
            return 0
        mine = cuda_version_of_tag(self._tag)
        if mine and (other := cuda_version_of_tag(local)) and other <= mine:
            return 1
        if not local and (self._tag == "cpu" or (mine and self._plan.platform.name == "linux-64")):
            return 2
        return None

    def _files_of(self, index: str, name: str) -> list[TorchFile]:
        return _torch_files(project_files(index, name, self._fetcher), index)

    def _local_files(self, name: str) -> list[TorchFile]:
        """Of directories on this machine: looking there costs nothing."""
        links = tuple(link for link in self._settings.find_links if not link.startswith(("http:", "https:")))
        settings = dataclasses.replace(_without_indexes(self._settings), find_links=links)
        return _torch_files(offered_files(name, settings, self._fetcher), None)

    def _of_the_file(self, name: str) -> list[TorchFile]:
        """What the sources have that the file itself names; nothing of one that does not answer."""
        options = self._plan.own_pypi_options
        links = options.get("find-links", ())
        settings = dataclasses.replace(
            self._settings,
            index_url=options.get("index-url"),
            no_index="index-url" not in options,
            extra_index_urls=tuple(options.get("extra-index-urls", ())),
            find_links=tuple(
                link if isinstance(link, str) else str(link.get("url") or link["path"]) for link in links
            ),
        )
        try:
            return _torch_files(tuple(offered_files(name, settings, self._fetcher)), None)
        except BuildError as error:
            if error.cause is BuildCause.CANCELLED:
                raise
            return []

    def _offered(self, name: str) -> list[TorchFile]:
        """All that the user's own places have; what his find-links have if no index of his answers either."""
        files: list[IndexFile] = []
        try:
            files.extend(offered_files(name, self._settings, self._fetcher))
        except BuildError as error:
            if error.cause is BuildCause.CANCELLED:
                raise
            self._failure = error
            files.extend(offered_files(name, _without_indexes(self._settings), self._fetcher))
        return _torch_files(files, None)

    def _nowhere(self) -> BuildError:
        """With the cause of the user's own index where that failed: a proxy, a certificate."""
        cause = self._failure.cause if self._failure is not None else BuildCause.NETWORK
        wanted = range_of(self._plan.pypi[self._plan.torch_pins[0]]) or "*"
        error = BuildError(
            cause,
            f"Finding torch {wanted} ({self._tag}, Python {self._plan.python}, {self._plan.platform.name}) failed: "
            f"{redact(self._index)} gives no answer, and neither your package index nor your find-links has a build "
            "that computes on this hardware.",
            f"Connect to the internet, name a mirror of download.pytorch.org/whl with {TORCH_BASE_VARIABLE}, or put "
            "the wheel into a directory and name that in pip's find-links setting. COMFY_ENV_CUDA_VERSION=none builds "
            "environments that compute on the CPU.",
        )
        error.__cause__ = self._failure
        return error


def _without_indexes(settings: UserSettings) -> UserSettings:
    return dataclasses.replace(settings, no_index=True, index_url=None, extra_index_urls=())


def _table(plan: BuildPlan, key: str) -> dict[str, object]:
    requirement = plan.pypi[key]
    return {"version": requirement} if isinstance(requirement, str) else dict(requirement)


def _torch_files(files: Iterable[IndexFile], index: str | None) -> list[TorchFile]:
    parsed = ((WheelName.parse(file.filename), file) for file in files)
    return [TorchFile(wheel, file.url, index) for wheel, file in parsed if wheel is not None]


def _newest_first(file: TorchFile) -> tuple[int, ...]:
    return tuple(-number for number in file.wheel.release)
