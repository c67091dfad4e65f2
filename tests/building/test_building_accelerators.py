"""What torch computes with on a machine, told without torch and without a GPU: fake roots, tools and libraries."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from comfy_env_core.building.accelerators import Accelerators, OtherAccelerator, find_accelerators
from comfy_env_core.building.cuda import Cuda, cuda_of_driver
from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.gpu_traces import GpuTraces, Maker, driver_key, find_gpu_traces
from comfy_env_core.building.host_python import HostPython
from comfy_env_core.building.nvidia_driver import NvidiaDriver, ask_driver, ask_nvidia_smi, ask_nvml
from comfy_env_core.building.platform import Platform

LINUX = Platform("linux-64")
NVIDIA = GpuTraces(frozenset({Maker.NVIDIA}), nvidia_driver=True)
NOTHING = GpuTraces(frozenset())


def must_not_ask(environ: Mapping[str, str]) -> NvidiaDriver | None:
    raise AssertionError("the driver must not be asked here")


def find(
    torch: str | None = None,
    traces: GpuTraces = NOTHING,
    *,
    platform: Platform = LINUX,
    environ: Mapping[str, str] | None = None,
    ask: Callable[[Mapping[str, str]], NvidiaDriver | None] = must_not_ask,
    **others: str,
) -> Accelerators:
    installed = {name.replace("_", "-"): version for name, version in others.items()}
    if torch is not None:
        installed["torch"] = torch
    return find_accelerators(environ or {}, platform, installed, find_traces=lambda: traces, ask=ask)


@pytest.mark.parametrize("text", ["twelve", "12", "128", "12.8; rm -rf", "rocm", "rocmsdk1"])
def test_a_variable_that_names_nothing_is_refused_with_a_remedy(text: str) -> None:
    with pytest.raises(BuildError, match="COMFY_ENV_CUDA_VERSION") as caught:
        find(environ={"COMFY_ENV_CUDA_VERSION": text})
    assert caught.value.cause is BuildCause.CONFIG
    assert "12.8" in caught.value.remedy


@pytest.mark.parametrize(("text", "tag"), [("12.8", "cu128"), ("13.0.1", "cu130"), ("cu126", "cu126")])
def test_the_variable_wins_over_everything(text: str, tag: str) -> None:
    found = find("2.8.0+cu124", NVIDIA, environ={"COMFY_ENV_CUDA_VERSION": text})
    assert found.cuda is not None
    assert found.cuda.tag == tag


@pytest.mark.parametrize("text", ["rocm6.4", "xpu"])
def test_the_variable_can_name_another_makers_build(text: str) -> None:
    found = find(environ={"COMFY_ENV_CUDA_VERSION": text})
    assert found == Accelerators(other=OtherAccelerator(text, "COMFY_ENV_CUDA_VERSION"))


@pytest.mark.parametrize("text", ["none", "CPU"])
def test_the_variable_can_say_that_there_is_none(text: str) -> None:
    assert find("2.8.0+cu128", NVIDIA, environ={"COMFY_ENV_CUDA_VERSION": text}) == Accelerators()


def test_no_trace_of_a_gpu_means_the_cpu_even_if_comfyuis_torch_is_a_cuda_build() -> None:
    assert find("2.8.0+cu128", NOTHING) == Accelerators()
    assert find("2.8.0+cu128", GpuTraces(None)) == Accelerators()


def test_macos_has_neither() -> None:
    assert find("2.8.0", NVIDIA, platform=Platform("osx-arm64")) == Accelerators()


@pytest.mark.parametrize(
    ("torch", "others", "tag"),
    [
        ("2.8.0+cu126", {}, "cu126"),
        ("2.8.0", {"nvidia_cuda_runtime_cu12": "12.8.90"}, "cu128"),
        ("2.11.0", {"nvidia_cuda_runtime": "13.0.96"}, "cu130"),
    ],
)
def test_comfyuis_torch_says_it_without_asking_the_driver(
    torch: str, others: dict[str, str], tag: str
) -> None:
    found = find(torch, NVIDIA, **others)
    assert found.cuda is not None
    assert found.cuda.tag == tag
    assert "ComfyUI's torch" in found.cuda.source


def test_a_cuda_build_counts_where_the_gpu_is_seen_and_the_driver_is_hidden() -> None:
    """Some sandboxes hide /proc/driver."""
    assert find("2.8.0+cu128", GpuTraces(frozenset({Maker.NVIDIA}))).cuda == Cuda("12.8", "ComfyUI's torch")


def test_a_torch_without_cuda_leaves_it_to_the_driver() -> None:
    driver = NvidiaDriver((12, 8), (8, 9), "nvidia-smi")
    assert find("2.8.0+cpu", NVIDIA, ask=lambda environ: driver).cuda == Cuda("12.8", "nvidia-smi")


@pytest.mark.parametrize(
    ("traces", "words"),
    [
        (NVIDIA, "did not answer"),
        (GpuTraces(frozenset({Maker.NVIDIA})), "driver is not loaded"),
        (GpuTraces(frozenset({Maker.AMD})), "no ROCm is installed"),
    ],
)
def test_hardware_that_cannot_be_used_is_said(traces: GpuTraces, words: str) -> None:
    found = find("2.8.0+cpu", traces, ask=lambda environ: None)
    assert found.cuda is None
    assert words in found.notes[0]


def test_rocm_is_taken_from_comfyuis_torch_where_an_amd_gpu_may_be() -> None:
    amd = GpuTraces(frozenset({Maker.AMD}))
    assert find("2.9.0+rocm6.4", amd).other == OtherAccelerator("rocm6.4", "ComfyUI's torch")
    assert find("2.9.0+rocm6.4", GpuTraces(None)).other is not None
    without = find("2.9.0+rocm6.4", NOTHING)
    assert without.other is None
    assert "AMD" in without.notes[0]


def test_rocm_is_taken_from_the_installed_one_when_torch_does_not_say_it() -> None:
    found = find("2.9.0+cpu", GpuTraces(frozenset({Maker.AMD}), rocm="6.4"))
    assert found.other == OtherAccelerator("rocm6.4", "the ROCm under /opt/rocm")


def test_a_build_of_amds_own_is_named_and_not_guessed_at() -> None:
    found = find("2.9.0+rocmsdk20251116", GpuTraces(None))
    assert found.other is None
    assert "rocmsdk20251116" in found.notes[0]


def test_xpu_is_taken_from_comfyuis_torch_and_never_from_an_intel_gpu_alone() -> None:
    intel = GpuTraces(frozenset({Maker.INTEL}))
    assert find("2.9.0+xpu", intel).other == OtherAccelerator("xpu", "ComfyUI's torch")
    assert find("2.9.0+cpu", intel) == Accelerators()


def test_directml_is_noted() -> None:
    assert "DirectML" in find("2.4.1", GpuTraces(None), torch_directml="0.2.5").notes[0]


@pytest.mark.parametrize(
    ("platform", "driver", "capability", "expected"),
    [
        ("linux-64", (12, 8), (8, 9), "12.8"),
        ("linux-64", (13, 0), (8, 9), "12.8"),
        ("linux-64", (12, 2), (8, 9), "12.8"),
        ("linux-64", (11, 8), (8, 9), "11.8"),
        ("linux-64", (12, 8), (6, 1), "12.6"),
        ("linux-64", (12, 8), None, "12.8"),
        ("linux-aarch64", (13, 0), (12, 1), "13.0"),
    ],
)
def test_the_driver_gets_the_newest_cuda_that_it_and_the_gpu_run(
    platform: str, driver: tuple[int, int], capability: tuple[int, int] | None, expected: str
) -> None:
    found = cuda_of_driver(Platform(platform), NvidiaDriver(driver, capability, "NVML"))
    assert found == Cuda(expected, "NVML")


# --- traces on disk --------------------------------------------------------------------------------------------------


def pci_device(root: Path, number: int, vendor: str, kind: str) -> None:
    directory = root / f"sys/bus/pci/devices/0000:0{number}:00.0"
    directory.mkdir(parents=True)
    (directory / "vendor").write_text(f"{vendor}\n")
    (directory / "class").write_text(f"{kind}\n")


def test_a_machine_without_a_readable_bus_is_not_known_to_have_none(tmp_path: Path) -> None:
    assert find_gpu_traces(tmp_path) == GpuTraces(None)
    (tmp_path / "sys/bus/pci/devices").mkdir(parents=True)
    assert find_gpu_traces(tmp_path).may_have(Maker.NVIDIA)


def test_only_display_devices_count(tmp_path: Path) -> None:
    pci_device(tmp_path, 0, "0x8086", "0x060000")  # the host bridge
    pci_device(tmp_path, 1, "0x10de", "0x040300")  # the sound of an NVIDIA card that is passed through
    assert find_gpu_traces(tmp_path).makers == frozenset()
    pci_device(tmp_path, 2, "0x10de", "0x030200")  # a data-centre GPU: a 3D controller
    pci_device(tmp_path, 3, "0x1002", "0x030000")
    pci_device(tmp_path, 4, "0x1a03", "0x030000")  # a server's own screen
    assert find_gpu_traces(tmp_path).makers == frozenset({Maker.NVIDIA, Maker.AMD})


def test_a_virtual_gpu_hides_whose_card_is_behind_it(tmp_path: Path) -> None:
    pci_device(tmp_path, 0, "0x1414", "0x030200")
    assert find_gpu_traces(tmp_path).makers is None


@pytest.mark.parametrize(
    "place",
    ["proc/driver/nvidia/version", "dev/nvidiactl", "usr/lib/wsl/lib/libcuda.so.1", "System32/nvcuda.dll"],
)
def test_every_trace_of_a_driver_counts_and_changes_the_key(place: str, tmp_path: Path) -> None:
    before = driver_key(tmp_path)
    (tmp_path / place).parent.mkdir(parents=True)
    (tmp_path / place).write_text("570.10")
    assert find_gpu_traces(tmp_path).nvidia_driver
    assert driver_key(tmp_path) != before


def test_the_installed_rocm_is_read_from_its_own_file(tmp_path: Path) -> None:
    (tmp_path / "opt/rocm/.info").mkdir(parents=True)
    (tmp_path / "opt/rocm/.info/version").write_text("6.4.1-83\n")
    assert find_gpu_traces(tmp_path).rocm == "6.4"


# --- the driver ------------------------------------------------------------------------------------------------------

needs_sh = pytest.mark.skipif(sys.platform == "win32", reason="the fake tool is a shell script")


def fake_smi(directory: Path, overview: str, capabilities: str) -> dict[str, str]:
    """An environment whose PATH has an nvidia-smi that says this; a capability of "fail" makes the query fail."""
    tool = directory / "nvidia-smi"
    query = "exit 6" if capabilities == "fail" else f"printf '{capabilities}'"
    tool.write_text(f"#!/bin/sh\ncase $1 in --query-gpu=*) {query};; *) echo '{overview}';; esac\n")
    tool.chmod(0o755)
    return {"PATH": str(directory)}


@needs_sh
@pytest.mark.parametrize(
    ("capabilities", "expected"), [("8.9\\n12.0\\n", (12, 0)), ("[N/A]\\n", None), ("fail", None)]
)
def test_nvidia_smi_tells_version_and_capability(
    capabilities: str, expected: tuple[int, int] | None, tmp_path: Path
) -> None:
    overview = "| NVIDIA-SMI 570.10   Driver Version: 570.10   CUDA Version: 12.8 |"
    environ = fake_smi(tmp_path, overview, capabilities)
    assert ask_nvidia_smi(environ) == NvidiaDriver((12, 8), expected, "nvidia-smi")


@needs_sh
@pytest.mark.parametrize("overview", ["", "CUDA Version: N/A", "Failed to initialize NVML: version mismatch"])
def test_a_tool_that_gets_no_answer_is_as_good_as_none(overview: str, tmp_path: Path) -> None:
    assert ask_nvidia_smi(fake_smi(tmp_path, overview, "8.9\\n")) is None


def test_no_tool_and_no_library_is_no_driver(tmp_path: Path) -> None:
    assert ask_driver({"PATH": str(tmp_path)}) is None


NVML_SOURCE = """
int nvmlInit_v2(void) { return INIT; }
int nvmlShutdown(void) { return 0; }
int nvmlSystemGetCudaDriverVersion_v2(int *version) { *version = 12080; return 0; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 3; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned i, void **device) { *device = (void *)(long)(i + 1); return i == 2 ? 4 : 0; }
int nvmlDeviceGetCudaComputeCapability(void *device, int *major, int *minor) {
    *major = (long)device == 1 ? 7 : 8; *minor = (long)device == 1 ? 5 : 9; return 0;
}
"""


@pytest.mark.parametrize(("init", "expected"), [("0", NvidiaDriver((12, 8), (8, 9), "NVML")), ("18", None)])
def test_the_drivers_library_is_asked_where_there_is_no_tool(
    init: str, expected: NvidiaDriver | None, tmp_path: Path
) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or os.name == "nt":
        pytest.skip("no C compiler to make a stand-in of libnvidia-ml with")
    library = tmp_path / "libnvidia-ml.so.1"
    (tmp_path / "nvml.c").write_text(NVML_SOURCE)
    subprocess.run(
        [compiler, "-shared", "-fPIC", f"-DINIT={init}", "-o", library, tmp_path / "nvml.c"], check=True
    )
    assert ask_nvml(lambda: ctypes.CDLL(str(library))) == expected


# --- the running interpreter -----------------------------------------------------------------------------------------


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
