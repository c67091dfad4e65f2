"""What one Python file imports and what it uses of it, read from its syntax tree; nothing is executed."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field

_IMPORT_ERRORS = frozenset(("ImportError", "ModuleNotFoundError", "Exception", "BaseException"))
_IMPORT_CALLS = frozenset(("importlib.import_module", "import_module", "__import__"))
_OPEN_LIST = re.compile(r"^(from\s+\S+\s+import)\s*(?:\([^)]*|\\)$")
_IMPORT_LINE = re.compile(r"^[ \t]*((?:import|from)[ \t][^#;\n]*)", re.MULTILINE)


@dataclass(frozen=True)
class Import:
    """One imported name: `import a.b as c` is ("a.b", None, "c"), `from a import b` is ("a", "b", "b").

    `level` counts the leading dots of a relative import. `is_guarded`: a failure to import is caught around it.
    `bound` is the name that stands for `bound_to` in the file, None for a star or an import_module call.
    """

    line: int
    module: str
    name: str | None
    level: int
    is_guarded: bool
    bound: str | None
    bound_to: str

    @property
    def target(self) -> str:
        """The dotted name of what is imported."""
        return ".".join(part for part in (self.module, self.name) if part)

    def __str__(self) -> str:
        dots = "." * self.level
        return f"from {dots}{self.module} import {self.name}" if self.name else f"import {dots}{self.module}"


@dataclass(frozen=True)
class Use:
    """A name with the attributes taken from it, as written: "comfy.utils.ProgressBar"."""

    line: int
    text: str


@dataclass
class FileImports:
    """What was found. `problem` says why the file could not be parsed; its imports are then told line by line.

    `classes` are those uses for which nothing but a class will do: as a base, in isinstance, after except.
    """

    imports: list[Import] = field(default_factory=list)
    uses: list[Use] = field(default_factory=list)
    classes: list[Use] = field(default_factory=list)
    problem: str | None = None


def read_imports(source: bytes) -> FileImports:
    """The imports and uses in a file. Never raises for what the file holds."""
    try:
        tree = _parse(source)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        place = f"line {line}: " if line else ""
        return _from_lines(source, f"{place}{getattr(error, 'msg', None) or error}")
    except (RecursionError, MemoryError):  # how CPython's parser says that brackets or operators go too deep
        return _from_lines(source, "it is nested too deeply")
    return _from_tree(tree)


def _parse(source: bytes) -> ast.Module:
    with warnings.catch_warnings():  # the author's invalid escape sequences are no news to this user
        warnings.simplefilter("ignore", SyntaxWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return ast.parse(source)
        except (SyntaxError, ValueError):
            # Bytes that do not fit the declared encoding, mostly in comments. As Latin-1 every byte is a character.
            text = source.decode("latin-1")
            try:
                source.decode("utf-8")
            except UnicodeDecodeError:
                return ast.parse(text)
            raise


def _from_lines(source: bytes, problem: str) -> FileImports:
    """The imports of a file that does not parse, which may be newer than this Python and fine in its environment."""
    found = FileImports(problem=problem)
    text = source.decode("utf-8", "replace").replace("\r", "\n").replace("\0", " ")
    for match in _IMPORT_LINE.finditer(text):
        # What a statement of several lines imports by name is not seen: it counts as all of the module.
        line = _OPEN_LIST.sub(r"\1 *", match.group(1)).rstrip(", \\\t")
        try:
            tree = ast.parse(line)
        except SyntaxError:
            continue  # prose that begins with "from"
        ast.increment_lineno(tree, text.count("\n", 0, match.start(1)))
        found.imports += _from_tree(tree).imports
    # Nor is seen what is used of a module: it counts as used whole.
    found.uses = [Use(each.line, each.bound) for each in found.imports if each.bound]
    found.classes = list(found.uses)
    return found


def _from_tree(tree: ast.Module) -> FileImports:
    """Walks with a list instead of recursion: a long sum is nested deeper than Python's stack allows."""
    found = FileImports()
    waiting: list[tuple[ast.AST, bool]] = [(tree, False)]
    while waiting:
        node, is_guarded = waiting.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            found.imports += _imports(node, is_guarded)
        elif isinstance(node, ast.If) and _is_type_checking(node.test):
            waiting += [(child, is_guarded) for child in node.orelse]
        elif isinstance(node, ast.Try):
            body_guarded = is_guarded or any(_catches_import_error(handler) for handler in node.handlers)
            waiting += [(child, body_guarded) for child in node.body]
            found.classes += (Use(each.lineno, _dotted(each)[0]) for each in _caught(node))
            rest: list[ast.AST] = [*node.handlers, *node.orelse, *node.finalbody]
            waiting += [(child, is_guarded) for child in rest]
        elif isinstance(node, ast.Attribute | ast.Name):
            root = _note_use(node, found)
            waiting += [(root, is_guarded)] if root else []
        else:
            if isinstance(node, ast.Call):
                found.imports += _import_call(node, is_guarded)
            found.classes += (Use(each.lineno, _dotted(each)[0]) for each in _needed_classes(node))
            waiting += [(child, is_guarded) for child in ast.iter_child_nodes(node)]
    found.imports.sort(key=lambda each: each.line)
    return found


