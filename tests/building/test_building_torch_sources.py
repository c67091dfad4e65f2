"""Where torch comes from when a build begins: its index, an older CUDA's, a mirror, a find-links folder, or nowhere."""

from __future__ import annotations

import dataclasses
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from building.engines.offline_channel import served
from building.engines.samples import RecordingReport, silent_server
from building.wheel_farm import write_page, write_torch_index, write_wheel

from comfy_env_core.building.accelerators import OtherAccelerator
from comfy_env_core.building.cuda import Cuda
from comfy_env_core.building.engines.reachability import Reachability
from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.host_python import HostPython
from comfy_env_core.building.indexes import DEFAULT_TORCH_BASE
from comfy_env_core.building.plan import BuildPlan, plan_build
from comfy_env_core.building.platform import Platform
from comfy_env_core.building.settling import settle
from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.config import HostNeed, parse_env
from comfy_env_core.discovery import HostUse

LINUX = Platform("linux-64", glibc="2.36")
WINDOWS = Platform("win-64")
USES_TORCH = HostUse(HostNeed.TORCH, imports_torch=True, evidence=("a.py:1",), torch_packages=("torch",))


def torch_wheel(version: str, system: str = "manylinux_2_28_x86_64") -> str:
    return f"torch-{version}-cp311-cp311-{system}.whl"


@pytest.fixture
def nowhere() -> str:
    """A server that is not there: the port was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def index(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A directory and the URL it is served at: the base of torch's indexes."""
    root = tmp_path / "whl"
    root.mkdir()
    with served(root) as url:
        yield root, url


def own_settings(base: str, index_url: str | None = None, *links: Path) -> UserSettings:
    """`base` of torch's indexes; without `index_url` there is no other index either."""
    return UserSettings(
        index_url=index_url,
        find_links=tuple(map(str, links)),
        environ={"COMFY_ENV_TORCH_WHEELS": base},
    )


def make(
    settings: UserSettings,
    text: str = "",
    *,
    cuda: str | None = None,
    other: str | None = None,
    platform: Platform = LINUX,
) -> BuildPlan:
    host = HostPython(
        "3.11",
        Path("/python"),
        Path("/python"),
        "2.8.0",
        {"torch": "2.8.0"},
        Cuda(cuda, "a test") if cuda else None,
        OtherAccelerator(other, "a test") if other else None,
    )
    return plan_build(
        parse_env(text.encode(), Path("/packs/mesh/comfy-env.toml")),
        platform=platform,
        host=host,
        host_use=USES_TORCH,
        comfyui_requirements=(),
        settings=settings,
    )


def settled(plan: BuildPlan, settings: UserSettings) -> BuildPlan:
    return settle(plan, settings, Reachability(settings, deadline_s=2.0), RecordingReport())


def test_without_any_source_the_error_names_what_was_asked_and_what_to_configure(nowhere: str) -> None:
    settings = own_settings(nowhere, f"{nowhere}/simple")
    with pytest.raises(BuildError) as caught:
        settled(make(settings, cuda="12.8"), settings)
    assert caught.value.cause is BuildCause.NETWORK
    assert "127.0.0.1" in str(caught.value)
    assert "COMFY_ENV_TORCH_WHEELS" in caught.value.remedy


def test_a_mirror_with_a_build_for_the_cpu_is_not_taken_on_a_windows_machine_with_a_gpu(
    nowhere: str, tmp_path: Path
) -> None:
    write_wheel(tmp_path / "files", torch_wheel("2.8.0", "win_amd64"))
    write_page(tmp_path / "torch", [("../files/" + torch_wheel("2.8.0", "win_amd64"), "torch")])
    with served(tmp_path) as mirror:
        settings = own_settings(nowhere, mirror)
        assert settled(make(settings, platform=WINDOWS), settings).pypi["torch"] == "==2.8.0"
        with pytest.raises(BuildError, match="computes on this hardware"):
            settled(make(settings, cuda="12.8", platform=WINDOWS), settings)


