"""Keys and the audit in both databases."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import delete, update

from service.catalog import Catalog, Key, Labelled
from service.catalog.tables import audit
from service.chain import breaks
from service.errors import Conflict, NotFound

W = "default"


def add(catalog: Catalog, name: str | None = None, workspace: str = W, hashed: str = "") -> Key:
    made = hashed or f"{len(catalog.keys.all()):064x}"
    return catalog.keys.add(
        workspace, name=name, role="train", hashed=made, expires=None, actor="ana"
    )


def test_a_key_makes_its_workspace(catalog: Catalog) -> None:
    assert not catalog.keys.any()
    key = add(catalog, "k", "ward7")
    assert catalog.keys.any()
    assert catalog.workspaces() == [W, "ward7"]
    assert catalog.keys.all() == [key] == catalog.keys.all("ward7")
    assert catalog.keys.all(W) == []


def test_a_name_is_made_up_where_none_is_given(catalog: Catalog) -> None:
    keys = [add(catalog), add(catalog)]
    assert len({key.name for key in keys}) == 2
    assert all(key.name == f"train-{key.id}" for key in keys)


def test_a_name_is_free_in_another_workspace_alone(catalog: Catalog) -> None:
    add(catalog, "k")
    add(catalog, "k", "ward7")
    with pytest.raises(Conflict, match="'k'"):
        add(catalog, "k")


def test_revoking_is_for_ever_and_keeps_its_first_time(catalog: Catalog) -> None:
    key = add(catalog, "k")
    first = catalog.keys.revoke(W, key.id, actor="ben")
    assert first.revoked is not None
    assert catalog.keys.revoke(W, key.id, actor="cem") == first
    assert [a["actor"] for a in catalog.audit.lines(W, limit=9)] == ["ben", "ana"]
    assert catalog.keys.any()


@pytest.mark.parametrize("key_id", ["", "nothing", "é"])
def test_a_key_that_is_not_there_cannot_be_revoked(catalog: Catalog, key_id: str) -> None:
    with pytest.raises(NotFound):
        catalog.keys.revoke(W, key_id, actor="ben")


def test_a_key_of_another_workspace_is_not_there(catalog: Catalog) -> None:
    key = add(catalog, "k", "ward7")
    with pytest.raises(NotFound):
        catalog.keys.revoke(W, key.id, actor="ben")
    assert catalog.keys.all("ward7") == [key]


def test_each_workspace_has_a_chain_of_its_own(catalog: Catalog) -> None:
    for n in range(3):
        add(catalog, f"a{n}")
        add(catalog, f"b{n}", "ward7")
    for workspace in (W, "ward7"):
        lines = catalog.audit.lines(workspace, limit=9)
        assert [a["number"] for a in lines] == [3, 2, 1]
        assert breaks(lines[::-1]) == catalog.audit.check(workspace) == []


def test_a_line_is_written_with_its_change_or_not_at_all(catalog: Catalog) -> None:
    add(catalog, "k")
    before = catalog.audit.lines(W, limit=9)
    with pytest.raises(Conflict):
        add(catalog, "k")
    with pytest.raises(NotFound):
        catalog.heads.point(W, "h", "champion", 1, reason="", actor="ana")
    assert catalog.audit.lines(W, limit=9) == before


def test_processes_that_write_at_once_make_one_chain(open_catalog: Callable[[], Catalog]) -> None:
    catalogs = [open_catalog() for _ in range(4)]

    def work(n: int) -> None:
        images = [Labelled(f"{n:064x}", "x")]
        catalogs[n % 4].datasets.add(W, f"d{n}", images, actor=f"a{n}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(20)))
    assert catalogs[0].audit.check(W) == []
    lines = catalogs[1].audit.lines(W, limit=100)
    assert len(lines) == 40  # made, and added to
    assert {a["actor"] for a in lines} == {f"a{n}" for n in range(20)}


@pytest.mark.parametrize(
    ("number", "values", "said"),
    [
        (2, {"actor": "nobody"}, "line 2 is not what was written"),
        (3, {"details": {"name": "x"}}, "line 3 is not what was written"),
        (2, {"number": 20}, "lines are missing"),
    ],
)
def test_an_edited_line_shows(
    catalog: Catalog, number: int, values: dict[str, object], said: str
) -> None:
    for n in range(5):
        add(catalog, f"k{n}")
    with catalog.database.write() as connection:
        mine = (audit.c.workspace == W) & (audit.c.number == number)
        connection.execute(update(audit).where(mine).values(**values))
    assert said in " ".join(catalog.audit.check(W))


def test_a_removed_line_shows(catalog: Catalog) -> None:
    for n in range(5):
        add(catalog, f"k{n}")
    with catalog.database.write() as connection:
        connection.execute(delete(audit).where(audit.c.number == 3))
    assert catalog.audit.check(W) == [
        "between line 2 and line 4 lines are missing",
    ]


def test_making_a_workspace_twice_makes_one(catalog: Catalog) -> None:
    catalog.make_workspace("ward7")
    catalog.make_workspace("ward7")
    assert catalog.workspaces() == [W, "ward7"]