def _imports(node: ast.Import | ast.ImportFrom, is_guarded: bool) -> Iterator[Import]:
    for alias in node.names:
        if isinstance(node, ast.Import):
            top = alias.name.partition(".")[0]
            bound, bound_to = (alias.asname, alias.name) if alias.asname else (top, top)
            yield Import(node.lineno, alias.name, None, 0, is_guarded, bound, bound_to)
        else:
            module = node.module or ""
            bound_name = None if alias.name == "*" else alias.asname or alias.name
            target = f"{module}.{alias.name}"
            yield Import(node.lineno, module, alias.name, node.level, is_guarded, bound_name, target)


def _import_call(node: ast.Call, is_guarded: bool) -> Iterator[Import]:
    """`importlib.import_module("x")` and its like, where the name is written out."""
    first = node.args[0] if node.args else None
    if not isinstance(first, ast.Constant) or not isinstance(first.value, str):
        return
    if isinstance(node.func, ast.Name | ast.Attribute) and _dotted(node.func)[0] in _IMPORT_CALLS:
        module = first.value.lstrip(".")
        yield Import(node.lineno, module, None, len(first.value) - len(module), is_guarded, None, module)


def _needed_classes(node: ast.AST) -> list[ast.expr]:
    """The bases of a class definition, and what isinstance and issubclass compare with."""
    if isinstance(node, ast.ClassDef):
        return node.bases
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) == 2:
        return _each(node.args[1]) if node.func.id in ("isinstance", "issubclass") else []
    return []


def _caught(node: ast.Try) -> list[ast.expr]:
    return [each for handler in node.handlers if handler.type is not None for each in _each(handler.type)]


def _each(node: ast.expr) -> list[ast.expr]:
    return node.elts if isinstance(node, ast.Tuple) else [node]


def _note_use(node: ast.Attribute | ast.Name, found: FileImports) -> ast.AST | None:
    """Notes a dotted name that is read; returns the expression under the attributes if that is no name."""
    text, root = _dotted(node)
    if not isinstance(root, ast.Name):
        return root
    if isinstance(root.ctx, ast.Load):
        found.uses.append(Use(node.lineno, text))
    return None


def _dotted(node: ast.expr) -> tuple[str, ast.expr]:
    """The dotted text of a chain of attributes, and the expression it starts from."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name):
        names.append(node.id)
    return ".".join(reversed(names)), node


def _is_type_checking(test: ast.expr) -> bool:
    return _dotted(test)[0] in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def _catches_import_error(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(_dotted(each)[0] in _IMPORT_ERRORS for each in caught)
