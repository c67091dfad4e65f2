"""Writes the reference of docs/rest.md from the OpenAPI document of the routes: `python tools/document_routes.py`.

A part that is written lies between ``<!-- written: NAME -->`` and ``<!-- end of written -->``; the rest of the page is
by hand. `--check` writes nothing, and fails where the page is not what it would write.
"""

from __future__ import annotations

import argparse
import re
import shlex
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from comfy_env_core import assembly  # noqa: E402 – found by the line above
from comfy_env_core.api import refusals  # noqa: E402
from comfy_env_core.api.clients import NOBODY  # noqa: E402
from comfy_env_core.api.openapi import Document  # noqa: E402
from comfy_env_core.api.opening import open_backend  # noqa: E402
from comfy_env_core.api.operation import ALWAYS, FOR_CHANGES, PREFIX  # noqa: E402
from comfy_env_core.api.refusals import Refusal  # noqa: E402
from comfy_env_core.api.routes import EVENTS, operations  # noqa: E402
from comfy_env_core.cli.host_services import InstallServices  # noqa: E402
from comfy_env_core.discovery import host_skips, scan  # noqa: E402
from comfy_env_core.environments.store import Store  # noqa: E402
from comfy_env_core.manager import BuildMode  # noqa: E402

PAGE = REPOSITORY / "docs" / "rest.md"
_PART = re.compile(r"(<!-- written: ([\w-]+) -->\n).*?(<!-- end of written -->)", re.DOTALL)
_SHAPES = "#/components/schemas/"
#: Told once for all routes.
_GENERAL = {refusal.code for refusal in (*ALWAYS, *FOR_CHANGES)}


def written(page: str, document: Mapping[str, Any]) -> str:
    """The page with every part as it should be. Raises ValueError if one is missing, or not known."""
    parts = {
        "overview": _overview(document),
        "routes": _routes(document),
        "events": _events(document),
        "codes": _codes(),
        "shapes": _shapes(document),
    }
    found = [match[2] for match in _PART.finditer(page)]
    if sorted(found) != sorted(parts):
        raise ValueError(f"The page has parts for {sorted(found)}; there should be {sorted(parts)}")
    return _PART.sub(lambda match: f"{match[1]}{parts[match[2]]}{match[3]}", page)


def _overview(document: Mapping[str, Any]) -> str:
    lines = ["| | | |", "|---|---|---|"]
    for method, path, operation in _operations(document):
        lines.append(
            f"| {method} | [`{path}`](#{_anchor(_heading(method, path))}) | {operation['summary']} |"
        )
    return _joined(lines)


def _routes(document: Mapping[str, Any]) -> str:
    lines: list[str] = []
    for method, path, operation in _operations(document):
        lines += [f"### {_heading(method, path)}", "", operation["summary"]]
        lines += ["", operation["description"]] if "description" in operation else []
        lines += ["", *_given(operation), *_answers(operation, document), ""]
    return _joined(lines)


def _given(operation: Mapping[str, Any]) -> Iterator[str]:
    """What is passed along: parameters of path and query, and the body."""
    if operation["parameters"]:
        yield from ["| parameter | in | type | |", "|---|---|---|---|"]
        for one in operation["parameters"]:
            described = _cell(one.get("description", ""))
            yield f"| `{one['name']}` | {one['in']} | {_cell(_type(one['schema']))} | {described} |"
        yield ""
    if "requestBody" in operation:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        yield "Body: `{}`" if schema["$ref"] == f"{_SHAPES}NoBody" else f"Body: {_type(schema)}"
        yield ""


