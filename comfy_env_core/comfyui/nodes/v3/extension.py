"""What stands for a pack's `comfy_entrypoint`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from comfy_api.latest import ComfyExtension, io


class IsolatedExtension(ComfyExtension):  # type: ignore[misc]  # ComfyUI is not there when types are checked
    """Gives proxies. What the pack's extension does when it is loaded, it does in the worker."""

    def __init__(self, nodes: Sequence[type[io.ComfyNode]]) -> None:
        self._nodes = nodes

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return list(self._nodes)


def make_entrypoint(nodes: Sequence[type]) -> Callable[[], Awaitable[ComfyExtension]]:
    """A `comfy_entrypoint` whose extension has these nodes."""

    async def comfy_entrypoint() -> ComfyExtension:
        return IsolatedExtension(nodes)

    return comfy_entrypoint


def make_failing_entrypoint(error: str) -> Callable[[], Awaitable[ComfyExtension]]:
    """One that fails as the pack's own did: ComfyUI lists the pack as failed and prints the text."""

    async def comfy_entrypoint() -> ComfyExtension:
        raise RuntimeError(error)

    return comfy_entrypoint
