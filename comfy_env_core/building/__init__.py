"""From an `EnvSpec` to a filled, verified prefix.

The walk: `platform` and `host_python` say what this machine is, `plan` decides what goes into the environment and why,
`manifest` writes that down as pixi.toml, an engine (`engines/`) fills the prefix, `verification` starts what was built,
and `jobs` runs all of it in order, with progress, cancel and a log.

This file imports nothing, so that every module of the room can be imported on its own.
"""
