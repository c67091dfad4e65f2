"""Mirrors, proxies, certificates and switches the user has already configured, for whichever tool does the work.

A user behind a company mirror has told pip, uv or pixi about it once. `UserSettings.gather` reads that, and
`uv_environment` / `pixi_environment` say it again in the words of the engine, because uv does not read pip's settings
and neither engine inherits `UV_*`, `PIP_*` or `PIXI_*` variables from us. Stdlib only: the bootstrap needs it.

URLs may hold credentials. They are passed on in environment variables only, and `redact` hides them in everything
that is logged or shown (`repr` included).
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from comfy_env_core.building.certificates import missing_authorities
from comfy_env_core.building.user_files import ToolOptions, pip_options, pixi_options, uv_options

DEFAULT_INDEX_URL = "https://pypi.org/simple"
CONDA_FORGE_URL = "https://conda.anaconda.org/conda-forge"
CONDA_MIRROR_VARIABLE = "COMFY_ENV_CONDA_MIRROR"

_CERTIFICATE_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
#: Variables of uv that describe the user's network and hardware and change nothing of what gets installed.
_UV_TUNING = (
    "UV_HTTP_TIMEOUT",
    "UV_HTTP_CONNECT_TIMEOUT",
    "UV_HTTP_RETRIES",
    "UV_CONCURRENT_DOWNLOADS",
    "UV_CONCURRENT_BUILDS",
    "UV_CONCURRENT_INSTALLS",
    "UV_KEYRING_PROVIDER",
)
#: Greedy: a password may hold an "@" that should have been written as "%40". Also in URLs that were encoded as a whole,
#: or escaped for JSON.
_USERINFO = re.compile(
    r"(?i)((?::|%(?:25){0,4}3a)(?:\\{0,8}/|%(?:25){0,4}2f){2})"
    r"(?:(?!%(?:25){0,4}2f)[^/\s\"'])+(?:@|%(?:25){0,4}40)"
)
_SECRET_PARAMETER = re.compile(
    r"(?i)([?&](?:[\w-]*(?:token|secret|password|signature|credential)|api[-_]?key|sig)=)[^&\s\"'#]+"
)


def redact(text: str) -> str:
    """`text` with user, password and secret parameters of every URL in it replaced by `***`."""
    return _SECRET_PARAMETER.sub(r"\1***", _USERINFO.sub(r"\1***@", text))


def without_credentials(url: str) -> str:
    """`url` without its user and password."""
    return _USERINFO.sub(r"\1", url)


@dataclasses.dataclass(frozen=True, repr=False)
class UserSettings:
    """What the user configured. Empty fields mean: nothing said, the tool's default is right.

    `index_strategy` is uv's word. pip looks at all its indexes and takes the best version, uv stops at the first index
    that knows the name; extra indexes that were written for pip therefore bring pip's rule with them.
    `conda_mirrors` maps a channel URL to the URLs that are asked in its place. `files` were read for all this;
    `conda_files` among them are pixi's and rattler's, which the engines can read themselves.
    """

    index_url: str | None = None
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    no_index: bool = False
    index_strategy: str | None = None
    ca_bundle: Path | None = None
    client_certificate: Path | None = None
    system_certificates: bool = False
    trusted_hosts: tuple[str, ...] = ()
    proxies: Mapping[str, str] = dataclasses.field(default_factory=dict)
    conda_mirrors: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    python_mirror: str | None = None
    engine: str | None = None
    pixi_path: Path | None = None
    pixi_mirror: str | None = None
    python_path: Path | None = None
    link_mode: str | None = None
    environ: Mapping[str, str] = dataclasses.field(default_factory=dict)
    home: Path = Path()
    files: tuple[Path, ...] = ()
    conda_files: tuple[Path, ...] = ()

    @classmethod
    def gather(cls, environ: Mapping[str, str], home: Path) -> UserSettings:
        """Everything found in `environ` and in the tools' files. uv's own settings outrank pip's, pixi's come last."""
        pip, uv, pixi = pip_options(environ, home), uv_options(environ, home), pixi_options(environ, home)
        return cls(
            **_indexes(environ, pip, uv, pixi),
            **_security(environ, pip, uv, pixi),
            proxies=_proxies(environ, pip, pixi),
            conda_mirrors=_conda_mirrors(environ, pixi),
            python_mirror=_first(environ.get("UV_PYTHON_INSTALL_MIRROR"), uv.text("python-install-mirror")),
            engine=_engine(environ),
            pixi_path=_path(environ.get("COMFY_ENV_PIXI")),
            pixi_mirror=_first(environ.get("COMFY_ENV_PIXI_MIRROR")),
            python_path=_path(environ.get("COMFY_ENV_PYTHON")),
            link_mode=_first(environ.get("UV_LINK_MODE"), uv.text("link-mode")),
            environ=dict(environ),
            home=home,
            files=(*pip.files, *uv.files, *pixi.files),
            conda_files=pixi.files,
        )

    @property
    def main_index_url(self) -> str | None:
        """The index to ask first, None if the user allows find-links only."""
        return None if self.no_index else self.index_url or DEFAULT_INDEX_URL

    def with_places(self, variables: Mapping[str, str]) -> UserSettings:
        """The same with the indexes and find-links of these `UV_*` variables instead."""
        return dataclasses.replace(
            self,
            index_url=variables.get("UV_DEFAULT_INDEX") or self.index_url,
            extra_index_urls=tuple(variables.get("UV_INDEX", "").split()),
            find_links=tuple(place for place in variables.get("UV_FIND_LINKS", "").split(",") if place),
        )

    def is_trusted(self, host: str, port: int | None) -> bool:
        """True if the user told pip or uv not to verify this host's certificate."""
        return host in self.trusted_hosts or f"{host}:{port}" in self.trusted_hosts

    def uv_environment(self) -> dict[str, str]:
        """The settings as variables of uv 0.13; the caller adds cache, link mode and switches."""
        variables = {
            "UV_DEFAULT_INDEX": self.index_url or "",
            "UV_INDEX": " ".join(self.extra_index_urls),
            "UV_FIND_LINKS": ",".join(self.find_links),
            "UV_NO_INDEX": "1" if self.no_index else "",
            "UV_INDEX_STRATEGY": self.index_strategy or "",
            "UV_INSECURE_HOST": " ".join(self.trusted_hosts),
            "UV_SYSTEM_CERTS": "1" if self.system_certificates else "",
            "UV_PYTHON_INSTALL_MIRROR": self.python_mirror or "",
            "UV_HTTP_TIMEOUT": self.environ.get("PIP_DEFAULT_TIMEOUT", ""),
            "UV_HTTP_RETRIES": self.environ.get("PIP_RETRIES", ""),
            "SSL_CLIENT_CERT": str(self.client_certificate or ""),
            **{name: self.environ[name] for name in _UV_TUNING if name in self.environ},
        }
        return {**self._network_environment(), **{name: value for name, value in variables.items() if value}}

    def pixi_environment(self) -> dict[str, str]:
        """The settings as variables of pixi. Mirrors stand in the workspace's `config.toml` instead."""
        variables = self._network_environment()
        if self.ca_bundle or self.system_certificates:
            variables["PIXI_TLS_ROOT_CERTS"] = "system"
        if self.environ.get("RATTLER_AUTH_FILE"):
            variables["RATTLER_AUTH_FILE"] = self.environ["RATTLER_AUTH_FILE"]
        return variables

    def _network_environment(self) -> dict[str, str]:
        variables = dict(self.proxies)
        bundle = self.ca_bundle or missing_authorities()
        if bundle:
            variables["SSL_CERT_DIR" if bundle.is_dir() else "SSL_CERT_FILE"] = str(bundle)
        return variables

    def __repr__(self) -> str:
        hidden = {"environ", "home"}
        pairs = ((f.name, getattr(self, f.name)) for f in dataclasses.fields(self) if f.name not in hidden)
        return f"UserSettings({', '.join(f'{name}={redact(repr(value))}' for name, value in pairs if value)})"


