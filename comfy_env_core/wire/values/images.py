"""Pillow images as payloads, and back.

Payload: `[mode, [width, height], pixels, palette, info]`. `pixels` are Pillow's raw bytes of the mode, row by row
without padding, `palette` is nil or `[mode, bytes]`, `info` the plain part of the image's own dict (text chunks,
dpi, transparency, exif, colour profile). Any image arrives as a plain `PIL.Image.Image`: one that was opened from
a file has been read by then, and one with several frames arrives as the frame it stood at.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from comfy_env_core.wire.values import libraries
from comfy_env_core.wire.values.payloads import (
    as_attributes,
    as_bytes,
    as_integers,
    as_list,
    as_text,
    is_plain,
)

# Stands for every class of image, as classes.fingerprint gives it.
FINGERPRINT = ("PIL.Image", "Image", ())
# Bytes per pixel, by Pillow's table of modes; "1" has eight pixels in a byte.
PIXEL_BYTES = {
    "L": 1,
    "P": 1,
    "I;16": 2,
    "I;16L": 2,
    "I;16B": 2,
    "I;16N": 2,
    "LA": 2,
    "La": 2,
    "PA": 2,
    "RGB": 3,
    "YCbCr": 3,
    "LAB": 3,
    "HSV": 3,
    "RGBA": 4,
    "RGBa": 4,
    "RGBX": 4,
    "CMYK": 4,
    "I": 4,
    "F": 4,
}
# An image without pixels still has a table of its rows.
MAX_EMPTY_SIDE = 1 << 16


def is_image_class(kind: type) -> bool:
    """Whether instances are images and nothing more: Pillow's own class, or what its plugins open files as."""
    images = libraries.loaded("PIL.Image")
    if images is None:
        return False
    if kind is getattr(images, "Image", None):
        return True
    files = libraries.loaded("PIL.ImageFile")
    return files is not None and issubclass(kind, getattr(files, "ImageFile", ()))


def reduce_image(image: Any) -> list[Any] | None:
    """The payload; None for a mode that is not in PIXEL_BYTES, and for a file that cannot be read any more."""
    try:
        image.load()
        if image.mode != "1" and image.mode not in PIXEL_BYTES:
            return None
        pixels = image.tobytes() if 0 not in image.size else b""
        palette = image.getpalette(None) if image.mode in ("P", "PA") else None
    # Whatever the decoder of the format raises; the owner of the image meets it when it uses the image.
    except Exception:  # noqa: BLE001
        return None
    if len(pixels) != _size_bytes(image.mode, image.size):
        return None
    described = None if palette is None else [image.palette.mode, bytes(palette)]
    info = {
        name: entry for name, entry in image.info.items() if type(name) is str and is_plain(_undressed(entry))
    }
    return [
        image.mode,
        list(image.size),
        memoryview(pixels),
        described,
        {name: _undressed(entry) for name, entry in info.items()},
    ]


def build_image(payload: Any) -> Any:
    """A plain image. Raises ValueError or TypeError before it allocates anything that does not fit."""
    mode, size, pixels, palette, info = as_list(payload, 5)
    width, height = as_integers(size, 2)
    content = as_bytes(pixels)
    if width < 0 or height < 0 or len(content) != _size_bytes(as_text(mode), (width, height)):
        raise ValueError(
            f"{len(content)} bytes do not make an image {width} x {height} of mode {mode[:10]!r}"
        )
    if not content and max(width, height) > MAX_EMPTY_SIDE:
        raise ValueError(f"an image of {width} x {height} pixels is none")
    images = libraries.obtain("PIL.Image")
    if images is None:
        raise ValueError("an image arrived in an environment without Pillow; add pillow to it")
    image = images.frombytes(mode, (width, height), content) if content else images.new(mode, (width, height))
    if palette is not None:
        palette_mode, colours = as_list(palette, 2)
        colours = bytes(as_bytes(colours))
        if mode not in ("P", "PA") or palette_mode not in ("RGB", "RGBA"):
            raise ValueError(f"an image of mode {mode!r} has no palette of {str(palette_mode)[:10]!r}")
        if len(colours) > 256 * len(palette_mode):
            raise ValueError(f"a palette of {len(colours)} bytes has more than 256 colours")
        image.putpalette(colours, palette_mode)
    image.info.update(as_attributes(info))
    return image


def _size_bytes(mode: str, size: Sequence[int]) -> int:
    width, height = size
    if mode == "1":
        return (width + 7) // 8 * height
    if mode not in PIXEL_BYTES:
        raise ValueError(f"{mode[:10]!r} is no mode of an image that can travel")
    return width * height * PIXEL_BYTES[mode]


def _undressed(entry: Any) -> Any:
    # Text chunks of a PNG are a str with a language.
    return str.__str__(entry) if isinstance(entry, str) else entry
