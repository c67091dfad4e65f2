"""Standing down under an organisation policy; a governance module that cannot be read counts as one."""

from __future__ import annotations

import enum
from types import ModuleType

import pytest

from comfy_env_core.comfyui.policy import reason_to_stand_down


class Mode(enum.Enum):
    RESTRICTED = "restricted"
    OPEN = "open"


def governance(**members: object) -> ModuleType:
    module = ModuleType("app.governance")
    vars(module).update(members)
    return module


def test_unreadable_governance_counts_as_a_policy() -> None:
    assert "cannot be read" in str(reason_to_stand_down(governance()))


@pytest.mark.parametrize("mode", ["restricted", "allowlist", 3, Mode.RESTRICTED])
def test_a_policy_is_named(mode: object) -> None:
    assert "policy applies" in str(reason_to_stand_down(governance(_custom_node_mode=mode)))


@pytest.mark.parametrize("mode", [None, "", "open", "off", Mode.OPEN])
def test_no_policy_is_no_reason(mode: object) -> None:
    assert reason_to_stand_down(governance(_custom_node_mode=mode)) is None


def test_a_comfyui_without_governance_has_no_policy() -> None:
    assert reason_to_stand_down(None) is None
