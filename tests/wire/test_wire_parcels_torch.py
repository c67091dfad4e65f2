"""Parcels of objects made of torch's types, for workers and for ComfyUI's process."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip(
    "torch", reason="torch is not installed: parcels with tensors are NOT tested here"
)

from comfy_env_core.wire.objects.allowed import AllowList, host_allow_list  # noqa: E402
from comfy_env_core.wire.objects.codecs import Codecs  # noqa: E402
from comfy_env_core.wire.objects.parcel import Parcel  # noqa: E402
from comfy_env_core.wire.objects.parcel_errors import ParcelError  # noqa: E402
from comfy_env_core.wire.objects.parcels import make_parcel, open_parcel  # noqa: E402

BOTH = pytest.mark.parametrize("allowed", [None, host_allow_list()], ids=["worker", "host"])


def reopened(value: object, allowed: AllowList | None) -> Any:
    return open_parcel(make_parcel(value, Codecs()), Codecs(), allowed)


def test_files_and_code_are_out_of_reach_of_a_pickle(tmp_path: Path) -> None:
    file = io.BytesIO()
    torch.save({"a": torch.zeros(1)}, file)

    class Attack:
        def __reduce__(self) -> Any:
            return torch.storage._load_from_bytes, (file.getvalue(),)

    class Load:
        def __reduce__(self) -> Any:
            return torch.load, (str(tmp_path / "model.pt"),)

    for attack in (Attack(), Load()):
        with pytest.raises(ParcelError, match="asks for torch"):
            reopened(attack, host_allow_list())


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("torch", "load"), ("torch", "hub"), ("torch", "os"), ("torch", "Tensor"), ("torch", "Tensor.storage"),
        ("torch", "nn.Module"), ("torch.nn.modules.module", "torch"), ("torch.nn.modules.module", "functools.partial"),
        ("torch.nn.modules.linear", "Tensor"), ("torch.nn.modules.linear", "F.relu"), ("torch.nn.modules", "Linear"),
        ("torch.nn.modules.module", "Module.load_state_dict"),
        ("torch.nn.modules.module", "register_module_forward_hook"),
        ("torch.fx.graph_module", "reduce_graph_module"), ("torch.package", "PackageImporter"),
    ],
)  # fmt: skip
def test_what_torch_offers_besides_is_refused(module: str, name: str) -> None:
    data = pickle.PROTO + b"\x05" + pickle.GLOBAL + f"{module}\n{name}\n".encode() + pickle.STOP
    with pytest.raises(ParcelError, match="asks for torch"):
        open_parcel(Parcel("evil.Mesh", "pickle", "", [data, [], []]), Codecs(), host_allow_list())


@BOTH
def test_module_with_parameters_and_buffers_is_rebuilt(allowed: AllowList | None) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Dropout(0.5)).eval()
    parcel = make_parcel(model, Codecs())
    assert len(parcel.content[0]) < 8000 and all(type(part) is torch.Tensor for part in parcel.content[1])
    again: Any = open_parcel(parcel, Codecs(), allowed)
    inputs = torch.randn(2, 3)
    assert torch.equal(again(inputs), model(inputs))
    assert type(again[0].weight) is torch.nn.Parameter and again[0].weight.requires_grad


@BOTH
def test_tensors_are_parts_and_keep_what_they_are(allowed: AllowList | None) -> None:
    base = torch.arange(6.0)
    leaf = torch.ones(2, requires_grad=True)
    value = {
        "base": base, "again": base, "view": base[2:], "leaf": leaf, "half": base.to(torch.bfloat16),
        "dtype": torch.float8_e4m3fn, "size": torch.Size([1, 2]), "device": torch.device("cpu"),
        "layout": torch.strided, "format": torch.channels_last,
        "sparse": torch.eye(3).to_sparse(), "meta": torch.empty(5, device="meta"),
    }  # fmt: skip
    again = reopened(value, allowed)
    assert again["again"] is again["base"]
    assert again["view"].untyped_storage().data_ptr() == again["base"].untyped_storage().data_ptr()
    assert again["leaf"].requires_grad and not again["base"].requires_grad
    for name in ("half", "view"):
        assert torch.equal(again[name], value[name])
    for name in ("dtype", "size", "device", "layout", "format"):
        assert again[name] == value[name]
    assert torch.equal(again["sparse"].to_dense(), torch.eye(3))
    assert again["meta"].is_meta and again["meta"].shape == (5,)


@BOTH
def test_storages_are_parts(allowed: AllowList | None) -> None:
    typed = torch.arange(4, dtype=torch.int16)._typed_storage()
    again = reopened({"typed": typed, "untyped": typed._untyped_storage}, allowed)
    assert again["typed"].dtype == torch.int16 and type(again["typed"]) is torch.TypedStorage
    assert list(bytes(again["typed"]._untyped_storage)) == [0, 0, 1, 0, 2, 0, 3, 0]
    assert again["untyped"].nbytes() == 8


def test_constant_this_torch_does_not_have_is_told() -> None:
    data = make_parcel(torch.float8_e4m3fn, Codecs()).content[0].tobytes().replace(b"e4m3fn", b"e9m9xx")
    with pytest.raises(ParcelError, match=r"has no constant 'float8_e9m9xx'"):
        open_parcel(Parcel("torch.dtype", "pickle", "", [data, [], []]), Codecs(), None)


def test_subclass_and_attributes_of_a_tensor_are_kept_in_a_worker() -> None:
    tensor = torch.arange(3)
    tensor.label = "ids"
    again = reopened([tensor, tensor], None)
    assert again[0].label == "ids" and again[0] is again[1] and again[0].tolist() == [0, 1, 2]
    with pytest.raises(ParcelError, match="_rebuild"):
        reopened(tensor, host_allow_list())


@BOTH
def test_images_are_parts(allowed: AllowList | None) -> None:
    images = pytest.importorskip(
        "PIL.Image", reason="Pillow is not installed: images in parcels are NOT tested here"
    )
    image = images.new("RGB", (4, 3), (1, 2, 3))
    parcel = make_parcel({"image": image}, Codecs())
    assert parcel.content[1] == [image]
    assert open_parcel(parcel, Codecs(), allowed)["image"] is image  # type: ignore[index]