def _answers(operation: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[str]:
    codes: list[str] = []
    for status, response in operation["responses"].items():
        if "$ref" in response:
            codes += [code for code in _codes_of(response, document) if code not in _GENERAL]
            continue
        ((media_type, content),) = response["content"].items()
        shown = _type(content["schema"]) if media_type == "application/json" else f"`{media_type}`"
        yield f"Answers {status}: {shown}" + (
            f", whose result will be {_type(operation['x-job-result'])}"
            if "x-job-result" in operation
            else ""
        )
    if codes:
        yield ""
        yield "Refuses with " + ", ".join(f"`{code}`" for code in codes)


def _events(document: Mapping[str, Any]) -> str:
    lines = ["| event | | payload |", "|---|---|---|"]
    for name, event in document["x-events"].items():
        lines.append(f"| `{name}` | {_cell(event['description'])} | {_type(event['payload'])} |")
    return _joined(lines)


def _codes() -> str:
    """All of them; those that any request can meet are marked."""
    table = [value for value in vars(refusals).values() if isinstance(value, Refusal)]
    lines = ["| status | code | meaning | where |", "|---|---|---|---|"]
    always, for_changes = ({one.code for one in group} for group in (ALWAYS, FOR_CHANGES))
    for one in sorted(table, key=lambda refusal: refusal.status):
        where = "everywhere" if one.code in always else "every change" if one.code in for_changes else ""
        lines.append(f"| {one.status} | `{one.code}` | {_cell(one.meaning)} | {where} |")
    return _joined(lines)


def _shapes(document: Mapping[str, Any]) -> str:
    lines: list[str] = []
    for name, schema in sorted(document["components"]["schemas"].items()):
        lines += [f"### {name}", ""]
        lines += [schema["description"], ""] if "description" in schema else []
        if schema["properties"]:
            lines += ["| member | type | |", "|---|---|---|"]
            lines += [_member(schema, member) for member in schema["properties"]]
            lines.append("")
    return _joined(lines)


def _member(schema: Mapping[str, Any], name: str) -> str:
    member = schema["properties"][name]
    optional = "" if name in schema["required"] else "may be left out. "
    return f"| `{name}` | {_cell(_type(member))} | {_cell(optional + member.get('description', ''))} |"


def _type(schema: Mapping[str, Any]) -> str:
    """A schema in words, with what it is bounded by."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(_SHAPES)
        return f"[`{name}`](#{_anchor(name)})"
    if "anyOf" in schema:
        return " or ".join(map(_type, schema["anyOf"]))
    if "enum" in schema:
        return " or ".join(f"`{value!r}`".replace("'", '"') for value in schema["enum"])
    kind = schema.get("type")
    if kind == "array":
        return f"list of {_type(schema['items'])}{_bounds(schema)}"
    if kind == "object" and "additionalProperties" in schema:
        return f"object of {_type(schema['additionalProperties'])} by name"
    return f"{kind or 'anything'}{_bounds(schema)}"


def _bounds(schema: Mapping[str, Any]) -> str:
    told = []
    if "minimum" in schema or "maximum" in schema:
        told.append(_range(schema.get("minimum"), schema.get("maximum")))
    for least, most, unit in (("minItems", "maxItems", "entries"), ("minLength", "maxLength", "characters")):
        if most in schema:
            told.append(f"{_range(schema.get(least) or None, schema[most])} {unit}")
    if "pattern" in schema:
        told.append(f"matches `{schema['pattern']}`")
    return f" ({', '.join(told)})" if told else ""


def _range(least: float | None, most: float | None) -> str:
    if least is None or most is None:
        return f"at least {least}" if most is None else f"at most {most}"
    return f"{least} to {most}"


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """(method, path below the prefix, operation)."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path.removeprefix(PREFIX), operation


def _codes_of(response: Mapping[str, Any], document: Mapping[str, Any]) -> list[str]:
    described = document["components"]["responses"][response["$ref"].rpartition("/")[2]]
    schema = described["content"]["application/json"]["schema"]
    codes: list[str] = schema["allOf"][1]["properties"]["error"]["properties"]["code"]["enum"]
    return codes


def _heading(method: str, path: str) -> str:
    return f"{method} {path}"


def _anchor(heading: str) -> str:
    """As GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")


def _joined(lines: Iterable[str]) -> str:
    return "\n".join(lines).strip("\n") + "\n"


def document() -> Mapping[str, Any]:
    """The document of a server without packs, which is that of every server."""
    with tempfile.TemporaryDirectory() as directory:
        manager = assembly.assemble(
            Store(Path(directory)),
            scan([], host_skips(False, ())),
            comfyui_source=None,
            services=InstallServices(None),
            mode=BuildMode.OFF,
            host_facts={},
        )
        return Document(operations(open_backend(manager, NOBODY)), EVENTS).content


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing, fail if something would change")
    options = parser.parse_args(arguments)
    before = PAGE.read_text(encoding="utf-8")
    after = written(before, document())
    if options.check:
        if after != before:
            program = shlex.quote(str(Path(__file__)))
            print(f"{PAGE} is not up to date. Run: python {program}", file=sys.stderr)
        return int(after != before)
    PAGE.write_text(after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
