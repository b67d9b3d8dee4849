"""What could not be answered among predictions, told. Asks nothing."""

from collections.abc import Mapping, Sequence
from typing import Any

import typer

from service.cli.session import note_hint
from service.cli.terminal import note


def tell_errors(names: Sequence[str], results: Sequence[Mapping[str, Any]]) -> None:
    """Says what could not be answered, each reason once for each thing it is about."""
    answered, said = False, set[str]()
    hints: dict[str, str] = {}
    for name, result in zip(names, results, strict=True):
        lines = [(name, result["error"])] if result["error"] else []
        for p in result["predictions"]:
            answered = answered or not p.get("error")
            if p.get("error"):
                lines.append((p["head"], p["error"]))
        for what, error in lines:
            detail = error["detail"]
            line = detail if detail.startswith(what) else f"{what}: {detail}"
            if line not in said:
                note(line)
            said.add(line)
            hints.setdefault(error["code"], error.get("hint") or "")
    for code, hint in hints.items():
        note_hint(code, hint)
    if answered:
        return
    if not said:
        note("There are no heads yet: `penultimate learn HEAD FOLDER` makes one.")
    raise typer.Exit(1)
