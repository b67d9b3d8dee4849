"""Everything the service refuses, as exceptions. Knows no HTTP: `problems.py` has the table.

ServiceError                    detail, hint, problems
├── Unauthenticated             no key, or none that opens anything
├── Forbidden                   the key's role is too low
├── InvalidRequest              an argument is outside its limits; all of them are in problems
├── NotFound                    what (dataset, head, version, alias, job, image, key), which
├── Conflict                    the request contradicts what is stored
├── LabelsNotReady              a dataset that cannot be learnt from; problems has every reason
├── ArchiveRejected             a zip or tar that is refused whole
├── BackupRejected              a backup that cannot be restored as it was made
├── HeadRejected                a file of a head that is none, or not as it was made
├── HeadOfAnotherSpace          a file of a head that understands other vectors than these
├── LearntElsewhere             the question needs images that never were here
├── RequestTooLarge             more bytes or parts than the settings allow
├── HeadTooLarge                a request's line and headers are too long
├── CompressedRequest           a request's body is compressed
├── NothingAnswered             not one image that was sent could be answered
├── ErasurePending              deleted rows could not be wiped off the disk yet
├── ClientGone                  nobody waits for the answer any more
└── CatalogUnavailable          the catalog cannot be read or written
"""

from collections.abc import Sequence
from typing import Any

MAX_REASON = 500
"""Characters of a reason that may quote what was sent."""

MAX_NAMED = 100
"""Of several things that are wrong, how many a refusal names."""


class ServiceError(Exception):
    """Base of the service's refusals.

    Args:
        detail: what happened and to which thing, for a person.
        hint: what to do about it.
        problems: every single problem, where there are several.
    """

    code = "service_error"

    def __init__(
        self, detail: str, *, hint: str = "", problems: Sequence[dict[str, Any]] = ()
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.hint = hint
        self.problems = list(problems)


class Unauthenticated(ServiceError):
    """No key, or none that opens anything."""

    code = "unauthenticated"


class Forbidden(ServiceError):
    """The key's role is too low."""

    code = "forbidden"


class InvalidRequest(ServiceError):
    """An argument is outside its limits."""

    code = "invalid_request"

    @classmethod
    def all_of(cls, refusals: Sequence["InvalidRequest"]) -> "InvalidRequest":
        """One refusal that names each of several, and as many of them as can be read."""
        if len(refusals) == 1:
            return refusals[0]
        said = list(dict.fromkeys((r.detail, r.hint) for r in refusals))[:MAX_NAMED]
        details, hints = zip(*said, strict=True)
        more = len(refusals) - len(said)
        return cls(
            " ".join([*details, *([f"And {more} more."] if more else [])]),
            hint=" ".join(dict.fromkeys(hints)),
            problems=[{"code": cls.code, "detail": detail} for detail in details],
        )


class NotFound(ServiceError):
    """A thing that the workspace does not have.

    Args:
        what: `dataset`, `head`, `version`, `alias`, `job`, `image` or `key`.
        which: its name.
        others: those that it has not either.
    """

    def __init__(
        self, what: str, which: str, *, hint: str = "", others: Sequence[str] = ()
    ) -> None:
        more = f" and {len(others)} more" if others else ""
        named = [which, *others][:MAX_NAMED] if others else []
        super().__init__(
            f"There is no {what} '{which}'{more}.",
            hint=hint,
            problems=[
                {"code": f"{what}_not_found", "detail": f"There is no {what} '{name}'."}
                for name in named
            ],
        )
        self.what = what
        self.which = which
        self.code = f"{what}_not_found"


class Conflict(ServiceError):
    """The request contradicts what is stored."""

    code = "conflict"


class LabelsNotReady(ServiceError):
    """A dataset that cannot be learnt from."""

    code = "labels_not_ready"


class ArchiveRejected(ServiceError):
    """A zip or tar that is refused whole."""

    code = "archive_rejected"


class BackupRejected(ServiceError):
    """A backup that cannot be restored as it was made."""

    code = "backup_rejected"


class HeadRejected(ServiceError):
    """A file of a head that is none, or not as it was made."""

    code = "head_rejected"

    def __init__(self, why: str) -> None:
        super().__init__(
            f"The file is no head that can be taken in: {why[:MAX_REASON].rstrip('.')}.",
            hint="Send a file as `penultimate heads export` writes it, unchanged.",
        )


class HeadOfAnotherSpace(ServiceError):
    """A file of a head that understands other vectors than the ones made here.

    Args:
        wanted: the backbone that it was learnt with, and what identifies its space.
        served: the same of this service.
    """

    code = "space_mismatch"

    def __init__(self, wanted: str, served: str) -> None:
        super().__init__(
            f"The head was learnt with the backbone {wanted}; this service has {served}.",
            hint="Bring it to a service with that backbone and the same weights "
            "(PENULTIMATE_BACKBONE), or learn it here from images of your own.",
        )


class LearntElsewhere(ServiceError):
    """The question needs the images that a head learnt from, which never were here.

    Args:
        head: as name@version.
    """

    code = "learnt_elsewhere"

    def __init__(self, head: str) -> None:
        super().__init__(
            f"{head} came as a file: the images that it learnt from are not here.",
            hint="Ask where it was learnt.",
        )


class RequestTooLarge(ServiceError):
    """More bytes or parts than the settings allow."""

    code = "request_too_large"


class HeadTooLarge(ServiceError):
    """A request's line and headers are too long.

    Args:
        most_bytes: how long they may be.
    """

    code = "head_too_large"

    def __init__(self, most_bytes: int) -> None:
        super().__init__(
            f"A request's line and headers may have {most_bytes} bytes.",
            hint="Send what is long in the body.",
        )


class CompressedRequest(ServiceError):
    """A request's body is compressed: how much it unpacks to could not be limited.

    Args:
        coding: how, as the client says it.
    """

    code = "compressed_request"

    def __init__(self, coding: str) -> None:
        super().__init__(
            f"The request's body is compressed ('{coding[:40]}').",
            hint="Send it as it is; JPEG and PNG gain nothing.",
        )


class NothingAnswered(ServiceError):
    """Not one image that was sent could be answered.

    Args:
        answer: the whole answer, with an error in the place of each image.
    """

    code = "nothing_answered"

    def __init__(self, answer: dict[str, Any], problems: Sequence[dict[str, Any]]) -> None:
        super().__init__(
            "None of the images could be answered.",
            hint="Each entry of the answer says why in its `error`.",
            problems=problems,
        )
        self.answer = answer


class ErasurePending(ServiceError):
    """Deleted rows could not be wiped off the disk yet; the trainer tries again until they are."""

    code = "erasure_pending"

    def __init__(self, heads: Sequence[str] = ()) -> None:
        learnt = f" Heads that learnt from it, and should learn anew: {', '.join(heads)}."
        super().__init__(
            "It is erased, but for deleted rows in the catalog's log, which somebody reads."
            + (learnt if heads else ""),
            hint="They are wiped off once that ends; a long backup or a database tool does it.",
        )


class ClientGone(ServiceError):
    """Nobody waits for the answer any more; the work was not begun."""

    code = "client_gone"

    def __init__(self) -> None:
        super().__init__("The connection was closed before the answer.", hint="Ask again.")


class TookTooLong(ServiceError):
    """No answer had begun in the time that a request may take."""

    code = "gateway_timeout"

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"There was no answer within {seconds:g} seconds.",
            hint="Send less at once, or raise PENULTIMATE_REQUEST_TIMEOUT_S.",
        )


class CatalogUnavailable(ServiceError):
    """The catalog cannot be read or written."""

    code = "catalog_unavailable"
