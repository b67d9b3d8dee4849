"""The documentation says what the code does: nothing is missing from it, nothing in it is stale."""

import importlib.util
import re
import sys
import tomllib
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree as ET

import pytest
from packaging.requirements import Requirement

from service.problems import STATUSES
from service.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"


def tool(name: str) -> ModuleType:
    """One of the scripts in docs/tools."""
    spec = importlib.util.spec_from_file_location(name, DOCS / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


pages, codes, verbs, reference = map(tool, ("pages", "codes", "verbs", "reference"))
PAGES, name_of, text_of = pages.PAGES, pages.name_of, pages.text_of
every_page = pytest.mark.parametrize("page", PAGES, ids=name_of)


# --- routes, settings, commands, methods ---------------------------------------------------------


@cache
def openapi() -> dict[str, Any]:
    document: dict[str, Any] = reference.application().openapi()
    return document


@cache
def operations() -> dict[str, dict[str, Any]]:
    """`METHOD /path` → what the OpenAPI document says of it."""
    return {
        f"{method.upper()} {path}": operation
        for path, methods in openapi()["paths"].items()
        for method, operation in methods.items()
    }


@cache
def sections() -> dict[str, str]:
    """`METHOD /path` → its section of the reference."""
    parts = re.split(r"^### `([A-Z]+ /.*?)`$", text_of(REFERENCE / "http.md"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = openapi()["components"]["schemas"].get(name, schema)
    return found


def mentions(page: str, field: str) -> bool:
    return re.search(rf"[`\"{{]{field}[`\",:}}]", page) is not None


def test_the_generated_parts_are_what_the_code_says_now() -> None:
    drifted = [name_of(page) for page, _ in reference.stale()]
    assert drifted == [], "run: python docs/tools/reference.py"


@pytest.mark.parametrize("part", ["routes", "settings", "commands", "client", "card"])
def test_each_generated_part_stands_on_one_page(part: str) -> None:
    marked = [m["name"] for p in PAGES for m in reference.PART.finditer(text_of(p))]
    assert marked.count(part) == 1


def test_every_route_has_its_section_and_no_section_is_stale() -> None:
    assert set(operations()) == set(sections())


def test_every_field_of_a_request_is_described_with_its_route() -> None:
    missing = []
    for route, operation in operations().items():
        contents = operation.get("requestBody", {}).get("content", {}).values()
        fields = [f for c in contents for f in resolved(c["schema"]).get("properties", {})]
        missing += [(route, f) for f in fields if not mentions(sections()[route], f)]
    assert missing == []


def test_every_field_of_an_answer_is_described() -> None:
    page = text_of(REFERENCE / "http.md") + text_of(REFERENCE / "errors.md")
    models = openapi()["components"]["schemas"].items()
    own = [(n, m) for n, m in models if not n.startswith(("HTTP", "Validation"))]
    fields = [(name, field) for name, model in own for field in model.get("properties", {})]
    assert [(name, field) for name, field in fields if not mentions(page, field)] == []


def variables(text: str) -> set[str]:
    return set(re.findall(r"\bPENULTIMATE_[A-Z0-9_]*[A-Z0-9]\b", text))


def test_every_variable_that_is_named_anywhere_is_on_the_settings_page() -> None:
    of_source = {v for f in (ROOT / "service").rglob("*.py") for v in variables(text_of(f))}
    of_settings = {f"PENULTIMATE_{name.upper()}" for name in Settings.model_fields}
    listed = variables(text_of(REFERENCE / "settings.md"))
    assert {v for page in PAGES for v in variables(text_of(page))} | of_source <= listed
    assert listed <= of_settings | of_source


# --- errors --------------------------------------------------------------------------------------


def codes_of_source() -> set[str]:
    rows: set[str] = {code for _, code, _ in STATUSES.values()} - codes.NEVER_SHOWN
    found: set[str] = codes.codes_of([ROOT / p for p in ("features", "classifiers", "service")])
    return rows | found


def described_codes() -> dict[str, str]:
    """Code → status as the errors page has it; empty in tables without that column."""
    rows = re.findall(r"^\| `([a-z_]+)` \| (\d*)", text_of(REFERENCE / "errors.md"), re.MULTILINE)
    assert len(dict(rows)) == len(rows), "a code is described twice"
    return dict(rows)


def test_every_error_code_is_described_and_no_code_is_stale() -> None:
    assert codes_of_source() - described_codes().keys() == set()
    assert described_codes().keys() - codes_of_source() == set()


def test_described_statuses_are_those_that_are_sent() -> None:
    sent = {c: str(s) for s, c, _ in STATUSES.values() if c not in codes.NEVER_SHOWN}
    described = described_codes()
    assert sent == {code: described[code] for code in sent}


# --- what readers paste --------------------------------------------------------------------------


@every_page
def test_commands_in_pages_exist_with_their_options(page: Path) -> None:
    commands = {command.name: command for command in verbs.commands()}
    for words in pages.words_of(page, "penultimate"):
        if words in (["--help"], ["--version"]):
            continue
        name = next((n for n in (" ".join(words[:2]), words[0]) if n in commands), None)
        assert name is not None, words
        options = {n for p in commands[name].parameters for n in p.names} | {"--help"}
        used = {w.partition("=")[0] for w in words if re.match(r"--?[a-z]", w)}
        assert used - options == set(), words


@every_page
def test_make_targets_in_pages_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", text_of(ROOT / "Makefile"), re.MULTILINE))
    assert {w for words in pages.words_of(page, "make") for w in words if "=" not in w} <= targets


@every_page
def test_requests_in_pages_have_a_route(page: Path) -> None:
    routes = [route.split(" ") for route in (*operations(), "GET /docs", "GET /openapi.json")]
    for words in pages.words_of(page, "curl"):
        path = urlsplit(next(w for w in words if w.startswith("http"))).path
        method = "POST" if any(re.match(r"-F|-d|--form|--data|--json", w) for w in words) else "GET"
        for option, value in pairwise(words):
            method = value if option in ("-X", "--request") else method
        patterns = [re.sub(r"\{\w+\}", "[^/]+", r) for m, r in routes if m == method]
        assert any(re.fullmatch(pattern, path) for pattern in patterns), (method, path)


@every_page
def test_python_in_pages_compiles(page: Path) -> None:
    for block in pages.PYTHON.findall(text_of(page)):
        if not re.fullmatch(r"\w+\(.*\)\n", block, re.DOTALL):  # a signature of the reference
            compile(block, name_of(page), "exec")


# --- links and pictures --------------------------------------------------------------------------


def is_broken(page: Path, target: str) -> bool:
    link = urlsplit(target)
    place = (page.parent / unquote(link.path)).resolve() if link.path else page
    if not place.exists() or not place.is_relative_to(ROOT):
        return True
    is_page = place.suffix == ".md"
    return bool(link.fragment) and is_page and link.fragment not in pages.anchors(place)


@every_page
def test_internal_links_resolve(page: Path) -> None:
    internal = [target for target in pages.links(page) if not urlsplit(target).scheme]
    assert [target for target in internal if is_broken(page, target)] == []


@every_page
def test_files_that_are_named_exist(page: Path) -> None:
    named = re.findall(
        r"`((?:features|classifiers|service|tests|benchmarks|docs)/[\w./-]*)`", text_of(page)
    )
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    waiting = {ROOT / "README.md"}
    while waiting:
        page = waiting.pop()
        seen.add(page)
        places = {(page.parent / urlsplit(t).path).resolve() for t in pages.links(page)}
        waiting |= {p for p in places if p.suffix == ".md" and p.is_file()} - seen
    assert [name_of(page) for page in PAGES if page not in seen] == []


@pytest.mark.parametrize("picture", sorted(DOCS.rglob("*.svg")), ids=name_of)
def test_pictures_are_whole_and_say_what_they_show(picture: Path) -> None:
    names = {child.tag.rpartition("}")[2] for child in ET.parse(picture).getroot()}
    assert {"title", "desc"} <= names
    assert any(picture.name in text_of(page) for page in PAGES)


# --- what must agree with files that others read -------------------------------------------------


def test_the_container_is_made_of_locked_packages_that_pyproject_names() -> None:
    """Every dependency is in the lock, in a version that is wanted and tested, with its hashes."""
    recipe = text_of(ROOT / "bentofile.yaml")
    assert '  requirements_txt: "./requirements.lock"\n' in recipe
    entries = re.split(r"\n(?=[a-z0-9])", text_of(ROOT / "requirements.lock"))
    locked = {}
    for entry in entries:
        name, _, version = entry.split(" ")[0].partition("==")
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), name
        locked[name] = version
    tested = dict(
        line.split("==") for line in text_of(ROOT / "constraints.txt").splitlines() if "==" in line
    )
    tested = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in tested.items()}
    for line in tomllib.loads(text_of(ROOT / "pyproject.toml"))["project"]["dependencies"]:
        wanted = Requirement(line)
        name = re.sub(r"[-_.]+", "-", wanted.name).lower()
        assert wanted.specifier.contains(locked[name]), line
        assert locked[name] == tested[name], line


def test_the_changelog_has_this_release() -> None:
    version = tomllib.loads(text_of(ROOT / "pyproject.toml"))["project"]["version"]
    assert f"\n## [{version}]" in text_of(ROOT / "CHANGELOG.md")


def test_every_decision_is_in_the_list_of_decisions() -> None:
    listed = re.findall(r"\]\((\d{4}-[\w-]+\.md)\)", text_of(DOCS / "adr" / "README.md"))
    assert sorted(listed) == sorted(page.name for page in (DOCS / "adr").glob("[0-9]*.md"))
