"""Whether the places that packages come from answer, and whether their certificates can be checked."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Iterator

from comfy_env_core.building.engines.conda_phase import channel_probe_url
from comfy_env_core.building.errors import BuildError
from comfy_env_core.building.fetching import Fetcher, ssl_context
from comfy_env_core.building.host_python import HostPython
from comfy_env_core.building.indexes import TORCH_BASE_VARIABLE, torch_index
from comfy_env_core.building.platform import Platform
from comfy_env_core.building.user_settings import UserSettings, redact
from comfy_env_core.doctor.finding import Finding, fail, ok, warn
from comfy_env_core.doctor.surroundings import Surroundings

_TIMEOUT_S = 5.0
#: A project that every complete index has.
_PROJECT = "pip"


def check_certificates(surroundings: Surroundings) -> Iterator[Finding]:
    settings = surroundings.settings
    try:
        count = ssl_context(settings, "pypi.org", 443).cert_store_stats()["x509_ca"]
    except (OSError, ValueError) as error:
        yield fail(
            "certificates",
            f"those of {settings.ca_bundle} cannot be loaded: {error}",
            "Correct SSL_CERT_FILE, or pip's setting cert.",
        )
        return
    if settings.trusted_hosts:
        hosts = ", ".join(settings.trusted_hosts)
        yield warn("certificates", f"not checked for {hosts}", "You told pip or uv so; remove it if you can.")
    if settings.ca_bundle is not None:
        yield ok("certificates", f"{count} authorities, from {settings.ca_bundle}")
    else:
        # Some systems load them one by one when they are needed, and count none before.
        yield ok("certificates", f"{count} authorities" if count else "this system's")


def check_places(surroundings: Surroundings) -> Iterator[Finding]:
    """All at once, so that several dead servers cost the time of one."""
    settings = surroundings.settings
    places = [place for place in _places(settings) if place[1].startswith(("http://", "https://"))]
    if not places:
        return
    executor = concurrent.futures.ThreadPoolExecutor(len(places), "comfy-env-doctor")
    fetcher = Fetcher(settings, timeout_s=_TIMEOUT_S)
    troubles = [executor.submit(fetcher.trouble, url) for _, url, _ in places]
    for (subject, url, without_it), trouble in zip(places, troubles, strict=True):
        try:
            yield _finding(subject, url, without_it, trouble.result(timeout=2 * _TIMEOUT_S))
        except concurrent.futures.TimeoutError:
            yield warn(subject, f"{redact(url)} gave no answer within {2 * _TIMEOUT_S:g} s", without_it)
    executor.shutdown(wait=False, cancel_futures=True)


def _places(settings: UserSettings) -> Iterator[tuple[str, str, str]]:
    """(subject, URL, what is the matter without it); "" for what nothing can be built without.

    Indexes that are directories are left out: a setting that names one which is not there is passed over.
    """
    if settings.main_index_url is not None:
        yield "index", f"{settings.main_index_url.rstrip('/')}/{_PROJECT}/", ""
    for url in settings.extra_index_urls:
        # Extra indexes need not have any one project: it is enough that the server speaks.
        yield "extra index", f"{url.rstrip('/')}/", "Packs that need what is only there cannot be built."
    for place in settings.find_links:
        yield "find-links", place, "Packs that need what is only there cannot be built."
    channel = channel_probe_url("conda-forge", settings.conda_mirrors)
    yield (
        "conda",
        channel,
        "Packs with conda packages cannot be built. A mirror is named in pixi's configuration.",
    )
    torch, _ = torch_index(Platform.current(), HostPython.current(), settings)
    if torch is not None:
        text = f"torch is looked for on your other indexes. {TORCH_BASE_VARIABLE} names a mirror."
        yield "torch", f"{torch.rstrip('/')}/torch/", text


def _finding(subject: str, url: str, without_it: str, trouble: BuildError | None) -> Finding:
    if trouble is None:
        return ok(subject, f"{redact(url)} answers")
    if without_it:
        return warn(subject, trouble.message, without_it)
    return fail(subject, trouble.message, trouble.remedy)
