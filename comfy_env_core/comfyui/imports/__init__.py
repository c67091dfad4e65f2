"""What ComfyUI's process gets where it imports isolated files: modules of stand-ins, by path."""
