"""Element types, devices and shapes of numpy and torch as payloads, and back.

A numpy dtype is `[text, form]`; `form` is numpy's own spelling ("<f4"), or a dict with `base` and `shape` for a
sub-array, or with `names`, `formats`, `offsets`, `itemsize` and `aligned` for a structure. Where the receiver
lacks the library, a dtype or device arrives as its text and a torch.Size as a tuple.
"""

from __future__ import annotations

import re
from typing import Any

from comfy_env_core.wire.values import libraries
from comfy_env_core.wire.values.payloads import as_attributes, as_integer, as_integers, as_list, as_text

SPELLING = re.compile(r"[<>|=]?[?bBiufcmMOSUV][0-9]{0,9}(\[[0-9]{0,9}[A-Za-z]{1,2}(/[0-9]{1,9})?\])?")


def is_numpy_dtype(value: Any) -> bool:
    """Whether it is a numpy dtype."""
    numpy = libraries.loaded("numpy")
    return numpy is not None and isinstance(value, getattr(numpy, "dtype", ()))


def reduce_numpy_dtype(value: Any) -> list[Any] | None:
    """[text, form], None for a dtype that another library added to numpy."""
    form = _form_of(value)
    return None if form is None else [str(value), form]


def build_numpy_dtype(payload: Any) -> Any:
    """The dtype, or its text where numpy is missing."""
    text, form = as_list(payload, 2)
    numpy = libraries.obtain("numpy")
    return as_text(text) if numpy is None else _build_form(numpy, form)


def _form_of(dtype: Any) -> Any:
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        form = _form_of(base)
        return None if form is None else {"base": form, "shape": list(shape)}
    if dtype.names is None:
        return dtype.str if _is_numpys_own(dtype) else None
    fields = [dtype.fields[name] for name in dtype.names]
    formats = [_form_of(field[0]) for field in fields]
    if None in formats:
        return None
    return {
        "names": list(dtype.names),
        "formats": formats,
        "offsets": [field[1] for field in fields],
        "itemsize": dtype.itemsize,
        "aligned": dtype.isalignedstruct,
    }


def _is_numpys_own(dtype: Any) -> bool:
    # Libraries add dtypes (bfloat16 of ml_dtypes) whose spelling numpy reads as raw bytes.
    spelling: str = dtype.str
    numpy = libraries.loaded("numpy")
    return numpy is not None and SPELLING.fullmatch(spelling) is not None and numpy.dtype(spelling) == dtype


def _build_form(numpy: Any, form: Any) -> Any:
    if type(form) is str:
        # Not any text: numpy reads "i4, f8, ..." as a structure, one field after the other.
        if SPELLING.fullmatch(form) is None:
            raise ValueError(f"{form[:40]!r} is no spelling of a numpy dtype")
        return numpy.dtype(form)
    parts = as_attributes(form)
    if "base" in parts:
        return numpy.dtype((_build_form(numpy, parts["base"]), tuple(as_integers(parts["shape"]))))
    layout = {
        "names": [as_text(name) for name in as_list(parts["names"])],
        "formats": [_build_form(numpy, inner) for inner in as_list(parts["formats"])],
        "offsets": as_integers(parts["offsets"]),
        "itemsize": as_integer(parts["itemsize"]),
    }
    return numpy.dtype(layout, align=parts["aligned"] is True)


def build_torch_size(payload: Any) -> Any:
    """A torch.Size, or a tuple where torch is missing."""
    sizes = as_integers(payload)
    torch = libraries.obtain("torch")
    return tuple(sizes) if torch is None else torch.Size(sizes)


def build_torch_dtype(payload: Any) -> Any:
    """The dtype of a text such as "torch.float16", or the text where torch is missing."""
    text = as_text(payload)
    torch = libraries.obtain("torch")
    if torch is None:
        return text
    found = vars(torch).get(text.rpartition(".")[2])
    if not isinstance(found, torch.dtype):
        raise ValueError(f"this environment's torch {torch.__version__} has no dtype {text[:40]!r}")
    return found


def build_torch_device(payload: Any) -> Any:
    """The device of a text such as "cuda:0", whether this machine has it or not; the text where torch is missing."""
    text = as_text(payload)
    torch = libraries.obtain("torch")
    return text if torch is None else torch.device(text)
