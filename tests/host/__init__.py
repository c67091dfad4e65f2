"""A real ComfyUI for tests, the demo and the benchmarks, got and started by the project's own files.

``installation`` gets it, ``base`` lays out a user's directory with packs in it, ``server`` runs it, ``events`` listens
to its websocket, ``browser`` opens its page. ``tests/`` has to be on the path: ``from host.server import ComfyUI``.
"""
