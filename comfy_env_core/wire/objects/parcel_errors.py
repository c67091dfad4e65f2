"""What can go wrong with a parcel."""

from __future__ import annotations

from comfy_env_core.wire.errors import WireError
from comfy_env_core.wire.objects.specials import split_type_name


class ParcelError(WireError, TypeError):
    """An object cannot be packed, or a parcel cannot be opened; the message names the type."""


class MissingHere(ParcelError):
    """This environment lacks what the parcel needs. Another may open it. `missing` says what, as a clause."""

    def __init__(self, type_name: str, missing: str) -> None:
        module, qualname = split_type_name(type_name)
        super().__init__(
            f"A {type_name} cannot be rebuilt in this environment: {missing}. Add the package that provides "
            f"{module.partition('.')[0]!r} to the comfy-env.toml of the pack that needs the object, or register "
            f"a codec for {qualname!r} in serialization.py."
        )
        self.type_name = type_name
        self.missing = missing


class CodecFileError(WireError):
    """A pack's serialization.py could not be run; the message has the file, the line and the reason."""
