"""``nox -s conformance``: ComfyUI's own tests in two releases, un-isolated and isolated.

Ends with a line for each release, and with exit code 1 unless every test passes isolated that passes un-isolated.
The whole output of each run, and its figures, are in ``build/conformance``.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys

from conformance.suite import Outcome, boot, copy_comfyui, run_suite
from host.base import REPOSITORY
from host.installation import NEWEST, OLDEST, Release, prepare

PLACE = REPOSITORY / "build" / "conformance"
RELEASES = {release.comfyui_version: release for release in (NEWEST, OLDEST)}


def main(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    lines, is_good = [], True
    for version in options.releases or RELEASES:
        isolated = _run(RELEASES[version], options.selected, isolated=True)
        plain = None if options.only_isolated else _run(RELEASES[version], options.selected, isolated=False)
        if plain is not None:
            print(_comparison(version, isolated, plain), flush=True)
        lines.append(_summary(version, isolated, plain))
        expected = isolated.passed if plain is None else plain.passed
        is_good &= not isolated.failed and isolated.passed == expected
    print("\n".join(lines))
    return 0 if is_good else 1


def _run(release: Release, selected: list[str], *, isolated: bool) -> Outcome:
    installation = prepare(release)
    name = "isolated" if isolated else "plain"
    place = PLACE / release.comfyui_version
    comfyui = copy_comfyui(installation, place / name, isolated=isolated)
    environment = {"COMFY_ENV_ROOT": str(PLACE / "store")}
    described = boot(comfyui, installation, environment)
    (place / f"{name}.object_info.json").write_text(json.dumps(described, indent=1), encoding="utf-8")
    print(f"ComfyUI {release.comfyui_version}, {name}: its own tests in {comfyui}", flush=True)
    outcome = run_suite(comfyui, installation, environment=environment, selected=selected)
    (place / f"{name}.log").write_text(outcome.output, encoding="utf-8")
    figures = {**dataclasses.asdict(outcome), "output": str(place / f"{name}.log")}
    (place / f"{name}.json").write_text(json.dumps(figures, indent=2), encoding="utf-8")
    for test in outcome.failed:
        print(f"  failed: {test}")
    print(f"  {outcome.passed} passed, {len(outcome.failed)} failed, {outcome.duration_s:.0f} s", flush=True)
    return outcome


def _comparison(version: str, isolated: Outcome, plain: Outcome) -> str:
    """How long both took, and for how many test nodes the page was told the same; those that differ by name."""
    texts = [
        json.loads((PLACE / version / f"{name}.object_info.json").read_text(encoding="utf-8"))
        for name in ("plain", "isolated")
    ]
    names = sorted({*texts[0], *texts[1]})
    different = [name for name in names if texts[0].get(name) != texts[1].get(name)]
    return "\n".join(
        [
            f"  {isolated.duration_s / plain.duration_s:.2f} times as long isolated as un-isolated",
            f"  object_info: {len(names) - len(different)} of {len(names)} test nodes byte-identical",
            *(f"  different: {name}" for name in different),
        ]
    )


def _summary(version: str, isolated: Outcome, plain: Outcome | None) -> str:
    text = f"conformance {version}: {isolated.passed} passed, {len(isolated.failed)} failed"
    return f"{text} (un-isolated: {f'{plain.passed} passed' if plain is not None else 'not run'})"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="nox -s conformance --", description=__doc__)
    parser.add_argument("releases", nargs="*", choices=[*RELEASES, []], help="all, unless named")
    parser.add_argument("--only-isolated", action="store_true", help="leave the comparison out")
    parser.add_argument(
        "-k", dest="selected", action=_Expression, default=[], help="an expression for pytest -k"
    )
    return parser


class _Expression(argparse.Action):
    def __call__(
        self, parser: object, namespace: argparse.Namespace, values: object, option: object = None
    ) -> None:
        namespace.selected = ["-k", str(values)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
