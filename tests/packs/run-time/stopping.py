"""Nodes that run until they are stopped."""

from __future__ import annotations

import asyncio
import contextlib
import time

from comfy.model_management import throw_exception_if_processing_interrupted
from comfy.utils import ProgressBar


class Run:
    """Runs for a minute in the way it is asked to."""

    RETURN_TYPES = ()
    FUNCTION = "run"
    CATEGORY = "run-time"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"way": ("STRING",)}}

    def run(self, way):
        getattr(self, way)(time.monotonic() + 60)
        return {}

    def with_bar(self, end):
        bar = ProgressBar(6000)
        while time.monotonic() < end:
            bar.update(1)
            time.sleep(0.01)

    def with_poll(self, end):
        ProgressBar(2).update(1)
        while time.monotonic() < end:
            throw_exception_if_processing_interrupted()
            time.sleep(0.01)

    def stubbornly(self, end):
        ProgressBar(2).update(1)
        while time.monotonic() < end:
            time.sleep(0.01)

    def swallowing(self, end):
        bar = ProgressBar(6000)
        while time.monotonic() < end:
            with contextlib.suppress(BaseException):
                bar.update(1)
            time.sleep(0.01)


class RunAsync(Run):
    """The same, async."""

    async def run(self, way):
        ProgressBar(2).update(1)
        await asyncio.sleep(60)
        return {}
