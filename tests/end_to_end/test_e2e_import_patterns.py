"""Every way in which packs import, in one ComfyUI: whatever is isolated runs in a worker, or is refused with a reason.

Every isolated file begins with a line that fails in any process but a worker.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from fakepack import write_pack

from host.base import Place, make_base
from host.fixtures import StartComfyUI
from host.server import ComfyUI

ONLY_IN_A_WORKER = """
import os
if os.environ.get("COMFYUI_ISOLATION_WORKER") != "1":
    raise RuntimeError("an isolated file ran in ComfyUI's process")
"""
NODE = """
class {name}:
    CATEGORY, FUNCTION, RETURN_TYPES, OUTPUT_NODE = "patterns", "run", (), True

    @classmethod
    def INPUT_TYPES(cls):
        return {{"required": {{}}}}

    def run(self):
        import os
        return {{"ui": {{"pid": [os.getpid()], "said": [str({said})]}}}}

NODE_CLASS_MAPPINGS = {{"{name}": {name}}}
NODE_DISPLAY_NAME_MAPPINGS = {{"{name}": "The {name}"}}
"""
BOTH = "NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS"


def isolated(name: str, said: str = "__name__", before: str = "") -> str:
    """A file with one node, which runs nowhere but in a worker."""
    return ONLY_IN_A_WORKER + before + NODE.format(name=name, said=said)


def in_host(name: str, said: str = "__name__") -> str:
    return NODE.format(name=name, said=said)


PACKS: dict[str, dict[str, str]] = {
    "p_package": {
        "__init__.py": f"from .nodes.cgal import {BOTH}\n",
        "nodes/cgal/__init__.py": isolated("PPackage"),
        "nodes/cgal/comfy-env.toml": "",
    },
    "p_module": {
        "__init__.py": 'from .nodes.cgal.boolean import PModule\nNODE_CLASS_MAPPINGS = {"PModule": PModule}\n',
        "nodes/cgal/__init__.py": ONLY_IN_A_WORKER,
        "nodes/cgal/boolean.py": isolated("PModule"),
        "nodes/cgal/comfy-env.toml": "",
    },
    "p_import_module": {
        "__init__.py": """
        import importlib
        NODE_CLASS_MAPPINGS = importlib.import_module(".iso.lazy_mod", package=__name__).NODE_CLASS_MAPPINGS
        """,
        "iso/__init__.py": ONLY_IN_A_WORKER,
        "iso/lazy_mod.py": isolated("PImportModule"),
        "iso/comfy-env.toml": "",
    },
    "p_loop": {
        "__init__.py": """
        from importlib.util import module_from_spec, spec_from_file_location
        from pathlib import Path
        NODE_CLASS_MAPPINGS = {}
        for file in sorted((Path(__file__).parent / "iso").glob("*.py")):
            spec = spec_from_file_location(file.stem, file)
            module = module_from_spec(spec)
            spec.loader.exec_module(module)
            NODE_CLASS_MAPPINGS.update(module.NODE_CLASS_MAPPINGS)
        """,
        "iso/one.py": isolated("PLoopOne"),
        "iso/two.py": isolated("PLoopTwo"),
        "iso/comfy-env.toml": "",
    },
    "p_path_to_parent": {
        "__init__.py": """
        import os, sys
        sys.path.insert(0, os.path.dirname(__file__))
        from iso_by_parent import NODE_CLASS_MAPPINGS
        """,
        "iso_by_parent/__init__.py": isolated("PPathToParent"),
        "iso_by_parent/comfy-env.toml": "",
    },
    "p_path_to_inside": {
        "__init__.py": """
        import os, sys
        sys.path.insert(0, os.path.join(os.path.dirname(__file__), "iso"))
        from inner_by_path import NODE_CLASS_MAPPINGS
        """,
        "iso/inner_by_path.py": isolated("PPathToInside", "VALUE", "from helper_by_path import VALUE\n"),
        "iso/helper_by_path.py": ONLY_IN_A_WORKER + "VALUE = 'from beside'\n",
        "iso/comfy-env.toml": "",
    },
    "p_path_of_its_own": {
        "__init__.py": f"from .iso import {BOTH}\n",
        "iso/__init__.py": ONLY_IN_A_WORKER
        + "import sys\nsys.path.insert(0, os.path.dirname(__file__))\n"
        + f"from own_by_path import {BOTH}\n",
        "iso/own_by_path.py": isolated("PPathOfItsOwn"),
        "iso/comfy-env.toml": "",
    },
    "p_namespace": {
        "__init__.py": f"from .iso.part import {BOTH}\n",
        "iso/part.py": isolated("PNamespace"),
        "iso/comfy-env.toml": "",
    },
    "p_shared": {
        "__init__.py": f"from .nodes.iso import {BOTH}\n",
        "shared.py": "VALUE = 'shared'\n",
        "nodes/iso/__init__.py": isolated("PShared", "VALUE", "from ...shared import VALUE\n"),
        "nodes/iso/comfy-env.toml": "",
    },
    "p_siblings": {
        "__init__.py": """
        from .a import NODE_CLASS_MAPPINGS as first
        from .b import NODE_CLASS_MAPPINGS as second
        NODE_CLASS_MAPPINGS = {**first, **second}
        """,
        "a/__init__.py": isolated("PSiblingA", "TWO", "from ..b.numbers import TWO\n"),
        "b/__init__.py": isolated("PSiblingB", "ONE", "from ..a.numbers import ONE\n"),
        "a/numbers.py": ONLY_IN_A_WORKER + "ONE = 1\n",
        "b/numbers.py": ONLY_IN_A_WORKER + "TWO = 2\n",
        "a/comfy-env.toml": "",
        "b/comfy-env.toml": "# An environment of its own.\n",
    },
    "p_prestartup": {
        # In the host, too, if ComfyUI comes to it before it comes to us.
        "prestartup_script.py": "import os\nos.environ['PRESTARTUP_IN'] = str(os.getpid())\n",
        "__init__.py": isolated("PPrestartup", "os.environ['PRESTARTUP_IN'] == str(os.getpid())"),
        "comfy-env.toml": "",
    },
    "p_other": {
        "__init__.py": """
        import os, sys
        sys.path.append(os.path.dirname(os.path.dirname(__file__)))
        from p_package.nodes.cgal import PPackage
        class POther(PPackage): pass
        NODE_CLASS_MAPPINGS = {"POther": POther}
        """,
    },
    "p_late": {
        "__init__.py": in_host("PLate", "self.late()")
        + """
