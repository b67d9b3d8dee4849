"""How what stands in a card is read back: exact types, no unknown fields, no NaN."""

from pydantic import ConfigDict

STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
