"""The layers of the code: who may import whom, how long a view is, how long a file."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.servers import ROOT

# Low to high: what stands further down may import what stands above it.
LAYERS = [
    ["config", "log_format", "setting_values"],
    ["egress"],
    ["db"],
    ["http", "migrations"],
    ["users", "clients", "channels"],
    ["auth", "tickets", "providers"],
    ["events", "conversations", "comments", "webhooks"],
    ["backlog"],
    [
        "inbound",
        "imports",
        "summary",
        "search",
        "timeline",
        "assignments",
        "changes",
        "channel_tests",
        "health",
    ],
    ["personal_data", "hooks", "worker"],
    ["sample_data", "operations"],
    ["cli"],
    ["application"],
    [""],  # create_app
]
LAYER = {name: number for number, names in enumerate(LAYERS) for name in names}
# Within a package: models below schemas below views.
MODULE_LAYER = {"passwords": 0, "models": 1, "tokens": 2, "schemas": 2, "views": 3}
# What a module that knows nothing of HTTP may use of Flask: the settings, and who is acting.
BELOW_HTTP = {"current_app", "g", "has_app_context"}
HTTP_LIBRARIES = {"werkzeug", "flask_smorest", "flask_jwt_extended", "flask_cors", "marshmallow"}
# They import what no import statement names.
DYNAMIC_IMPORTS = {"__import__", "pkgutil", "runpy", "exec", "eval"}
MODULES = sorted(
    path for path in (ROOT / "omnidesk").rglob("*.py") if path.parent.name != "versions"
)
each_module = pytest.mark.parametrize(
    "path", MODULES, ids=lambda path: str(path.relative_to(ROOT / "omnidesk"))
)

Name = tuple[str, ...]  # the parts of a dotted name


def package_and_module(path: Path) -> tuple[str, str]:
    """Return the package of omnidesk that a module is in, and its name there."""
    package, *rest = path.relative_to(ROOT / "omnidesk").with_suffix("").parts
    return ("" if package == "__init__" else package), (rest[0] if rest else "__init__")


def used_names(source: str, path: Path) -> set[Name]:
    """Return the full names that a module imports, or reaches from what it imports."""
    tree = ast.parse(source)
    imports = list(imported(tree, path.relative_to(ROOT).parent.parts))
    known = {bound: name for bound, name, _ in imports}
    return {whole for _, _, whole in imports} | set(reached(tree, known))


def imported(tree: ast.AST, package: Name) -> Iterator[tuple[str, Name, Name]]:
    """Return what each import binds: the name, what it stands for, and all that is imported."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                whole = tuple(alias.name.split("."))
                yield alias.asname or whole[0], (whole if alias.asname else whole[:1]), whole
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = (*above, *(node.module.split(".") if node.module else ()))
            for alias in node.names:
                yield alias.asname or alias.name, (*module, alias.name), (*module, alias.name)


def reached(tree: ast.AST, known: dict[str, Name]) -> Iterator[Name]:
    """Return the full name of each attribute of what is imported."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            first, *names = ast.unparse(node).split(".")
            if first in known:
                yield (*known[first], *names)


def imported_upwards(source: str, path: Path) -> list[Name]:
    """Return the names of higher layers that a module uses, and of others' views."""
    package, module = package_and_module(path)
    found = []
    for name in sorted(used_names(source, path)):
        if name[0] != "omnidesk" or len(name) == 1:
            continue
        other, their = name[1], (name[2] if len(name) > 2 else "__init__")
        if other == package:
            upwards = MODULE_LAYER.get(their, 0) > MODULE_LAYER.get(module, 9)
        else:
            views = their == "views" and package != "application"  # which registers them
            upwards = views or LAYER.get(other, 0) >= LAYER[package]
        if upwards:
            found.append(name)
    return found


def http_names(source: str, path: Path) -> list[Name]:
    """Return the names that a module of the database uses and that are of HTTP."""
    package, module = package_and_module(path)
    if package != "db" and module not in ("models", "passwords"):
        return []
    return [
        name
        for name in sorted(used_names(source, path))
        if name[0] in HTTP_LIBRARIES
        or name[:2] == ("omnidesk", "http")
        or (name[0] == "flask" and len(name) > 1 and name[1] not in BELOW_HTTP)
    ]


