"""Workers for these tests."""

from __future__ import annotations

from livenodes import nodes
from workers import bare_python, services, start_worker

__all__ = ["bare_python", "nodes", "services", "start_worker"]
