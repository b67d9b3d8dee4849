"""Who may come in, and what they may do there. Knows no web framework and no route.

Secrets are 256 random bits, so a plain SHA-256 of one gives nothing away: there is no list of
likely secrets to try, which is what slow hashes are for.
"""

import getpass
import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Lock
from time import monotonic, time
from typing import Literal, get_args

from service.catalog import Catalog, Key
from service.errors import Forbidden, Unauthenticated

Role = Literal["predict", "train", "admin"]
"""What a key may do; each role may do what those before it may."""

ROLES: tuple[Role, ...] = get_args(Role)

PREFIX = "penultimate_"
"""How every secret begins, so that programs that look for leaked secrets find it."""

REFRESH_S = 1.0
"""After this long keys are read again, whatever the stamp says: other hosts may share a catalog."""

RESERVED = ("anonymous", "operator", "system")
"""Actors that are no keys."""

NO_KEY = "0" * 64

NEVER = 0
"""What is said of a home whose keys never changed."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks.

    Args:
        workspace: the only one that is there for them.
        role: what they may do in it.
        name: of the key; what the audit and the history call them.
    """

    workspace: str
    role: Role
    name: str

    def may(self, role: Role) -> bool:
        """Whether they may do what a role may."""
        return ROLES.index(self.role) >= ROLES.index(role)

    def require(self, role: Role) -> None:
        """Lets them go on.

        Raises:
            Forbidden: their role is too low.
        """
        if not self.may(role):
            raise Forbidden(
                f"This needs the role {role}; the key '{self.name}' has the role {self.role}.",
                hint="Ask an admin of the workspace for such a key, or to do it.",
            )


@dataclass(frozen=True, slots=True)
class _Entry:
    hash: str
    until: float
    principal: Principal


_NOBODY = _Entry(NO_KEY, 0.0, Principal("", "predict", ""))


class Door:
    """The keys of a catalog, kept in memory for as long as they are surely true.

    A change through the same home is seen at the next request of every process, by the time stamp
    of a file; any other change within a second.

    Args:
        catalog: has the keys.
        home: where the stamp lies.
    """

    def __init__(self, catalog: Catalog, home: Path) -> None:
        self._catalog = catalog
        self._stamp = _stamp_of(home)
        self._lock = Lock()
        self._entries: dict[str, _Entry] = {}
        self._closed = False
        self._seen = -1
        self._read_at = float("-inf")

    @property
    def closed(self) -> bool:
        """Whether a key is needed: from the first key on, for ever."""
        return self._closed

    def is_fresh(self) -> bool:
        """Whether what is in memory is still true. Costs microseconds."""
        return self.is_recent() and self._seen == _changed_at(self._stamp)

    def is_recent(self) -> bool:
        """Whether what is in memory was true within the last second. Asks no file."""
        return self._age_s() < REFRESH_S

    def is_due(self) -> bool:
        """Whether it is time to read them again, so that nobody waits when they are not fresh."""
        return self._age_s() > REFRESH_S / 2

    def refresh(self) -> None:
        """Reads the keys again, unless somebody just did.

        Raises:
            CatalogUnavailable: they cannot be read; nobody is let in on what was true before.
        """
        with self._lock:
            if self.is_fresh() and not self.is_due():
                return
            # Before the reading: a change in between is seen at the next request.
            seen, read_at = _changed_at(self._stamp), monotonic()
            found = self._catalog.keys.all()
            self._entries = {key.hash: _entry(key) for key in found}
            # A catalog that has lost its keys opens nothing: the home knows that there were some.
            self._closed = bool(found) or seen != NEVER
            self._seen, self._read_at = seen, read_at

    def _age_s(self) -> float:
        return monotonic() - self._read_at

    def principal(self, secret: str) -> Principal:
        """Who has a secret.

        Whatever is wrong with it, the same is done and said: that a key has expired or was revoked
        is nobody's business who has it no more.

        Raises:
            Unauthenticated: it is unknown, expired or revoked.
        """
        hashed = hash_of(secret)
        entry = self._entries.get(hashed, _NOBODY)
        is_same = hmac.compare_digest(entry.hash, hashed)
        if not (is_same and time() < entry.until):
            raise Unauthenticated(
                "The key is unknown, has expired or was revoked.",
                hint="Ask an admin of the workspace for a new one.",
            )
        return entry.principal


def new_secret() -> str:
    """A new key's secret: 256 random bits."""
    return PREFIX + secrets.token_urlsafe(32)


def hash_of(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


def announce_change(home: Path) -> None:
    """Lets every process on a home know that keys are not what they were."""
    stamp = _stamp_of(home)
    stamp.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # New content in a new file: two changes within one tick of the clock differ all the same.
    fresh = stamp.with_name(f"{stamp.name}.{secrets.token_hex(4)}")
    fresh.write_text(secrets.token_hex(8), "utf-8")
    fresh.replace(stamp)


def operator(workspace: str) -> Principal:
    """Whoever may run commands on the home folder: the files are theirs anyway."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container may run as a user without a name
        user = "unknown"
    return Principal(workspace, "admin", f"operator:{user}"[:64])


def anonymous(workspace: str) -> Principal:
    """Whoever asks on this machine, as long as there never was a key."""
    return Principal(workspace, "admin", "anonymous")


def _stamp_of(home: Path) -> Path:
    return home / "run" / "keys.changed"


def _changed_at(stamp: Path) -> int:
    """Differs after every change: the file's number and its time; 0 where there was none yet."""
    try:
        said = os.stat(stamp)  # noqa: PTH116  half the time of Path.stat, at every request
    except OSError:
        return NEVER
    return hash((said.st_ino, said.st_mtime_ns))


def _entry(key: Key) -> _Entry:
    until = float("inf") if key.expires is None else datetime.fromisoformat(key.expires).timestamp()
    # Roles are checked when a key is made; one of a newer release opens nothing here.
    role: Role | None = next((r for r in ROLES if r == key.role), None)
    if key.revoked is not None or role is None:
        return _Entry(key.hash, 0.0, _NOBODY.principal)
    return _Entry(key.hash, until, Principal(key.workspace, role, key.name))
