"""What packages under `[cuda]` become: one file each, with its checksum, of a combination that has them all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from building.engines.offline_channel import served
from building.engines.samples import RecordingReport
from building.wheel_farm import WheelFarm, wheel_name, write_torch_index, write_wheel

from comfy_env_core.building.cuda import Cuda
from comfy_env_core.building.engines.reachability import Reachability
from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.host_python import HostPython
from comfy_env_core.building.plan import BuildPlan, plan_build
from comfy_env_core.building.platform import Platform
from comfy_env_core.building.settling import settle
from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.building.wheel_names import WheelName
from comfy_env_core.config import HostNeed, parse_env
from comfy_env_core.discovery import HostUse

LINUX = Platform("linux-64", glibc="2.36")
USES_TORCH = HostUse(HostNeed.TORCH, imports_torch=True, evidence=("a.py:1",), torch_packages=("torch",))
TORCHES = ("2.6.0", "2.8.0", "2.13.0")


@pytest.fixture
def farm(tmp_path: Path) -> WheelFarm:
    """Below it also torch's indexes, which have every torch for every CUDA that the tests use."""
    for tag in ("cu130", "cu128", "cu126"):
        for version in TORCHES:
            name = wheel_name("torch", f"{version}+{tag}", python="cp311", system="manylinux_2_28_x86_64")
            write_torch_index(tmp_path / "farm" / "whl", tag, name)
    return WheelFarm(tmp_path / "farm")


@pytest.fixture
def base(farm: WheelFarm) -> Iterator[str]:
    with served(farm.root) as url:
        yield url


Settle = Callable[..., BuildPlan]


@pytest.fixture
def settled(base: str) -> Settle:
    """Makes a plan for Python 3.11 and settles it against the served farm."""

    def make(text: str, *, torch: str = "2.8.0", cuda: str = "12.8", **settings: object) -> BuildPlan:
        environ = {"COMFY_ENV_CUDA_WHEELS": base, "COMFY_ENV_TORCH_WHEELS": f"{base}/whl"}
        own = UserSettings(**{"environ": environ, **settings})  # type: ignore[arg-type]
        host = HostPython("3.11", Path("/p"), Path("/p"), torch, {"torch": torch}, Cuda(cuda, "a test"))
        plan = plan_build(
            parse_env(text.encode(), Path("/packs/mesh/comfy-env.toml")),
            platform=LINUX,
            host=host,
            host_use=USES_TORCH,
            comfyui_requirements=(),
            settings=own,
        )
        return settle(plan, own, Reachability(own, deadline_s=2.0), RecordingReport())

    return make


def failure(settled: Settle, text: str, **rest: object) -> BuildError:
    with pytest.raises(BuildError) as caught:
        settled(text, **rest)
    return caught.value


GSPLAT = '[cuda]\npackages = ["gsplat"]'
CP311 = {"python": "cp311", "system": "manylinux_2_34_x86_64"}


def test_a_package_that_the_index_does_not_know_is_named(settled: Settle, farm: WheelFarm) -> None:
    farm.write_manifest()
    error = failure(settled, GSPLAT)
    assert error.cause is BuildCause.NO_SUCH_PACKAGE
    assert "'gsplat'" in str(error)


def test_a_missing_wheel_is_told_with_the_combinations_that_have_it(settled: Settle, farm: WheelFarm) -> None:
    farm.add("gsplat", "1.5.3", "12.8", "2.8", **CP311)
    farm.add("gsplat", "1.5.3", "13.0", "2.13", **CP311)
    farm.write_manifest()
    exact = f'{GSPLAT}\n[pypi-dependencies]\ntorch = "==2.6.0"'
    error = failure(settled, exact, torch="2.13.0")
    assert error.cause is BuildCause.NO_MATCHING_WHEEL
    for word in (
        "'gsplat'",
        "CUDA 12.8 with torch 2.6",
        "Python 3.11",
        "linux-64",
        "CUDA 12.8 with torch 2.8",
    ):
        assert word in str(error)


def test_a_wheel_for_other_machines_only_is_told_with_those(settled: Settle, farm: WheelFarm) -> None:
    farm.add("gsplat", "1.5.3", "12.8", "2.8", python="cp311", system="win_amd64")
    farm.add("gsplat", "1.5.3", "12.8", "2.8", python="cp312", system="manylinux_2_34_x86_64")
    farm.write_manifest()
    error = failure(settled, GSPLAT)
    assert error.cause is BuildCause.NO_MATCHING_WHEEL
    assert "cp311 on win_amd64" in str(error)
    assert "cp312 on manylinux_2_34_x86_64" in str(error)


