"""ComfyUI's web server in front of isolated packs: their routes, web folders and prompt handlers.

Knows aiohttp and the sites; what it needs of ComfyUI's own modules is passed in.
"""
