"""Where a Python without certificate authorities finds some, and who else is told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from comfy_env_core.building import certificates
from comfy_env_core.building.user_settings import UserSettings

ROOT = Path(certificates.__file__).parents[2]


def test_the_systems_own_file_comes_before_certifis(tmp_path: Path) -> None:
    own = tmp_path / "ca.pem"
    own.write_text("")
    assert certificates.find_bundle([str(tmp_path / "absent"), str(own)]) == own


def test_without_a_system_file_certifi_serves() -> None:
    bundle = certificates.find_bundle([])
    if bundle is None:
        pytest.skip("neither certifi nor pip is installed here")
    assert bundle.name == "cacert.pem"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps its authorities outside of files")
def test_a_python_that_lost_its_authorities_gets_some_and_so_do_the_tools() -> None:
    """Portable Pythons look for them where they were compiled."""
    if certificates.find_bundle() is None:
        pytest.skip("this machine has no authorities at all")
    program = (
        "from comfy_env_core.building.user_settings import UserSettings\n"
        "from comfy_env_core.building.fetching import ssl_context\n"
        "settings = UserSettings.gather({}, __import__('pathlib').Path('/nowhere'))\n"
        "print(settings.uv_environment()['SSL_CERT_FILE'], settings.pixi_environment()['SSL_CERT_FILE'])\n"
        "print(ssl_context(settings, 'pypi.org', 443).cert_store_stats()['x509_ca'])\n"
    )
    stripped = {"SSL_CERT_FILE": "/nowhere", "SSL_CERT_DIR": "/nowhere", "PYTHONPATH": str(ROOT)}
    completed = subprocess.run(
        [sys.executable, "-c", program], env=stripped, capture_output=True, text=True, check=True, timeout=60
    )
    places, count = completed.stdout.splitlines()
    assert set(places.split()) == {str(certificates.find_bundle())}
    assert int(count) > 0


def test_what_the_user_configured_is_never_replaced(tmp_path: Path) -> None:
    own = tmp_path / "company.pem"
    own.write_text("")
    settings = UserSettings.gather({"PIP_CERT": str(own), "PIP_CONFIG_FILE": "/dev/null"}, tmp_path)
    assert settings.uv_environment()["SSL_CERT_FILE"] == str(own)
