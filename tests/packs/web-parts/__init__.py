"""A pack of which a part is isolated, and that part has a route; its web folder is named in pyproject.toml."""

from .nodes.parts import NODE_CLASS_MAPPINGS

__all__ = ["NODE_CLASS_MAPPINGS"]
