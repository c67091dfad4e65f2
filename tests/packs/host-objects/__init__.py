"""Nodes that use ComfyUI's models in every usual way. The tests have it twice: isolated and, as "plain-…", not."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import comfy
import comfy.model_management
import comfy.sample
import comfy.samplers
import comfy.utils
import nodes
import torch

ANY = type("Any", (str,), {"__ne__": lambda self, other: False})("*")
PREFIX = "Plain" if Path(__file__).parent.name.startswith("plain") else "Iso"
NODE_CLASS_MAPPINGS: dict[str, type] = {}


def node(returns: tuple[str, ...] = (ANY,), **inputs: str) -> Any:
    """Makes a function a node."""

    def register(function: Any) -> Any:
        members = {
            "RETURN_TYPES": returns,
            "FUNCTION": "run",
            "CATEGORY": "tests",
            "INPUT_TYPES": classmethod(
                lambda cls: {"required": {name: (kind,) for name, kind in inputs.items()}}
            ),
            "run": staticmethod(function),
            "__module__": __name__,
            "__qualname__": function.__name__,
        }
        kind = type(function.__name__, (), members)
        globals()[function.__name__] = NODE_CLASS_MAPPINGS[PREFIX + function.__name__] = kind
        return kind

    return register


@node(vae="VAE", samples="LATENT")
def VaeDecode(vae: Any, samples: Any) -> Any:
    return (
        {
            "plain": vae.decode(samples["samples"]),
            "tiled": vae.decode_tiled(samples["samples"], tile_x=8, tile_y=8),
        },
    )


@node(vae="VAE", image="IMAGE")
def VaeEncode(vae: Any, image: Any) -> Any:
    return ({"samples": vae.encode(image[:, :, :, :3])},)


@node(vae="VAE")
def VaeFacts(vae: Any) -> Any:
    parameter = next(vae.first_stage_model.parameters())
    return (
        [str(parameter.dtype), str(vae.vae_dtype), str(vae.device), vae.latent_channels, vae.downscale_ratio],
    )


@node(vae="VAE")
def VaeIsOne(vae: Any) -> Any:
    return ([isinstance(vae, comfy.sd.VAE), isinstance(vae, comfy.sd.CLIP), vae.__class__ is comfy.sd.VAE],)


@node(("CONDITIONING",), clip="CLIP")
def TextEncode(clip: Any) -> Any:
    tokens = clip.tokenize("a (red:1.2) cat")
    conditioning, pooled = clip.encode_from_tokens(tokens, return_pooled=True)
    return ([[conditioning, {"pooled_output": pooled}]],)


@node(("CONDITIONING",), clip="CLIP")
def TextEncodeEarlier(clip: Any) -> Any:
    clip = clip.clone()
    clip.clip_layer(-2)
    return (clip.encode_from_tokens_scheduled(clip.tokenize("a cat")),)


@node(("IMAGE", "CONDITIONING"), vae="VAE", samples="LATENT", clip="CLIP")
def Builtins(vae: Any, samples: Any, clip: Any) -> Any:
    image = nodes.VAEDecode().decode(vae, samples)[0]
    return (image, nodes.NODE_CLASS_MAPPINGS["CLIPTextEncode"]().encode(clip=clip, text="two cats")[0])


@node(("LATENT",), model="MODEL", positive="CONDITIONING", negative="CONDITIONING", latent="LATENT")
def CommonKSampler(model: Any, positive: Any, negative: Any, latent: Any) -> Any:
    return nodes.common_ksampler(model, 5, 2, 2.0, "euler", "normal", positive, negative, latent)


@node(("LATENT",), model="MODEL", conditioning="CONDITIONING", latent="LATENT")
def LongSampling(model: Any, conditioning: Any, latent: Any) -> Any:
    return nodes.common_ksampler(model, 5, 5000, 1.0, "euler", "normal", conditioning, conditioning, latent)


@node(("VAE",), vae="VAE")
def RebuildVae(vae: Any) -> Any:
    """As loaders of packs do it."""
    return (comfy.sd.VAE(sd=vae.first_stage_model.state_dict()),)


@node(("LATENT", ANY), model="MODEL", positive="CONDITIONING", negative="CONDITIONING", latent="LATENT")
def OwnSampling(model: Any, positive: Any, negative: Any, latent: Any) -> Any:
    """As samplers of packs do it: noise, sigmas and a sampler of their own choice, and a callback."""
    steps = []
    samples = latent["samples"]
    noise = comfy.sample.prepare_noise(samples, 7)
    sigmas = comfy.samplers.calculate_sigmas(model.get_model_object("model_sampling"), "karras", 2)
    result = comfy.sample.sample_custom(
        model, noise, 2.0, comfy.samplers.sampler_object("dpmpp_2m"), sigmas, positive, negative, samples,
        callback=lambda step, x0, x, total: steps.append((step, tuple(x.shape), total)), seed=7,
    )  # fmt: skip
    sampler = comfy.samplers.KSampler(
        model, steps=2, device=model.load_device, sampler="euler", scheduler="normal"
    )
    second = sampler.sample(noise, positive, negative, cfg=1.5, latent_image=samples, seed=7)
    return ({"samples": torch.cat([result, second])}, steps)


@node(("SAMPLER",), model="MODEL")
def OwnSampler(model: Any) -> Any:
    """A sampler written by the pack."""

    def euler(model: Any, x: Any, sigmas: Any, extra_args: Any, callback: Any, disable: Any) -> Any:
        for step, (sigma, following) in enumerate(itertools.pairwise(sigmas)):
            denoised = model(x, sigma * x.new_ones([x.shape[0]]), **extra_args)
            callback({"x": x, "i": step, "denoised": denoised})
            x = x + (x - denoised) / sigma * (following - sigma)
        return x

    return (comfy.samplers.KSAMPLER(euler),)


class Doubling(comfy.samplers.CFGGuider):
    def predict_noise(self, *args: Any, **kwargs: Any) -> Any:
        return super().predict_noise(*args, **kwargs) * 0.5


@node(("GUIDER",), model="MODEL", positive="CONDITIONING", negative="CONDITIONING")
def OwnGuider(model: Any, positive: Any, negative: Any) -> Any:
    """A guider written by the pack, which changes every prediction."""
    guider = Doubling(model)
    guider.set_conds(positive, negative)
    guider.set_cfg(2.0)
    return (guider,)


@node(("MODEL",), model="MODEL")
def Patch(model: Any) -> Any:
    """A function of the pack decides in every step what becomes of the two predictions."""
    model = model.clone()
    model.set_model_sampler_cfg_function(lambda args: args["uncond"] + (args["cond"] - args["uncond"]) * 3.0)
    model.model_options["transformer_options"]["pack"] = {"seen": [1]}
    model.model_options["transformer_options"]["pack"]["seen"].append(2)
    return (model,)


@node((ANY,), model="MODEL")
def PatchFacts(model: Any) -> Any:
    return (model.model_options["transformer_options"].get("pack"),)


@node((ANY,), model="MODEL", clip="CLIP", vae="VAE")
def Pipe(model: Any, clip: Any, vae: Any) -> Any:
    return ({"model": model, "nested": [clip, (vae,)]},)


@node(("MODEL", "CLIP", "VAE"), pipe=ANY)
def Unpipe(pipe: Any) -> Any:
    return (pipe["model"], pipe["nested"][0], pipe["nested"][1][0])


@node(("CONDITIONING",), conditioning="CONDITIONING", control_net="CONTROL_NET", image="IMAGE")
def Control(conditioning: Any, control_net: Any, image: Any) -> Any:
    control = control_net.copy().set_cond_hint(image.movedim(-1, 1), 0.8, (0.0, 1.0))
    return (
        [
            [part[0], {**part[1], "control": control, "control_apply_to_uncond": True}]
            for part in conditioning
        ],
    )


@node(("CONDITIONING", "CONDITIONING"), positive="CONDITIONING", control_net="CONTROL_NET", image="IMAGE")
def ControlByNode(positive: Any, control_net: Any, image: Any) -> Any:
    return nodes.ControlNetApplyAdvanced().apply_controlnet(
        positive, positive, control_net, image, 0.8, 0.0, 1.0
    )


@node(("CLIP_VISION_OUTPUT", "STRING"), clip_vision="CLIP_VISION", image="IMAGE")
def Vision(clip_vision: Any, image: Any) -> Any:
    output = clip_vision.encode_image(image, crop=False)
    return (output, str(output.last_hidden_state.sum()))


@node(("IMAGE",), upscale_model="UPSCALE_MODEL", image="IMAGE")
def Upscale(upscale_model: Any, image: Any) -> Any:
    device = comfy.model_management.get_torch_device()
    upscale_model.to(device)
    scaled = comfy.utils.tiled_scale(
        image.movedim(-1, -3).to(device), upscale_model, tile_x=16, tile_y=16, overlap=4,
        upscale_amount=upscale_model.scale,
    )  # fmt: skip
    return (torch.clamp(scaled.movedim(-3, -1), 0.0, 1.0),)


@node(("INT", ANY), number="INT")
def CallOther(number: int) -> Any:
    """A node of another pack, found by its name."""
    kind = nodes.NODE_CLASS_MAPPINGS["HostDouble"]
    result = getattr(kind(), kind.FUNCTION)(number=number)
    own = nodes.NODE_CLASS_MAPPINGS[f"{PREFIX}CallOther"] is CallOther
    return (result[0], [result[1], kind.RETURN_TYPES, own, "KSampler" in nodes.NODE_CLASS_MAPPINGS])


@node((ANY,))
def NodeTable() -> Any:
    names = sorted(nodes.NODE_CLASS_MAPPINGS)
    shown = sorted(nodes.NODE_DISPLAY_NAME_MAPPINGS.items())
    return ([names, len(nodes.NODE_CLASS_MAPPINGS), shown, nodes.MAX_RESOLUTION],)


@node((ANY,))
def Devices() -> Any:
    management = comfy.model_management
    devices = [
        management.get_torch_device(), management.intermediate_device(), management.unet_offload_device(),
        management.text_encoder_device(), management.vae_device(), management.vae_offload_device(),
    ]  # fmt: skip
    answers = [management.vae_dtype(), management.text_encoder_dtype(), management.unet_dtype()]
    answers += [
        management.should_use_fp16(),
        management.should_use_bf16(),
        management.cpu_state,
        management.vram_state,
    ]
    answers += [management.is_device_mps(devices[0]), management.cpu_mode(), management.get_total_memory()]
    management.soft_empty_cache()
    management.unload_all_models()
    return ([*map(str, devices), *map(str, answers), management.get_free_memory() > 0],)


@node((ANY,), model="MODEL")
def Surgery(model: Any) -> Any:
    return (torch.cat([torch.ones(1), model]),)


class Preview(nodes.PreviewImage):
    """Derives from a node of ComfyUI."""

    def save_images(self, images: Any, **others: Any) -> Any:
        return super().save_images(1.0 - images, **others)


NODE_CLASS_MAPPINGS[PREFIX + "Preview"] = Preview
