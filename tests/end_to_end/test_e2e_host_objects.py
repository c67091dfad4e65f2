"""Isolated nodes with ComfyUI's own models: the same nodes, isolated and not, do the same to the last bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from patience import PATIENCE_S

from host.base import PACKS, Place, install_pack, make_base
from host.fixtures import StartComfyUI
from host.server import ComfyUI

LATENT = {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}}
IMAGE = {
    "class_type": "EmptyImage",
    "inputs": {"width": 32, "height": 32, "batch_size": 1, "color": 0x80C020},
}
MODELS = {"class_type": "TinyModels", "inputs": {}}
EXTRAS = {"class_type": "TinyExtras", "inputs": {}}
#: Where the values of the sockets come from, in every prompt.
SOURCES: dict[str, dict[str, Any]] = {"models": MODELS, "extras": EXTRAS, "latent": LATENT, "image": IMAGE}
MODEL, CLIP, VAE = (["models", number] for number in range(3))
CONTROL_NET, CLIP_VISION, UPSCALE_MODEL = (["extras", number] for number in range(3))
SAMPLES, PICTURE = ["latent", 0], ["image", 0]
SOURCES["text"] = {"class_type": "CLIPTextEncode", "inputs": {"clip": CLIP, "text": "a cat"}}
SOURCES["other text"] = {
    "class_type": "CLIPTextEncode",
    "inputs": {"clip": CLIP, "text": "two dogs on the moon"},
}
CONDITIONING, NEGATIVE = ["text", 0], ["other text", 0]

#: Node → its inputs; its first output is compared, for some the second as well.
NODES: dict[str, dict[str, Any]] = {
    "VaeDecode": {"vae": VAE, "samples": SAMPLES},
    "VaeEncode": {"vae": VAE, "image": PICTURE},
    "VaeFacts": {"vae": VAE},
    "VaeIsOne": {"vae": VAE},
    "TextEncode": {"clip": CLIP},
    "TextEncodeEarlier": {"clip": CLIP},
    "Builtins": {"vae": VAE, "samples": SAMPLES, "clip": CLIP},
    "CommonKSampler": {"model": MODEL, "positive": CONDITIONING, "negative": NEGATIVE, "latent": SAMPLES},
    "OwnSampling": {"model": MODEL, "positive": CONDITIONING, "negative": NEGATIVE, "latent": SAMPLES},
    "Vision": {"clip_vision": CLIP_VISION, "image": PICTURE},
    "Upscale": {"upscale_model": UPSCALE_MODEL, "image": PICTURE},
    "CallOther": {"number": 21},
    "NodeTable": {},
    "Devices": {},
    "ControlByNode": {"positive": CONDITIONING, "control_net": CONTROL_NET, "image": PICTURE},
}
TWO_OUTPUTS = {"Builtins", "CallOther", "OwnSampling", "Vision"}


@pytest.fixture(scope="module")
def comfyui(place: Place, start_comfyui: StartComfyUI, tmp_path_factory: pytest.TempPathFactory) -> ComfyUI:
    packs = [PACKS / name for name in ("host-models", "host-objects", "in-host")]
    base = make_base(tmp_path_factory.mktemp("host-objects"), packs)
    plain = install_pack(base, PACKS / "host-objects", "plain-objects")
    (plain / "comfy-env.toml").unlink()
    server = start_comfyui(base, environment=place.environment)
    states = server.wait_for_sites()
    assert {name: state["state"] for name, state in states.items()} == {
        "host-objects": "ready",
        "in-host": "ready",
    }
    server.wait_for_nodes("IsoVaeDecode", "PlainVaeDecode", "LeanWhere", "InHostSampler")
    return server


def run(comfyui: ComfyUI, prompt: dict[str, Any]) -> dict[str, Any]:
    """The outputs of a prompt that has the models as well. Raises AssertionError if it failed."""
    entry = comfyui.queue({**SOURCES, **prompt})
    assert entry["status"]["status_str"] == "success", entry["status"]["messages"]
    outputs: dict[str, Any] = entry["outputs"]
    return outputs


def failure(comfyui: ComfyUI, prompt: dict[str, Any]) -> dict[str, Any]:
    entry = comfyui.queue({**SOURCES, **prompt})
    found: dict[str, Any] = next(
        data for kind, data in entry["status"]["messages"] if kind == "execution_error"
    )
    return found


def digest(node: str, output: int = 0) -> dict[str, Any]:
    return {"class_type": "Digest", "inputs": {"value": [node, output]}}


@pytest.mark.parametrize("name", NODES)
def test_a_node_with_models_gives_the_same_isolated_and_not(comfyui: ComfyUI, name: str) -> None:
    outputs = range(2 if name in TWO_OUTPUTS else 1)
    prompt: dict[str, Any] = {}
    for prefix in ("Plain", "Iso"):
        prompt[prefix] = {"class_type": prefix + name, "inputs": NODES[name]}
        prompt.update({f"{prefix}{number}": digest(prefix, number) for number in outputs})
    results = run(comfyui, prompt)
    for number in outputs:
        assert results[f"Iso{number}"] == results[f"Plain{number}"]


def sampled(prefix: str, patched: list[Any], positive: list[Any]) -> dict[str, Any]:
    """Nodes that sample with a model and show what came out."""
    inputs = {
        "model": patched, "positive": positive, "negative": NEGATIVE, "latent_image": SAMPLES, "seed": 3,
        "steps": 2, "cfg": 2.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0,
    }  # fmt: skip
    sampler = f"{prefix}sampled"
    return {sampler: {"class_type": "KSampler", "inputs": inputs}, f"{prefix}digest": digest(sampler)}


def test_a_models_patches_from_a_worker_work_in_comfyuis_sampler(comfyui: ComfyUI) -> None:
    prompt: dict[str, Any] = dict(sampled("unpatched", MODEL, CONDITIONING))
    for prefix in ("Plain", "Iso"):
        prompt[prefix] = {"class_type": f"{prefix}Patch", "inputs": {"model": MODEL}}
        prompt.update(sampled(prefix, [prefix, 0], CONDITIONING))
        prompt[f"{prefix}facts"] = {"class_type": f"{prefix}PatchFacts", "inputs": {"model": [prefix, 0]}}
        prompt[f"{prefix}shown"] = digest(f"{prefix}facts")
    prompt["before"] = {"class_type": "PlainPatchFacts", "inputs": {"model": MODEL}}
    prompt["shown"] = digest("before")
    results = run(comfyui, prompt)
    assert results["Isodigest"] == results["Plaindigest"] != results["unpatcheddigest"]
    assert results["Isoshown"] == results["Plainshown"] != results["shown"]


def custom(prefix: str, sampler: list[Any], guider: list[Any]) -> dict[str, Any]:
    """Nodes that sample with a sampler and a guider."""
    inputs = {
        "noise": ["noise", 0],
        "guider": guider,
        "sampler": sampler,
        "sigmas": ["sigmas", 0],
        "latent_image": SAMPLES,
    }
    sampled = f"{prefix}sampled"
    sigmas = {"model": MODEL, "scheduler": "normal", "steps": 2, "denoise": 1.0}
    return {
        "noise": {"class_type": "RandomNoise", "inputs": {"noise_seed": 4}},
        "sigmas": {"class_type": "BasicScheduler", "inputs": sigmas},
        sampled: {"class_type": "SamplerCustomAdvanced", "inputs": inputs},
        f"{prefix}digest": digest(sampled),
    }


@pytest.mark.parametrize("own", ["sampler", "guider"])
def test_samplers_and_guiders_written_by_a_pack_work_in_comfyuis_nodes(comfyui: ComfyUI, own: str) -> None:
    guidance = {"model": MODEL, "positive": CONDITIONING, "negative": NEGATIVE}
    prompt: dict[str, Any] = {
        "sampler": {"class_type": "KSamplerSelect", "inputs": {"sampler_name": "dpmpp_2m"}},
        "guider": {"class_type": "CFGGuider", "inputs": {**guidance, "cfg": 2.0}},
        **custom("Usual", ["sampler", 0], ["guider", 0]),
    }
    for prefix in ("Plain", "Iso"):
        name = f"{prefix}Own{own.capitalize()}"
        prompt[name] = {"class_type": name, "inputs": {"model": MODEL} if own == "sampler" else guidance}
        used = {"sampler": ["sampler", 0], "guider": ["guider", 0], own: [name, 0]}
        prompt.update(custom(prefix, used["sampler"], used["guider"]))
    results = run(comfyui, prompt)
    assert results["Isodigest"] == results["Plaindigest"] != results["Usualdigest"]


def test_conditioning_with_a_control_net_made_in_a_worker_steers_the_sampler(comfyui: ComfyUI) -> None:
    prompt: dict[str, Any] = dict(sampled("free", MODEL, CONDITIONING))
    inputs = {"conditioning": CONDITIONING, "control_net": CONTROL_NET, "image": PICTURE}
    for prefix in ("Plain", "Iso"):
        prompt[prefix] = {"class_type": f"{prefix}Control", "inputs": inputs}
        prompt.update(sampled(prefix, MODEL, [prefix, 0]))
    results = run(comfyui, prompt)
    assert results["Isodigest"] == results["Plaindigest"] != results["freedigest"]


def test_a_vae_that_a_worker_loads_is_comfyuis_own(comfyui: ComfyUI) -> None:
    prompt: dict[str, Any] = {}
    for prefix in ("Plain", "Iso"):
        prompt[prefix] = {"class_type": f"{prefix}RebuildVae", "inputs": {"vae": VAE}}
        prompt[f"{prefix}decode"] = {
            "class_type": "VAEDecode",
            "inputs": {"vae": [prefix, 0], "samples": SAMPLES},
        }
        prompt[f"{prefix}digest"] = digest(f"{prefix}decode")
    prompt["kind"] = digest("Iso")
    results = run(comfyui, prompt)
    assert results["Isodigest"] == results["Plaindigest"]
    assert results["kind"]["kinds"] == ["comfy.sd.VAE"]


def test_sampling_that_a_worker_began_in_comfyui_is_interrupted(comfyui: ComfyUI) -> None:
    inputs = {"model": MODEL, "conditioning": CONDITIONING, "latent": SAMPLES}
    prompt = {**SOURCES, "1": {"class_type": "IsoLongSampling", "inputs": inputs}, "2": digest("1")}
    prompt_id = comfyui.submit(prompt)
    comfyui.wait_until(lambda: "/5000" in comfyui.log(), 30, "sampling to begin")
    comfyui.post("/interrupt", {})
    entry = comfyui.wait_for_prompt(prompt_id, timeout_s=PATIENCE_S)
    assert "execution_interrupted" in {kind for kind, _ in entry["status"]["messages"]}
    assert run(comfyui, {"1": digest("image")})


def test_what_only_passes_through_a_worker_stays_the_same_object_in_the_next_run_as_well(
    comfyui: ComfyUI,
) -> None:
    prompt: dict[str, Any] = {
        "pipe": {"class_type": "IsoPipe", "inputs": {"model": MODEL, "clip": CLIP, "vae": VAE}},
        "unpipe": {"class_type": "IsoUnpipe", "inputs": {"pipe": ["pipe", 0]}},
        "plain": {"class_type": "PlainUnpipe", "inputs": {"pipe": ["pipe", 0]}},
    }
    for round_ in range(2):
        for number, source in enumerate((MODEL, CLIP, VAE)):
            for node in ("unpipe", "plain"):
                inputs = {"a": source, "b": [node, number]}
                prompt[f"{node}{number}{round_}"] = {"class_type": "SameObject", "inputs": inputs}
        results = run(comfyui, prompt)
        assert all(
            results[f"{node}{n}{round_}"]["same"] == [True] for node in ("unpipe", "plain") for n in range(3)
        )
    other = {"class_type": "SameObject", "inputs": {"a": MODEL, "b": ["unpipe", 1]}}
    assert run(comfyui, {**prompt, "other": other})["other"]["same"] == [False]


def test_a_node_derived_from_one_of_comfyui_saves_the_same_picture(comfyui: ComfyUI, tmp_path: Path) -> None:
    prompt = {
        prefix: {"class_type": f"{prefix}Preview", "inputs": {"images": PICTURE}}
        for prefix in ("Plain", "Iso")
    }
    results = run(comfyui, prompt)
    pictures = []
    for prefix in prompt:
        (shown,) = results[prefix]["images"]
        assert shown["type"] == "temp"
        pictures.append(comfyui.request("GET", "/view?filename={filename}&type={type}".format(**shown)).body)
    assert pictures[0] == pictures[1]


def test_a_node_that_needs_the_model_in_its_process_names_the_way_out(comfyui: ComfyUI) -> None:
    prompt: dict[str, Any] = {"1": {"class_type": "IsoSurgery", "inputs": {"model": MODEL}}, "2": digest("1")}
    error = failure(comfyui, prompt)
    assert "torch's 'cat'" in error["exception_message"]
    assert "'model' (comfy.model_patcher.ModelPatcher)" in error["exception_message"]
    assert 'in_host = ["IsoSurgery"]' in error["exception_message"]


def test_nodes_named_by_in_host_run_in_comfyuis_process_and_the_others_do_not(comfyui: ComfyUI) -> None:
    prompt: dict[str, Any] = {
        "before": {"class_type": "InHostSampler", "inputs": {"model": MODEL}},
        "after": {"class_type": "InHostSampleSurgery", "inputs": {"model": MODEL}},
        "where": {"class_type": "LeanWhere", "inputs": {"seed": 1}},
        "1": {"class_type": "PreviewAny", "inputs": {"source": ["before", 1]}},
        "2": {"class_type": "PreviewAny", "inputs": {"source": ["where", 0]}},
        "3": digest("after"),
    }
    results = run(comfyui, prompt)
    assert str(comfyui.pid) in str(results["1"]) and "ModelPatcher" in str(results["1"])
    assert str(comfyui.pid) not in str(results["2"])
    assert "false" in str(results["2"]).lower(), "neither torch nor numpy is there"


def test_a_node_named_by_in_host_that_cannot_be_imported_there_says_so(comfyui: ComfyUI) -> None:
    prompt: dict[str, Any] = {
        "1": {"class_type": "InHostBroken", "inputs": {"model": MODEL}},
        "2": digest("1"),
    }
    error = failure(comfyui, prompt)
    assert "a library that only the environment has" in error["exception_message"]
    assert "in_host" in error["exception_message"]
    assert "'InHostSampels', which is no node of it. Did you mean" in comfyui.log()


def test_a_pack_without_comfyui_has_the_hosts_constants_and_expands_graphs(comfyui: ComfyUI) -> None:
    prompt: dict[str, Any] = {
        "largest": {"class_type": "LeanLargest", "inputs": {"sampler": "euler"}},
        "1": {"class_type": "PreviewAny", "inputs": {"source": ["largest", 0]}},
        "expand": {"class_type": "LeanExpand", "inputs": {"seed": 21}},
        "2": {"class_type": "PreviewAny", "inputs": {"source": ["expand", 0]}},
    }
    results = run(comfyui, prompt)
    (text,) = results["1"]["text"]
    largest, name, memory, samplers = json.loads(text)
    assert (largest, name, memory) == (16384, "KSampler", [True, True])
    (offered,) = comfyui.get("/object_info/LeanLargest")["LeanLargest"]["input"]["required"]["sampler"][:1]
    assert (
        samplers
        == offered
        == comfyui.get("/object_info/KSampler")["KSampler"]["input"]["required"]["sampler_name"][0]
    )
    assert "42" in str(results["2"])
