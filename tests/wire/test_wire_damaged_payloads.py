"""Nothing that stands where a payload belongs makes the receiver do much."""

from __future__ import annotations

import contextlib
import importlib
import random
import time
import tracemalloc
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comfy_env_core.wire.values.types import TypeCode, build_value, reduce_value

BUILT_BY_THE_CODEC = (
    *(
        "ARRAY",
        "TENSOR",
        "NUMPY_SCALAR",
        "OBJECT_ARRAY",
        "BUFFER",
        "HANDLE",
        "HOME",
        "INSTANCE",
        "NAMED_TUPLE",
    ),
    *("DEFINE", "REFER", "PARCEL", "FOREIGN", "METHOD"),
)
BUILT_HERE = [code for code in TypeCode if code.name not in BUILT_BY_THE_CODEC]


@pytest.fixture(scope="module", autouse=True)
def _libraries_are_loaded() -> None:
    # Their import would count as time and memory of the first payload.
    for name in ("numpy", "torch", "PIL.Image", "zoneinfo"):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


@pytest.mark.parametrize(
    "payload",
    [
        range(10**15),
        [range(10**15)],
        [range(10**15)] * 2,
        [range(10**15), 1, 1],
        10**9,
        [10**9],
        [10**9, 0, {}],
        [5, range(10**15)],
        [[range(10**15)]],
        ["1", "2"],
        "x" * 100,
        {"a": 1},
        [None, None],
        None,
        [2**70] * 9,
        [1] * 8 + [[2**60, None]],
        [["k", []], [range(10**15)]],
    ],
    ids=lambda payload: repr(payload)[:30],
)
@pytest.mark.parametrize("code", BUILT_HERE, ids=lambda code: code.name)
def test_payload_of_another_shape_is_an_ordinary_error_or_a_small_value(code: TypeCode, payload: Any) -> None:
    tracemalloc.start()
    started = time.monotonic()
    try:
        build_value(code, payload)
    except Exception as error:  # noqa: BLE001
        assert not isinstance(error, MemoryError)
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 4_000_000 and time.monotonic() - started < 2


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.binary(max_size=8)
    | st.sampled_from(["posix", "list", "<f4", "V999999999", "f4,f4", "O", "UTC", "../x", "torch.float32", "cuda:0"]),
    lambda inner: st.lists(inner, max_size=9) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(BUILT_HERE), JUNK)
def test_no_payload_does_worse_than_raise_an_ordinary_error(code: TypeCode, payload: Any) -> None:
    try:
        build_value(code, payload)
    except Exception as error:  # noqa: BLE001
        assert not isinstance(error, (MemoryError, AssertionError))


def test_fraction_of_enormous_numbers_is_refused_at_once_and_stays_with_its_owner() -> None:
    digits = random.Random(1).getrandbits(3_000_000)
    started = time.monotonic()
    with pytest.raises(ValueError, match="too many digits"):
        build_value(TypeCode.FRACTION, [digits, digits + 2])
    assert time.monotonic() - started < 1
    assert reduce_value(Fraction(1, 2**70_000)) is None