def test_an_index_that_is_away_is_a_network_failure_that_names_the_mirror_variable(settled: Settle) -> None:
    error = failure(settled, GSPLAT, environ={"COMFY_ENV_CUDA_WHEELS": "http://127.0.0.1:9"})
    assert error.cause is BuildCause.NETWORK
    assert "gsplat" in str(error)
    assert "COMFY_ENV_CUDA_WHEELS" in error.remedy


def test_a_manifest_that_is_none_is_said(settled: Settle, farm: WheelFarm) -> None:
    (farm.root / "packages.json").write_text(json.dumps({"packages": [1]}))
    error = failure(settled, GSPLAT)
    assert "packages.json" in str(error)


def test_each_package_becomes_a_file_with_its_checksum_below_the_mirror(
    settled: Settle, farm: WheelFarm, base: str
) -> None:
    older = farm.add("flash_attn", "2.7.4.post1", "12.8", "2.8", **CP311)
    newer = farm.add("flash_attn", "2.8.3", "12.8", "2.8", **CP311)
    farm.add("flash_attn", "2.9.0", "12.8", "2.6", **CP311)
    farm.write_manifest()
    made = settled('[cuda]\npackages = ["flash-attn"]')
    url = made.pypi["flash-attn"]["url"]  # type: ignore[index]
    assert url.startswith(f"{base}/releases/download/flash_attn-latest/{newer}#sha256=")
    assert older not in url
    assert made.pypi["torch"] == {"version": "==2.8.0", "index": f"{base}/whl/cu128"}
    assert "#sha256=" in made.manifest()


def test_a_wheel_that_links_no_torch_serves_every_torch_of_its_cuda(settled: Settle, farm: WheelFarm) -> None:
    farm.add("spconv", "2.3.8", "12.8", "2.6", torch_free=True, **CP311)
    farm.write_manifest()
    made = settled('[cuda]\npackages = ["spconv"]', torch="2.13.0")
    assert "torch2.6" in made.pypi["spconv"]["url"]  # type: ignore[index]
    assert made.pypi["torch"]["version"] == "==2.13.0"  # type: ignore[index]


def test_a_torch_that_the_file_leaves_open_moves_to_one_that_has_all_packages(
    settled: Settle, farm: WheelFarm, base: str
) -> None:
    farm.add("gsplat", "1.5.3", "12.8", "2.8", **CP311)
    farm.add("cumesh", "0.1", "12.8", "2.8", **CP311)
    farm.add("gsplat", "1.5.3", "13.0", "2.13", **CP311)
    farm.add("cumesh", "0.1", "12.6", "2.6", **CP311)
    farm.add("gsplat", "1.5.3", "12.6", "2.6", **CP311)
    farm.write_manifest()
    made = settled('[cuda]\npackages = ["gsplat", "cumesh"]', torch="2.13.0", cuda="13.0")
    assert made.pypi["torch"] == {"version": "==2.8.*", "index": f"{base}/whl/cu128"}
    assert "not built for CUDA 13.0 with torch 2.13, but for CUDA 12.8 with torch 2.8" in made.notes[-1]


def test_a_torch_that_the_file_names_stays_and_an_older_cuda_serves(
    settled: Settle, farm: WheelFarm, base: str
) -> None:
    farm.add("gsplat", "1.5.3", "12.6", "2.6", **CP311)
    farm.write_manifest()
    made = settled(f'{GSPLAT}\n[pypi-dependencies]\ntorch = "==2.6.0"')
    assert made.pypi["torch"] == {"version": "==2.6.0", "index": f"{base}/whl/cu126"}


def test_a_torch_build_that_the_file_names_decides_the_wheels_too(settled: Settle, farm: WheelFarm) -> None:
    farm.add("gsplat", "1.5.3", "12.8", "2.6", **CP311)
    farm.add("gsplat", "1.5.2", "12.6", "2.6", **CP311)
    farm.write_manifest()
    for torch in ('"==2.6.0+cu126"', '{ version = "==2.6.0", index = "https://mirror/whl/cu126" }'):
        made = settled(f"{GSPLAT}\n[pypi-dependencies]\ntorch = {torch}")
        assert "cu126torch2.6" in made.pypi["gsplat"]["url"]  # type: ignore[index]


