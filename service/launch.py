"""Starts the server: prepares the home once, then becomes BentoML. Knows nothing of requests."""

import errno
import ipaddress
import os
import signal
import socket
import ssl
import sys
from pathlib import Path
from typing import NoReturn

from service.errors import InvalidRequest
from service.home import open_catalog
from service.leash import SERVER_PID
from service.settings import Settings
from service.wiring import build

SERVICE = "service.app:Penultimate"

BENTOML = """
import runpy, signal
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
runpy.run_module("bentoml", run_name="__main__", alter_sys=True)
"""
"""`python -m bentoml`, but Ctrl-C ends it without a trace until it minds Ctrl-C itself."""

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2; BentoML's default leaves out all that are sound. TLS 1.3 has its own."""

PACKAGES = Path(__file__).parent.parent
"""Where this package lies; BentoML must not find another `service` in the current folder."""


def prepare(settings: Settings, host: str, port: int) -> str:
    """Looks whether the server can start, and does once what every worker would do at once.

    Returns:
        The address to listen at.

    Raises:
        InvalidRequest: the address is none, somebody listens there already, or others could reach
            it and there is no key; a certificate cannot be used.
    """
    listen_at = _address_of(host)
    _check_certificate(settings)
    if not (ipaddress.ip_address(listen_at).is_loopback or needs_key(settings)):
        raise InvalidRequest(
            f"Others could reach {listen_at}, and there are no keys.",
            hint="`penultimate keys create --role admin` makes the first; from then on every "
            "request needs one. 127.0.0.1 needs none.",
        )
    _check_free(listen_at, port)
    build(settings).close()
    return listen_at


def needs_key(settings: Settings) -> bool:
    """Whether there ever was a key: from then on every request needs one."""
    catalog = open_catalog(settings)
    try:
        return catalog.keys.any()
    finally:
        catalog.close()


def environment(settings: Settings, workers: int) -> dict[str, str]:
    """What the server finds in its environment; it runs in another folder, so paths are whole."""
    home = settings.home.absolute()
    own = {
        "PENULTIMATE_HOME": str(home),
        "PENULTIMATE_WORKERS": str(workers),
        "BENTOML_HOME": str(home / "run" / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "True",
        "PYTHONSAFEPATH": "1",
    }
    if settings.weights is not None:
        own["PENULTIMATE_WEIGHTS"] = str(settings.weights.absolute())
    if settings.store_uri is not None and "://" not in settings.store_uri:
        own["PENULTIMATE_STORE_URI"] = str(Path(settings.store_uri).absolute())
    # What a server is started from may be another server's child; its workers are this one's.
    inherited = {name: value for name, value in os.environ.items() if name != SERVER_PID}
    return {**inherited, **own}


def command(settings: Settings, listen_at: str, port: int) -> list[str]:
    """What is run."""
    # Not from the current folder, which may be somebody else's: their bentoml.py would run.
    bentoml = [sys.executable, "-P", "-c", BENTOML, "serve", SERVICE]
    tls = []
    if settings.tls_cert is not None and settings.tls_key is not None:
        tls += ["--ssl-certfile", str(settings.tls_cert.absolute())]
        tls += ["--ssl-keyfile", str(settings.tls_key.absolute())]
        tls += ["--ssl-ciphers", CIPHERS]
    at = ["--host", listen_at, "--port", str(port)]
    return [*bentoml, *at, *tls, "--working-dir", str(PACKAGES)]


def become_server(settings: Settings, listen_at: str, port: int, workers: int) -> NoReturn:
    """Replaces this process, so that signals reach the server itself."""
    (settings.home / "run" / "bentoml").mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    args, own = command(settings, listen_at, port), environment(settings, workers)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # Python's own only makes a note of it, which would be lost with this program.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Until the interpreter is up again: a Ctrl-C meanwhile waits.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    os.execve(args[0], args, own)  # noqa: S606 - our own arguments, no shell


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


def _check_certificate(settings: Settings) -> None:
    if settings.tls_cert is None and settings.tls_key is None:
        return
    if settings.tls_cert is None or settings.tls_key is None:
        raise InvalidRequest(
            "A certificate and its private key go together; one of them is missing.",
            hint="Give both --tls-cert and --tls-key.",
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # An empty passphrase, or OpenSSL would ask for one at the terminal.
        context.load_cert_chain(settings.tls_cert, settings.tls_key, password="")
    except (OSError, ValueError) as error:  # ssl's own errors are of the first kind
        raise InvalidRequest(
            f"'{settings.tls_cert}' and '{settings.tls_key}' cannot be used: {error}.",
            hint="Both must be PEM files that this user can read, the key of that certificate "
            "and without a passphrase.",
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
