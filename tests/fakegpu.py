"""A GPU that is a file: how many bytes each process has there. And a `comfy.model_management` over it.

`MODEL_MANAGEMENT` is the source of one of a few lines, with the functions of the real one that we use and the same
meaning: what a model gives up stays in the process's cache, out of others' reach, until the cache is emptied. Workers
import it from a fake ComfyUI, the host executes it in a module.
"""

from __future__ import annotations

import fcntl
import json
import textwrap
from pathlib import Path
from types import ModuleType

MODEL_MANAGEMENT = textwrap.dedent('''
    import fcntl, json, os

    LEDGER = os.environ.get("FAKE_GPU")
    current_loaded_models = []
    cached = 0

    class InterruptProcessingException(Exception):
        pass

    def interrupt_current_processing(value=True):
        pass

    def processing_interrupted():
        return False

    def throw_exception_if_processing_interrupted():
        pass

    class Model:
        def __init__(self, name, size):
            self.name, self.size = name, size

    def get_torch_device():
        return "cuda:0"

    def is_there(pid):
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            return False
        return True

    def account():
        """What we have now; returns what nobody has."""
        with open(LEDGER, "r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            ledger = json.load(file)
            ledger["used"] = {pid: used for pid, used in ledger["used"].items() if is_there(pid)}
            ledger["used"][str(os.getpid())] = cached + sum(model.size for model in current_loaded_models)
            file.seek(0)
            file.truncate()
            json.dump(ledger, file)
        return ledger["total"] - sum(ledger["used"].values())

    def get_free_memory(dev=None, torch_free_too=False):
        free = account() + cached
        return (free, cached) if torch_free_too else free

    def soft_empty_cache(force=False):
        global cached
        cached = 0
        account()

    def free_memory(memory_required, device, keep_loaded=[]):
        global cached
        unloaded = []
        for model in list(current_loaded_models):
            if get_free_memory(device) > memory_required:
                break
            if model not in keep_loaded:
                current_loaded_models.remove(model)
                cached += model.size
                unloaded.append(model)
        if unloaded:
            soft_empty_cache()
        return unloaded

    def load_models_gpu(models, memory_required=0):
        new = [model for model in models if model not in current_loaded_models]
        needed = sum(model.size for model in new)
        free_memory(needed, get_torch_device(), keep_loaded=models)
        if get_free_memory() < needed:
            raise MemoryError("%d bytes needed, %d free" % (needed, get_free_memory()))
        current_loaded_models.extend(new)
        account()

    def unload_all_models():
        free_memory(1e30, get_torch_device())
''')


def make_gpu(directory: Path, total_bytes: int) -> Path:
    """The ledger of an empty device."""
    ledger = directory / "gpu.json"
    ledger.write_text(json.dumps({"total": total_bytes, "used": {}}))
    return ledger


def used_by_pid(ledger: Path) -> dict[int, int]:
    """Bytes of each process that has any."""
    with ledger.open() as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        used = json.load(file)["used"]
    return {int(pid): size for pid, size in used.items() if size}


def make_comfyui(directory: Path) -> Path:
    """A source folder for workers with nothing but this module."""
    (directory / "comfy").mkdir(parents=True)
    (directory / "comfy" / "__init__.py").touch()
    (directory / "comfy" / "model_management.py").write_text(MODEL_MANAGEMENT)
    return directory


def host_management(ledger: Path) -> ModuleType:
    """The same for this process."""
    module = ModuleType("comfy.model_management")
    exec(MODEL_MANAGEMENT, vars(module))
    vars(module)["LEDGER"] = str(ledger)
    return module
