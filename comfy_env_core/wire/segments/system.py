"""The memory calls of this operating system, behind one interface: the module `system`.

- `create(size_bytes) -> handle`: fresh zeroed memory; the caller closes it. Raises OSError.
- `map_memory(handle, size_bytes, private) -> address`: private is copy-on-write. Raises OSError.
- `was_written(address, size_bytes) -> bool`: whether a private mapping has pages of its own; True where unknown.

And what belongs to these three: `close`, `size_of`, `unmap`, `write`, `open_watch`, and `forget_writes(address,
size_bytes) -> bool`: whether the mapping shows the segment again (else it has to be made anew). A handle is an
integer: a file descriptor, or on Windows a HANDLE. `NAMED` says that segments travel by name (`name_of`, `open_named`)
and not beside the frame.
"""

from __future__ import annotations

import sys

if sys.platform == "linux":
    from comfy_env_core.wire.segments import _linux as system
elif sys.platform == "win32":
    from comfy_env_core.wire.segments import _windows as system
else:
    from comfy_env_core.wire.segments import _macos as system

__all__ = ["system"]