def late(self):
    from .iso.limits import LIMIT
    return LIMIT
PLate.late = late
""",
        "iso/limits.py": ONLY_IN_A_WORKER + "LIMIT = 12\n",
        "iso/comfy-env.toml": "",
    },
    "p_comfy_env": {
        "install.py": "from comfy_env import install\ninstall()\n",
        "prestartup_script.py": """
        from pathlib import Path
        from comfy_env import setup_env, copy_files
        setup_env()
        copy_files(Path(__file__).parent / "assets", "input/p_comfy_env")
        """,
        "assets/example.txt": "copied",
        "__init__.py": f"from comfy_env import register_nodes\n{BOTH} = register_nodes()\n",
        "nodes/main/__init__.py": in_host("PComfyEnvMain"),
        "nodes/cgal/__init__.py": isolated("PComfyEnvCgal"),
        "nodes/cgal/comfy-env.toml": "",
    },
    "p_older_comfy_env": {
        "__init__.py": """
        from pathlib import Path
        from comfy_env import enable_isolation, install, setup_isolated_imports, wrap_isolated_nodes, wrap_nodes
        install(config="nodes/comfy-env.toml", mode="isolated", node_dir=Path(__file__).parent)
        setup_isolated_imports(__file__)
        from .nodes import NODE_CLASS_MAPPINGS as found
        NODE_CLASS_MAPPINGS = dict(wrap_isolated_nodes(found, Path(__file__).parent / "nodes"))
        enable_isolation(NODE_CLASS_MAPPINGS)
        wrap_nodes()
        """,
        "nodes/__init__.py": ONLY_IN_A_WORKER + f"from .decorated import {BOTH}\n",
        "nodes/decorated.py": isolated("POlder")
        + "from comfy_env import isolated\n@isolated(env='x', import_paths=['.'])\nclass Helper: ...\n",
        "nodes/comfy-env.toml": "",
    },
}

#: Node -> the end of what its run function says.
ISOLATED = {
    "PPackage": "p_package.nodes.cgal",
    "PModule": "p_module.nodes.cgal.boolean",
    "PImportModule": "p_import_module.iso.lazy_mod",
    "PLoopOne": "p_loop.iso.one",
    "PLoopTwo": "p_loop.iso.two",
    "PPathToParent": "p_path_to_parent.iso_by_parent",
    "PPathToInside": "from beside",
    "PPathOfItsOwn": "own_by_path",
    "PNamespace": "p_namespace.iso.part",
    "PShared": "shared",
    "PSiblingA": "2",
    "PSiblingB": "1",
    "PPrestartup": "True",
    "PComfyEnvCgal": "p_comfy_env.nodes.cgal",
    "POlder": "p_older_comfy_env.nodes.decorated",
    "PLinked": "p_linked.iso",
}
IN_HOST = {"PLate": "12", "PComfyEnvMain": "p_comfy_env.nodes.main", "PSingleFile": "foo"}

REFUSED: dict[str, dict[str, str]] = {
    "p_exec_file": {
        "__init__.py": """
        import os
        path = os.path.join(os.path.dirname(__file__), "iso", "part.py")
        exec(compile(open(path).read(), path, "exec"))
        """,
        "iso/part.py": in_host("PExecFile"),
        "iso/comfy-env.toml": "",
    },
    "p_exec_text": {
        "__init__.py": """
        import os
        exec(open(os.path.join(os.path.dirname(__file__), "iso", "__init__.py")).read())
        """,
        "iso/__init__.py": in_host("PExecText"),
        "iso/comfy-env.toml": "",
    },
    "p_internals": {"__init__.py": "from comfy_env import SubprocessWorker\n"},
    "foo": {"comfy-env.toml": ""},
}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's directory with a pack for each pattern."""
    root = tmp_path_factory.mktemp("patterns")
    base = make_base(root / "base")
    for name, files in {**PACKS, **REFUSED}.items():
        write_pack(base, {path: textwrap.dedent(text) for path, text in files.items()}, name=name)
    linked = {
        "__init__.py": f"from .iso import {BOTH}\n",
        "iso/__init__.py": isolated("PLinked"),
        "iso/comfy-env.toml": "",
    }
    (base / "custom_nodes" / "p_linked").symlink_to(
        write_pack(root / "elsewhere", linked, name="p_linked_really")
    )
    (base / "custom_nodes" / "foo.py").write_text(in_host("PSingleFile"))
    (base / "custom_nodes" / "comfy-env.toml").write_text("")
    return base


