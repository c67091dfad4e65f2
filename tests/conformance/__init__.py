"""ComfyUI's own execution tests, run with their test nodes isolated and not, and what came of them."""