def dynamic_imports(source: str, path: Path) -> set[str]:
    """Return what a module uses that can import by a name which is not in its source."""
    nodes = list(ast.walk(ast.parse(source)))
    names = {node.id for node in nodes if isinstance(node, ast.Name)} & DYNAMIC_IMPORTS
    for name in used_names(source, path):
        if name[0] in DYNAMIC_IMPORTS or name[:2] == ("sys", "modules"):
            names.add(name[0])
        if name[0] == "importlib" and name[1:2] not in (("resources",), ("metadata",)):
            names.add(".".join(name))
    return names


@each_module
def test_no_module_imports_a_higher_layer(path: Path) -> None:
    assert imported_upwards(path.read_text(), path) == []


def imported_modules(path: Path) -> set[str]:
    """Return the modules of omnidesk that a module uses, by their full names."""
    names = used_names(path.read_text(), path)
    starts = ({".".join(name[:end]) for end in range(2, len(name) + 1)} for name in names)
    found = {max(start & NAMES, key=len) for start in starts if start & NAMES}
    return found - {full_name(path)}


def full_name(path: Path) -> str:
    """Return the name by which a module is imported."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


NAMES = {full_name(path) for path in MODULES}


def test_imports_make_no_circle() -> None:
    imports = {full_name(path): imported_modules(path) for path in MODULES}

    TopologicalSorter(imports).prepare()  # which raises CycleError


@each_module
def test_models_and_the_database_know_nothing_of_http(path: Path) -> None:
    assert http_names(path.read_text(), path) == []


@each_module
def test_no_module_imports_by_a_name_that_is_not_in_its_source(path: Path) -> None:
    assert dynamic_imports(path.read_text(), path) == set()


MODEL, VIEW = ROOT / "omnidesk/tickets/models.py", ROOT / "omnidesk/tickets/views.py"


@pytest.mark.parametrize(
    "source",
    [
        "from flask import request",
        "from flask import request as current",
        "from flask import *",
        "import flask\nflask.request",
        "import flask as f\nf.request.args",
        "def late():\n    from flask import request",
        "import flask.globals",
        "import werkzeug",
        "import omnidesk.http.errors",
        "import omnidesk.http.errors as errors",
        "import omnidesk\nomnidesk.http.errors",
        "import omnidesk as desk\ndesk.http",
        "from omnidesk import http",
        "from omnidesk.http import errors",
        "from omnidesk.http.errors import http_error",
        "from .. import http",
        "from ..http import errors",
        "from ..http.errors import http_error",
    ],
)
def test_a_model_that_knows_http_is_found(source: str) -> None:
    assert http_names(source, MODEL)


@pytest.mark.parametrize(
    "source",
    [
        "from omnidesk.events.models import Event",
        "from omnidesk import events",
        "import omnidesk.summary",
        "import omnidesk\nomnidesk.summary",
        "from ..events import models",
        "from .views import blp",
        "from . import schemas",
        "from omnidesk.users.views import blp",
    ],
)
def test_a_model_that_imports_a_higher_layer_is_found(source: str) -> None:
    assert imported_upwards(source, MODEL)


@pytest.mark.parametrize(
    "source",
    [
        "import importlib",
        "import importlib\nimportlib.import_module('omnidesk.http')",
        "import importlib.util",
        "from importlib import import_module",
        "from importlib import import_module as load",
        "__import__('omnidesk.http')",
        "import sys\nsys.modules['omnidesk.http']",
        "from sys import modules",
        "exec('import omnidesk.http')",
    ],
)
def test_an_import_by_name_is_found(source: str) -> None:
    assert dynamic_imports(source, MODEL)


def test_what_is_allowed_is_not_found() -> None:
    source = "from flask import current_app, g\nfrom omnidesk.db import db\nfrom . import models"

    assert imported_upwards(source, VIEW) == http_names(source, MODEL) == []
    assert dynamic_imports(source, MODEL) == set()


def test_views_are_short_and_files_are_not_long() -> None:
    for path in (*MODULES, ROOT / "config.py", ROOT / "gunicorn.conf.py"):
        text = path.read_text()
        assert len(text.splitlines()) <= 250, path
        for node in ast.parse(text).body:
            if (
                path.name == "views.py"
                and isinstance(node, ast.FunctionDef)
                and node.decorator_list
            ):
                assert len(node.body) <= 8, (path, node.name)
