"""Every refusal of the three packages becomes a problem object, and none forgets what it knows."""

import json
from collections.abc import Iterator
from types import SimpleNamespace

import orjson
import pytest
import structlog

import classifiers.errors as heads
import features.errors as images
from service import errors as own
from service.problems import (
    INSIDE,
    INTERNAL,
    STATUSES,
    full_problem,
    problem,
    problem_entry,
    retry_after_s,
)

INHERITS = {images._StoreError}
"""Classes that take their parent's row on purpose: this one is never raised itself."""

CARD = SimpleNamespace(
    name="h", metrics={"auc": {"value": 0.5, "low": 0.4, "high": 0.6}}, p_value=0.4
)
FOUND = SimpleNamespace(code="one_label", detail="only one", items=("x",), severity="error")

RAISED: list[Exception] = [
    images.ImageRejected("truncated_image", "it ends too soon", hint="again", filename="a.png"),
    images.UnknownDigest(["a" * 64, "b" * 64]),
    images.SpaceMismatch("one", "two"),
    images.BackboneUnavailable("toy", "no weights", hint="install"),
    images.EngineFailed("no kernel"),
    images.NoMaps("timm/vit"),
    images.StoreDamaged("here", "torn", hint="restore"),
    images.StoreUnavailable("here", "disk full", hint="make room"),
    images.Overloaded(2.4),
    heads.LabelProblems([FOUND]),  # type: ignore[list-item]
    heads.BadRecipe("rounds", "must be positive"),
    heads.NoSignal(CARD, "auc"),  # type: ignore[arg-type]
    heads.SpaceMismatch("one", "two"),
    heads.HeadDamaged("abc", "does not parse"),
    heads.HeadNotFound("abc"),
    heads.TrainingCancelled(),
    own.Unauthenticated("no key", hint="send one"),
    own.Forbidden("too low", hint="ask an admin"),
    own.InvalidRequest("wrong", hint="change it"),
    own.NotFound("head", "h", hint="list them"),
    own.Conflict("taken", hint="another"),
    own.LabelsNotReady("one label", hint="add", problems=[{"code": "one_label"}]),
    own.ArchiveRejected("a link", hint="plain files"),
    own.HeadRejected("it is no zip"),
    own.HeadOfAnotherSpace("toy (space 1)", "toy (space 2)"),
    own.LearntElsewhere("h@1"),
    own.RequestTooLarge("big", hint="smaller"),
    own.CompressedRequest("gzip"),
    own.NothingAnswered({"results": []}, [{"code": "not_an_image"}]),
    own.HeadTooLarge(65536),
    own.ErasurePending(),
    own.ClientGone(),
    own.TookTooLong(300.0),
    own.BackupRejected("torn", hint="make another"),
    own.CatalogUnavailable("away", hint="wait"),
]

EXPECTED = {
    images.ImageRejected: (422, "truncated_image"),
    images.UnknownDigest: (404, "unknown_digest"),
    images.SpaceMismatch: (409, "space_mismatch"),
    images.BackboneUnavailable: (503, "backbone_unavailable"),
    images.EngineFailed: (500, "engine_failed"),
    images.NoMaps: (422, "no_maps"),
    images.StoreDamaged: (500, "store_damaged"),
    images.StoreUnavailable: (503, "store_unavailable"),
    images.Overloaded: (503, "overloaded"),
    heads.LabelProblems: (422, "labels_not_ready"),
    heads.BadRecipe: (422, "bad_option"),
    heads.NoSignal: (422, "no_signal"),
    heads.SpaceMismatch: (409, "space_mismatch"),
    heads.HeadDamaged: (500, "head_damaged"),
    heads.HeadNotFound: (500, "head_damaged"),
    heads.TrainingCancelled: (409, "training_cancelled"),
    own.Unauthenticated: (401, "unauthenticated"),
    own.Forbidden: (403, "forbidden"),
    own.InvalidRequest: (422, "invalid_request"),
    own.NotFound: (404, "head_not_found"),
    own.Conflict: (409, "conflict"),
    own.LabelsNotReady: (422, "labels_not_ready"),
    own.ArchiveRejected: (422, "archive_rejected"),
    own.HeadRejected: (422, "head_rejected"),
    own.HeadOfAnotherSpace: (409, "space_mismatch"),
    own.LearntElsewhere: (409, "learnt_elsewhere"),
    own.RequestTooLarge: (413, "request_too_large"),
    own.CompressedRequest: (415, "compressed_request"),
    own.NothingAnswered: (422, "nothing_answered"),
    own.HeadTooLarge: (431, "head_too_large"),
    own.ErasurePending: (503, "erasure_pending"),
    own.ClientGone: (499, "client_gone"),
    own.TookTooLong: (504, "gateway_timeout"),
    own.BackupRejected: (422, "backup_rejected"),
    own.CatalogUnavailable: (503, "catalog_unavailable"),
}


