"""INPUT_TYPES whose answer changes: with files, with the caller, with time; and one that fails."""

import inspect
import os
from pathlib import Path

import folder_paths

HERE = Path(__file__).parent


class AllInputs:
    def __contains__(self, key):
        return True

    def __getitem__(self, key):
        return ("*", {"lazy": True})


class Base:
    RETURN_TYPES = ("STRING",)
    FUNCTION = "run"
    CATEGORY = "tricks/inputs"
    OUTPUT_NODE = True

    def run(self, **inputs):
        return {"ui": {"inputs": [sorted(map(str, inputs.values()))]}, "result": ("",)}


class TrickModels(Base):
    @classmethod
    def INPUT_TYPES(cls):
        loras = folder_paths.get_filename_list("loras")
        return {
            "required": {
                "plain": (loras,),
                "or_none": (["None"] + folder_paths.get_filename_list("loras"),),
                "chosen": ([name for name in loras if name.startswith("a")], {"tooltip": "those with an a"}),
                "backwards": (sorted(loras, reverse=True),),
            }
        }


class TrickUpload(Base):
    @classmethod
    def INPUT_TYPES(cls):
        directory = folder_paths.get_input_directory()
        files = [name for name in os.listdir(directory) if os.path.isfile(os.path.join(directory, name))]
        return {"required": {"image": (sorted(files), {"image_upload": True})}}


class TrickListing(Base):
    """Lists a directory of its own, which the host knows nothing of."""

    @classmethod
    def INPUT_TYPES(cls):
        directory = folder_paths.get_user_directory()
        return {
            "required": {
                "name": (sorted(n for n in os.listdir(directory) if n.startswith("trick")) or ["none"],)
            }
        }


class TrickCaller(Base):
    """Takes any input, which it says to ComfyUI's `get_input_info` alone."""

    @classmethod
    def INPUT_TYPES(cls):
        inputs = {"first": ("*", {"lazy": True})}
        if inspect.stack()[2].function == "get_input_info":
            inputs = AllInputs()
        return {"required": {}, "optional": inputs}


class TrickFailing(Base):
    """Fails until a file is there, as others do without network."""

    @classmethod
    def INPUT_TYPES(cls):
        names = (Path(folder_paths.get_user_directory()) / "trick-list").read_text()
        return {"required": {"name": (names.split(),)}}


INPUTS = {
    "TrickModels": TrickModels,
    "TrickUpload": TrickUpload,
    "TrickListing": TrickListing,
    "TrickCaller": TrickCaller,
    "TrickFailing": TrickFailing,
}
