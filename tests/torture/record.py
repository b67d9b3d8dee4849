"""The records of long runs: kept as JSON, and rendered into the page that people read."""

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- records: written by tests/torture -->", "<!-- end of the records -->"


def write_record(file: Path, name: str, said: dict[str, Any]) -> None:
    """Puts the record of one run in the place of the one before, and renders all of them."""
    records = json.loads(file.read_text()) if file.exists() else {}
    records[name] = said
    file.write_text(json.dumps(records, indent=1, sort_keys=True) + "\n")
    head, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, tail = rest.partition(END)
    PAGE.write_text(f"{head}{BEGIN}\n\n{render(records)}\n{END}{tail}")


def render(records: dict[str, dict[str, Any]]) -> str:
    """One table for each record."""
    parts = []
    for name, said in sorted(records.items()):
        rows = "\n".join(
            f"| {key.replace('_', ' ')} | {_cell(value)} |" for key, value in said.items()
        )
        parts.append(f"### {name.capitalize()}\n\n| | |\n|---|---|\n{rows}\n")
    return "\n".join(parts)


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {number}" for key, number in sorted(value.items()))
    return str(value)
