"""Prompt handlers of isolated packs: they rewrite what the browser queues, before ComfyUI validates it.

ComfyUI calls handlers one after the other, on its event loop, and waits. A worker that has to be started first may take
long, so that is done before, while the loop goes on (`prepare`); the handlers themselves get `LIMIT_S`, because all of
ComfyUI stands still meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any

from comfy_env_core.comfyui.web.lines import ask_loaded, load_all
from comfy_env_core.comfyui.web.table import WebSite
from comfy_env_core.wire import Crew

log = logging.getLogger("comfy-env")

LIMIT_S = 5.0

Sites = Callable[[], Iterable[WebSite]]


class PromptHandlers:
    """`sites` gives those that have handlers now, in their order."""

    def __init__(self, sites: Sites, limit_s: float = LIMIT_S) -> None:
        self._sites = sites
        self._limit_s = limit_s
        self._crew = Crew("comfy-env prompt")

    async def prepare(self) -> None:
        """Has the workers running and the packs imported. What fails is in the log."""
        loop = asyncio.get_running_loop()
        for site in self._sites():
            try:
                await loop.run_in_executor(None, load_all, site)
            except Exception as error:  # noqa: BLE001  # whatever the pack's import raises
                log.error("The prompt handlers of %r cannot run: %s", site.pack, error)

    def rewrite(self, prompt: Any) -> Any:
        """What the handlers make of it. A worker that fails or takes too long is left out, which the log says."""
        for site in self._sites():
            answer: Future[Any] = Future()
            self._crew.post(lambda: _ask(site, prompt, answer))  # noqa: B023  # waited for in this round
            try:
                prompt = answer.result(self._limit_s)["prompt"]
            except TimeoutError:
                log.error(
                    "The prompt handlers of %r took longer than %g s; the prompt goes on without them.",
                    site.pack,
                    self._limit_s,
                )
            except Exception as error:  # noqa: BLE001  # whatever ends a worker; ComfyUI would go on as well
                log.error(
                    "The prompt handlers of %r failed; the prompt goes on without them: %s", site.pack, error
                )
        return prompt


def _ask(site: WebSite, prompt: Any, answer: Future[Any]) -> None:
    try:
        answer.set_result(ask_loaded(site, "rewrite_prompt", prompt))
    except BaseException as error:  # noqa: BLE001  # this thread's boundary: the waiting one raises it
        answer.set_exception(error)
