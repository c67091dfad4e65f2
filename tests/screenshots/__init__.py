"""The pictures of the panel in the documentation, taken of a real ComfyUI with the demo's packs."""