def below(root: type[Exception]) -> Iterator[type[Exception]]:
    for child in root.__subclasses__():
        yield child
        yield from below(child)


TREES = (images.FeatureError, heads.ClassifierError, own.ServiceError)


def name(error: object) -> str:
    return type(error).__name__


def test_every_error_of_the_three_trees_has_a_row_of_its_own() -> None:
    here = {
        c for root in TREES for c in (root, *below(root)) if not c.__module__.startswith("test")
    }
    assert here - STATUSES.keys() == INHERITS
    assert {type(e) for e in RAISED} == here - INHERITS - set(TREES) == EXPECTED.keys()


@pytest.mark.parametrize("error", RAISED, ids=name)
def test_an_error_becomes_a_whole_problem(error: Exception) -> None:
    said = full_problem(error)
    status, code = EXPECTED[type(error)]
    assert (said["status"], said["code"], said["type"]) == (status, code, "about:blank")
    assert said["detail"] == str(error) != ""
    assert said["hint"] != ""
    assert said["title"][0].isupper()
    assert set(said) - {"problems"} == {"type", "title", "status", "detail", "code", "hint"}
    assert json.loads(json.dumps(said)) == said


def test_every_single_problem_is_named() -> None:
    said = problem(heads.LabelProblems([FOUND, FOUND]))  # type: ignore[list-item]
    entry = {"code": "one_label", "detail": "only one", "items": ["x"], "severity": "error"}
    assert said["problems"] == [entry, entry]
    assert problem_entry({"code": "kept as it is"}) == {"code": "kept as it is"}
    assert "problems" not in problem(own.Conflict("taken"))


def test_what_is_missing_is_in_the_code() -> None:
    codes = [problem(own.NotFound(what, "x"))["code"] for what in ("dataset", "job", "version")]
    assert codes == ["dataset_not_found", "job_not_found", "version_not_found"]


def test_an_error_that_nobody_expected_tells_nothing_of_the_inside() -> None:
    said = problem(ValueError("secret"))
    assert said == INTERNAL
    assert "secret" not in json.dumps(said)
    said["detail"] = "changed"
    assert problem(ValueError())["detail"] != "changed"


def test_half_a_character_can_still_be_answered_with() -> None:
    assert b"dataset_not_found" in orjson.dumps(problem(own.NotFound("dataset", "\ud800")))


def test_a_new_class_takes_its_parents_row() -> None:
    class TestOnly(images.StoreUnavailable):
        pass

    error = TestOnly("here", "gone", hint="wait")
    assert (problem(error)["status"], problem(error)["code"]) == (503, "store_unavailable")
    assert retry_after_s(error) == 5


def test_whoever_should_come_back_is_told_when() -> None:
    assert retry_after_s(images.Overloaded(2.4)) == 2
    assert retry_after_s(images.Overloaded(0.01)) == 1
    assert retry_after_s(own.CatalogUnavailable("away")) == 5
    assert retry_after_s(own.Conflict("taken")) is None
    assert retry_after_s(ValueError()) is None


def test_what_names_folders_is_kept_from_clients_and_logged() -> None:
    place = "the-home/records/ward7"
    for error in (
        images.StoreDamaged(place, place, hint=place),
        images.StoreUnavailable(place, place, hint=place),
        images.EngineFailed(place, hint=place),
        heads.HeadDamaged(place, place),
        heads.HeadNotFound(place),
        own.CatalogUnavailable(place, hint=place),
    ):
        assert isinstance(error, INSIDE)
        with structlog.testing.capture_logs() as logged:
            said = problem(error)
        assert place not in str(said)
        assert said["detail"]
        assert said["hint"]
        assert (said["status"], said["code"]) == EXPECTED[type(error)]
        assert any(place in str(line) for line in logged)


def test_what_clients_can_mend_themselves_is_told_them_whole() -> None:
    told = [error for error in RAISED if not isinstance(error, INSIDE)]
    assert len(told) > len(INSIDE)
    assert all(problem(error) == full_problem(error) for error in told)
