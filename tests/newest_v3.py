"""A small ComfyUI that has nothing but the V3 API in its newest form, for workers and for the host beside them.

Written after the description of that contract: INPUT_TYPES takes and gives nothing but inputs, the clone for a call is
made of `v3_data`, and two functions work out which of the dynamic inputs a prompt has and how their values are nested.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

_FILES = {
    "nodes.py": "# Its loader says: await extension.on_load()\n",
    "comfy_api/__init__.py": "",
    "comfy_api/internal/__init__.py": """
        import inspect


        class _ComfyNodeInternal:
            pass


        class _NodeOutputInternal:
            pass


        class classproperty:
            def __init__(self, function):
                self.function = function

            def __get__(self, instance, owner):
                return self.function(owner)


        def first_real_override(cls, name, base=None):
            base = base or cls.GET_BASE_CLASS()
            for part in cls.__mro__[: cls.__mro__.index(base)]:
                if name in vars(part):
                    return getattr(cls, name)
            return None


        def make_locked_method_func(kind, name, clone):
            def refuse(cls, attribute, value):
                raise AttributeError(f"{attribute} of a locked class")

            meta = type("Locked", (type(clone),), {"__setattr__": refuse})
            locked = meta(clone.__name__, clone.__bases__, dict(vars(clone)))
            method = getattr(kind, name).__func__
            if inspect.iscoroutinefunction(method):
                async def run_async(**inputs):
                    return await method(locked, **inputs)

                return run_async
            return lambda **inputs: method(locked, **inputs)
    """,
    "comfy_api/latest/__init__.py": """
        from comfy_api.latest import _io as io


        class ComfyExtension:
            async def on_load(self):
                pass
    """,
    "comfy_api/latest/_io.py": '''
        import inspect
        from dataclasses import asdict, dataclass, field
        from enum import Enum

        from comfy_api.internal import (
            _ComfyNodeInternal, _NodeOutputInternal, classproperty, first_real_override,
        )


        class Hidden(str, Enum):
            unique_id = "UNIQUE_ID"
            extra_pnginfo = "EXTRA_PNGINFO"
            comfy_usage_source = "COMFY_USAGE_SOURCE"


        class HiddenHolder:
            def __init__(self, values):
                for member in Hidden:
                    setattr(self, member.name, values.get(member))


        @dataclass
        class Input:
            id: str
            io_type: str
            options: dict = field(default_factory=dict)
            optional: bool = False


        @dataclass
        class Output:
            io_type: str


        @dataclass
        class Info:
            input: dict = None
            input_order: dict = None
            output: list = None
            name: str = None
            display_name: str = None
            python_module: str = None
            search_aliases: list = None


        @dataclass
        class Schema:
            node_id: str
            display_name: str = None
            inputs: list = field(default_factory=list)
            outputs: list = field(default_factory=list)
            hidden: list = field(default_factory=list)
            search_aliases: list = field(default_factory=list)
            enable_expand: bool = False
            accept_all_inputs: bool = False

            def get_v1_info(self, cls):
                inputs = {"required": {}}
                for each in self.inputs:
                    category = "optional" if each.optional else "required"
                    inputs.setdefault(category, {})[each.id] = (each.io_type, each.options)
                if self.hidden:
                    inputs["hidden"] = {member.name: (member.value,) for member in self.hidden}
                return Info(
                    input=inputs,
                    input_order={category: list(names) for category, names in inputs.items()},
                    output=[each.io_type for each in self.outputs],
                    name=self.node_id,
                    display_name=self.display_name,
                    python_module=getattr(cls, "RELATIVE_PYTHON_MODULE", "nodes"),
                    search_aliases=self.search_aliases or None,
                )


        def get_finalized_class_inputs(inputs, live_inputs, include_hidden=False):
            """Of COMFY_AUTOGROW_V3 inputs those slots that the prompt may have, and the way to nest their values."""
            inputs = dict(inputs)
            hidden = inputs.pop("hidden", None)
            found, paths = {"required": {}, "optional": {}}, {}
            for category, declared in inputs.items():
                for name, info in declared.items():
                    if info[0] != "COMFY_AUTOGROW_V3":
                        found[category][name] = info
                        continue
                    template = info[1]["template"]
                    for number in range(template["max"]):
                        slot = f"{name}.{template['prefix']}{number}"
                        found["required" if number < template["min"] else "optional"][slot] = template["input"]
                        if slot in live_inputs:
                            paths[slot] = slot
            return found, hidden, {"dynamic_paths": paths} if paths else {}


        def build_nested_inputs(values, v3_data):
            values = dict(values)
            for name, path in v3_data.get("dynamic_paths", {}).items():
                *parents, last = path.split(".")
                place = values
                for parent in parents:
                    place = place.setdefault(parent, {})
                place[last] = values.pop(name)
            return values


        class NodeOutput(_NodeOutputInternal):
            def __init__(self, *args, ui=None, expand=None, block_execution=None):
                self.args, self.ui, self.expand, self.block_execution = args, ui, expand, block_execution


        class _Base(_ComfyNodeInternal):
            SCHEMA = None
            hidden = None
            _RETURN_TYPES = None
            _ACCEPT_ALL_INPUTS = None

            @classmethod
            def GET_BASE_CLASS(cls):
                return _Base

            @classmethod
            def define_schema(cls):
                raise NotImplementedError

            @classmethod
            def execute(cls, **inputs):
                raise NotImplementedError

            @classmethod
            def validate_inputs(cls, **inputs):
                raise NotImplementedError

            @classmethod
            def VALIDATE_CLASS(cls):
                assert first_real_override(cls, "execute") is not None

            @classproperty
            def RETURN_TYPES(cls):
                if cls._RETURN_TYPES is None:
                    cls.GET_SCHEMA()
                return cls._RETURN_TYPES

            @classproperty
            def ACCEPT_ALL_INPUTS(cls):
                if cls._ACCEPT_ALL_INPUTS is None:
                    cls.GET_SCHEMA()
                return cls._ACCEPT_ALL_INPUTS

            @classproperty
            def FUNCTION(cls):
                is_async = inspect.iscoroutinefunction(cls.execute)
                return "EXECUTE_NORMALIZED_ASYNC" if is_async else "EXECUTE_NORMALIZED"

            @classmethod
            def EXECUTE_NORMALIZED(cls, **inputs):
                output = cls.execute(**inputs)
                return output if isinstance(output, NodeOutput) else NodeOutput(*output)

            @classmethod
            async def EXECUTE_NORMALIZED_ASYNC(cls, **inputs):
                return await cls.execute(**inputs)

            @classmethod
            def PREPARE_CLASS_CLONE(cls, v3_data):
                clone = type(cls.__name__ + "Clone", (cls, *cls.__bases__), dict(vars(cls)))
                clone.hidden = HiddenHolder(v3_data["hidden_inputs"] if v3_data else {})
                return clone

            @classmethod
            def FINALIZE_SCHEMA(cls):
                return cls.define_schema()

            @classmethod
            def GET_SCHEMA(cls):
                cls.SCHEMA = schema = cls.FINALIZE_SCHEMA()
                cls._RETURN_TYPES = [each.io_type for each in schema.outputs]
                cls._ACCEPT_ALL_INPUTS = schema.accept_all_inputs
                return schema

            @classmethod
            def GET_NODE_INFO_V1(cls):
                return asdict(cls.GET_SCHEMA().get_v1_info(cls))

            @classmethod
            def INPUT_TYPES(cls):
                return cls.FINALIZE_SCHEMA().get_v1_info(cls).input


        class ComfyNode(_Base):
            @classmethod
            def GET_BASE_CLASS(cls):
                return ComfyNode
    ''',
}


def write_newest_v3(directory: Path) -> Path:
    """Lay it out in ``directory`` and return that."""
    for name, text in _FILES.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
    return directory
