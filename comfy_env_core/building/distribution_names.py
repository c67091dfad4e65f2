"""Names that people mix up: what Python imports, and what an index calls it.

Source: the metadata of the packages themselves, for those that nodes import most.
"""

from __future__ import annotations

from collections.abc import Mapping

from comfy_env_core.building.requirements import normalised_name

#: Top-level module → distribution, where they differ.
DISTRIBUTION_OF_MODULE: Mapping[str, str] = {
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "cairosvg": "CairoSVG",
    "cv2": "opencv-python",
    "dateutil": "python-dateutil",
    "dotenv": "python-dotenv",
    "faiss": "faiss-cpu",
    "fitz": "PyMuPDF",
    "git": "GitPython",
    "jwt": "PyJWT",
    "magic": "python-magic",
    "mpl_toolkits": "matplotlib",
    "OpenGL": "PyOpenGL",
    "PIL": "pillow",
    "pkg_resources": "setuptools",
    "serial": "pyserial",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "usb": "pyusb",
    "websocket": "websocket-client",
    "yaml": "PyYAML",
    "zmq": "pyzmq",
}


def distribution_of_module(module: str) -> str:
    """The distribution that most likely brings `module` ("cv2.gapi" → "opencv-python")."""
    if module in DISTRIBUTION_OF_MODULE:
        return DISTRIBUTION_OF_MODULE[module]
    top = module.partition(".")[0]
    return DISTRIBUTION_OF_MODULE.get(top, top.replace("_", "-"))


def likely_names(name: str) -> tuple[str, ...]:
    """What somebody may have meant who wrote `name`, the likeliest first; an index tells which of them exist."""
    wanted = normalised_name(name)
    found = [of for module, of in DISTRIBUTION_OF_MODULE.items() if normalised_name(module) == wanted]
    bare = wanted.removeprefix("python-").removeprefix("py").removesuffix("-python").strip("-")
    found += [f"{bare}-python", f"python-{bare}", f"py{bare}", bare, wanted.replace("-", "")]
    return tuple(dict.fromkeys(one for one in found if one and normalised_name(one) != wanted))
