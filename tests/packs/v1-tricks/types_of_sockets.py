"""Types that are unequal to little, tuples without end, inputs of any name."""


class Anything(str):
    def __ne__(self, other):
        return False


class Equal(str):
    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return False

    __hash__ = str.__hash__


class OneOf(str):
    """Accepts the types that its attribute names."""

    def __new__(cls, text, accepted):
        made = super().__new__(cls, text)
        made.accepted = accepted
        return made

    def __ne__(self, other):
        return not (other == "*" or other in self.accepted)


class Subset(str):
    """Accepted where all of its parts are."""

    def __ne__(self, other):
        return not set(self.split(",")) <= set(other.split(","))


class EndlessTypes(tuple):
    def __getitem__(self, index):
        item = super().__getitem__(0 if index > 0 else index)
        return Anything(item) if isinstance(item, str) else item


class AnyInputs(dict):
    def __init__(self, kind):
        self.kind = kind

    def __contains__(self, key):
        return True

    def __getitem__(self, key):
        return (self.kind,)


class TrickAnything:
    RETURN_TYPES = (Anything("*"), Equal("*"), OneOf("FLOAT", ["FLOAT", "INT"]), Subset("MASK,IMAGE"))
    RETURN_NAMES = ("anything", "equal", "number", "picture")
    FUNCTION = "run"
    CATEGORY = "tricks"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": (Anything("*"), {"forceInput": True})}}

    def run(self, value):
        return (value, value, 1.5, None)


class TrickEndless:
    RETURN_TYPES = EndlessTypes(("*",))
    FUNCTION = "run"
    CATEGORY = "tricks"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}, "optional": AnyInputs(Anything("*")), "hidden": {"unique_id": "UNIQUE_ID"}}

    def run(self, unique_id, **inputs):
        return tuple(inputs[name] for name in sorted(inputs)) or (unique_id,)


class TrickNumber:
    RETURN_TYPES = (OneOf("FLOAT", ["FLOAT", "INT"]),)
    OUTPUT_NODE = True
    FUNCTION = "run"
    CATEGORY = "tricks"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"number": ("INT", {"default": 1, "min": 0, "max": float("inf")})}}

    def run(self, number):
        return {"ui": {"number": [number]}, "result": (number,)}


class TrickConvert:
    """A constant for an input whose type equals everything is converted by ComfyUI: to a number, to a text ..."""

    RETURN_TYPES = ()
    OUTPUT_NODE = True
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": (Equal("*"),)}}

    def run(self, value):
        return {"ui": {"kind": [type(value).__name__]}}


SOCKETS = {
    "TrickAnything": TrickAnything,
    "TrickEndless": TrickEndless,
    "TrickNumber": TrickNumber,
    "TrickAlias": TrickNumber,
    "TrickConvert": TrickConvert,
}
