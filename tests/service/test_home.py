"""The home folder: whose catalog it opens, and what it refuses before anything is read."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from in_process import settings_of

from service.backup import back_up, restore
from service.errors import CatalogUnavailable
from service.home import HOME_ID, open_catalog


def test_a_catalog_elsewhere_belongs_to_the_first_home_that_opens_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'shared.sqlite'}"
    first, second = (settings_of(tmp_path / name, catalog_url=url) for name in ("a", "b"))
    open_catalog(first).close()
    with pytest.raises(CatalogUnavailable, match="belongs to another home"):
        open_catalog(second)
    open_catalog(first).close()
    # The same home, brought to another place.
    (second.home / HOME_ID).write_bytes((first.home / HOME_ID).read_bytes())
    open_catalog(second).close()


def test_a_home_with_its_own_catalog_needs_no_name_and_can_be_moved(tmp_path: Path) -> None:
    open_catalog(settings_of(tmp_path / "a")).close()
    assert not (tmp_path / "a" / HOME_ID).exists()
    (tmp_path / "a").rename(tmp_path / "b")
    open_catalog(settings_of(tmp_path / "b")).close()


@pytest.mark.parametrize("name", ["my%20data", "what?", "a#b", "x;y", "a&b=c", "a b", ":@:"])
def test_a_home_may_be_called_anything_and_holds_its_own_catalog(tmp_path: Path, name: str) -> None:
    home = tmp_path / name
    open_catalog(settings_of(home)).close()
    assert (home / "catalog.sqlite").stat().st_size
    assert [place.name for place in tmp_path.iterdir()] == [name]
    back_up(settings_of(home), tmp_path / "backup of %41")
    restore(settings_of(tmp_path / "again"), tmp_path / "backup of %41")
    open_catalog(settings_of(tmp_path / "again")).close()


def test_a_home_has_one_name_however_many_open_it_first(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "a", catalog_url=f"sqlite:///{tmp_path / 'c.sqlite'}")
    with ThreadPoolExecutor(8) as pool:
        opened = list(pool.map(lambda _: open_catalog(settings), range(8)))
    for catalog in opened:
        catalog.close()
    assert [f.name for f in settings.home.iterdir() if HOME_ID in f.name] == [HOME_ID]
