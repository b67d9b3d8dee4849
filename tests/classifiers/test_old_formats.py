"""Heads of every format there ever was are still read, and answer as they did.

`formats/<number>/` has the files of a tiny head and, beside them, `expected.json`: vectors and the
raw scores that the code of that time gave. Folders are added when the format changes, never edited.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from classifiers.card import FORMAT
from classifiers.head import Head

FORMATS = sorted((Path(__file__).parent / "formats").iterdir())


def test_the_present_format_is_among_them() -> None:
    assert [path.name for path in FORMATS] == [str(number) for number in range(1, FORMAT + 1)]


@pytest.mark.parametrize("folder", FORMATS, ids=lambda path: path.name)
def test_a_head_of_that_format_answers_as_it_did(folder: Path) -> None:
    expected = json.loads((folder / "expected.json").read_text())
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    del files["expected.json"]
    head = Head.from_files(files)
    assert expected["raw"] == head.raw(np.array(expected["X"], np.float32)).tolist()
    assert expected["classes"] == list(head.classes)
