"""The ways in which isolated code imports: each works in a worker as it does in ComfyUI."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fakepack import NODE, request, spec_for, write_pack
from patience import PATIENCE_S
from workers import StartWorker

MAPPING = '\nNODE_CLASS_MAPPINGS = {"Node": Node}\n'
WHERE = NODE + "    def run(self):\n        return __name__\n" + MAPPING


def export(worker: Any, module: str, name: str) -> Any:
    return worker.call("describe", [module]).result(PATIENCE_S)["exports"][name]["value"]


def run_its_node(worker: Any, module: str) -> Any:
    """Describes the module and runs the one node it exports."""
    (kind,) = worker.call("describe", [module]).result(PATIENCE_S)["classes"]
    return worker.call("run", request(kind["module"], "run", qualname=kind["qualname"])).result(PATIENCE_S)


# --- the prestartup script of a pack isolated as a whole


def test_prestartup_script_runs_once_before_the_pack(tmp_path: Path, start_worker: StartWorker) -> None:
    pack = write_pack(
        tmp_path,
        {
            "prestartup_script.py": "import os\nos.environ['ORDER'] = os.environ.get('ORDER', '') + 'script '\n",
            "__init__.py": "import os\nORDER = os.environ['ORDER'] + 'pack'\n",
        },
    )
    worker = start_worker(spec_for(pack))
    assert export(worker, worker.spec.module_name, "ORDER") == "script pack"
    assert export(worker, worker.spec.module_name, "ORDER") == "script pack"


@pytest.mark.parametrize("failing", ["import no_such_module", "raise SystemExit(3)", "def broken("])
def test_prestartup_script_that_fails_is_told_and_the_pack_goes_on(
    tmp_path: Path, start_worker: StartWorker, failing: str
) -> None:
    pack = write_pack(tmp_path, {"prestartup_script.py": failing + "\n", "__init__.py": "LOADED = True\n"})
    worker = start_worker(spec_for(pack))
    assert export(worker, worker.spec.module_name, "LOADED") is True
    worker.stop(5)
    told = worker.spec.log_path.read_text()
    assert "prestartup_script.py failed in the pack's own environment" in told


def test_prestartup_script_of_a_mixed_pack_is_the_hosts(tmp_path: Path, start_worker: StartWorker) -> None:
    pack = write_pack(
        tmp_path,
        {
            "prestartup_script.py": "import os\nos.environ['RAN'] = 'yes'\n",
            "nodes/__init__.py": "import os\nRAN = os.environ.get('RAN')\n",
        },
    )
    worker = start_worker(spec_for(pack, "nodes"))
    assert export(worker, f"{worker.spec.module_name}.nodes", "RAN") is None


# --- folders in sys.path


def test_what_the_host_part_put_into_sys_path_is_there_too(tmp_path: Path, start_worker: StartWorker) -> None:
    pack = write_pack(
        tmp_path,
        {"lib/shared_by_path.py": "VALUE = 7\n", "mesh/__init__.py": "from shared_by_path import VALUE\n"},
    )
    worker = start_worker(spec_for(pack, "mesh", host_facts={"pack_paths": [str(pack / "lib")]}))
    assert export(worker, f"{worker.spec.module_name}.mesh", "VALUE") == 7


def test_isolated_part_may_put_its_own_folder_first(tmp_path: Path, start_worker: StartWorker) -> None:
    by_path = "import os, sys\nsys.path.insert(0, os.path.dirname(__file__))\nfrom bare_part import Node\n"
    pack = write_pack(tmp_path, {"mesh/__init__.py": by_path + MAPPING, "mesh/bare_part.py": WHERE})
    spec = spec_for(pack, "mesh")
    module = f"{spec.module_name}.mesh"
    assert run_its_node(start_worker(spec), module) == "bare_part"
    # Another worker is asked for the node at once, before anything put the folder there.
    assert start_worker(spec).call("run", request("bare_part", "run")).result(PATIENCE_S) == "bare_part"


def test_pack_that_puts_its_root_first_still_gets_comfyuis_nodes(
    tmp_path: Path, start_worker: StartWorker
) -> None:
    """ComfyUI has imported its own `nodes` when packs are loaded, so no folder of that name ever hides it."""
    comfyui = tmp_path / "ComfyUI"
    comfyui.mkdir()
    (comfyui / "nodes.py").write_text(
        "IS_COMFYUI = True\nNODE_CLASS_MAPPINGS = NODE_DISPLAY_NAME_MAPPINGS = {}\n"
    )
    first = "import os, sys\nsys.path.insert(0, os.path.dirname(__file__))\n"
    pack = write_pack(
        tmp_path,
        {"__init__.py": first + "import nodes\nFOUND = nodes.IS_COMFYUI\n", "nodes/__init__.py": ""},
    )
    worker = start_worker(spec_for(pack, comfyui=comfyui))
    assert export(worker, worker.spec.module_name, "FOUND") is True


# --- names


def test_isolated_folder_without_init_offers_its_modules(tmp_path: Path, start_worker: StartWorker) -> None:
    pack = write_pack(tmp_path, {"nodes/mesh/boolean.py": WHERE})
    worker = start_worker(spec_for(pack, "nodes/mesh"))
    module = f"{worker.spec.module_name}.nodes.mesh.boolean"
    assert run_its_node(worker, module) == module


def test_file_with_a_dot_in_its_name_is_loaded(tmp_path: Path, start_worker: StartWorker) -> None:
    pack = write_pack(tmp_path, {"nodes/v1.5/step.one.py": WHERE})
    worker = start_worker(spec_for(pack, "nodes/v1.5"))
    module = f"{worker.spec.module_name}.nodes.v1_x_5.step_x_one"
    assert run_its_node(worker, module) == module


def test_two_isolated_folders_use_each_other(tmp_path: Path, start_worker: StartWorker) -> None:
    """Each runs what it imports of the other in its own process, in its own environment."""
    pack = write_pack(
        tmp_path,
        {
            "__init__.py": "raise RuntimeError('the host part ran')\n",
            "a/__init__.py": "from ..b.numbers import TWO\nONE = TWO - 1\n",
            "b/__init__.py": "",
            "b/numbers.py": "TWO = 2\n",
            "b/sums.py": "from ..a import ONE\nTHREE = ONE + 2\n",
        },
    )
    a, b = start_worker(spec_for(pack, "a")), start_worker(spec_for(pack, "b"))
    assert export(a, f"{a.spec.module_name}.a", "ONE") == 1
    assert export(b, f"{b.spec.module_name}.b.sums", "THREE") == 3


def test_linked_pack_is_imported_under_its_own_path(tmp_path: Path, start_worker: StartWorker) -> None:
    real = write_pack(
        tmp_path / "elsewhere", {"mesh/__init__.py": "import os\nFILE = __file__\n"}, name="real"
    )
    linked = tmp_path / "custom_nodes" / "linked"
    linked.parent.mkdir()
    linked.symlink_to(real)
    worker = start_worker(spec_for(linked, "mesh"))
    assert export(worker, f"{worker.spec.module_name}.mesh", "FILE") == str(linked / "mesh" / "__init__.py")


def test_loop_of_the_isolated_part_over_its_own_files(tmp_path: Path, start_worker: StartWorker) -> None:
    loop = """
    import importlib.util
    from pathlib import Path
    NODE_CLASS_MAPPINGS = {}
    for file in sorted(Path(__file__).parent.glob("node_*.py")):
        spec = importlib.util.spec_from_file_location(file.stem, file)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        NODE_CLASS_MAPPINGS.update(module.NODE_CLASS_MAPPINGS)
    """
    pack = write_pack(tmp_path, {"__init__.py": loop, "node_a.py": WHERE})
    spec = spec_for(pack)
    assert run_its_node(start_worker(spec), spec.module_name) == "node_a"
