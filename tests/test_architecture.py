"""The rules that hold the tree together, read from every file's syntax: imports, sizes, safety."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("features", "classifiers", "service")
FILES = sorted(p for package in PACKAGES for p in (ROOT / package).rglob("*.py"))
ALL_FILES = FILES + sorted(
    p for folder in ("tests", "benchmarks", "docs") for p in (ROOT / folder).rglob("*.py")
)

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 50

HEAVY = {
    "torch": {"features/backbones.py", "features/networks.py"},
    "torchvision": {"features/networks.py"},
    "timm": {"features/networks.py"},
    "openvino": {"features/runtime.py"},
    "nncf": {"features/quantisation.py"},
    "faiss": {"features/codes.py", "features/index.py"},
    "deltalake": {"features/table.py", "features/storage.py"},
    "pyarrow": {
        *("features/table.py", "features/storage.py", "features/columns.py"),
        "features/arrow.py",
    },
    "lightgbm": {"classifiers/boosting.py"},
    "numba": {"classifiers/kernels/*", "features/kernels/*"},
    "sqlalchemy": {"service/catalog/*", "service/migrations/*"},
    "alembic": {"service/catalog/database.py", "service/migrations/*"},
    "bentoml": {"service/app.py"},
    "fastapi": {"service/http/*"},
    "fastapi_offline": {"service/http/__init__.py"},
    "starlette": {"service/http/*"},
    "typer": {"service/cli/*"},
    "rich": {"service/cli/*"},
    "httpx": {"service/client.py", "service/exchange.py", "service/local.py"},
    "prometheus_client": {"service/gauges.py", "service/metrics.py"},
    "opentelemetry": {"service/tracing.py"},
}
"""Library → the only files that may import it."""

FORBIDDEN = {
    "features": ("classifiers", "service"),
    "classifiers": ("features", "service"),
    "service.catalog": ("features", "classifiers", "service.http", "service.workflows"),
    "service.workflows": ("service.http", "service.app", "service.wiring", "service.cli"),
    "service.http": ("service.app", "service.wiring", "service.cli", "service.trainer"),
    "service.errors": ("features", "classifiers", "service"),
    "service.names": ("features", "classifiers", "service.catalog", "service.workflows"),
    "service.wiring": ("service.http", "service.app", "service.cli"),
    "service.trainer": ("service.http", "service.app", "service.cli"),
    "service.supervisor": ("service.http", "service.workflows", "service.trainer"),
    "service.client": ("features", "classifiers", "service.catalog", "service.workflows"),
}
"""Part of the tree → what it must not know."""

HTTP_KNOWS = {"features.errors", "classifiers.errors"}
"""What `service/http` may import of the two packages below: whom to refuse in whose name."""

WITHOUT_A_WEB_FRAMEWORK = [f for f in FILES if not f.is_relative_to(ROOT / "service" / "http")]
FRAMEWORKS = {"fastapi", "starlette", "bentoml", "uvicorn"}

UNPICKLERS = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
RUNNERS = {"eval", "exec", "compile", "__import__"}
SAFE_LOADS = {("torch", "load"): "weights_only", ("np", "load"): "allow_pickle"}

COMES_WITH = {
    "starlette": "fastapi",
    "anyio": "httpx",
    "typing_extensions": "pydantic",
    "safetensors": "timm",
    "threadpoolctl": "scikit-learn",
    "huggingface_hub": "timm",
}
"""Module → the declared dependency that cannot be without it."""


def place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def module(path: Path) -> str:
    return place(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")


MODULES = {module(path): path for path in FILES}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports(path: Path, *, for_types: bool = False) -> frozenset[str]:
    """Every module that a file imports, wherever in it; those for types alone if wanted."""
    found: set[str] = set()
    for node in ast.walk(tree(path)) if for_types else walk(tree(path)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{place(path)}: imports here are absolute"
            assert node.module is not None
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inner & MODULES.keys() or {node.module}
    return frozenset(found)


def walk(node: ast.AST) -> Iterator[ast.AST]:
    """Every node, but for what stands under `if TYPE_CHECKING`."""
    yield node
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        return
    for child in ast.iter_child_nodes(node):
        yield from walk(child)


def libraries(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports(path)}


def below(name: str, parent: str) -> bool:
    return name == parent or name.startswith(f"{parent}.")


def test_there_is_something_to_check() -> None:
    assert {place(f).partition("/")[0] for f in FILES} == set(PACKAGES)
    assert len(FILES) > 50


@pytest.mark.parametrize("part", FORBIDDEN)
def test_imports_run_one_way(part: str) -> None:
    wrong = [
        f"{place(path)} imports {name}"
        for path in FILES
        if below(module(path), part)
        for name in sorted(imports(path))
        if not below(name, part)
        for other in FORBIDDEN[part]
        if below(name, other)
    ]
    assert wrong == []


def test_routes_reach_vectors_and_heads_through_workflows_alone() -> None:
    wrong = [
        f"{place(path)} imports {name}"
        for path in FILES
        if place(path).startswith("service/http/")
        for name in sorted(imports(path))
        if name.partition(".")[0] in ("features", "classifiers")
        and not any(below(name, known) or below(known, name) for known in HTTP_KNOWS)
    ]
    assert wrong == []


def test_only_the_edge_knows_a_web_framework() -> None:
    knowing = {place(f) for f in WITHOUT_A_WEB_FRAMEWORK if libraries(f) & FRAMEWORKS}
    assert knowing <= {"service/app.py"}


@pytest.mark.parametrize("library", HEAVY)
def test_a_heavy_library_is_imported_in_its_own_files_alone(library: str) -> None:
    importing = {place(f) for f in FILES if library in libraries(f)}
    allowed = HEAVY[library]
    assert {f for f in importing if not any(fnmatch(f, a) for a in allowed)} == set()
    assert {a for a in allowed if not any(fnmatch(f, a) for f in importing)} == set(), "not needed"


def test_no_two_modules_import_each_other() -> None:
    graph = {
        name: imports(path, for_types=True) & MODULES.keys() - {name}
        for name, path in MODULES.items()
    }
    assert list(cycles(graph)) == []


def cycles(graph: dict[str, frozenset[str]]) -> Iterator[list[str]]:
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> Iterator[list[str]]:
        if name in path:
            yield [*path[path.index(name) :], name]
            return
        if name in done:
            return
        for other in sorted(graph[name]):
            yield from visit(other, [*path, name])
        done.add(name)

    for name in sorted(graph):
        yield from visit(name, [])


def test_everything_that_is_imported_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [d for n, g in project["optional-dependencies"].items() if n != "dev" for d in g]
    declared = {
        re.split(r"[\[<>=!~; ]", d)[0].lower().replace("_", "-")
        for d in [*project["dependencies"], *extras]
    }
    distributions = packages_distributions()
    missing = {}
    for path in FILES:
        for library in libraries(path) - sys.stdlib_module_names - set(PACKAGES):
            owners = [COMES_WITH.get(library, ""), *distributions.get(library, ()), library]
            if not {owner.lower().replace("_", "-") for owner in owners} & declared:
                missing[library] = place(path)
    assert missing == {}


def test_nobody_imports_what_can_unpickle() -> None:
    assert [place(path) for path in ALL_FILES if libraries(path) & UNPICKLERS] == []


@pytest.mark.parametrize("path", FILES, ids=place)
def test_nothing_that_is_read_can_run(path: Path) -> None:
    for node in ast.walk(tree(path)):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        if isinstance(called, ast.Name):
            assert called.id not in RUNNERS, f"line {node.lineno}"
        if isinstance(called, ast.Attribute):
            assert not called.attr.startswith(("read_pickle", "to_pickle")), f"line {node.lineno}"
            if isinstance(called.value, ast.Name):
                check_load(node, called.value.id, called.attr)


def check_load(node: ast.Call, owner: str, function: str) -> None:
    wanted = SAFE_LOADS.get((owner, function))
    if wanted is None:
        return
    said = {k.arg: k.value for k in node.keywords}
    value = said.get(wanted)
    assert isinstance(value, ast.Constant), f"line {node.lineno}: say {wanted}"
    assert value.value is (wanted == "weights_only"), f"line {node.lineno}"


@pytest.mark.parametrize("path", ALL_FILES, ids=place)
def test_a_file_says_what_it_is_and_is_short(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert ast.get_docstring(tree(path)), "a file's first line says what it owns"
    assert lines[0].startswith('"""'), "the docstring is the first line"
    assert len(lines) <= MAX_FILE_LINES or place(path).startswith("tests/")
    functions = [n for n in ast.walk(tree(path)) if isinstance(n, FUNCTIONS)]
    sizes = {n.name: (n.end_lineno or n.lineno) - n.lineno + 1 for n in functions}
    assert {name: size for name, size in sizes.items() if size > MAX_FUNCTION_LINES} == {}


@pytest.mark.parametrize("path", FILES, ids=place)
def test_every_function_says_its_types(path: Path) -> None:
    """Also where a type checker is not looking: 100 % means 100 %."""
    for node in ast.walk(tree(path)):
        if isinstance(node, FUNCTIONS):
            assert node.returns is not None, f"{node.name} returns what?"
            given = node.args
            every = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
            untyped = [a.arg for a in every if a is not None and a.annotation is None]
            assert set(untyped) <= {"self", "cls", "_"}, f"{node.name}: {untyped}"


def test_no_file_names_a_place_of_one_machine() -> None:
    """Nor an address of a package index: a clone must work anywhere."""
    wrong = re.compile(r"/wor[k]/|/home/\w+/|/root/|pypi\.org|pythonhosted|index-url")
    here = Path(__file__)
    found = [place(f) for f in ALL_FILES if f != here and wrong.search(f.read_text("utf-8"))]
    assert found == []
