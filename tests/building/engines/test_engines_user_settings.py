"""What the user told pip, uv and pixi, and how it is said again."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from comfy_env_core.building.user_settings import UserSettings, redact

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the places are those of Linux")


def gather(home: Path, **environ: str) -> UserSettings:
    """Of an otherwise empty machine: this one's own files must not show."""
    return UserSettings.gather({"XDG_CONFIG_DIRS": str(home / "none"), **environ}, home)


def test_damaged_files_are_passed_over(tmp_path: Path) -> None:
    for name in ("pip/pip.conf", "uv/uv.toml", "pixi/config.toml"):
        path = tmp_path / ".config" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(b"[[[ \xff not a configuration")
    assert not gather(tmp_path).conda_mirrors


def test_credentials_show_in_no_representation(tmp_path: Path) -> None:
    settings = gather(
        tmp_path, PIP_INDEX_URL="https://me:s3cret@mirror/simple", HTTPS_PROXY="http://a:pw@proxy:1"
    )
    assert "s3cret" not in repr(settings)
    assert "pw@" not in repr(settings)
    assert settings.uv_environment()["UV_DEFAULT_INDEX"] == "https://me:s3cret@mirror/simple"
    assert redact("see https://u:p@h/x and http://h2/") == "see https://***@h/x and http://h2/"


def test_find_links_that_do_not_exist_are_left_out_because_uv_would_stop(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    links = f"{tmp_path}/there {tmp_path}/gone file://{tmp_path}/gone2"
    assert gather(tmp_path, PIP_FIND_LINKS=links).find_links == (f"{tmp_path}/there",)


def test_pip_files_and_variables_lie_over_each_other_as_pip_does_it(tmp_path: Path) -> None:
    config = tmp_path / ".config/pip/pip.conf"
    config.parent.mkdir(parents=True)
    config.write_text(
        "[global]\nindex-url = https://global/simple\ntrusted-host = a b\n[install]\nindex_url = https://install/simple\n"
    )
    assert gather(tmp_path).index_url == "https://install/simple"
    assert gather(tmp_path).trusted_hosts == ("a", "b")
    assert gather(tmp_path, PIP_INDEX_URL="https://variable/simple").index_url == "https://variable/simple"
    assert gather(tmp_path, PIP_CONFIG_FILE=os.devnull).index_url is None


def test_extra_indexes_of_pip_bring_pips_rule_and_those_of_uv_do_not(tmp_path: Path) -> None:
    of_pip = gather(tmp_path, PIP_EXTRA_INDEX_URL="https://a/simple https://b/simple")
    of_uv = gather(tmp_path, UV_INDEX="mine=https://a/simple https://b/simple")
    assert of_pip.extra_index_urls == of_uv.extra_index_urls == ("https://a/simple", "https://b/simple")
    assert of_pip.index_strategy == "unsafe-best-match"
    assert of_uv.index_strategy is None


def test_uv_settings_outrank_pips(tmp_path: Path) -> None:
    config = tmp_path / ".config/uv/uv.toml"
    config.parent.mkdir(parents=True)
    config.write_text(
        '[[index]]\nname = "x"\nurl = "https://x/simple"\n[[index]]\nurl = "https://main/simple"\ndefault = true\n'
        '[[index]]\nname = "e"\nurl = "https://e/simple"\nexplicit = true\n'
    )
    settings = gather(tmp_path, PIP_INDEX_URL="https://pip/simple")
    assert settings.index_url == "https://main/simple"
    assert settings.extra_index_urls == ("https://x/simple",)
    assert gather(tmp_path, UV_DEFAULT_INDEX="n=https://v/simple").index_url == "https://v/simple"


def test_mirrors_and_proxies_of_pixi_are_found(tmp_path: Path) -> None:
    config = tmp_path / ".pixi/config.toml"
    config.parent.mkdir()
    config.write_text(
        '[mirrors]\n"https://conda.anaconda.org/conda-forge" = ["https://m/cf"]\n[proxy-config]\nhttps = "http://p:1"\n'
        '[pypi-config]\nindex-url = "https://m/simple"\n'
    )
    settings = gather(tmp_path)
    assert settings.conda_mirrors == {"https://conda.anaconda.org/conda-forge": ("https://m/cf",)}
    assert settings.proxies["HTTPS_PROXY"] == "http://p:1"
    assert settings.index_url == "https://m/simple"
    assert settings.conda_files == (config,)


def test_our_own_mirror_outranks_that_of_pixi(tmp_path: Path) -> None:
    config = tmp_path / ".pixi/config.toml"
    config.parent.mkdir()
    config.write_text(
        '[mirrors]\n"https://conda.anaconda.org/conda-forge/" = ["https://m/cf"]\n"https://c" = ["https://m/c"]\n'
    )
    assert gather(tmp_path, COMFY_ENV_CONDA_MIRROR="https://own/cf/").conda_mirrors == {
        "https://c": ("https://m/c",),
        "https://conda.anaconda.org/conda-forge": ("https://own/cf",),
    }


def test_the_engine_may_be_left_to_us_in_words(tmp_path: Path) -> None:
    assert gather(tmp_path, COMFY_ENV_ENGINE="auto").engine is None
    assert gather(tmp_path, COMFY_ENV_ENGINE="pixi").engine == "pixi"


def test_the_certificate_is_passed_to_both_engines(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_text("")
    settings = gather(tmp_path, PIP_CERT=str(bundle))
    assert settings.uv_environment()["SSL_CERT_FILE"] == str(bundle)
    assert settings.pixi_environment()["PIXI_TLS_ROOT_CERTS"] == "system"
    alone = {"PIP_CONFIG_FILE": os.devnull}  # this machine's own /etc/pip.conf may name one
    assert gather(tmp_path, PIP_CERT=str(tmp_path / "gone"), **alone).ca_bundle is None
    directory = gather(tmp_path, REQUESTS_CA_BUNDLE=str(tmp_path), **alone)
    assert directory.uv_environment()["SSL_CERT_DIR"] == str(tmp_path)
