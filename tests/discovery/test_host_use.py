"""What source code is found to need of ComfyUI and torch."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from comfy_env_core.config import HostNeed
from comfy_env_core.discovery import HostUse, host_use

Plant = Callable[[Mapping[str, str]], Path]


@pytest.fixture
def use_of(tmp_path: Path) -> Callable[[str | bytes], HostUse]:
    """What a site of one file uses."""

    def read(source: str | bytes) -> HostUse:
        path = tmp_path / "nodes.py"
        path.write_bytes(source if isinstance(source, bytes) else source.encode())
        return host_use(tmp_path, ())

    return read


@pytest.mark.parametrize(
    "source",
    [
        "import comfy",
        "import comfy.utils",
        "from comfy import utils, model_management as mm",
        "from comfy.utils import ProgressBar\nbar = ProgressBar(3)",
        "import comfy.utils\nbar = comfy.utils.ProgressBar(3).update(1)",
        "import comfy.utils as u\nu.ProgressBar(3)",
        "from comfy import model_management as mm\nmm.throw_exception_if_processing_interrupted()",
        "import comfy.model_management\nERROR = comfy.model_management.InterruptProcessingException",
        "import folder_paths\nx = folder_paths\nfolder_paths.get_output_directory()",
        "import nodes\nLARGEST = nodes.MAX_RESOLUTION",
        "from nodes import MAX_RESOLUTION, NODE_DISPLAY_NAME_MAPPINGS",
        "import comfy.samplers\nx = comfy.samplers.KSampler.SAMPLERS, comfy.samplers.KSampler.SCHEDULERS",
        "from comfy.samplers import SAMPLER_NAMES",
        "from comfy_execution.graph_utils import GraphBuilder, is_link\nclass Mine(GraphBuilder): pass",
        "from comfy_execution.graph import ExecutionBlocker",
        "from comfy_execution.utils import get_executing_context",
        "from comfy.comfy_types import IO, ComfyNodeABC, InputTypeDict\nclass Mine(ComfyNodeABC): pass",
        "from comfy.comfy_types.node_typing import IO",
        "import node_helpers\nnode_helpers.conditioning_set_values([])",
        "import comfy.model_management as mm\nmm.soft_empty_cache()\nmm.unload_all_models()",
        "from folder_paths import *",
        "import importlib\nimportlib.import_module('folder_paths')",
        "from server import PromptServer\nPromptServer.instance.send_sync('a', {})",
        "import server\nserver.PromptServer.instance.send_sync('a', {})",
        "import comfy_kitchen, nodes_of_mine, serverless, application",
        "import app, utils\nfrom utils import helper\nfrom app.main import run",
        "from .nodes import A\nfrom . import server\nfrom ..comfy.utils import common_upscale",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch\n    import comfy.sd",
        "x = 'import torch; import nodes'",
        "# import torch",
    ],
)
def test_source_that_needs_nothing(use_of: Callable[[str], HostUse], source: str) -> None:
    found = use_of(source)
    assert found.need is HostNeed.NONE
    assert not found.imports_torch


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("import execution", 1),
        ("\nimport comfy.ldm", 2),
        ("from comfy import lora", 1),
        ("import nodes\nclass Mine(nodes.SaveImage): pass", 2),
        ("from nodes import SaveImage as Base\nclass Mine(object, Base): pass", 2),
        ("import comfy.samplers as s\nif isinstance(1, (int, s.KSampler)): pass", 2),
        ("import nodes\ntry:\n    pass\nexcept nodes.Odd:\n    pass", 4),
        ("import comfy.samplers\ncomfy.samplers.simple_scheduler", 2),
        ("import comfy.sd\ncomfy.sd.VAE(sd={})", 2),
        ("from comfy.utils import ProgressBar, common_upscale", 1),
        ("from comfy.utils import *", 1),
        ("import comfy.utils\n\ncomfy.utils.common_upscale", 3),
        ("import comfy.utils\nu = comfy.utils", 2),
        ("import comfy.utils as u\nhasattr(u, 'ProgressBar')", 2),
        ("import comfy\n\n\ncomfy.model_management.load_models_gpu([])", 4),
        ("from comfy import model_management as mm\nmm.load_models_gpu([])", 2),
        ("import server\nserver.is_loopback", 2),
        ("from comfy_api.latest import io", 1),
        ("from comfy_execution.graph import DynamicPrompt", 1),
        ("from comfy_extras import nodes_mask", 1),
        ("import importlib\nm = importlib.import_module('comfy.utils')", 2),
        ("from app.user_manager import UserManager", 1),
        ("def f():\n    from node_helpers import image_alpha_fix", 2),
        ("try:\n    import comfy.lora\nexcept ImportError:\n    pass", 2),
    ],
)
def test_source_that_needs_comfyui_is_shown_with_its_line(
    use_of: Callable[[str], HostUse], source: str, line: int
) -> None:
    found = use_of(source)
    assert found.need is HostNeed.COMFYUI
    assert any(entry.startswith(f"nodes.py:{line} ") and "stand-in" not in entry for entry in found.evidence)


@pytest.mark.parametrize(
    "source",
    [
        "import torch",
        "import torch.nn.functional as F",
        "from torch import nn",
        "def f():\n    import torch",
        "try:\n    import torch\nexcept ValueError:\n    pass",
        "try:\n    import torch\nfinally:\n    pass",
        "try:\n    import json\nexcept ImportError:\n    import torch",
        "import torch\nfrom comfy.utils import ProgressBar",
        "import nodes\nnodes.VAEDecode().decode(vae, samples)",
        "from nodes import common_ksampler",
        "import nodes\nnodes.NODE_CLASS_MAPPINGS['X']",
        "import comfy\ncomfy.model_management.get_torch_device()",
        "import comfy.samplers\ncomfy.samplers.KSampler(model)",
        "import comfy.sample\ncomfy.sample.sample(model)",
        "from comfy import sd\nsd.load_checkpoint_guess_config(path)",
    ],
)
def test_source_that_needs_torch(use_of: Callable[[str], HostUse], source: str) -> None:
    found = use_of(source)
    assert found.need is HostNeed.TORCH
    assert found.imports_torch
    assert found.torch_packages == ("torch",)


@pytest.mark.parametrize("caught", ["", " ImportError", " (OSError, ModuleNotFoundError)", " Exception as e"])
def test_torch_that_may_be_missing_is_not_needed(use_of: Callable[[str], HostUse], caught: str) -> None:
    found = use_of(f"def f():\n    try:\n        import torch\n    except{caught}:\n        torch = None\n")
    assert found.need is HostNeed.NONE


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from server import PromptServer\nfrom aiohttp import web", True),
        ("from server import PromptServer, web", True),
        ("import server\nimport aiohttp.web", True),
        ("from server import PromptServer", False),
        ("import aiohttp", False),
        ("from .server import PromptServer\nimport aiohttp", False),
    ],
)
def test_source_that_serves_routes_is_told_from_source_that_does_not(
    use_of: Callable[[str], HostUse], source: str, expected: bool
) -> None:
    found = use_of(source)
    assert found.uses_web is expected
    assert found.need is HostNeed.NONE


def test_torchvision_needs_torch_and_is_named(use_of: Callable[[str], HostUse]) -> None:
    found = use_of("import torchvision.transforms as T")
    assert found.need is HostNeed.TORCH
    assert found.torch_packages == ("torchvision",)


def test_comfyui_outweighs_torch_and_both_are_told(use_of: Callable[[str], HostUse]) -> None:
    found = use_of("import torch\nimport execution")
    assert found.need is HostNeed.COMFYUI
    assert found.imports_torch
    assert found.evidence == ("nodes.py:1 import torch", "nodes.py:2 import execution")


def test_a_file_that_does_not_parse_is_noted_and_its_import_lines_count(plant: Plant) -> None:
    top = plant(
        {
            "a.py": "import torch\ndef f(:\n",
            "b.py": "from comfy.utils import (\n    common_upscale,\n)\nprint 'python 2'\n",
            "c.py": "from nowhere we came = import\n",
        }
    )
    found = host_use(top, ())
    assert found.need is HostNeed.COMFYUI
    assert found.torch_packages == ("torch",)
    assert "a.py:1 import torch" in found.evidence
    assert any(line.startswith("a.py cannot be parsed") and "line 2" in line for line in found.evidence)
    assert "b.py:1 from comfy.utils import *" in found.evidence


def test_what_an_unparsed_file_uses_of_a_module_is_unknown_and_so_counts_whole(plant: Plant) -> None:
    assert host_use(plant({"a.py": "import comfy.utils\nx = = 1\n"}), ()).need is HostNeed.COMFYUI
    assert host_use(plant({"a.py": "import folder_paths\nx = = 1\n"}), ()).need is HostNeed.NONE
    assert host_use(plant({"a.py": "import nodes\nx = = 1\n"}), ()).need is HostNeed.COMFYUI


@pytest.mark.parametrize(
    "source",
    [
        b"# -*- coding: latin-1 -*-\n# na\xefve\nimport torch\n",
        b"# na\xefve, and no word about the encoding\nimport torch\n",
        b"# -*- coding: gbk -*-\ns = '\xc4\xe3\xba\xc3'\nimport torch\n",
        b"# -*- coding: no-such-encoding -*-\nimport torch\n",
        b"\xef\xbb\xbfimport torch\r\n",
        b"import torch\nx = '\0'\n",
        b"import torch\rx = 1\r",
        b"import torch\nx = " + b"(" * 5000,
        b"import torch\nx = " + b"+".join([b"1"] * 20_000),
    ],
)
def test_odd_files_survive(use_of: Callable[[bytes], HostUse], source: bytes) -> None:
    assert use_of(source).need is HostNeed.TORCH


def test_invalid_escapes_of_the_author_are_not_told_to_the_user(use_of: Callable[[str], HostUse]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert use_of("import torch\nx = '\\d'\n").imports_torch


def test_nothing_is_executed(use_of: Callable[[str], HostUse], tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    use_of(f"import torch\nopen({str(mark)!r}, 'w')\n")
    assert not mark.exists()


def test_nested_sites_and_environments_are_not_read(plant: Plant) -> None:
    top = plant(
        {
            "inner/a.py": "import execution",
            "venv/pyvenv.cfg": "",
            "venv/b.py": "import execution",
            "c.py": "import torch",
        }
    )
    assert host_use(top, [top / "inner"]).evidence == ("c.py:1 import torch",)


def test_modules_of_the_pack_outside_the_site_are_followed_when_imported_relatively(plant: Plant) -> None:
    top = plant(
        {
            "pack/__init__.py": "import execution",  # the parents of a site are never executed in its worker
            "pack/not_imported.py": "import execution",
            "pack/shared/__init__.py": "from .sizes import SIZE",
            "pack/shared/sizes.py": "import torch",
            "pack/helpers.py": "from comfy.utils import ProgressBar",
            "pack/nodes/__init__.py": "import execution",
            "pack/nodes/mesh/__init__.py": "from . import boolean",
            "pack/nodes/mesh/boolean.py": "from ...shared import SIZE\nfrom ... import helpers",
        }
    )
    found = host_use(top / "pack/nodes/mesh", (), top / "pack")
    assert found.need is HostNeed.TORCH
    assert found.evidence == (
        "../../helpers.py:1 from comfy.utils import ProgressBar (has a stand-in)",
        "../../shared/sizes.py:1 import torch",
    )


def test_relative_imports_do_not_leave_the_pack(plant: Plant) -> None:
    top = plant({"other.py": "import execution", "pack/nodes/a.py": "from ... import other"})
    assert host_use(top / "pack/nodes", (), top / "pack").need is HostNeed.NONE


def test_modules_that_import_each_other_are_followed_once(plant: Plant) -> None:
    top = plant(
        {"s/a.py": "from ..b import x", "b.py": "from .c import x", "c.py": "from .b import x\nimport torch"}
    )
    assert host_use(top / "s", (), top).evidence == ("../c.py:2 import torch",)


def test_evidence_is_short_however_often_a_module_is_imported(plant: Plant) -> None:
    top = plant({f"n{number}.py": "import torch" for number in range(30)})
    assert len(host_use(top, ()).evidence) == 5
