"""Every refusal as a problem object (RFC 9457): the one table of statuses. No web framework."""

from typing import Any

import structlog

import classifiers.errors as heads
import features.errors as images
from service import errors as own

log = structlog.get_logger("problems")

STATUSES: dict[type[Exception], tuple[int, str, str]] = {
    images.FeatureError: (500, "feature_error", "The feature store failed"),
    images.ImageRejected: (422, "image_rejected", "Not a usable image"),
    images.UnknownDigest: (404, "unknown_digest", "Unknown image"),
    images.SpaceMismatch: (409, "space_mismatch", "Another embedding space"),
    images.BackboneUnavailable: (503, "backbone_unavailable", "The backbone cannot be had"),
    images.EngineFailed: (500, "engine_failed", "The backbone failed"),
    images.NoMaps: (422, "no_maps", "This backbone cannot be explained"),
    images.StoreDamaged: (500, "store_damaged", "Stored data is damaged"),
    images.StoreUnavailable: (503, "store_unavailable", "The store cannot be used"),
    images.Overloaded: (503, "overloaded", "Too much work is waiting"),
    heads.ClassifierError: (500, "classifier_error", "A head failed"),
    heads.LabelProblems: (422, "labels_not_ready", "The labels cannot be learnt from"),
    heads.BadRecipe: (422, "bad_option", "An option cannot be used"),
    heads.NoSignal: (422, "no_signal", "The head learnt nothing"),
    heads.SpaceMismatch: (409, "space_mismatch", "Another embedding space"),
    heads.HeadDamaged: (500, "head_damaged", "A stored head is damaged"),
    # The catalog has it and the zoo has not: names that do not exist never get so far.
    heads.HeadNotFound: (500, "head_damaged", "A stored head is missing"),
    heads.TrainingCancelled: (409, "training_cancelled", "Training was cancelled"),
    own.Unauthenticated: (401, "unauthenticated", "A key is needed"),
    own.Forbidden: (403, "forbidden", "The key may not do this"),
    own.ServiceError: (500, "service_error", "The service failed"),
    own.InvalidRequest: (422, "invalid_request", "Invalid request"),
    own.NotFound: (404, "not_found", "Not found"),
    own.Conflict: (409, "conflict", "Conflict"),
    own.LabelsNotReady: (422, "labels_not_ready", "The labels cannot be learnt from"),
    own.ArchiveRejected: (422, "archive_rejected", "The archive is refused"),
    own.BackupRejected: (422, "backup_rejected", "The backup is refused"),
    own.HeadRejected: (422, "head_rejected", "The head is refused"),
    own.HeadOfAnotherSpace: (409, "space_mismatch", "Another embedding space"),
    own.LearntElsewhere: (409, "learnt_elsewhere", "The head was learnt elsewhere"),
    own.RequestTooLarge: (413, "request_too_large", "The request is too large"),
    own.HeadTooLarge: (431, "head_too_large", "The request's head is too large"),
    own.CompressedRequest: (415, "compressed_request", "The request is compressed"),
    own.NothingAnswered: (422, "nothing_answered", "Nothing could be answered"),
    own.ErasurePending: (503, "erasure_pending", "The erasure is not finished"),
    # No standard status says so; this one is what proxies log. Nobody reads it but the metrics.
    own.ClientGone: (499, "client_gone", "The client has gone"),
    own.TookTooLong: (504, "gateway_timeout", "Gateway timeout"),
    own.CatalogUnavailable: (503, "catalog_unavailable", "The catalog cannot be used"),
}
"""Error class → (HTTP status, code, title). A class that is missing takes its parent's row."""

INSIDE = (
    images.StoreDamaged,
    images.StoreUnavailable,
    images.EngineFailed,
    heads.HeadDamaged,
    heads.HeadNotFound,
    own.CatalogUnavailable,
)
"""Errors whose details are the operator's: they name folders, addresses and other workspaces."""

UNAVAILABLE = 503

UNAVAILABLE_S = 5
"""Seconds after which asking again may help, where nothing better is known."""

INTERNAL = {
    "type": "about:blank",
    "title": "Internal error",
    "status": 500,
    "detail": "Something went wrong that should not have.",
    "code": "internal_error",
    "hint": "The server's log says what; the request id finds the line.",
}
"""What a client sees of an error that has no row: nothing of its inside."""


def problem(error: Exception) -> dict[str, Any]:
    """An error as a client may see it; what is kept from them goes to the log."""
    found = full_problem(error)
    if not isinstance(error, INSIDE):
        return found
    log.error("kept from the client", code=found["code"], detail=found["detail"])
    detail = f"{found['title']}. The server's log says more."
    hint = "Tell whoever runs the server; the request id finds the line in its log."
    return {**found, "detail": detail, "hint": hint}


def full_problem(error: Exception) -> dict[str, Any]:
    """An error as a problem object: type, title, status, detail, code, hint and maybe problems.

    For whoever has the home folder; `problem` is for clients.
    """
    row = _row(error)
    if row is None:
        return dict(INTERNAL)
    status, code, title = row
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": str(error).encode(errors="replace").decode(),  # half a character is no JSON
        "code": getattr(error, "code", code),
        "hint": getattr(error, "hint", ""),
    }
    problems = [problem_entry(p) for p in getattr(error, "problems", ())]
    return {**body, "problems": problems} if problems else body


def lasting(said: dict[str, Any]) -> dict[str, Any]:
    """A problem to be kept, without the images and groups that it names: they may be erased."""
    problems = [{**one, "items": []} for one in said.get("problems", ())]
    return {**said, "problems": problems} if problems else said


def retry_after_s(error: Exception) -> int | None:
    """Whole seconds after which the same request may work, where that is known."""
    if isinstance(error, images.Overloaded):
        return max(1, round(error.retry_after_s))
    row = _row(error)
    return UNAVAILABLE_S if row is not None and row[0] == UNAVAILABLE else None


def _row(error: Exception) -> tuple[int, str, str] | None:
    return next((STATUSES[c] for c in type(error).__mro__ if c in STATUSES), None)


def problem_entry(found: object) -> dict[str, Any]:
    """One of several problems: code, detail, items, severity."""
    if isinstance(found, dict):
        return found
    return {
        "code": getattr(found, "code", ""),
        "detail": getattr(found, "detail", str(found)),
        "items": list(getattr(found, "items", ())),
        "severity": getattr(found, "severity", "error"),
    }
