"""Starts the server: prepares the home once, then becomes BentoML. Knows nothing of requests."""

import errno
import ipaddress
import os
import socket
import sys
from pathlib import Path
from typing import NoReturn

from service.errors import InvalidRequest
from service.settings import Settings
from service.wiring import build

SERVICE = "service.app:Penultimate"

PACKAGES = Path(__file__).parent.parent
"""Where this package lies; BentoML must not find another `service` in the current folder."""


def prepare(settings: Settings, host: str, port: int) -> str:
    """Looks whether the server can start, and does once what every worker would do at once.

    Returns:
        The address to listen at.

    Raises:
        InvalidRequest: the address is none, or somebody listens there already.
    """
    listen_at = _address_of(host)
    _check_free(listen_at, port)
    build(settings).close()
    return listen_at


def environment(settings: Settings, workers: int) -> dict[str, str]:
    """What the server finds in its environment; it runs in another folder, so paths are whole."""
    home = settings.home.absolute()
    own = {
        "PENULTIMATE_HOME": str(home),
        "PENULTIMATE_WORKERS": str(workers),
        "BENTOML_HOME": str(home / "run" / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "True",
    }
    if settings.weights is not None:
        own["PENULTIMATE_WEIGHTS"] = str(settings.weights.absolute())
    if settings.store_uri is not None and "://" not in settings.store_uri:
        own["PENULTIMATE_STORE_URI"] = str(Path(settings.store_uri).absolute())
    return {**os.environ, **own}


def command(listen_at: str, port: int) -> list[str]:
    """What is run."""
    bentoml = [sys.executable, "-m", "bentoml", "serve", SERVICE]
    return [*bentoml, "--host", listen_at, "--port", str(port), "--working-dir", str(PACKAGES)]


def become_server(settings: Settings, listen_at: str, port: int, workers: int) -> NoReturn:
    """Replaces this process, so that signals reach the server itself."""
    (settings.home / "run" / "bentoml").mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    args = command(listen_at, port)
    os.execve(args[0], args, environment(settings, workers))  # noqa: S606 - our own arguments, no shell


def _address_of(host: str) -> str:
    """BentoML takes addresses, not names."""
    if host == "localhost":
        return "127.0.0.1"
    try:
        return str(ipaddress.ip_address(host))
    except ValueError as error:
        raise InvalidRequest(
            f"'{host}' is not an address.",
            hint="Use 127.0.0.1 for this machine alone, 0.0.0.0 for everyone who can reach it.",
        ) from error


def _check_free(listen_at: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in listen_at else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((listen_at, port))
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            reason = "somebody listens there already" if taken else error.strerror
            raise InvalidRequest(
                f"The server cannot listen at {listen_at}, port {port}: {reason}.",
                hint="Choose another with --port, or stop what listens there.",
            ) from error