@pytest.fixture(scope="module")
def comfyui(base: Path, place: Place, start_comfyui: StartComfyUI) -> Iterator[ComfyUI]:
    server = start_comfyui(base, environment=place.environment)
    server.wait_for_sites()
    server.wait_for_nodes(*ISOLATED, *IN_HOST, timeout_s=60)
    yield server


@pytest.fixture(scope="module")
def said(comfyui: ComfyUI) -> Mapping[str, dict[str, Any]]:
    """What each node's run function said, all in one prompt."""
    prompt = {name: {"class_type": name, "inputs": {}} for name in (*ISOLATED, *IN_HOST)}
    outputs: dict[str, dict[str, Any]] = comfyui.queue(prompt, timeout_s=120)["outputs"]
    return outputs


@pytest.mark.parametrize("node", ISOLATED)
def test_node_of_an_isolated_directory_runs_in_its_worker(
    said: Mapping[str, dict[str, Any]], node: str
) -> None:
    host = said["PComfyEnvMain"]["pid"]
    assert said[node]["pid"] != host
    assert said[node]["said"][0].endswith(ISOLATED[node])


@pytest.mark.parametrize("node", IN_HOST)
def test_node_of_the_host_part_runs_in_comfyui(said: Mapping[str, dict[str, Any]], node: str) -> None:
    assert said[node]["pid"] == said["PComfyEnvMain"]["pid"]
    assert said[node]["said"][0].endswith(IN_HOST[node])


def test_pack_written_for_comfy_env_keeps_its_names_and_copies_its_files(
    comfyui: ComfyUI, base: Path
) -> None:
    info = comfyui.get("/object_info/PComfyEnvCgal")["PComfyEnvCgal"]
    assert info["display_name"] == "The PComfyEnvCgal"
    assert info["python_module"] == "custom_nodes.p_comfy_env"
    assert (base / "input" / "p_comfy_env" / "example.txt").read_text() == "copied"


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        ("PExecFile", "The node 'PExecFile' was taken out of ComfyUI: its code is from '"),
        (
            "PExecText",
            "The node 'PExecText' was taken out of ComfyUI: its code is from the text of a file in '",
        ),
    ],
)
def test_node_whose_isolated_text_was_executed_is_taken_out_and_told(
    comfyui: ComfyUI, node: str, reason: str
) -> None:
    assert node not in comfyui.get("/object_info")
    assert reason in comfyui.log()


def test_file_beside_the_packs_and_file_beside_a_single_file_pack_are_told(comfyui: ComfyUI) -> None:
    log = comfyui.log()
    assert f"custom_nodes{os.sep}comfy-env.toml: it lies beside the packs and isolates none of them" in log
    assert "has a comfy-env.toml but no __init__.py" in log and "foo.py' is another pack" in log


def test_pack_that_imports_from_one_that_is_not_ready_is_told_when_it_gets_its_nodes(
    comfyui: ComfyUI,
) -> None:
    assert "p_other imports" in comfyui.log() and "comes with the next start" in comfyui.log()


def test_internals_of_comfy_env_are_refused_with_what_to_do(comfyui: ComfyUI) -> None:
    assert "comfy_env.SubprocessWorker is no part of what comfy-env manager offers" in comfyui.log()


def test_nothing_isolated_ran_in_comfyui(comfyui: ComfyUI) -> None:
    assert "an isolated file ran in ComfyUI's process" not in comfyui.log()
