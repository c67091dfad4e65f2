"""The program that runs inside an environment: it imports a pack's nodes, describes them and runs them.

Started as `python boot.py`. Needs msgpack, runs on Python 3.9+, imports numpy and torch only when an array
needs them and asyncio only when an async node runs.
"""
