"""Nodes that fail, each in its own way."""

from __future__ import annotations

import ctypes
import os
import sys
import threading


class MeshError(ValueError):
    """The pack's own."""


class Fail:
    """Fails in the way it is asked to."""

    RETURN_TYPES = ("INT", "STRING")
    FUNCTION = "run"
    CATEGORY = "run-time"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"way": ("STRING",)}}

    def run(self, way):
        return getattr(self, way)()

    def own_error(self):
        raise MeshError("no such face", 7)

    def out_of_memory(self):
        import torch

        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    def memory_error(self):
        raise MemoryError("leaked")

    def too_few(self):
        return (1,)

    def too_many(self):
        return (1, "two", 3)

    def none(self):
        return None

    def text(self):
        return "ab"

    def number(self):
        return 5

    def empty(self):
        return ()

    def exit(self):
        sys.exit("no licence")

    def exit_at_once(self):
        print("last words", flush=True)
        os._exit(3)

    def crash(self):
        ctypes.string_at(0)


class Keep:
    """Returns what cannot be pickled, and from C."""

    RETURN_TYPES = ("LOCK",)
    FUNCTION = "run"
    CATEGORY = "run-time"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    def run(self):
        ctypes.CDLL(None).puts(b"printed from C")
        ctypes.CDLL(None).fflush(None)
        return (threading.Lock(),)


class UseKept:
    """Says whether it got the very object."""

    RETURN_TYPES = ()
    FUNCTION = "run"
    CATEGORY = "run-time"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"lock": ("LOCK",)}}

    def run(self, lock):
        with lock:
            return {"ui": {"kind": [type(lock).__name__], "locked": [lock.locked()]}}


class ShowPair:
    """Shows two values."""

    RETURN_TYPES = ()
    FUNCTION = "run"
    CATEGORY = "run-time"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"first": ("INT", {"forceInput": True})}, "optional": {"second": ("STRING",)}}

    def run(self, first, second="none given"):
        return {"ui": {"pair": [repr(first), repr(second)]}}
