"""Element types, devices and sizes arrive as themselves, or as text where the library is missing."""

from __future__ import annotations

from typing import Any

import pytest

from comfy_env_core.wire.values import libraries
from comfy_env_core.wire.values.types import TypeCode, build_value, reduce_value


def travelled(value: Any) -> Any:
    reduced = reduce_value(value)
    assert reduced is not None
    return build_value(*reduced)


def test_numpy_dtypes_arrive_whole() -> None:
    numpy = pytest.importorskip("numpy")
    for spelling in ("<f4", ">i2", "?", "S7", "<U3", "<M8[ns]", "<M8[25s]", "O", "V12", "<c16", "<f8"):
        assert travelled(numpy.dtype(spelling)) == numpy.dtype(spelling)
    inner = numpy.dtype([("r", "u1"), ("g", ">u2")])
    layout = {"names": ["a", "b"], "formats": [inner, ("<f4", (2, 3))], "offsets": [4, 16], "itemsize": 64}
    for dtype in (
        inner,
        numpy.dtype(layout),
        numpy.dtype([("x", "i1"), ("y", "f8")], align=True),
        numpy.dtype(("<f4", (2,))),
    ):
        back = travelled(dtype)
        assert back == dtype and back.itemsize == dtype.itemsize and back.fields == dtype.fields
        assert back.isalignedstruct == dtype.isalignedstruct


def test_spelling_that_is_no_single_dtype_is_refused() -> None:
    pytest.importorskip("numpy")
    for form in (
        "f4,f8",
        "float32",
        "V99999999999",
        "<M8[1000000000000D]",
        5,
        {"base": "<f4", "shape": [-1]},
    ):
        with pytest.raises((TypeError, ValueError, KeyError)):
            build_value(TypeCode.NUMPY_DTYPE, ["text", form])


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_without_the_library_types_arrive_as_text_and_sizes_as_tuples(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libraries, "obtain", lambda name: None)
    if library == "numpy":
        assert build_value(TypeCode.NUMPY_DTYPE, ["float32", "<f4"]) == "float32"
        return
    assert build_value(TypeCode.TORCH_SIZE, [2, 3]) == (2, 3)
    assert build_value(TypeCode.TORCH_DTYPE, "torch.float16") == "torch.float16"
    assert build_value(TypeCode.TORCH_DEVICE, "cuda:1") == "cuda:1"


def test_torch_sizes_dtypes_and_devices_arrive_as_themselves() -> None:
    torch = pytest.importorskip("torch")
    for value in (
        torch.Size([2, 3]),
        torch.Size([]),
        torch.bfloat16,
        torch.device("cuda", 1),
        torch.device("cpu"),
    ):
        back = travelled(value)
        assert back == value and type(back) is type(value)
    with pytest.raises(ValueError, match=r"has no dtype 'torch\.float3'"):
        build_value(TypeCode.TORCH_DTYPE, "torch.float3")
    with pytest.raises(ValueError, match="has no dtype"):
        build_value(TypeCode.TORCH_DTYPE, "torch.save")
