"""ComfyUI's parsed command line: as facts for workers, some of which have no ComfyUI code, and what it says of the
server."""

from __future__ import annotations

import enum
import ipaddress
from argparse import Namespace
from typing import Any

_PLAIN = (bool, int, float, str)


def as_facts(args: Namespace) -> dict[str, Any]:
    """`cli_args`: name -> value, with `{"$enum": [class, value]}` and `{"$set": [...]}` for what JSON has not; values
    of other kinds are left out. `cli_enums`: class -> {member: value}.
    """
    encoded, enums = {}, {}
    for name, value in vars(args).items():
        if _is_tellable(value):
            encoded[name] = _encode(value)
        for item in value if isinstance(value, (list, tuple, set)) else (value,):
            if isinstance(item, enum.Enum):
                enums[type(item).__name__] = {member.name: member.value for member in type(item)}
    return {"cli_args": encoded, "cli_enums": enums}


def listens_remotely(args: Namespace) -> bool:
    """Whether another computer can reach ComfyUI's server. `--listen` takes several addresses, with commas."""
    return not all(_is_loopback(address.strip()) for address in args.listen.split(","))


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:  # a name; what it stands for is for the system to say, and may change
        return address == "localhost"


def _is_tellable(value: Any) -> bool:
    if isinstance(value, (list, tuple, set)):
        return all(map(_is_tellable, value))
    return (
        value is None or type(value) in _PLAIN or (isinstance(value, enum.Enum) and _is_tellable(value.value))
    )


def _encode(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return {"$enum": [type(value).__name__, value.value]}
    if isinstance(value, set):
        return {"$set": [_encode(item) for item in value]}
    return [_encode(item) for item in value] if isinstance(value, (list, tuple)) else value
