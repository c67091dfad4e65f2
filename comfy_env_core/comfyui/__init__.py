"""The only room that imports ComfyUI: hooks into its loading, stand-ins for isolated nodes, services for workers."""