def test_a_newer_cuda_than_the_machines_is_never_taken(settled: Settle, farm: WheelFarm) -> None:
    farm.add("gsplat", "1.5.3", "13.0", "2.8", **CP311)
    farm.write_manifest()
    assert failure(settled, GSPLAT).cause is BuildCause.NO_MATCHING_WHEEL


def test_an_older_copy_without_a_manifest_is_read_from_its_pages(
    settled: Settle, farm: WheelFarm, base: str
) -> None:
    filename = farm.add("spconv", "2.3.8", "12.8", "2.6", **CP311)
    farm.write_pages("cu128/torch2.8", "spconv", filename, text=filename.replace("2.6", "2.8"))
    made = settled('[cuda]\npackages = ["spconv"]')
    assert made.pypi["spconv"] == {"url": f"{base}/releases/download/spconv-latest/{filename}"}
    assert failure(settled, GSPLAT).cause is BuildCause.NO_MATCHING_WHEEL


def test_a_python_that_is_a_range_keeps_the_index_of_its_combination(settled: Settle, base: str) -> None:
    made = settled(f'python = ">=3.10,<3.13"\n{GSPLAT}')
    assert made.pypi["gsplat"] == {"version": "*", "index": f"{base}/cu128/torch2.8/"}


def test_wheels_in_a_find_links_folder_serve_where_the_index_is_away(settled: Settle, tmp_path: Path) -> None:
    name = wheel_name("gsplat", "1.5.3+cu128torch2.8", **CP311)
    write_wheel(tmp_path / "own", name)
    write_wheel(tmp_path / "own", wheel_name("torch", "2.8.0+cu128", **CP311))
    away = {"COMFY_ENV_CUDA_WHEELS": "http://127.0.0.1:9", "COMFY_ENV_TORCH_WHEELS": "http://127.0.0.1:9"}
    made = settled(GSPLAT, environ=away, find_links=(str(tmp_path / "own"),))
    assert made.pypi["gsplat"]["url"].endswith(name.replace("+", "%2B"))  # type: ignore[index]
    assert made.pypi["torch"] == "==2.8.0+cu128"


@pytest.mark.parametrize(
    ("filename", "python", "platform", "fits"),
    [
        ("a-1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", (3, 11), LINUX, True),
        ("a-1-cp311-cp311-manylinux_2_39_x86_64.whl", (3, 11), LINUX, False),
        ("a-1-cp311-cp311-manylinux_2_39_x86_64.whl", (3, 11), Platform("linux-64"), True),
        ("a-1-cp311-cp311-musllinux_1_2_x86_64.whl", (3, 11), LINUX, False),
        ("a-1-cp39-abi3-linux_x86_64.whl", (3, 11), LINUX, True),
        ("a-1-cp312-abi3-linux_x86_64.whl", (3, 11), LINUX, False),
        ("a-1-cp313-cp313t-linux_x86_64.whl", (3, 13), LINUX, False),
        ("a-1-py3-none-any.whl", (3, 14), LINUX, True),
        ("a-1-py3-none-manylinux2014_aarch64.whl", (3, 11), Platform("linux-aarch64"), True),
        ("a-1-cp311-cp311-win_arm64.whl", (3, 11), Platform("win-64"), False),
        ("a-1-cp311-cp311-macosx_11_0_arm64.whl", (3, 11), Platform("osx-arm64"), True),
        ("a-1-cp311-cp311-macosx_10_9_universal2.whl", (3, 11), Platform("osx-64"), True),
    ],
)
def test_a_wheels_name_says_where_it_runs(
    filename: str, python: tuple[int, int], platform: Platform, fits: bool
) -> None:
    wheel = WheelName.parse(filename)
    assert wheel is not None
    assert wheel.runs_on(python, platform) is fits


@pytest.mark.parametrize(
    ("version", "asked", "allowed"),
    [
        ("2.8.0+cu128", "==2.8.0", True),
        ("2.8.0", "==2.8", True),
        ("2.8.1", "==2.8.0", False),
        ("2.8.1", "==2.8.*", True),
        ("2.10.0", "==2.1.*", False),
        ("2.10.0", ">=2.4", True),
        ("2.10.0rc1", "*", False),
        ("2.11.0.dev20251101", "==2.11.0.dev20251101", True),
        ("2.11.0.dev20251101", "==2.11.0", False),
    ],
)
def test_an_exact_version_is_compared_and_a_range_is_left_to_the_resolver(
    version: str, asked: str, allowed: bool
) -> None:
    wheel = WheelName.parse(f"torch-{version}-cp311-cp311-linux_x86_64.whl")
    assert wheel is not None
    assert wheel.allowed_by(asked) is allowed
