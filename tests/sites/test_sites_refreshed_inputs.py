"""What a worker says later of its nodes' inputs is kept, without losing what was known."""

from __future__ import annotations

from typing import Any

from comfy_env_core.sites.record import SiteRecord


def entry(name: str, inputs: Any, error: str | None = None) -> dict[str, Any]:
    return {
        "module": "pack",
        "qualname": name,
        "v3": False,
        "input_types": inputs,
        "input_types_error": error,
    }


def record(*entries: dict[str, Any]) -> SiteRecord:
    descriptions = {"pack": {"module": "pack", "classes": list(entries), "exports": {}}}
    return SiteRecord(
        "key", "env", 1, "none", "3.11.7", has_torch=False, source="s", descriptions=descriptions
    )


def classes(kept: SiteRecord) -> list[Any]:
    found: list[Any] = kept.descriptions["pack"]["classes"]
    return found


def test_new_inputs_take_the_place_of_the_old_ones_of_their_class() -> None:
    before = record(entry("A", {"required": {}}), entry("B", {"required": {}}))
    news = {("pack", "B"): {"input_types": {"required": {"x": ["INT"]}}, "input_types_error": None}}
    after = before.with_inputs(news)
    assert classes(after) == [classes(before)[0], entry("B", {"required": {"x": ["INT"]}})]
    assert classes(before)[1] == entry("B", {"required": {}}), "the host goes on with what it made nodes of"


def test_inputs_that_could_not_be_had_again_stay_known() -> None:
    before = record(entry("A", {"required": {}}))
    after = before.with_inputs({("pack", "A"): {"input_types": None, "input_types_error": "no network"}})
    assert classes(after) == classes(before) and not after.lacks_inputs()


def test_record_lacks_inputs_until_each_class_has_them() -> None:
    before = record(entry("A", None, "no network"))
    assert before.lacks_inputs()
    news = {("pack", "A"): {"input_types": {"required": {}}, "input_types_error": None}}
    assert not before.with_inputs(news).lacks_inputs()
