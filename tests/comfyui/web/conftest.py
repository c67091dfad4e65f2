"""Workers with routes for these tests."""

from __future__ import annotations

from webhost import pool, web_pack
from workers import services

__all__ = ["pool", "services", "web_pack"]
