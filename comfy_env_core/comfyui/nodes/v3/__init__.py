"""Proxies for nodes of ComfyUI's V3 API: subclasses of its own ComfyNode, so that ComfyUI treats them as V3."""
