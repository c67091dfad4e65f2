"""Which certificate authorities are trusted where Python came without any. Stdlib only.

Portable Pythons look where they were compiled, a place that often does not exist. The system's own file is looked for
then, because a company's authority is in it, and after it certifi's, which nearly every ComfyUI has (requests, pip).
Source of the places: Go's `crypto/x509/root_linux.go`, which lists those of all Linux distributions.
"""

from __future__ import annotations

import functools
import importlib
import ssl
from collections.abc import Sequence
from pathlib import Path

_SYSTEM_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


@functools.lru_cache(maxsize=1)
def missing_authorities() -> Path | None:
    """The file to load in addition, None where Python finds its authorities itself (or nothing can be found)."""
    if _has_authorities():
        return None
    return find_bundle()


def find_bundle(places: Sequence[str] = _SYSTEM_BUNDLES) -> Path | None:
    system = next((Path(place) for place in places if Path(place).is_file()), None)
    return system or _certifi_bundle()


def _has_authorities() -> bool:
    paths = ssl.get_default_verify_paths()
    if ssl.create_default_context().cert_store_stats()["x509_ca"] or paths.cafile:
        return True
    return bool(paths.capath and next(iter(Path(paths.capath).glob("*")), None))


def _certifi_bundle() -> Path | None:
    for name in ("certifi", "pip._vendor.certifi"):
        try:
            bundle = Path(importlib.import_module(name).where())
        except ImportError:
            continue
        if bundle.is_file():
            return bundle
    return None
