"""Workers for these tests."""

from __future__ import annotations

from workers import services, start_worker

__all__ = ["services", "start_worker"]
