"""What the host needs to know of a V3 node class, beyond what it needs of any.

Gives, whatever the version of the V3 API::

    {"info": frozen, "input_types": frozen, "fields": {name: frozen}, "facts": {name: frozen}, "hidden": [name, ...]}

- `info`: what GET_NODE_INFO_V1 gives, its `input`, `input_order` and `python_module` left None: the host fills them.
- `fields`: the class properties that the API derives from the schema (CATEGORY, RETURN_TYPES, ...).
- `facts`: the fields of the schema itself but for its inputs and outputs.
- `hidden`: names of the members of `io.Hidden`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from comfy_env_core.wire.values.snapshot import freeze

#: What a V3 class may define for ComfyUI to call, beside `execute`.
HOOKS = ("validate_inputs", "fingerprint_inputs", "check_lazy_status")

_NO_FACTS = frozenset({"inputs", "outputs", "hidden"})


def describe_schema(kind: Any) -> dict[str, Any]:
    """The description of a V3 node class. Raises what its define_schema raises."""
    schema = kind.GET_SCHEMA()
    info = vars(schema.get_v1_info(kind))
    empty = dict.fromkeys(("input", "input_order", "python_module"))
    return {
        "info": freeze({**info, **empty}),
        "input_types": freeze(info["input"]),
        "fields": {name: freeze(getattr(kind, name)) for name in _field_names(kind)},
        "facts": {name: freeze(value) for name, value in vars(schema).items() if name not in _NO_FACTS},
        "hidden": [member.name for member in schema.hidden or ()],
    }


def own_names(kind: Any) -> Iterator[str]:
    """The public names that a V3 class has of its own: those of the API's base class left out, unless overridden."""
    base = kind.GET_BASE_CLASS()
    inherited = set(dir(base))
    for part in kind.__mro__[: kind.__mro__.index(base)]:
        for name in vars(part):
            if not name.startswith("_") and (name not in inherited or name in ("execute", *HOOKS)):
                yield name


def _field_names(kind: Any) -> Iterator[str]:
    """`RETURN_TYPES` and the like: the API keeps the value of each under the same name with an underscore."""
    known = set(dir(kind.GET_BASE_CLASS()))
    yield from sorted(name for name in known if name.isupper() and f"_{name}" in known)
