"""The error tree of `features`: one class per thing a caller can do something about. Knows no HTTP.

    FeatureError
    ├── ImageRejected          not an image we can use; the others of its batch are fine
    ├── UnknownDigest          no record, or no bytes, under these digests
    ├── SpaceMismatch          vectors of one space were offered where another is expected
    ├── BackboneUnavailable    the backbone does not exist, or its weights cannot be had here
    ├── EngineFailed           the backbone could not be compiled or run
    ├── NoMaps                 the backbone cannot say which places its embedding comes from
    ├── StoreDamaged           what is on disk contradicts itself
    ├── StoreUnavailable       the store cannot be read or written now
    └── Overloaded             the bounded queue is full; the same call will work later

`str(error)` says what happened and to which thing; `error.hint` says what to do about it.
"""

from collections.abc import Sequence


class FeatureError(Exception):
    """Anything `features` refuses or fails to do; `hint` says what to do about it."""

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class ImageRejected(FeatureError):
    """One file cannot be used as an image; `code` is stable, `detail` is for people.

    Codes: empty_image, image_too_large, not_an_image, unsupported_format, too_many_pixels,
    side_too_long, truncated_image, damaged_image.
    """

    def __init__(self, code: str, detail: str, *, hint: str, filename: str | None = None) -> None:
        super().__init__(f"{filename or 'image'}: {detail}", hint=hint)
        self.code = code
        self.detail = detail
        self.filename = filename


class UnknownDigest(FeatureError):
    """Nothing is stored under these digests."""

    def __init__(self, digests: Sequence[str]) -> None:
        self.digests = tuple(digests)
        first, more = ", ".join(self.digests[:3]), len(self.digests) - 3
        super().__init__(
            f"unknown digest: {first}" + (f" and {more} more" if more > 0 else ""),
            hint="Send the images themselves once, then use their digests.",
        )


class SpaceMismatch(FeatureError):
    """Vectors of space `found` cannot be used where space `expected` is (both are space ids)."""

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(
            f"expected vectors of space {expected}, found space {found}",
            hint="Use the backbone that made the vectors, or embed the images again with this one.",
        )
        self.expected = expected
        self.found = found


class BackboneUnavailable(FeatureError):
    """The backbone `name` cannot be had, for `reason`."""

    def __init__(self, name: str, reason: str, *, hint: str) -> None:
        super().__init__(f"backbone {name!r} is not available: {reason}", hint=hint)
        self.name = name
        self.reason = reason


class EngineFailed(FeatureError):
    """A backbone that exists could not be compiled, or failed while running."""

    def __init__(
        self, detail: str, *, hint: str = "Try device='reference'; if it works, report this."
    ) -> None:
        super().__init__(f"engine failed: {detail}", hint=hint)
        self.detail = detail


class NoMaps(FeatureError):
    """The embedding of backbone `name` is not the mean of maps, so no place has a part in it."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"backbone {name!r} cannot be explained: its embedding is not the mean of maps",
            hint="Ask without a heat map, or use a network that ends in global average pooling.",
        )
        self.name = name


class _StoreError(FeatureError):
    """A store at `place` has a problem, described by `detail`."""

    def __init__(self, place: str, detail: str, *, hint: str) -> None:
        super().__init__(f"{place}: {detail}", hint=hint)
        self.place = place
        self.detail = detail


class StoreDamaged(_StoreError):
    """What is stored at `place` contradicts itself, or is not what it claims to be."""


class StoreUnavailable(_StoreError):
    """The store at `place` cannot be read or written now: disk full, read-only, out of reach."""


class Overloaded(FeatureError):
    """Too much is waiting already; the same call is welcome after `retry_after_s` seconds."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(
            "too many images are waiting to be embedded",
            hint=f"Send the same request again in {retry_after_s:g} s.",
        )
        self.retry_after_s = retry_after_s
