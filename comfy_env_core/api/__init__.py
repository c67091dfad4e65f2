"""REST routes and push events over a manager that is passed in; knows aiohttp and nothing of ComfyUI."""
