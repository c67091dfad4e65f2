"""What a worker may ask of ComfyUI, one module for each of ComfyUI's own; `table` lists them by name."""
