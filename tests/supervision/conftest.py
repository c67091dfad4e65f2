"""Workers for these tests."""

from __future__ import annotations

from workers import bare_python, services, start_worker

__all__ = ["bare_python", "services", "start_worker"]
