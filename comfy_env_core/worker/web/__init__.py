"""What a pack registers with ComfyUI's web server: collected at import, served on a socket that only ComfyUI knows.

The pack gets aiohttp's own classes where its environment has aiohttp, which is imported when they are first used.
"""
