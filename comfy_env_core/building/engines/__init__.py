"""What fills a prefix: one contract, two engines.

`contract` says what an engine is, `choosing` picks one, `pixi` drives the external pixi binary, `embedded` does the
same work with rattler (conda packages) and uv (PyPI packages), both installed into the store.
"""

from __future__ import annotations

from comfy_env_core.building.engines.contract import BuiltEnvironment, Engine, Package

__all__ = ["BuiltEnvironment", "Engine", "Package"]
