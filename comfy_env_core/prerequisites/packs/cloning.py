"""Packs from git repositories: one version of them, shallow where the server can, checked to be the one asked for."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.fetching import Fetcher, NotThere
from comfy_env_core.building.report import Phase, Report
from comfy_env_core.config import GitSource, RefKind
from comfy_env_core.prerequisites.packs.addresses import Addresses
from comfy_env_core.prerequisites.packs.fetched import Fetched
from comfy_env_core.prerequisites.packs.git import Git

_REMOTE_REF = re.compile(r"([0-9a-f]{40}(?:[0-9a-f]{24})?)\t(\S+)")
# The server says it, and it becomes an argument: a name like an option is passed over, and its commit taken instead.
_SYMBOLIC = re.compile(r"ref: refs/heads/([A-Za-z0-9_][A-Za-z0-9_.+/@#-]*)\tHEAD")
_FULL_COMMIT_LENGTH = 40
_ALL = ("+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*")


@dataclasses.dataclass(frozen=True)
class Goal:
    """What to fetch. `commit` may be abbreviated if the pack abbreviates it, and is None where the ref is to tell."""

    commit: str | None
    branch: str | None = None
    tag: str | None = None


class Cloning:
    """Fetches repositories. Nothing of what they hold is executed: hooks are off, templates are empty."""

    def __init__(self, git: Git, addresses: Addresses, fetcher: Fetcher, report: Report) -> None:
        self._git = git
        self._addresses = addresses
        self._fetcher = fetcher
        self._report = report

    def look_up(self, source: GitSource) -> Goal:
        """What the server says the name stands for. Raises BuildError: NO_SUCH_PACKAGE, NETWORK and its kin."""
        if source.ref_kind is RefKind.COMMIT:
            return Goal(source.ref)
        done = self._git.run("ls-remote", "--symref", "--", source.url, attempts_only=True, is_question=True)
        if done.returncode:
            raise self._unreachable(source, done.tail())
        refs = {match[2]: match[1] for match in map(_REMOTE_REF.fullmatch, done.lines) if match}
        if source.ref_kind is RefKind.TAG:
            tag = f"refs/tags/{source.ref}"
            if tag not in refs:
                raise _no_such_ref(source, refs, "refs/tags/")
            return Goal(refs.get(f"{tag}^{{}}", refs[tag]), tag=source.ref)
        symbolic = next(filter(None, map(_SYMBOLIC.fullmatch, done.lines)), None)
        branch = source.ref or (symbolic[1] if symbolic else None)
        if (
            branch is None and "HEAD" in refs
        ):  # the server has no branch checked out, or none that we would name
            return Goal(refs["HEAD"])
        if branch is None or f"refs/heads/{branch}" not in refs:
            raise _no_such_ref(source, refs, "refs/heads/")
        return Goal(refs[f"refs/heads/{branch}"], branch=branch)

    def fetch(self, source: GitSource, directory: Path) -> Fetched:
        """A work tree in `directory`, which it makes, with `origin` set as a clone has it. Raises BuildError."""
        self._report.phase(Phase.RESOLVING, f"asking {source.url} for its versions")
        goal = self.look_up(source)
        self._report.phase(Phase.DOWNLOADING, f"fetching {source}")
        self._git.run("-c", "init.defaultBranch=main", "init", "--quiet", "--template=", str(directory))
        self._git.run("remote", "add", "origin", source.url, within=directory)
        if goal.branch is not None:
            self._check_out_branch(source, goal.branch, directory)
        elif goal.tag is not None:
            self._fetch_shallow(source, directory, f"+refs/tags/{goal.tag}:refs/tags/{goal.tag}")
            self._git.run("checkout", "--quiet", "--detach", f"refs/tags/{goal.tag}", within=directory)
        else:
            self._check_out_commit(source, goal, directory)
        commit = self._verified(source, goal, directory)
        self._fetch_submodules(directory)
        asked = (
            f"{source.ref_kind.value} {source.ref}, " if source.ref_kind not in (None, RefKind.COMMIT) else ""
        )
        return Fetched(f"{asked}commit {commit[:12]}", self._notes(directory))

    def _check_out_branch(self, source: GitSource, branch: str, directory: Path) -> None:
        """A local branch that follows the server's, so that updates by git or by ComfyUI-Manager go on working."""
        self._fetch_shallow(source, directory, f"+refs/heads/{branch}:refs/remotes/origin/{branch}")
        self._git.run(
            "checkout", "--quiet", "-B", branch, "--track", f"refs/remotes/origin/{branch}", within=directory
        )

    def _check_out_commit(self, source: GitSource, goal: Goal, directory: Path) -> None:
        """A server hands out a full commit alone, where it does at all; an abbreviated one needs all history."""
        assert goal.commit is not None  # without branch and tag there is a commit
        is_there = False
        if len(goal.commit) >= _FULL_COMMIT_LENGTH:
            done = self._git.run(
                *_fetching(source, goal.commit, is_shallow=True), within=directory, attempts_only=True
            )
            is_there = done.returncode == 0
        if not is_there:
            done = self._git.run(*_fetching(source, *_ALL), within=directory, attempts_only=True)
            if done.returncode:
                raise self._unreachable(source, done.tail())
        whole = self._git.line(
            "rev-parse", "--verify", "--quiet", f"{goal.commit}^{{commit}}", within=directory
        )
        if whole is None:
            raise BuildError(
                BuildCause.NO_SUCH_PACKAGE,
                f"{source.url} has no commit {goal.commit}, or several that begin so.",
                "Correct it in the pack's comfy-env-root.toml. If the pack is not yours, show this to its author.",
            )
        self._git.run("checkout", "--quiet", "--detach", whole, within=directory)

    def _fetch_shallow(self, source: GitSource, directory: Path, refspec: str) -> None:
        """Servers that are plain files over HTTP know no shallow clones: those hand out everything."""
        shallow = self._git.run(
            *_fetching(source, refspec, is_shallow=True), within=directory, attempts_only=True
        )
        if shallow.returncode:
            done = self._git.run(*_fetching(source, refspec), within=directory, attempts_only=True)
            if done.returncode:
                raise self._unreachable(source, done.tail())

    def _verified(self, source: GitSource, goal: Goal, directory: Path) -> str:
        """The commit that is checked out, which is the one that was meant."""
        commit = self._git.line("rev-parse", "--verify", "HEAD", within=directory) or ""
        if goal.commit is None or commit.startswith(goal.commit):
            return commit
        raise BuildError(
            BuildCause.CHECKSUM,
            f"{source} stood for commit {goal.commit}, and {commit} came.",
            "Its author published something in between, or a mirror is behind. Try again.",
        )

    def _fetch_submodules(self, directory: Path) -> None:
        if (directory / ".gitmodules").is_file():
            self._report.phase(Phase.DOWNLOADING, "fetching its submodules")
            self._git.run(
                "submodule", "update", "--quiet", "--init", "--recursive", "--depth=1", within=directory
            )

    def _notes(self, directory: Path) -> tuple[str, ...]:
        attributes = directory / ".gitattributes"
        if not attributes.is_file() or "filter=lfs" not in attributes.read_text("utf-8", "replace"):
            return ()
        if self._git.run("lfs", "version", attempts_only=True, is_question=True).returncode == 0:
            return ()
        return (
            "some of its files are kept by Git LFS, which is not installed: install it, and run `git lfs pull` there",
        )

    def _unreachable(self, source: GitSource, tail: tuple[str, ...]) -> BuildError:
        """Why the repository cannot be had: git's own exit code is the same for everything, so HTTP is asked."""
        url = self._addresses.actual(source.url)
        if not url.startswith("file:"):
            try:
                self._fetcher.page(f"{url}/info/refs?service=git-upload-pack")
            except NotThere:
                return _no_such_repository(source, tail)
            except BuildError as error:
                # GitHub asks for a login rather than tell whether a private repository exists.
                if error.cause is BuildCause.CREDENTIALS:
                    return _no_such_repository(source, tail)
                return error
        return BuildError(
            BuildCause.OTHER_TOOL,
            f"git could not fetch {source}.",
            "The last lines are its own words; try again if the connection broke.",
            tail=tail,
        )


def _fetching(source: GitSource, *refspecs: str, is_shallow: bool = False) -> tuple[str, ...]:
    depth = ("--depth=1",) if is_shallow else ()
    return ("fetch", "--progress", "--no-tags", *depth, "--", source.url, *refspecs)


def _no_such_ref(source: GitSource, refs: dict[str, str], prefix: str) -> BuildError:
    there = sorted(
        ref.removeprefix(prefix) for ref in refs if ref.startswith(prefix) and not ref.endswith("^{}")
    )
    listed = f"it has {', '.join(there[-8:])}" if there else "it has none"
    what = f"{source.ref_kind.value} {source.ref}" if source.ref_kind else "branch that it calls its default"
    return BuildError(
        BuildCause.NO_SUCH_PACKAGE,
        f"{source.url} has no {what}; {listed}.",
        "Correct it in the pack's comfy-env-root.toml. If the pack is not yours, show this to its author.",
    )


def _no_such_repository(source: GitSource, tail: tuple[str, ...]) -> BuildError:
    return BuildError(
        BuildCause.NO_SUCH_PACKAGE,
        f"There is no public repository at {source.url}.",
        "It was renamed, deleted or made private. If the pack that asks for it is not yours, show this to its author.",
        tail=tail,
    )