def test_a_mirror_that_has_the_version_is_taken_when_the_index_is_away(nowhere: str, tmp_path: Path) -> None:
    write_wheel(tmp_path / "files", torch_wheel("2.8.0"))
    write_page(tmp_path / "torch", [("../files/" + torch_wheel("2.8.0"), "torch")])
    with served(tmp_path) as mirror:
        settings = own_settings(nowhere, mirror)
        before = make(settings, cuda="12.8")
        made = settled(before, settings)
    assert made.pypi["torch"] == "==2.8.0"
    assert made.environment_id == before.environment_id
    assert "gives no answer" in made.notes[-1]
    assert "gives no answer" in made.reasons["pypi-dependencies.torch"]


def test_the_very_build_in_a_find_links_folder_is_taken_without_asking_anybody(
    nowhere: str, tmp_path: Path
) -> None:
    write_wheel(tmp_path, torch_wheel("2.8.0+cpu"))
    write_wheel(tmp_path, torch_wheel("2.8.0+cu128"))
    settings = dataclasses.replace(own_settings(nowhere, None, tmp_path), no_index=False)
    assert settled(make(settings), settings).pypi["torch"] == "==2.8.0+cpu"
    assert settled(make(settings, cuda="12.8"), settings).pypi["torch"] == "==2.8.0+cu128"


def test_a_folder_with_another_version_python_or_system_does_not_help(nowhere: str, tmp_path: Path) -> None:
    write_wheel(tmp_path, torch_wheel("2.7.0+cpu"))
    write_wheel(tmp_path, torch_wheel("2.8.0+cpu").replace("cp311", "cp312"))
    write_wheel(tmp_path, torch_wheel("2.8.0+cpu", "manylinux_2_40_x86_64"))
    write_wheel(tmp_path, torch_wheel("2.8.0+cpu", "win_amd64"))
    settings = own_settings(nowhere, f"{nowhere}/simple", tmp_path)
    with pytest.raises(BuildError, match="Finding torch"):
        settled(make(settings), settings)


def test_waiting_for_a_silent_index_can_be_cancelled(tmp_path: Path) -> None:
    report = RecordingReport(lambda seen: seen.checks >= 3)
    with silent_server() as base:
        settings = own_settings(base)
        started = time.monotonic()
        with pytest.raises(BuildError) as caught:
            settle(make(settings), settings, Reachability(settings, deadline_s=30.0), report)
    assert caught.value.cause is BuildCause.CANCELLED
    assert time.monotonic() - started < 2


def test_an_index_that_has_the_version_keeps_the_pin(index: tuple[Path, str]) -> None:
    root, url = index
    write_torch_index(root, "cu128", torch_wheel("2.8.0+cu128"))
    settings = own_settings(url)
    before = make(settings, cuda="12.8")
    made = settled(before, settings)
    assert made.pypi["torch"] == {"version": "==2.8.0", "index": f"{url}/cu128"}
    assert made.notes == before.notes


def test_an_older_torch_comes_from_the_newest_cuda_that_has_it(index: tuple[Path, str]) -> None:
    root, url = index
    write_torch_index(root, "cu128", torch_wheel("2.8.0+cu128"))
    write_torch_index(root, "cu121", torch_wheel("2.4.0+cu121"))
    write_torch_index(root, "cu124", torch_wheel("2.4.0+cu124"))
    settings = own_settings(url)
    made = settled(make(settings, '[pypi-dependencies]\ntorch = "==2.4.0"', cuda="12.8"), settings)
    assert made.pypi["torch"] == {"version": "==2.4.0", "index": f"{url}/cu124"}
    assert "cu124" in made.notes[-1]