def _indexes(
    environ: Mapping[str, str], pip: ToolOptions, uv: ToolOptions, pixi: ToolOptions
) -> dict[str, Any]:  # Any: keyword arguments of UserSettings
    default, named = _uv_file_indexes(uv)
    pixi_pypi = ToolOptions(pixi.table("pypi-config"), ())
    uv_extra = (
        *_index_words(environ.get("UV_INDEX")),
        *_index_words(environ.get("UV_EXTRA_INDEX_URL")),
    ) or (*named, *uv.words("extra-index-url"))
    extra = uv_extra or pip.words("extra-index-url") or pixi_pypi.words("extra-index-urls")
    strategy = _first(environ.get("UV_INDEX_STRATEGY"), uv.text("index-strategy"))
    if extra and not uv_extra and strategy is None and pip.words("extra-index-url"):
        strategy = "unsafe-best-match"
    links = (
        tuple(word for word in environ.get("UV_FIND_LINKS", "").split(",") if word)
        or uv.words("find-links")
        or pip.words("find-links")
    )
    return {
        "index_url": _first(
            *_index_words(environ.get("UV_DEFAULT_INDEX")),
            environ.get("UV_INDEX_URL"),
            default,
            uv.text("index-url"),
            pip.text("index-url"),
            pixi_pypi.text("index-url"),
        ),
        "extra_index_urls": tuple(dict.fromkeys(url for url in extra if _is_usable(url))),
        "find_links": tuple(dict.fromkeys(link for link in links if _is_usable(link))),
        "no_index": _is_true(environ.get("UV_NO_INDEX")) or _is_true(pip.text("no-index")),
        "index_strategy": strategy,
    }


