"""Datasets in the catalog: what was said of an image is kept, merged, corrected and removed."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from service.catalog import Catalog, Labelled
from service.errors import CatalogUnavailable, Conflict, InvalidRequest, NotFound

A, B, C = ("a" * 64, "b" * 64, "c" * 64)
W = "default"


def test_a_new_dataset_is_made_by_what_is_added(catalog: Catalog) -> None:
    assert catalog.datasets.add(W, "pets", []) == ([], [])
    assert catalog.datasets.names(W) == ["pets"]
    assert catalog.datasets.images(W, "pets") == []


def test_added_and_known_are_told_apart(catalog: Catalog) -> None:
    first = [Labelled(A, "cat"), Labelled(B, "dog")]
    assert catalog.datasets.add(W, "pets", first) == ([A, B], [])
    assert catalog.datasets.add(W, "pets", [Labelled(B, "dog"), Labelled(C, "cat")]) == ([C], [B])
    assert [i.digest for i in catalog.datasets.images(W, "pets")] == [A, B, C]


def test_an_image_twice_in_one_call_is_added_once(catalog: Catalog) -> None:
    assert catalog.datasets.add(W, "pets", [Labelled(A, "cat"), Labelled(A, "cat")]) == ([A], [])
    assert catalog.datasets.images(W, "pets") == [Labelled(A, "cat")]


def test_every_field_of_an_image_is_kept(catalog: Catalog) -> None:
    image = Labelled(A, "Ödem / links", "patient 7", "train", "a b.png")
    catalog.datasets.add(W, "d", [image])
    assert catalog.datasets.images(W, "d") == [image]


def test_adding_again_changes_nothing(catalog: Catalog) -> None:
    image = Labelled(A, "cat", "g", "train", "a.png")
    catalog.datasets.add(W, "d", [image])
    assert catalog.datasets.add(W, "d", [replace(image, filename="other.png")]) == ([], [A])
    assert catalog.datasets.images(W, "d") == [image]


def test_what_is_new_of_a_known_image_is_merged(catalog: Catalog) -> None:
    catalog.datasets.add(W, "d", [Labelled(A)])
    catalog.datasets.add(W, "d", [Labelled(A, "cat")])
    catalog.datasets.add(W, "d", [Labelled(A, "cat", group="g1")])
    catalog.datasets.add(W, "d", [Labelled(A, "cat", split="test")])
    catalog.datasets.add(W, "d", [Labelled(A, group="g2", filename="a.png")])
    assert catalog.datasets.images(W, "d") == [Labelled(A, "cat", "g2", "test", "a.png")]


def test_a_second_label_of_an_image_is_kept_beside_the_first(catalog: Catalog) -> None:
    catalog.datasets.add(W, "d", [Labelled(A, "cat"), Labelled(B, "dog")])
    assert catalog.datasets.add(W, "d", [Labelled(A, "dog")]) == ([], [A])
    assert catalog.datasets.images(W, "d") == [
        Labelled(A, "cat"),
        Labelled(B, "dog"),
        Labelled(A, "dog"),
    ]
    assert catalog.datasets.summary(W, "d").images == 2


def test_relabelling_leaves_one_label_in_the_old_place(catalog: Catalog) -> None:
    catalog.datasets.add(W, "d", [Labelled(A, "cat", "g", "train", "a.png"), Labelled(B, "dog")])
    catalog.datasets.add(W, "d", [Labelled(A, "dog")])
    assert catalog.datasets.relabel(W, "d", [Labelled(A, "dog"), Labelled(C, "cat")]) == [C]
    assert catalog.datasets.images(W, "d") == [
        Labelled(A, "dog", "g", "train", "a.png"),
        Labelled(B, "dog"),
    ]


def test_relabelling_can_take_a_label_away_and_set_a_group(catalog: Catalog) -> None:
    catalog.datasets.add(W, "d", [Labelled(A, "cat", "g1")])
    catalog.datasets.relabel(W, "d", [Labelled(A, None, "g2")])
    assert catalog.datasets.images(W, "d") == [Labelled(A, None, "g2")]
    assert catalog.datasets.summary(W, "d").unlabelled == 1


def test_a_summary_counts_images_labels_and_groups(catalog: Catalog) -> None:
    catalog.datasets.add(
        W,
        "d",
        [Labelled(A, "cat", "g1"), Labelled(B, "cat", "g1"), Labelled(C, None, "g2")],
    )
    summary = catalog.datasets.summary(W, "d")
    assert (summary.name, summary.images, summary.labels) == ("d", 3, {"cat": 2})
    assert (summary.unlabelled, summary.groups) == (1, 2)
    assert summary.created.endswith("Z")


def test_names_are_in_order_whatever_the_database_sorts_by(catalog: Catalog) -> None:
    for name in ("b", "B", "a", "_", "0"):
        catalog.datasets.add(W, name, [])
    assert catalog.datasets.names(W) == ["0", "B", "_", "a", "b"]


def test_digests_can_be_narrowed_to_a_dataset_and_a_label(catalog: Catalog) -> None:
    catalog.datasets.add(W, "one", [Labelled(A, "cat"), Labelled(B, "dog")])
    catalog.datasets.add(W, "two", [Labelled(C, "cat")])
    assert catalog.datasets.digests(W) == {A, B, C}
    assert catalog.datasets.digests(W, "one") == {A, B}
    assert catalog.datasets.digests(W, label="cat") == {A, C}
    assert catalog.datasets.digests(W, "one", "cat") == {A}
    assert catalog.datasets.digests("other") == set()
    assert catalog.datasets.count(W) == 3


def test_hits_are_described_by_their_oldest_entry(catalog: Catalog) -> None:
    catalog.datasets.add(W, "one", [Labelled(A, "cat")])
    catalog.datasets.add(W, "two", [Labelled(A, "animal"), Labelled(B, "dog")])
    catalog.datasets.relabel(W, "one", [Labelled(A, "kitten")])
    assert catalog.datasets.describe(W, [A, B, C]) == {
        A: ("one", Labelled(A, "kitten")),
        B: ("two", Labelled(B, "dog")),
    }
    assert catalog.datasets.describe(W, [A], "two") == {A: ("two", Labelled(A, "animal"))}
    assert catalog.datasets.describe("other", [A]) == {}
    assert catalog.datasets.describe(W, []) == {}


def test_more_images_than_one_statement_takes(catalog: Catalog) -> None:
    digests = [f"{n:064x}" for n in range(1_201)]
    images = [Labelled(d, "x") for d in digests]
    assert catalog.datasets.add(W, "d", images) == (digests, [])
    assert catalog.datasets.add(W, "d", images) == ([], digests)
    assert len(catalog.datasets.describe(W, digests)) == 1_201
    strangers = [f"{n:064x}" for n in range(5_000, 75_000)]  # SQLite takes 32,766 in one
    assert catalog.datasets.describe(W, strangers) == {}


@pytest.mark.parametrize("missing", ["images", "summary", "digests"])
def test_a_dataset_that_is_not_there_is_named(catalog: Catalog, missing: str) -> None:
    with pytest.raises(NotFound) as refused:
        getattr(catalog.datasets, missing)(W, "nope")
    assert (refused.value.what, refused.value.which) == ("dataset", "nope")
    assert refused.value.code == "dataset_not_found"


def test_removing_a_dataset_names_the_images_that_no_other_holds(catalog: Catalog) -> None:
    catalog.datasets.add(W, "one", [Labelled(A, "x"), Labelled(B, "x")])
    catalog.datasets.add(W, "two", [Labelled(B, "y"), Labelled(C, "y")])
    assert catalog.remove_dataset(W, "one") == {A}
    assert catalog.datasets.names(W) == ["two"]
    assert catalog.datasets.images(W, "two") == [Labelled(B, "y"), Labelled(C, "y")]
    assert catalog.open_erasures() == [(W, A)]
    with pytest.raises(NotFound):
        catalog.remove_dataset(W, "one")


def test_an_image_that_is_being_erased_is_not_taken_until_it_is_gone(catalog: Catalog) -> None:
    catalog.datasets.add(W, "d", [Labelled(A, "x")])
    assert catalog.begin_erasure(W, A) == (1, [])
    with pytest.raises(Conflict):
        catalog.datasets.add(W, "d", [Labelled(B, "x"), Labelled(A, "x")])
    assert catalog.datasets.images(W, "d") == []  # all or nothing
    catalog.finish_erasures(W, [A])
    assert catalog.datasets.add(W, "d", [Labelled(A, "x")]) == ([A], [])


def test_erasing_takes_an_image_out_of_every_dataset_and_training_list(
    catalog: Catalog, register: Callable[..., int]
) -> None:
    catalog.datasets.add(W, "one", [Labelled(A, "x"), Labelled(A, "y"), Labelled(B, "x")])
    catalog.datasets.add(W, "two", [Labelled(A, "x")])
    register("h", training={A: "x", B: "x"})
    register("h", training={B: "x"})
    register("g", training={A: "x"})
    generation = catalog.heads.generation()
    assert catalog.begin_erasure(W, A) == (3, [("g", 1), ("h", 1)])
    assert catalog.datasets.digests(W) == {B}
    assert catalog.heads.training_labels(W, "h", 1) == {B: "x"}
    assert catalog.heads.generation() > generation


def test_an_erasure_is_open_until_it_is_finished(
    catalog: Catalog, open_catalog: Callable[[], Catalog]
) -> None:
    catalog.begin_erasure(W, A)
    catalog.begin_erasure(W, A)
    catalog.begin_erasure(W, B)
    catalog.finish_erasures(W, [B])
    assert open_catalog().open_erasures() == [(W, A)]


def test_one_workspace_never_sees_another(catalog: Catalog) -> None:
    with catalog.database.write() as connection:
        connection.exec_driver_sql("INSERT INTO workspaces (name, created) VALUES ('other', 'x')")
    catalog.datasets.add(W, "d", [Labelled(A, "mine")])
    catalog.datasets.add("other", "d", [Labelled(A, "theirs"), Labelled(B, "theirs")])
    assert catalog.workspaces() == ["default", "other"]
    assert catalog.datasets.images(W, "d") == [Labelled(A, "mine")]
    assert catalog.datasets.digests(W, label="theirs") == set()
    assert catalog.begin_erasure(W, B) == (0, [])
    assert catalog.remove_dataset(W, "d") == {A}
    assert catalog.datasets.digests("other") == {A, B}


def test_text_that_no_database_can_hold_is_refused_as_the_clients_fault(catalog: Catalog) -> None:
    with pytest.raises(InvalidRequest):
        catalog.datasets.add(W, "d", [Labelled(A, "\ud800")])
    assert catalog.datasets.names(W) == []


def test_all_of_a_transaction_or_nothing_of_it(catalog: Catalog) -> None:
    def fail() -> None:
        with catalog.database.write() as connection:
            connection.exec_driver_sql(
                "INSERT INTO workspaces (name, created) VALUES ('other', 'x')"
            )
            raise CatalogUnavailable("stop")

    with pytest.raises(CatalogUnavailable):
        fail()
    assert catalog.workspaces() == ["default"]
