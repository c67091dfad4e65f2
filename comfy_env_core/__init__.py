"""comfy-env manager: every pack its own Python environment, inside one ComfyUI.

The rooms follow the walk of the data: config, discovery, environments, building, wire, worker, supervision, comfyui.
This file is read by workers on Python 3.9 as well and therefore imports nothing.
"""

__version__ = "0.1.0"
