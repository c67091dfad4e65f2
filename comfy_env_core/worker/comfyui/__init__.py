"""ComfyUI's own modules in a worker that has its source: what of them works on the host's models, nodes and memory."""
