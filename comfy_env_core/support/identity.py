"""What tells who somebody is: names of the user and the machine, places on its disks, secrets that are known."""

from __future__ import annotations

import dataclasses
import getpass
import os
import platform
import re
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from comfy_env_core.support.credentials import is_secret_name

if sys.platform != "win32":
    import pwd

#: Names that many have and that stand in ordinary text. In paths of homes they are hidden all the same.
_COMMON = frozenset(
    (
        *(
            "admin",
            "administrator",
            "ai",
            "app",
            "build",
            "builder",
            "comfy",
            "comfyui",
            "comfyuser",
            "computer",
            "conda",
        ),
        *(
            "debian",
            "default",
            "desktop",
            "dev",
            "docker",
            "fedora",
            "gpu",
            "guest",
            "home",
            "host",
            "laptop",
            "linux",
        ),
        *(
            "local",
            "localhost",
            "mac",
            "macbook",
            "me",
            "node",
            "nobody",
            "pc",
            "public",
            "python",
            "root",
            "runner",
        ),
        *(
            "server",
            "system",
            "test",
            "torch",
            "ubuntu",
            "user",
            "users",
            "windows",
            "workgroup",
            "workspace",
        ),
    )
)
#: Shorter values stand in any text.
_LEAST_SECRET = 6


@dataclasses.dataclass(frozen=True)
class Identity:
    """- `places`: (directory, what is shown in its place).
    - `users`, `hosts`: names; those that are too common to tell anything are left out.
    - `secrets`: values that are hidden wherever they stand.
    """

    places: tuple[tuple[str, str], ...] = ()
    users: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()

    @classmethod
    def of_this_machine(
        cls,
        environ: Mapping[str, str],
        home: Path,
        places: Mapping[str, Path | None],
        urls: Iterable[str] = (),
    ) -> Identity:
        """`places`: what is shown ("<store>") → the directory. `urls`: addresses whose passwords are secrets."""
        named = [
            (spelling, shown)
            for shown, path in {**places, "<home>": home}.items()
            if path is not None
            for spelling in dict.fromkeys((str(path), os.path.abspath(path), os.path.realpath(path)))
            if len(Path(spelling).parts) > 1
        ]
        return cls(
            places=tuple(dict.fromkeys(named)),
            users=_telling(_users(environ, home)),
            hosts=_telling(_hosts(environ)),
            secrets=tuple(dict.fromkeys(_secrets(environ, urls))),
        )


def _users(environ: Mapping[str, str], home: Path) -> Iterator[str]:
    yield from (environ.get(name, "") for name in ("USER", "USERNAME", "LOGNAME", "SUDO_USER"))
    yield re.split(r"[\\/]", environ.get("USERPROFILE", "").rstrip("\\/"))[-1]
    yield home.name
    try:
        yield getpass.getuser()
    except (OSError, KeyError, ImportError):  # a number that the machine has no name for
        return
    if sys.platform != "win32":
        try:
            entry = pwd.getpwuid(os.getuid())
        except KeyError:
            return
        yield entry.pw_name
        yield entry.pw_gecos.partition(",")[0]


def _hosts(environ: Mapping[str, str]) -> Iterator[str]:
    names = [
        socket.gethostname(),
        platform.node(),
        *(environ.get(name, "") for name in ("HOSTNAME", "COMPUTERNAME", "USERDOMAIN")),
    ]
    yield from names
    yield from (name.partition(".")[0] for name in names)


def _telling(names: Iterable[str]) -> tuple[str, ...]:
    """The longest first: it may hold a shorter one."""
    stripped = {name.strip() for name in names}
    telling = (name for name in stripped if len(name) > 1 and not name.isdecimal())
    return tuple(
        sorted((n for n in telling if n.lower() not in _COMMON), key=lambda name: (-len(name), name))
    )


def _secrets(environ: Mapping[str, str], urls: Iterable[str]) -> Iterator[str]:
    for name, value in environ.items():
        if is_secret_name(name) and len(value.strip()) >= _LEAST_SECRET:
            yield value.strip()
    for text in (*environ.values(), *urls):
        yield from _passwords(text)


def _passwords(text: str) -> Iterator[str]:
    for url in re.findall(r"\w+://[^\s\"',]+@[^\s\"',]*", text):
        try:
            password = urlsplit(url).password
        except ValueError:
            continue
        if password and len(password) >= _LEAST_SECRET:
            yield from dict.fromkeys((password, unquote(password)))
