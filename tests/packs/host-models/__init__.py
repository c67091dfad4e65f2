"""Tiny models of ComfyUI's own classes, with random weights, and nodes that look at results. Not isolated."""

from __future__ import annotations

import hashlib

import comfy.clip_vision
import comfy.controlnet
import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.sd
import comfy.sd1_clip
import comfy.supported_models
import comfy.taesd.taesd
import torch

ANY = type("Any", (str,), {"__ne__": lambda self, other: False})("*")

UNET = {
    "image_size": 32, "in_channels": 4, "out_channels": 4, "model_channels": 32, "num_res_blocks": [1, 1],
    "channel_mult": [1, 2], "num_heads": 4, "context_dim": 32, "use_spatial_transformer": True,
    "transformer_depth": [0, 1], "transformer_depth_middle": 1, "transformer_depth_output": [0, 0, 1, 1],
    "use_temporal_attention": False, "legacy": False, "adm_in_channels": None,
}  # fmt: skip
TEXT = {
    "hidden_act": "quick_gelu", "hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4,
    "num_hidden_layers": 3, "max_position_embeddings": 77, "vocab_size": 49408, "eos_token_id": 49407,
    "initializer_factor": 1.0, "layer_norm_eps": 1e-5, "projection_dim": 32,
}  # fmt: skip


def with_weights(module: torch.nn.Module, seed: int) -> torch.nn.Module:
    """ComfyUI's layers do not initialise theirs: what loads a checkpoint has no need to."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.05)
    return module.eval()


def tiny_model() -> comfy.model_patcher.ModelPatcher:
    config = comfy.supported_models.SD15({**UNET, "dtype": torch.float32})
    config.unet_config = dict(UNET)
    config.set_inference_dtype(torch.float32, None)
    model = with_weights(comfy.model_base.BaseModel(config), 1)
    cpu = torch.device("cpu")
    return comfy.model_patcher.ModelPatcher(model, load_device=cpu, offload_device=cpu)


class TinyTextModel(comfy.sd1_clip.SDClipModel):
    def __init__(self, **options: object) -> None:
        super().__init__(textmodel_json_config=dict(TEXT), **options)


def tiny_clip() -> comfy.sd.CLIP:
    class Target:
        params: dict[str, object] = {}
        tokenizer = comfy.sd1_clip.SD1Tokenizer

        @staticmethod
        def clip(device: object, dtype: object, model_options: dict[str, object]) -> torch.nn.Module:
            model = comfy.sd1_clip.SD1ClipModel(
                device=device, dtype=torch.float32, model_options=model_options, clip_model=TinyTextModel
            )
            return with_weights(model, 2)

    return comfy.sd.CLIP(Target, embedding_directory=None)


def tiny_vae() -> comfy.sd.VAE:
    module = with_weights(comfy.taesd.taesd.TAESD(latent_channels=4), 3)
    return comfy.sd.VAE(sd=module.state_dict())


class TinyModels:
    RETURN_TYPES = ("MODEL", "CLIP", "VAE")
    FUNCTION = "make"
    CATEGORY = "tests"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, object]:
        return {"required": {}}

    def make(self) -> tuple[object, ...]:
        return (tiny_model(), tiny_clip(), tiny_vae())


class TinyControl(comfy.controlnet.ControlBase):
    """Adds the mean of its hint to the middle of the network."""

    def copy(self) -> TinyControl:
        made = TinyControl()
        self.copy_to(made)
        return made

    def get_control(
        self, x_noisy: torch.Tensor, t: object, cond: object, batched_number: int, transformer_options: object
    ) -> dict[str, list[torch.Tensor]]:
        shape = (x_noisy.shape[0], 64, x_noisy.shape[2] // 2, x_noisy.shape[3] // 2)
        return {
            "middle": [torch.full(shape, float(self.cond_hint_original.mean()) * self.strength)],
            "output": [],
        }

    def get_models(self) -> list[object]:
        return []


class TinyVision:
    """As comfy.clip_vision.ClipVisionModel."""

    def encode_image(self, image: torch.Tensor, crop: bool = True) -> comfy.clip_vision.Output:
        output = comfy.clip_vision.Output()
        output["last_hidden_state"] = image.mean(dim=(1, 2)) * (2.0 if crop else 1.0)
        return output


class TinyUpscaler(torch.nn.Module):
    """As spandrel's models: doubles width and height."""

    scale = 2

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Conv2d(3, 12, 3, padding=1)
        with_weights(self, 4)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.pixel_shuffle(self.layer(image), 2)


class TinyExtras:
    RETURN_TYPES = ("CONTROL_NET", "CLIP_VISION", "UPSCALE_MODEL")
    FUNCTION = "make"
    CATEGORY = "tests"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, object]:
        return {"required": {}}

    def make(self) -> tuple[object, ...]:
        return (TinyControl(), TinyVision(), TinyUpscaler())


class Digest:
    """Shows a hash of all numbers and texts in a value, and the class of every other object."""

    RETURN_TYPES = ()
    FUNCTION = "digest"
    OUTPUT_NODE = True
    CATEGORY = "tests"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, object]:
        return {"required": {"value": (ANY,)}}

    @classmethod
    def IS_CHANGED(cls, value: object) -> float:
        return float("nan")  # shows it every time

    def digest(self, value: object) -> dict[str, object]:
        digest = hashlib.sha256()
        kinds: list[str] = []
        add(digest, value, kinds)
        return {"ui": {"digest": [digest.hexdigest()], "kinds": kinds}}


def add(digest: object, value: object, kinds: list[str]) -> None:
    if isinstance(value, torch.Tensor):
        digest.update(f"{value.dtype} {tuple(value.shape)}".encode() + value.contiguous().numpy().tobytes())
    elif isinstance(value, dict):
        for key in sorted(value):
            digest.update(str(key).encode())
            add(digest, value[key], kinds)
    elif isinstance(value, list | tuple):
        for item in value:
            add(digest, item, kinds)
    elif value is None or isinstance(value, bool | int | float | str):
        digest.update(repr(value).encode())
    else:
        kinds.append(f"{type(value).__module__}.{type(value).__qualname__}")
        if isinstance(value, comfy.clip_vision.Output):
            add(digest, vars(value), kinds)


class SameObject:
    """Shows whether two values are the very same object."""

    RETURN_TYPES = ()
    FUNCTION = "compare"
    OUTPUT_NODE = True
    CATEGORY = "tests"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, object]:
        return {"required": {"a": (ANY,), "b": (ANY,)}}

    @classmethod
    def IS_CHANGED(cls, a: object, b: object) -> float:
        return float("nan")  # shows it every time

    def compare(self, a: object, b: object) -> dict[str, object]:
        return {"ui": {"same": [a is b]}}


class HostDouble:
    """A node of another pack, for those that call it by name."""

    RETURN_TYPES = ("INT", "BOOLEAN")
    FUNCTION = "double"
    CATEGORY = "tests"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, object]:
        return {"required": {"number": ("INT",)}}

    def double(self, number: int) -> tuple[int, bool]:
        return (number * 2, torch.is_inference_mode_enabled())


NODE_CLASS_MAPPINGS = {
    kind.__name__: kind for kind in (TinyModels, TinyExtras, Digest, SameObject, HostDouble)
}