def _security(
    environ: Mapping[str, str], pip: ToolOptions, uv: ToolOptions, pixi: ToolOptions
) -> dict[str, Any]:  # Any: keyword arguments of UserSettings
    candidates = [pip.text("cert"), *(environ.get(name) for name in _CERTIFICATE_VARIABLES)]
    pixi_pypi = ToolOptions(pixi.table("pypi-config"), ())
    trusted = (
        *environ.get("UV_INSECURE_HOST", "").split(),
        *uv.words("allow-insecure-host"),
        *pip.words("trusted-host"),
        *pixi_pypi.words("allow-insecure-host"),
    )
    return {
        "ca_bundle": next((Path(text) for text in candidates if text and os.path.exists(text)), None),
        "client_certificate": _path(_first(environ.get("SSL_CLIENT_CERT"), pip.text("client-cert"))),
        "system_certificates": any(
            _is_true(environ.get(name)) for name in ("UV_SYSTEM_CERTS", "UV_NATIVE_TLS")
        )
        or uv.values.get("native-tls") is True
        or uv.values.get("system-certs") is True,
        "trusted_hosts": tuple(dict.fromkeys(trusted)),
    }


def _proxies(environ: Mapping[str, str], pip: ToolOptions, pixi: ToolOptions) -> dict[str, str]:
    """Proxy variables under the spelling every tool reads; pip's `proxy` and pixi's `proxy-config` fill gaps."""
    found = {}
    for name in _PROXY_VARIABLES:
        value = environ.get(name.lower()) or environ.get(name)
        if value:
            found[name] = value
    configured = ToolOptions(pixi.table("proxy-config"), ())
    for name, value in (
        ("HTTP_PROXY", pip.text("proxy") or configured.text("http")),
        ("HTTPS_PROXY", pip.text("proxy") or configured.text("https")),
        ("NO_PROXY", ",".join(configured.words("non-proxy-hosts"))),
    ):
        if value:
            found.setdefault(name, value)
    return found


def _conda_mirrors(environ: Mapping[str, str], pixi: ToolOptions) -> dict[str, tuple[str, ...]]:
    """pixi's, and `COMFY_ENV_CONDA_MIRROR` for the channel that most packs use."""
    mirrors = {key: tuple(value) for key, value in pixi.table("mirrors").items() if isinstance(value, list)}
    own = _first(environ.get(CONDA_MIRROR_VARIABLE))
    if own is not None:
        mirrors = {key: value for key, value in mirrors.items() if key.rstrip("/") != CONDA_FORGE_URL}
        mirrors[CONDA_FORGE_URL] = (own.rstrip("/"),)
    return mirrors


def _engine(environ: Mapping[str, str]) -> str | None:
    """`COMFY_ENV_ENGINE`; "auto" says the same as nothing."""
    wanted = _first(environ.get("COMFY_ENV_ENGINE"))
    return None if wanted == "auto" else wanted


def _uv_file_indexes(uv: ToolOptions) -> tuple[str | None, tuple[str, ...]]:
    """The default and the further indexes of uv.toml's `[[index]]` tables; explicit ones belong to single packages."""
    tables = uv.values.get("index")
    default: str | None = None
    further: list[str] = []
    for table in tables if isinstance(tables, list) else ():
        if not isinstance(table, dict) or not isinstance(table.get("url"), str) or table.get("explicit"):
            continue
        if table.get("default"):
            default = table["url"]
        else:
            further.append(table["url"])
    return default, tuple(further)


def _index_words(text: str | None) -> tuple[str, ...]:
    """URLs of a uv variable whose words may be written `name=url`."""
    return tuple(re.sub(r"^[\w.-]+=(?=\w+:)", "", word) for word in (text or "").split())


def _is_usable(link: str) -> bool:
    """False for a local directory that does not exist: pip passes over it, uv would stop the build."""
    if re.match(r"[A-Za-z]:[\\/]", link) or "://" not in link:
        return os.path.exists(os.path.expanduser(link))
    parts = urlsplit(link)
    return parts.scheme != "file" or os.path.exists(local_path(link))


def local_path(url: str) -> str:
    """The file system path of a `file:` URL (`file:///C:/x` → `C:/x` on Windows)."""
    path = unquote(urlsplit(url).path)
    return path[1:] if os.name == "nt" and re.match(r"/[A-Za-z]:", path) else path


def _first(*texts: str | None) -> str | None:
    return next((text.strip() for text in texts if text and text.strip()), None)


def _path(text: str | None) -> Path | None:
    return Path(text).expanduser() if text and text.strip() else None


def _is_true(text: str | None) -> bool:
    return (text or "").strip().lower() in ("1", "true", "yes", "on")
