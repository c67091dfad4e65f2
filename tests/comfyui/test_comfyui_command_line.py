"""What ComfyUI's command line says of its server."""

from __future__ import annotations

from argparse import Namespace

import pytest

from comfy_env_core.comfyui.command_line import listens_remotely


@pytest.mark.parametrize(
    ("listen", "remotely"),
    [
        ("127.0.0.1", False),
        ("127.0.0.1, ::1", False),
        ("localhost", False),
        ("0.0.0.0,::", True),
        ("127.0.0.1,192.168.1.7", True),
        ("my-computer", True),
    ],
)
def test_only_loopback_addresses_keep_others_out(listen: str, remotely: bool) -> None:
    assert listens_remotely(Namespace(listen=listen)) is remotely
