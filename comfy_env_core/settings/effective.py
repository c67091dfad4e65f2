"""The settings as the rest of the program reads them: as environment variables, where the environment has none."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping

from comfy_env_core.environments.store import Store

log = logging.getLogger("comfy-env")


class Variables(Mapping[str, str]):
    """The environment, and under it what the file says, as of the last `renew`. The environment is not copied."""

    def __init__(self, environ: Mapping[str, str], store: Store) -> None:
        self._environ = environ
        self._store = store
        self._stamp: tuple[int, ...] | None = None
        self.from_settings: Mapping[str, str] = {}
        self.renew()

    def renew(self) -> None:
        """Reads the file if it is another one than the last time. What is wrong with it is logged then."""
        stamp = self._stamp_of_file()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        self.from_settings = self._read() if stamp is not None else {}

    def __getitem__(self, name: str) -> str:
        text = self.from_settings.get(name)
        return self._environ[name] if text is None else text

    def __iter__(self) -> Iterator[str]:
        yield from self._environ
        yield from (name for name in self.from_settings if name not in self._environ)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _read(self) -> Mapping[str, str]:
        # Only here: most users have set nothing, and then a start pays for one look at the disk and nothing else.
        from comfy_env_core.settings.stored import read

        stored = read(self._store)
        for problem in stored.problems():
            log.warning("%s", problem)
        texts = (
            (setting.variable, setting.as_variable(value))
            for setting, value in stored.chosen()
            if setting.set_by(self._environ) is None
        )
        return {variable: text for variable, text in texts if text}

    def _stamp_of_file(self) -> tuple[int, ...] | None:
        """None where there is no file."""
        try:
            status = os.stat(self._store.settings_path)
        except FileNotFoundError:
            return None
        except OSError as error:
            return (error.errno or 0,)
        return (status.st_ino, status.st_mtime_ns, status.st_size)


def effective(environ: Mapping[str, str], store: Store) -> Variables:
    """`environ` must be the environment itself: what wins over the settings is what stands there."""
    return Variables(environ, store)
