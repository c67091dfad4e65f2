"""What packs import of comfy-env besides its five functions, and what there is in its place.

Collected from the releases 0.3.0 to 0.4.46, and for older ones from public packs that use them.
"""

from __future__ import annotations

_TOML = "the comfy-env.toml in the directory decides what is isolated; comfy-env manager runs its nodes there"
_BUILDS = "comfy-env manager builds every environment by itself; its page and log tell how it goes"
_WORKERS = (
    "comfy-env manager starts and ends the processes; nodes of an isolated directory run there without a call"
)
_TORCH = "ask torch (torch.cuda.is_available(), torch.version.cuda)"
_WHEELS = "list the package under [cuda] in comfy-env.toml; the wheel is chosen when the environment is built"
_CONFIG = "read the file with tomllib; comfy-env manager reads it by itself"

#: Name -> what to do instead. Where a name is not here, there is nothing to say of it.
REPLACEMENTS = {
    # Isolation of earlier releases.
    "IsolatedEnv": _TOML,
    "WorkerBridge": _WORKERS,
    # Processes.
    "Worker": _WORKERS,
    "WorkerError": _WORKERS,
    "WorkerPool": _WORKERS,
    "MPWorker": _WORKERS,
    "SubprocessWorker": _WORKERS,
    "TorchMPWorker": _WORKERS,
    "VenvWorker": _WORKERS,
    "PersistentVenvWorker": _WORKERS,
    "get_worker": _WORKERS,
    "register_worker": _WORKERS,
    "_WORKER_POOL": _WORKERS,
    "_remove_worker": _WORKERS,
    "TensorKeeper": _WORKERS,
    "release_tensor": _WORKERS,
    "release_tensors_recursive": _WORKERS,
    # Building.
    "verify_installation": _BUILDS,
    "ensure_pixi": _BUILDS,
    "get_pixi_path": _BUILDS,
    "get_pixi_python": _BUILDS,
    "pixi_run": _BUILDS,
    "pixi_install": _BUILDS,
    "pixi_clean": _BUILDS,
    "PIXI": _BUILDS,
    "install_workspace": _BUILDS,
    "get_env_name": _BUILDS,
    "get_local_env_path": _BUILDS,
    "get_root_env_path": _BUILDS,
    "resolve_env_path": _BUILDS,
    "cleanup_orphaned_envs": _BUILDS,
    "sanitize_name": _BUILDS,
    # CUDA.
    "get_wheel_url": _WHEELS,
    "get_cuda_torch_mapping": _WHEELS,
    "CUDA_WHEELS_INDEX": _WHEELS,
    "cuda_wheels_index": _WHEELS,
    "CUDA_TORCH_MAP": _WHEELS,
    "detect_cuda_version": _TORCH,
    "detect_cuda_environment": _TORCH,
    "get_recommended_cuda_version": _TORCH,
    "has_nvidia_gpu": _TORCH,
    "detect_gpu": _TORCH,
    "get_gpu_summary": _TORCH,
    "GPUInfo": _TORCH,
    "CUDAEnvironment": _TORCH,
    "RuntimeEnv": _TORCH,
    "detect_runtime": _TORCH,
    "detect_platform": "ask sys.platform and platform.machine()",
    "get_platform_tag": "ask sys.platform and platform.machine()",
    # Configuration.
    "ComfyEnvConfig": _CONFIG,
    "NodeReq": _CONFIG,
    "NodeDependency": _CONFIG,
    "load_config": _CONFIG,
    "parse_config": _CONFIG,
}

#: Imported by installers and used by few of them: can be imported, and say the same when they are called.
REFUSED_WHEN_CALLED = {
    "IsolatedEnvManager": _BUILDS,
    "discover_config": _CONFIG,
}

#: The modules of comfy-env that packs import from. Others do not exist.
MODULES = frozenset(
    (
        "cli",
        "config",
        "debug",
        "detection",
        "environment",
        "environment.cache",
        "environment.paths",
        "environment.setup",
        "install",
        "install.workspace",
        "isolation",
        "isolation.pool",
        "isolation.workers",
        "isolation.workers._ipc_parent",
        "isolation.workers._ipc_shared",
        "isolation.workers.subprocess",
        "isolation.wrap",
        "packages",
        "packages.cuda_wheels",
        "pixi",
        "prestartup",
        "settings",
        "tools",
        "workers",
    )
)
