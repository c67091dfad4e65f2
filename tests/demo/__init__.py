"""The demonstration behind ``nox -s demo``: a real ComfyUI, three isolated packs and a broken one, one picture."""
