"""What goes into an environment: the file, and what the host, the GPU and the user's settings add to it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from comfy_env_core.building.accelerators import OtherAccelerator
from comfy_env_core.building.cuda import Cuda
from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.host_python import HostPython
from comfy_env_core.building.plan import BuildPlan, plan_build
from comfy_env_core.building.platform import Platform
from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.config import HostNeed, parse_env
from comfy_env_core.discovery import HostUse

LINUX = Platform("linux-64", glibc="2.36")
MAC = Platform("osx-arm64", macos="14.4")
GPU = Cuda("12.8", "a test")
INSTALLED = {
    "torch": "2.13.0+cpu",
    "numpy": "2.4.1",
    "kornia": "0.8.0",
    "torchvision": "0.28.0+cpu",
    "comfy-aimdo": "0.1",
}
COMFYUI = [
    "torch",
    "torchvision",
    "numpy>=1.25.0",
    "kornia>=0.7.1",
    "spandrel",
    "comfyui-frontend-package==1.32.9",
    "comfy-aimdo",
]
USES_NOTHING = HostUse(HostNeed.NONE, imports_torch=False, evidence=())
USES_TORCH = HostUse(
    HostNeed.TORCH, imports_torch=True, evidence=("nodes.py:1 import torch",), torch_packages=("torch",)
)
USES_COMFYUI = HostUse(HostNeed.COMFYUI, imports_torch=True, evidence=("nodes.py:1 import comfy.samplers",))


def plan(
    text: str = "",
    *,
    platform: Platform = LINUX,
    use: HostUse = USES_NOTHING,
    installed: Mapping[str, str] = INSTALLED,
    cuda: Cuda | None = None,
    settings: UserSettings | None = None,
    host: HostPython | None = None,
) -> BuildPlan:
    host = host or HostPython(
        "3.11", Path("/python"), Path("/python"), installed.get("torch"), installed, cuda
    )
    return plan_build(
        parse_env(text.encode(), Path("/packs/mesh/comfy-env.toml")),
        platform=platform,
        host=host,
        host_use=use,
        comfyui_requirements=COMFYUI,
        settings=settings or UserSettings(),
    )


def pypi(text: str = "", **rest: Any) -> dict[str, Any]:  # Any: requirements, and the arguments of `plan`
    return dict(plan(text, **rest).pypi)


CPU_INDEX = "https://download.pytorch.org/whl/cpu"


def test_an_environment_that_uses_nothing_of_the_host_gets_msgpack_and_nothing_else() -> None:
    assert pypi('[pypi-dependencies]\ntrimesh = "*"') == {"trimesh": "*", "msgpack": ">=1.0.5,<2"}


@pytest.mark.parametrize(
    ("python", "floor"),
    [("3.9", "1.0.5"), ("3.12", "1.0.7"), ("3.13", "1.1.0"), ("3.14", "1.1.2"), (">=3.10", "1.0.5")],
)
def test_msgpack_comes_in_a_range_that_has_wheels_for_the_python(python: str, floor: str) -> None:
    assert pypi(f'python = "{python}"')["msgpack"] == f">={floor},<2"


@pytest.mark.parametrize("section", ["[pypi-dependencies]\nMsgpack", "[dependencies]\nmsgpack-python"])
def test_msgpack_of_the_file_is_left_as_it_is(section: str) -> None:
    made = plan(f'{section} = "==1.0.8"')
    assert "msgpack" not in made.pypi
    assert not made.reasons


def test_torch_that_is_imported_and_not_asked_for_comes_in_the_hosts_version() -> None:
    assert pypi(use=USES_TORCH)["torch"] == {"version": "==2.13.0", "index": CPU_INDEX}


def test_torch_of_the_file_keeps_its_version() -> None:
    made = pypi('[pypi-dependencies]\ntorch = "==2.4.0"', use=USES_TORCH)
    assert made["torch"] == {"version": "==2.4.0", "index": CPU_INDEX}


def test_torch_from_conda_counts_as_asked_for() -> None:
    assert "torch" not in pypi('[dependencies]\npytorch = ">=2"', use=USES_TORCH)


def test_torchvision_that_is_imported_comes_with_the_torch_it_fits() -> None:
    use = HostUse(HostNeed.TORCH, True, ("a.py:1 import torchvision",), ("torch", "torchvision"))
    assert pypi(use=use)["torchvision"] == {"version": "==0.28.0", "index": CPU_INDEX}
    with_own = pypi('[pypi-dependencies]\ntorch = "==2.4.0"', use=use)
    assert with_own["torchvision"] == {"version": "*", "index": CPU_INDEX}


def test_a_host_without_torch_leaves_the_version_open() -> None:
    assert pypi(use=USES_TORCH, installed={})["torch"] == {"version": "*", "index": CPU_INDEX}


def test_comfyuis_packages_come_in_the_installed_versions_without_front_end_and_missing_ones() -> None:
    made = pypi(use=USES_COMFYUI)
    assert made["numpy"] == "==2.4.1"
    assert made["kornia"] == "==0.8.0"
    assert made["torchvision"]["version"] == "==0.28.0"
    assert not {"spandrel", "comfyui-frontend-package", "comfy-aimdo"} & made.keys()
    assert "comfy-aimdo" in pypi(use=USES_COMFYUI, cuda=GPU)


def test_what_the_file_asks_for_wins_over_comfyuis_version_on_either_side() -> None:
    made = pypi('[dependencies]\nnumpy = "1.26.*"\n[pypi-dependencies]\nKornia = "<0.7"', use=USES_COMFYUI)
    assert "numpy" not in made
    assert made["Kornia"] == "<0.7"
    assert "kornia" not in made


def test_another_python_gets_comfyuis_ranges_because_the_versions_may_not_exist_there() -> None:
    made = pypi('python = "3.10"', use=USES_COMFYUI)
    assert made["numpy"] == ">=1.25.0"
    assert made["torch"]["version"] == "==2.13.0"


@pytest.mark.parametrize(
    ("word", "expected"), [("none", set()), ("torch", {"torch"}), ("comfyui", {"torch", "numpy"})]
)
def test_the_files_word_on_the_host_overrides_the_source(word: str, expected: set[str]) -> None:
    made = plan(f'[options]\nhost = "{word}"', use=USES_COMFYUI)
    assert {"torch", "numpy"} & made.pypi.keys() == expected
    assert made.host_need.value == word


def test_what_serves_routes_gets_the_hosts_aiohttp_unless_the_file_asks_or_says_otherwise() -> None:
    serves = HostUse(HostNeed.NONE, imports_torch=False, evidence=(), uses_web=True)
    installed = {**INSTALLED, "aiohttp": "3.14.5"}
    assert pypi(use=serves, installed=installed)["aiohttp"] == "==3.14.5"
    assert pypi('python = "3.10"', use=serves, installed=installed)["aiohttp"] == "*"
    assert pypi('[pypi-dependencies]\naiohttp = "<3.9"', use=serves)["aiohttp"] == "<3.9"
    assert "aiohttp" not in pypi('[options]\nhost = "none"', use=serves)
    assert plan(use=serves, installed=installed).environment_id != plan().environment_id


def test_a_gpu_gets_torch_for_its_cuda_and_macos_gets_plain_torch() -> None:
    assert pypi(use=USES_TORCH, cuda=GPU)["torch"]["index"] == "https://download.pytorch.org/whl/cu128"
    assert pypi(use=USES_TORCH, platform=MAC)["torch"] == "==2.13.0"


@pytest.mark.parametrize(
    "settings",
    [
        UserSettings(find_links=("/wheels",)),
        UserSettings(extra_index_urls=("https://mirror/simple",)),
        UserSettings(index_url="https://mirror/simple"),
    ],
)
def test_settings_with_sources_of_their_own_leave_torch_to_its_index_until_a_build_asks(
    settings: UserSettings,
) -> None:
    made = plan(use=USES_TORCH, settings=settings)
    assert made.torch_pins == ("torch",)
    assert made.pypi["torch"] == {"version": "==2.13.0", "index": CPU_INDEX}
    assert made.environment_id == plan(use=USES_TORCH).environment_id


def test_settings_that_allow_no_index_serve_torch_too_and_a_note_says_so() -> None:
    made = plan(use=USES_TORCH, settings=UserSettings(no_index=True))
    assert made.pypi["torch"] == "==2.13.0"
    assert any("your package settings allow no index" in note for note in made.notes)


def test_a_mirror_of_torchs_indexes_is_named_by_a_variable() -> None:
    settings = UserSettings(environ={"COMFY_ENV_TORCH_WHEELS": "https://mirror/torch/"})
    assert pypi(use=USES_TORCH, cuda=GPU, settings=settings)["torch"]["index"] == "https://mirror/torch/cu128"


@pytest.mark.parametrize("tag", ["rocm6.4", "xpu"])
def test_a_gpu_of_another_maker_gets_its_own_build_and_its_own_id(tag: str) -> None:
    host = HostPython(
        "3.11",
        Path("/python"),
        Path("/python"),
        "2.9.0",
        {"torch": "2.9.0"},
        other_accelerator=OtherAccelerator(tag, "a test"),
    )
    made = plan(use=USES_TORCH, host=host)
    assert made.pypi["torch"]["index"] == f"https://download.pytorch.org/whl/{tag}"  # type: ignore[index]
    assert f"accelerator={tag}" in made.facts
    assert any(tag in note and "a test" in note for note in made.notes)


def test_pypi_itself_as_the_users_index_changes_nothing_about_torch() -> None:
    settings = UserSettings(index_url="https://pypi.org/simple")
    assert pypi(use=USES_TORCH, settings=settings)["torch"]["index"] == CPU_INDEX


def test_an_index_or_a_place_that_the_file_gives_to_torch_stays() -> None:
    text = """
    [pypi-dependencies]
    torch = { url = "https://x/torch.whl" }
    torchvision = { version = "*", index = "https://y" }
    """
    made = pypi(text, use=USES_TORCH)
    assert made["torch"] == {"url": "https://x/torch.whl"}
    assert made["torchvision"]["index"] == "https://y"


def test_cuda_packages_without_a_gpu_are_skipped_and_a_note_says_so() -> None:
    made = plan('[cuda]\npackages = ["flash-attn", "gsplat"]', use=USES_TORCH)
    assert made.skipped == ("flash-attn", "gsplat")
    assert "flash-attn" not in made.pypi
    assert any("no NVIDIA GPU" in note and "gsplat" in note for note in made.notes)
    assert made.cuda_tag is None


def test_cuda_packages_with_a_gpu_come_from_the_index_of_their_combination() -> None:
    settings = UserSettings(environ={"COMFY_ENV_CUDA_WHEELS": "https://mirror/cw/"})
    made = plan('[cuda]\npackages = ["flash-attn"]', cuda=GPU, settings=settings)
    assert made.pypi["flash-attn"] == {"version": "*", "index": "https://mirror/cw/cu128/torch2.13/"}
    assert made.pypi["torch"] == {"version": "==2.13.0", "index": "https://download.pytorch.org/whl/cu128"}
    assert made.cuda_tag == "cu128"
    assert made.cuda_version == "12.8"


def test_cuda_packages_follow_the_exact_torch_of_the_file_and_pin_an_open_one() -> None:
    exact = pypi('[cuda]\npackages = ["gsplat"]\n[pypi-dependencies]\ntorch = "==2.8.0"', cuda=GPU)
    assert exact["gsplat"]["index"].endswith("/cu128/torch2.8/")
    opened = plan('[cuda]\npackages = ["gsplat"]\n[pypi-dependencies]\ntorch = ">=2.4"', cuda=GPU)
    assert opened.pypi["torch"]["version"] == ">=2.4,==2.13.0"  # type: ignore[index]
    assert "host.torch===2.13.0" in opened.facts


def test_cuda_packages_without_any_torch_to_follow_are_an_error_with_a_remedy() -> None:
    with pytest.raises(BuildError, match="no torch to follow") as caught:
        plan('[cuda]\npackages = ["gsplat"]', cuda=GPU, installed={})
    assert caught.value.cause is BuildCause.CONFIG
    assert "torch" in caught.value.remedy


def test_torch_under_cuda_comes_from_its_own_index_also_without_a_gpu() -> None:
    made = plan('[cuda]\npackages = ["torch", "torchvision", "gsplat"]')
    assert made.skipped == ("gsplat",)
    assert made.pypi["torchvision"] == {"version": "*", "index": CPU_INDEX}


def test_a_package_under_cuda_and_pypi_is_taken_from_pypi() -> None:
    text = '[cuda]\npackages = ["natten"]\n[pypi-dependencies]\nnatten = { url = "https://x/natten.whl" }'
    made = plan(text, cuda=GPU)
    assert made.pypi["natten"] == {"url": "https://x/natten.whl"}


def test_the_more_specific_target_wins_and_other_platforms_are_left_out() -> None:
    text = """
    [pypi-dependencies]
    opencv-python = "*"
    [target.unix.pypi-dependencies]
    opencv_python = ">=4"
    [target.linux-64.pypi-dependencies]
    opencv-python = ">=4.9"
    [target.linux-64.dependencies]
    c-compiler = "*"
    [target.win-64.pypi-dependencies]
    triton-windows = "*"
    """
    made = plan(text)
    assert {key: value for key, value in made.pypi.items() if key != "msgpack"} == {"opencv-python": ">=4.9"}
    assert made.conda == {"c-compiler": "*"}
    assert plan(text, platform=MAC).pypi["opencv_python"] == ">=4"


def test_same_file_and_facts_give_the_same_id_and_each_fact_that_matters_changes_it() -> None:
    text = '[pypi-dependencies]\ntrimesh = "*"'
    one = plan(text).environment_id
    assert plan(text).environment_id == one
    assert plan(text + "\n").environment_id != one
    assert plan(text, platform=MAC).environment_id != one
    assert plan(text, use=USES_TORCH).environment_id != one
    assert (
        plan(text, use=USES_TORCH).environment_id
        != plan(text, use=USES_TORCH, installed={"torch": "2.14"}).environment_id
    )
    assert plan(text, use=USES_TORCH).environment_id != plan(text, use=USES_TORCH, cuda=GPU).environment_id


def test_a_gpu_or_another_torch_does_not_rebuild_what_uses_neither() -> None:
    text = '[pypi-dependencies]\ntrimesh = "*"'
    assert plan(text).environment_id == plan(text, cuda=GPU, installed={}).environment_id


def test_the_python_is_a_fact_only_where_the_file_names_none() -> None:
    assert "python=3.11" in plan().facts
    pinned = plan('python = "3.10"')
    assert pinned.python == "3.10"
    assert pinned.python_pinned
    assert not any(fact.startswith("python=") for fact in pinned.facts)


def test_the_users_indexes_join_the_files_which_come_first() -> None:
    text = '[pypi-options]\nextra-index-urls = ["https://file/simple"]\nfind-links = [{ path = "./wheels" }]'
    settings = UserSettings(
        index_url="https://mirror/simple",
        extra_index_urls=("https://user/simple",),
        find_links=("https://user/links", "/w"),
    )
    options = plan(text, settings=settings).pypi_options
    assert options["index-url"] == "https://mirror/simple"
    assert options["extra-index-urls"] == ["https://file/simple", "https://user/simple"]
    assert options["find-links"] == [
        {"path": "/packs/mesh/wheels"},
        {"url": "https://user/links"},
        {"path": "/w"},
    ]


def test_what_the_file_asks_for_is_what_verification_is_told_to_import() -> None:
    made = plan(
        '[dependencies]\nffmpeg = "*"\n[pypi-dependencies]\ntrimesh = "*"\n[cuda]\npackages = ["gsplat"]',
        use=USES_COMFYUI,
    )
    assert set(made.requested) == {"ffmpeg", "trimesh"}


def test_channels_are_conda_forge_unless_the_file_names_some() -> None:
    assert plan().channels == ("conda-forge",)
    text = '[workspace]\nchannels = ["conda-forge", { channel = "mine", priority = 5 }]'
    assert plan(text).channels == ("mine", "conda-forge")


def test_a_python_for_one_platform_is_the_python_there() -> None:
    text = 'python = "3.11"\n[target.linux-64.dependencies]\npython = "3.10.*"'
    made = plan(text)
    assert (made.python, made.python_pinned) == ("3.10.*", True)
    assert "python" not in made.conda
    assert plan(text, platform=MAC).python == "3.11"
