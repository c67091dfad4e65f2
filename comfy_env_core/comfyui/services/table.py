"""All services by the name that a worker asks for. Importing this imports torch: see `deferred`."""

from __future__ import annotations

from comfy_env_core.comfyui.services import memory, messages, nodes, progress, web
from comfy_env_core.comfyui.services.folders import Folders
from comfy_env_core.comfyui.services.inputs import OpenInputs
from comfy_env_core.supervision import Service


def host_services(inputs: OpenInputs, folders: Folders) -> dict[str, Service]:
    """The services of the running ComfyUI."""
    return {
        "progress": Service(progress.progress, at_once=True),
        "interrupt": Service(progress.interrupt, at_once=True),
        "progress_started": Service(progress.started, at_once=True),
        "progress_updated": Service(progress.updated, at_once=True),
        "progress_finished": Service(progress.finished, at_once=True),
        "prompt_server": Service(web.prompt_server),
        "server_module": Service(web.server_module),
        "send_sync": Service(messages.send_sync, at_once=True),
        "folder_paths": Service(folders.answer),
        "folder_paths_change": Service(folders.change),
        "inputs_changed": Service(inputs.change),
        "vram_need": Service(memory.vram_need),
        "host_table_names": Service(nodes.table_names),
        "host_table_entry": Service(nodes.table_entry),
        "host_member": Service(nodes.member),
        "host_call": Service(nodes.call),
    }
