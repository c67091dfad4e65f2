"""Pillow images arrive with the same pixels, and a damaged one before any memory is taken."""

from __future__ import annotations

import io
import subprocess
import sys
import time
import tracemalloc
from typing import Any

import pytest

from comfy_env_core.wire.values import libraries
from comfy_env_core.wire.values.classes import fingerprint, is_known
from comfy_env_core.wire.values.images import FINGERPRINT, PIXEL_BYTES, build_image, reduce_image

images: Any = pytest.importorskip("PIL.Image")

MODES = ["1", *PIXEL_BYTES]


def travelled(image: Any) -> Any:
    payload = reduce_image(image)
    assert payload is not None
    payload[2] = memoryview(bytearray(payload[2]))
    return build_image(payload)


def pattern(mode: str, size: tuple[int, int] = (13, 7)) -> Any:
    count = (size[0] + 7) // 8 * size[1] if mode == "1" else size[0] * size[1] * PIXEL_BYTES[mode]
    image = images.frombytes(mode, size, bytes(index * 37 % 251 for index in range(count)))
    if mode in ("P", "PA"):
        image.putpalette(bytes(range(256)) * 3)
    return image


def reopened(image: Any, file_format: str, **options: Any) -> Any:
    stream = io.BytesIO()
    image.save(stream, file_format, **options)
    stream.seek(0)
    return images.open(stream)


@pytest.mark.parametrize(
    "payload",
    [
        None,
        [],
        ["RGB", [1, 1], b"123"],
        ["RGB", [2, 2], b"123", None, {}],
        ["RGB", [1 << 40, 1 << 40], b"123", None, {}],
        ["RGB", [-1, -1], b"123", None, {}],
        ["RGB", [-3, -1], b"123456789", None, {}],
        ["RGB", [0, 1 << 31], b"", None, {}],
        ["L", [1 << 40, 0], b"", None, {}],
        ["RGB", [1.0, 1], b"123", None, {}],
        ["RGB", [range(10**15)], b"123", None, {}],
        ["RGB", [1, 1], 3, None, {}],
        ["RGB", [1, 1], range(3), None, {}],
        ["XYZ", [1, 1], b"123", None, {}],
        ["RGB;16", [1, 1], b"123456", None, {}],
        [["RGB"], [1, 1], b"123", None, {}],
        ["RGB", [1, 1], b"123", ["RGB", b"123"], {}],
        ["P", [1, 1], b"1", ["XYZ", b"123"], {}],
        ["P", [1, 1], b"1", ["RGB", 10**9], {}],
        ["P", [1, 1], b"1", ["RGB", bytes(3000)], {}],
        ["P", [1, 1], b"1", range(10**15), {}],
        ["RGB", [1, 1], b"123", None, [1]],
        ["RGB", [1, 1], b"123", None, {1: 2}],
    ],
    ids=lambda payload: repr(payload)[:40],
)
def test_damaged_image_is_an_ordinary_error_before_memory_is_taken(payload: Any) -> None:
    tracemalloc.start()
    started = time.monotonic()
    try:
        with pytest.raises((TypeError, ValueError)):
            build_image(payload)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 2_000_000 and time.monotonic() - started < 2


def test_image_whose_file_is_gone_or_damaged_stays_with_its_owner() -> None:
    broken = reopened(pattern("RGB", (64, 64)), "PNG")
    broken.fp.truncate(200)
    assert reduce_image(broken) is None
    closed = reopened(pattern("RGB"), "PNG")
    closed.close()
    assert reduce_image(closed) is None


def test_receiver_without_pillow_is_told_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "obtain", lambda name: None)
    with pytest.raises(ValueError, match="without Pillow"):
        build_image(reduce_image(pattern("L")))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(13, 7), (1, 1), (8, 3)])
def test_every_mode_arrives_with_the_same_pixels(mode: str, size: tuple[int, int]) -> None:
    image = pattern(mode, size)
    back = travelled(image)
    assert type(back) is images.Image and (back.mode, back.size) == (mode, size)
    assert back.tobytes() == image.tobytes() and back == image


@pytest.mark.parametrize("mode", ["1", "P", "RGB", "F"])
@pytest.mark.parametrize("size", [(0, 0), (0, 5), (5, 0)])
def test_image_without_pixels_arrives(mode: str, size: tuple[int, int]) -> None:
    assert travelled(images.new(mode, size)).size == size


def test_palettes_with_and_without_alpha_arrive() -> None:
    plain = pattern("RGB", (16, 16)).quantize(17)
    assert travelled(plain).convert("RGB").tobytes() == plain.convert("RGB").tobytes()
    clear = pattern("P")
    clear.putpalette(bytes(index * 5 % 256 for index in range(1024)), "RGBA")
    assert travelled(clear).convert("RGBA").tobytes() == clear.convert("RGBA").tobytes()


@pytest.mark.parametrize("transparency", [3, bytes([0, 128, 255])])
def test_transparent_palette_image_of_a_file_arrives_transparent(transparency: Any) -> None:
    opened = reopened(pattern("P"), "PNG", transparency=transparency)
    back = travelled(opened)
    assert back.info["transparency"] == transparency
    assert back.convert("RGBA").tobytes() == opened.convert("RGBA").tobytes()


def test_file_arrives_as_a_plain_image_with_its_texts_and_orientation() -> None:
    from PIL import PngImagePlugin

    texts = PngImagePlugin.PngInfo()
    texts.add_itxt("prompt", '{"1": "ü"}', lang="en")
    exif = images.Exif()
    exif[274] = 6
    opened = reopened(pattern("RGB"), "PNG", pnginfo=texts, exif=exif, dpi=(72, 72))
    opened.info["odd"] = object()
    opened.info[5] = "no name"
    back = travelled(opened)
    assert type(back) is images.Image and back.tobytes() == opened.tobytes()
    assert back.info["prompt"] == '{"1": "ü"}' and type(back.info["prompt"]) is str
    assert back.getexif()[274] == 6 and "odd" not in back.info and 5 not in back.info


def test_image_that_arrived_can_be_changed_and_changes_nothing_else() -> None:
    image = pattern("RGB")
    before = image.tobytes()
    back = travelled(image)
    back.putpixel((0, 0), (9, 9, 9))
    back.info["x"] = 1
    assert image.tobytes() == before and "x" not in image.info


def test_only_pillows_own_classes_count_as_images() -> None:
    opened = reopened(pattern("RGB"), "PNG")
    assert fingerprint(type(opened)) == fingerprint(images.Image) == FINGERPRINT
    assert is_known(*FINGERPRINT)
    own = type("Layered", (images.Image,), {"__module__": __name__})
    assert fingerprint(own) is None and fingerprint(int) is None


def test_whether_pillow_is_there_is_answered_without_importing_it() -> None:
    code = (
        "import sys\n"
        "from comfy_env_core.wire.values.classes import is_known\n"
        "print(is_known('PIL.Image', 'Image', ()), 'PIL' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["True", "False"]
