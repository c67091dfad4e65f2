"""The functions and attributes that ComfyUI reads, in all the forms that Python lets a class have them."""


class FromMeta(type):
    """A metaclass that computes what its classes say."""

    @property
    def CATEGORY(cls):
        return f"tricks/{cls.__name__.lower()}"

    def __getattr__(cls, name):
        if name == "DESCRIPTION":
            return f"{cls.__name__}, as its metaclass describes it"
        raise AttributeError(name)


class ComputedOnClass:
    def __init__(self, function):
        self.function = function

    def __get__(self, instance, owner):
        return self.function(owner)


class TrickMeta(metaclass=FromMeta):
    FUNCTION = "run"
    OUTPUT_NODE = True

    @ComputedOnClass
    def RETURN_TYPES(cls):
        return ("STRING", "INT")

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"text": ("STRING", {"default": "a", "multiline": False})}}

    def run(self, text):
        return {"ui": {"text": [text]}, "result": (text, len(text))}


class TrickInherits(TrickMeta):
    EXPERIMENTAL = True
    DEPRECATED = False

    def run(self, text):
        return super().run(text.upper())


class TrickProperty:
    """Which function runs is up to the instance."""

    RETURN_TYPES = ("INT",)
    OUTPUT_NODE = True

    def __init__(self):
        self.chosen = "count"

    @property
    def FUNCTION(self):
        return self.chosen

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"start": ("INT", {"default": 0})}}

    def count(self, start):
        return {"ui": {"counted": [start + 1]}, "result": (start + 1,)}


def make_repeater(times):
    class Repeater:
        RETURN_TYPES = ("STRING",) * times
        OUTPUT_IS_LIST = [False] * times
        OUTPUT_TOOLTIPS = tuple(f"copy {number}" for number in range(times))
        OUTPUT_NODE = True
        FUNCTION = "run"

        @classmethod
        def INPUT_TYPES(cls):
            return {"required": {"text": ("STRING", {"default": str(times)})}}

        def run(self, text):
            return {"ui": {"text": [text * times]}, "result": (text,) * times}

    return Repeater


class TrickValidates:
    RETURN_TYPES = ()
    OUTPUT_NODE = True
    FUNCTION = "run"
    CATEGORY = "tricks"

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {"number": ("INT", {"min": 0, "max": 9})},
            "optional": {"linked": ("MASK",)},
        }

    def run(self, number, linked=None):
        return {"ui": {"number": [number], "linked": [linked]}}


class TrickValidatesTypes(TrickValidates):
    @classmethod
    def VALIDATE_INPUTS(cls, input_types, number):
        if number == 13:
            return "13 is refused"
        return (
            True if input_types.get("linked", "INT") in ("INT", "FLOAT") else f"not {input_types['linked']}"
        )


class TrickValidatesAll(TrickValidates):
    @classmethod
    async def VALIDATE_INPUTS(cls, **inputs):
        return inputs["number"] != 13


def validate_plainly(number):
    return number != 13 or "13 is refused plainly"


TrickValidates.VALIDATE_INPUTS = validate_plainly


class TrickChanges:
    RETURN_TYPES = ("INT",)
    OUTPUT_NODE = True
    FUNCTION = "run"

    def __init__(self):
        self.runs = 0

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"key": ("INT", {"default": 0})}, "hidden": {"prompt": "PROMPT"}}

    @classmethod
    async def IS_CHANGED(cls, key, **kwargs):
        return "same" if key < 10 else float("nan")

    def run(self, key, prompt):
        self.runs += 1
        return {"ui": {"runs": [self.runs]}, "result": (self.runs,)}


CALLABLES = {
    "TrickMeta": TrickMeta,
    "TrickInherits": TrickInherits,
    "TrickProperty": TrickProperty,
    "TrickTwice": make_repeater(2),
    "TrickThrice": make_repeater(3),
    "TrickValidates": TrickValidates,
    "TrickValidatesTypes": TrickValidatesTypes,
    "TrickValidatesAll": TrickValidatesAll,
    "TrickChanges": TrickChanges,
}
