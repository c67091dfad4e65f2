"""Settings that are changed, the check of this computer, the file for whoever helps."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

from playwright.sync_api import expect

from panel.driver import Driver

SETTING = "max_workers"


def test_a_setting_is_saved_when_it_is_changed_and_can_be_taken_back(panel: Driver) -> None:
    settings = panel.section("Settings")
    field = settings.get_by_label("Most workers at once", exact=True)

    field.fill("3")
    field.press("Enter")
    expect(settings).to_contain_text("Chosen here. Takes effect at once.")
    assert (saved(panel)["value"], saved(panel)["source"]) == (3, "settings")

    settings.get_by_role("button", name="Most workers at once: back to the default").click()
    expect(settings).not_to_contain_text("Chosen here.")
    expect(field).to_have_value("0")
    assert saved(panel)["source"] == "default"


def test_what_the_server_does_not_take_is_told_in_its_words_beside_the_field(panel: Driver) -> None:
    settings = panel.section("Settings")
    field = settings.get_by_label("PyTorch mirror", exact=True)
    wrong = "https://me:secret@mirror.example/whl"

    field.fill(wrong)
    field.press("Enter")

    refused = panel.comfyui.request("POST", "/comfy-env/settings", {"torch_mirror": wrong}).body["error"]
    told = settings.get_by_role("alert").filter(has_text=refused["message"])
    expect(told).to_contain_text(refused["remedy"])
    expect(field).to_have_value(wrong)

    field.fill("")
    field.press("Enter")
    expect(told).to_have_count(0)


def test_a_number_beyond_its_bounds_is_not_sent(panel: Driver) -> None:
    settings = panel.section("Settings")
    field = settings.get_by_label("Most workers at once", exact=True)

    field.fill("-5")
    field.press("Enter")
    expect(
        settings.get_by_role("alert").filter(has_text="Value must be greater than or equal to 0")
    ).to_be_visible()
    assert saved(panel)["source"] == "default"

    field.fill("")
    field.press("Enter")
    expect(field).to_have_value("0")


def test_a_setting_that_a_variable_decides_cannot_be_changed_and_says_so(panel: Driver) -> None:
    settings = panel.section("Settings")
    expect(settings.get_by_label("When ComfyUI starts", exact=True)).to_be_disabled()
    expect(settings).to_contain_text("Set by COMFY_ENV_BUILD, where ComfyUI is started.")


def test_the_check_of_this_computer_tells_what_it_found(panel: Driver) -> None:
    help_ = panel.section("Help")
    help_.get_by_role("button", name="Check").click()
    expect(help_.get_by_role("button", name="Copy as text")).to_be_visible()

    jobs = panel.comfyui.get("/comfy-env/jobs")["jobs"]
    findings = next(job for job in reversed(jobs) if job["kind"] == "doctor")["result"]["findings"]
    for finding in findings:
        if finding["level"] != "ok":
            expect(help_).to_contain_text(finding["text"])
    expect(help_.get_by_role("button", name="What is well")).to_contain_text(
        str(sum(finding["level"] == "ok" for finding in findings))
    )


def test_the_file_for_whoever_helps_can_be_saved(panel: Driver, tmp_path: Path) -> None:
    with panel.page.expect_download() as download:
        panel.section("Help").get_by_role("link", name="Download support file").click()

    download.value.save_as(tmp_path / "support.zip")
    names = zipfile.ZipFile(io.BytesIO((tmp_path / "support.zip").read_bytes())).namelist()
    assert "summary.txt" in names


def saved(panel: Driver) -> dict[str, Any]:
    settings: list[dict[str, Any]] = panel.comfyui.get("/comfy-env/settings")["settings"]
    return next(setting for setting in settings if setting["name"] == SETTING)