def test_a_version_that_nobody_has_is_left_to_the_engine_to_explain(index: tuple[Path, str]) -> None:
    root, url = index
    write_torch_index(root, "cpu", torch_wheel("2.8.0+cpu"))
    settings = own_settings(url)
    before = make(settings, '[pypi-dependencies]\ntorch = "==9.9.0"')
    assert settled(before, settings) == before


def test_the_triton_of_other_makers_comes_from_torchs_index_as_well(index: tuple[Path, str]) -> None:
    root, url = index
    write_torch_index(root, "rocm6.4", "pytorch_triton_rocm-3.4.0-cp311-cp311-linux_x86_64.whl")
    needs = ("filelock", "pytorch-triton-rocm==3.4.0; platform_system == 'Linux'")
    write_torch_index(root, "rocm6.4", torch_wheel("2.8.0+rocm6.4"), requires=needs)
    settings = own_settings(url)
    made = settled(make(settings, other="rocm6.4"), settings)
    assert made.pypi["torch"] == {"version": "==2.8.0", "index": f"{url}/rocm6.4"}
    assert made.pypi["pytorch-triton-rocm"] == {"version": "*", "index": f"{url}/rocm6.4"}
    assert "filelock" not in made.pypi


def test_torchs_companions_are_looked_for_in_the_same_places(nowhere: str, tmp_path: Path) -> None:
    write_wheel(tmp_path, torch_wheel("2.8.0+cpu"))
    write_wheel(tmp_path, "torchvision-0.23.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl")
    settings = own_settings(nowhere, f"{nowhere}/simple", tmp_path)
    made = settled(make(settings, '[pypi-dependencies]\ntorchvision = "*"'), settings)
    assert made.pypi["torch"] == "==2.8.0+cpu"
    assert made.pypi["torchvision"] == "==0.23.0+cpu"


def test_companions_in_another_build_are_pointed_out(nowhere: str, tmp_path: Path) -> None:
    write_wheel(tmp_path, torch_wheel("2.8.0+cpu"))
    write_wheel(tmp_path, "torchvision-0.23.0-cp311-cp311-manylinux_2_28_x86_64.whl")
    settings = own_settings(nowhere, f"{nowhere}/simple", tmp_path)
    made = settled(make(settings, '[pypi-dependencies]\ntorchvision = "*"'), settings)
    assert "torch (cpu)" in made.notes[-1]
    assert "torchvision (PyPI's)" in made.notes[-1]


def test_a_files_own_source_with_torch_goes_first_and_one_without_changes_nothing(
    index: tuple[Path, str], tmp_path: Path
) -> None:
    root, url = index
    write_torch_index(root, "cu128", torch_wheel("2.8.0+cu128"))
    write_torch_index(root, "cu126", torch_wheel("2.8.0+cu126"))
    settings = own_settings(url, f"{url}/cu128")
    lines = '[pypi-options]\nextra-index-urls = ["{}"]'
    with_torch = make(settings, lines.format(f"{url}/cu126"), cuda="12.8")
    assert settled(with_torch, settings).pypi["torch"] == "==2.8.0+cu126"
    other = make(settings, lines.format(f"{url}/other"), cuda="12.8")
    assert settled(other, settings).pypi["torch"] == {"version": "==2.8.0", "index": f"{url}/cu128"}


def test_a_build_that_the_file_names_decides_the_index() -> None:
    made = make(
        UserSettings(), '[pypi-dependencies]\ntorch = "==2.4.0+cu121"\ntorchvision = "*"', cuda="12.8"
    )
    assert made.pypi["torch"] == {"version": "==2.4.0+cu121", "index": f"{DEFAULT_TORCH_BASE}/cu121"}
    assert made.pypi["torchvision"] == {"version": "*", "index": f"{DEFAULT_TORCH_BASE}/cu121"}


def test_what_the_file_says_of_torch_itself_is_not_looked_into(nowhere: str) -> None:
    settings = own_settings(nowhere)
    before = make(settings, '[pypi-dependencies]\ntorch = { url = "https://x/torch.whl" }')
    assert settled(before, settings) is before
