"""The panel in ComfyUI's page, in a real browser on a real ComfyUI, with real builds.

`nox -s e2e` runs all of it with both front ends; `nox -s tests` the tests marked `short`, with the newer one.
"""
