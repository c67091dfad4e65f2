raise_in_host = __import__("sys").modules.get("execution")
if raise_in_host is not None:
    raise RuntimeError("this package must not be executed in ComfyUI's process")
