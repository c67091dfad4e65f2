"""Processes that die with us, and one ladder for stopping them. Standard library only, Python 3.9+."""

from __future__ import annotations

from comfy_env_core.processes.child import Child, spawn
from comfy_env_core.processes.environment import clean_environment
from comfy_env_core.processes.ladder import stop
from comfy_env_core.processes.questions import ask

__all__ = ["Child", "ask", "clean_environment", "spawn", "stop"]
