"""Keys of every kind, right and wrong, to a home whose first workspace has been taught."""

from dataclasses import dataclass, field
from typing import Any

from httpx import Response
from in_process import Http

from service.access import Principal, Role, announce_change, hash_of, new_secret
from service.workflows import keys

FIRST = "default"


@dataclass
class Keyring:
    """Makes keys to a home and asks with them."""

    http: Http
    made: dict[str, str] = field(default_factory=dict)

    def key(self, role: Role, *, workspace: str = FIRST, name: str | None = None) -> str:
        """A key that opens; made once for each role and workspace."""
        called = name or f"{workspace}-{role}"
        if called not in self.made:
            made = self._create(role, workspace, called)
            self.made[called] = made["key"]
        return self.made[called]

    def revoked(self) -> str:
        """A key that was an admin's until it was taken back."""
        if "revoked" not in self.made:
            product = self.http.product
            made = self._create("admin", FIRST, "taken-back")
            who = Principal(FIRST, "admin", "test")
            keys.revoke(product.catalog, product.settings.home, who, made["id"])
            self.made["revoked"] = made["key"]
        return self.made["revoked"]

    def expired(self) -> str:
        """A key that was an admin's until its time ran out."""
        if "expired" not in self.made:
            secret = self.made["expired"] = new_secret()
            product = self.http.product
            product.catalog.keys.add(
                FIRST,
                name="run-out",
                role="admin",
                hashed=hash_of(secret),
                expires="2020-01-01T00:00:00.000Z",
                actor="test",
            )
            announce_change(product.settings.home)
        return self.made["expired"]

    def ask(self, key: str | None, method: str, url: str, **options: Any) -> Response:
        """One request with a key, or with none."""
        if key is not None:
            given = dict(options.pop("headers", {}))
            options["headers"] = {**given, "Authorization": f"Bearer {key}"}
        return self.http.request(method, url, **options)

    def _create(self, role: Role, workspace: str, name: str) -> dict[str, Any]:
        product = self.http.product
        who = Principal(workspace, "admin", "test")
        return keys.create(product.catalog, product.settings.home, who, role=role, name=name)
