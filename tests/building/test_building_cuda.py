"""Which CUDA generation a machine gets, told without torch and without a GPU."""

from __future__ import annotations

from pathlib import Path

import pytest

from comfy_env_core.building.cuda import Cuda, detect_cuda, wheels_index
from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.host_python import HostPython
from comfy_env_core.building.platform import Platform

LINUX = Platform("linux-64")
OVERVIEW = "| NVIDIA-SMI 570.10   Driver Version: 570.10   CUDA Version: {} |\ncompute_cap={}"


@pytest.fixture
def driver(tmp_path: Path) -> list[Path]:
    trace = tmp_path / "version"
    trace.write_text("NVRM")
    return [trace]


def must_not_ask() -> str | None:
    raise AssertionError("nvidia-smi must not be started here")


@pytest.mark.parametrize("text", ["twelve", "12", "128", "12.8; rm -rf"])
def test_a_version_that_is_none_is_refused_with_a_remedy(text: str) -> None:
    with pytest.raises(BuildError, match="COMFY_ENV_CUDA_VERSION") as caught:
        detect_cuda({"COMFY_ENV_CUDA_VERSION": text}, LINUX, {})
    assert caught.value.cause is BuildCause.CONFIG


@pytest.mark.parametrize(("text", "tag"), [("12.8", "cu128"), ("13.0.1", "cu130"), ("cu126", "cu126")])
def test_the_variable_wins_over_everything(text: str, tag: str, driver: list[Path]) -> None:
    found = detect_cuda({"COMFY_ENV_CUDA_VERSION": text}, LINUX, {"torch": "2.8.0+cu124"}, traces=driver)
    assert found is not None
    assert found.tag == tag


@pytest.mark.parametrize("text", ["none", "CPU"])
def test_the_variable_can_say_that_there_is_none(text: str, driver: list[Path]) -> None:
    assert (
        detect_cuda({"COMFY_ENV_CUDA_VERSION": text}, LINUX, {"torch": "2.8.0+cu128"}, traces=driver) is None
    )


def test_no_driver_means_no_cuda_even_if_comfyuis_torch_is_a_cuda_build(tmp_path: Path) -> None:
    traces = [tmp_path / "absent"]
    assert detect_cuda({}, LINUX, {"torch": "2.8.0+cu128"}, traces=traces, ask_driver=must_not_ask) is None


def test_macos_has_no_cuda(driver: list[Path]) -> None:
    assert detect_cuda({}, Platform("osx-arm64"), {}, traces=driver, ask_driver=must_not_ask) is None


@pytest.mark.parametrize(
    ("distributions", "tag"),
    [
        ({"torch": "2.8.0+cu126"}, "cu126"),
        ({"torch": "2.8.0", "nvidia-cuda-runtime-cu12": "12.8.90"}, "cu128"),
        ({"torch": "2.11.0", "nvidia-cuda-runtime": "13.0.96"}, "cu130"),
    ],
)
def test_comfyuis_torch_says_it_without_a_process(
    distributions: dict[str, str], tag: str, driver: list[Path]
) -> None:
    found = detect_cuda({}, LINUX, distributions, traces=driver, ask_driver=must_not_ask)
    assert found is not None
    assert found.tag == tag


@pytest.mark.parametrize(
    ("platform", "driver_version", "capability", "expected"),
    [
        ("linux-64", "12.8", "8.9", "12.8"),
        ("linux-64", "13.0", "8.9", "12.8"),
        ("linux-64", "12.2", "8.9", "12.8"),
        ("linux-64", "11.8", "8.9", "11.8"),
        ("linux-64", "12.8", "6.1", "12.4"),
        ("linux-aarch64", "13.0", "12.1", "13.0"),
    ],
)
def test_else_the_driver_is_asked_once(
    platform: str, driver_version: str, capability: str, expected: str, driver: list[Path]
) -> None:
    answer = OVERVIEW.format(driver_version, capability)
    found = detect_cuda(
        {}, Platform(platform), {"torch": "2.8.0+cpu"}, traces=driver, ask_driver=lambda: answer
    )
    assert found == Cuda(expected, "nvidia-smi")


@pytest.mark.parametrize(
    "answer", [None, "", "NVIDIA-SMI has failed because it couldn't communicate with the driver"]
)
def test_a_driver_that_does_not_answer_is_as_good_as_none(answer: str | None, driver: list[Path]) -> None:
    assert detect_cuda({}, LINUX, {}, traces=driver, ask_driver=lambda: answer) is None


def test_the_index_of_a_combination_can_be_a_mirror() -> None:
    assert wheels_index({}, "cu128", "2.8.0+cu128").endswith("/cuda-wheels/cu128/torch2.8/")
    assert (
        wheels_index({"COMFY_ENV_CUDA_WHEELS": "http://m/"}, "cu130", "2.11.0") == "http://m/cu130/torch2.11/"
    )


def test_the_running_interpreter_is_described_without_importing_what_it_has() -> None:
    host = HostPython.current({"COMFY_ENV_CUDA_VERSION": "none"})
    assert host.distributions["pytest"] == pytest.__version__
    assert host.torch_version == host.distributions.get("torch")
    assert host.cuda is None
    assert host.executable.exists()
    assert host.base_executable.exists()


def test_the_current_platform_has_a_name_that_pixi_knows() -> None:
    platform = Platform.current()
    assert platform.selectors[-1] == platform.name
    assert platform.is_linux + platform.is_macos + platform.is_windows == 1
