"""Isolated nodes as ComfyUI sees them: classes that answer from descriptions, and calls that run in workers."""
