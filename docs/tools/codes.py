"""Finds every error code that the packages can give, by reading their source. Imports none."""  # noqa: INP001 - used by scripts, not a package

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

NAMED_BY_FIRST_ARGUMENT = {"ImageRejected": "{}", "NotFound": "{}_not_found", "Problem": "{}"}
"""Classes whose instances carry a code of their own → how it follows from their first argument."""

LISTED = re.compile(r"Codes: ([\w,\s]+)\.")
"""How an error class lists the codes that its instances carry."""

OF_THE_FRAMEWORK = {"not_found", "method_not_allowed"}
"""Codes that `service/http/answers.py` derives from the titles of statuses."""

NEVER_SHOWN = {"image_rejected", "error"}
"""Codes of rows and defaults that every instance replaces with its own."""


def codes_of(packages: Iterable[Path]) -> set[str]:
    """Every code that stands as a constant in the source of these packages."""
    found = set(OF_THE_FRAMEWORK)
    for package in packages:
        for file in package.rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                found.update(_codes_in(node))
    return found - NEVER_SHOWN


def _codes_in(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if any(isinstance(t, ast.Name) and t.id == "code" for t in targets):
            yield from _text(node.value)
    elif isinstance(node, ast.ClassDef):
        listed = LISTED.search(ast.get_docstring(node) or "")
        yield from re.findall(r"\w+", listed[1]) if listed else ()
    elif isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and key.value == "code":
                yield from _text(value)
    elif isinstance(node, ast.Call):
        called = getattr(node.func, "id", getattr(node.func, "attr", ""))
        if called in NAMED_BY_FIRST_ARGUMENT and node.args:
            yield from map(NAMED_BY_FIRST_ARGUMENT[called].format, _text(node.args[0]))
        yield from (c for k in node.keywords if k.arg == "code" for c in _text(k.value))


def _text(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value:
        yield node.value
