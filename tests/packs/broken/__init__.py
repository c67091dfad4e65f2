"""A pack whose environment can never be built."""

import numpy


class NeverThere:
    CATEGORY = "broken"
    FUNCTION = "run"
    RETURN_TYPES = ("STRING",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    def run(self):
        return (numpy.__version__,)


NODE_CLASS_MAPPINGS = {"BrokenNeverThere": NeverThere}
