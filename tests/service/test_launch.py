"""The server starts where it may: on this machine, or elsewhere once there is a key."""

import socket
import ssl
import subprocess
from pathlib import Path

import httpx
import pytest
from in_process import settings_of
from keyring import FIRST
from live_server import Server, free_port

from service.access import operator
from service.catalog import Catalog
from service.errors import InvalidRequest
from service.launch import command, environment, needs_key, prepare
from service.leash import SERVER_PID
from service.settings import Settings
from service.workflows import keys


def make_key(settings: Settings, workspace: str = FIRST) -> str:
    catalog = Catalog(settings.catalog_place)
    made = keys.create(catalog, settings.home, operator(workspace), role="admin")
    catalog.close()
    return str(made["key"])


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_of(tmp_path / "home")


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of this machine, signed by itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    made = subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-keyout", str(key), "-out", str(certificate), "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        check=False,
        capture_output=True,
    )
    if made.returncode != 0:
        pytest.skip("openssl cannot make a certificate here")
    return certificate, key


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7"])
def test_without_a_key_nobody_else_is_listened_to(settings: Settings, host: str) -> None:
    with pytest.raises(InvalidRequest, match="no keys"):
        prepare(settings, host, free_port())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_without_a_key_this_machine_is_listened_to(settings: Settings, host: str) -> None:
    assert prepare(settings, host, free_port()) == "127.0.0.1"
    assert not needs_key(settings)


def test_with_a_key_everybody_is_listened_to(settings: Settings) -> None:
    settings.home.mkdir()
    make_key(settings, "ward7")
    assert needs_key(settings)
    assert prepare(settings, "0.0.0.0", free_port()) == "0.0.0.0"


def test_the_certificate_is_handed_on_with_its_whole_path(
    settings: Settings, pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "--ssl-certfile" not in command(settings, "127.0.0.1", 1)
    monkeypatch.chdir(pair[0].parent)
    given = settings.model_copy(update={"tls_cert": Path("cert.pem"), "tls_key": Path("key.pem")})
    args = command(given, "127.0.0.1", 1)
    assert args[args.index("--ssl-certfile") + 1] == str(pair[0])
    assert args[args.index("--ssl-keyfile") + 1] == str(pair[1])
    assert "PENULTIMATE_HOME" in environment(given, 1)


def test_a_certificate_that_cannot_be_used_is_refused_before_the_start(
    settings: Settings, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    certificate, key = pair
    wrong = [
        {"tls_cert": certificate},
        {"tls_key": key},
        {"tls_cert": certificate, "tls_key": certificate},
        {"tls_cert": tmp_path / "nowhere", "tls_key": key},
        {"tls_cert": tmp_path, "tls_key": key},
    ]
    for given in wrong:
        with pytest.raises(InvalidRequest, match=r"cannot be used|is missing"):
            prepare(settings.model_copy(update=given), "127.0.0.1", free_port())
    right = settings.model_copy(update={"tls_cert": certificate, "tls_key": key})
    assert prepare(right, "127.0.0.1", free_port())


@pytest.mark.server
def test_a_server_speaks_https_and_asks_for_keys_from_the_first_one_on(
    tmp_path: Path, pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = pair
    monkeypatch.setenv("PENULTIMATE_TLS_CERT", str(certificate))
    monkeypatch.setenv("PENULTIMATE_TLS_KEY", str(key))
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    server = Server(tmp_path / "home", free_port(), scheme="https", workers=2)
    trust = ssl.create_default_context(cafile=str(certificate))
    try:
        server.start()
        with httpx.Client(base_url=server.url, verify=trust) as client:
            assert client.get("/v1/heads").json() == {"heads": []}
            secret = make_key(settings_of(server.home))
            for _ in range(8):  # whichever worker answers
                refusal = client.get("/v1/heads")
                assert (refusal.status_code, refusal.headers["www-authenticate"]) == (401, "Bearer")
                auth = {"Authorization": f"Bearer {secret}"}
                answer = client.get("/v1/heads", headers=auth)
                assert answer.status_code == 200
            assert answer.headers["strict-transport-security"]
            for path in ("/healthz", "/schema.json", "/docs.json", "/nowhere"):
                assert client.get(path).status_code == 401, path  # BentoML's own are shut too
            assert client.get("/readyz").status_code == 200
        assert cipher_of(server.port, trust).endswith("-GCM-SHA384")
        log = server.log()
        assert secret not in log
    finally:
        server.stop()


def cipher_of(port: int, trust: ssl.SSLContext) -> str:
    """What is agreed upon with a client that knows TLS 1.2 and nothing newer."""
    trust.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as connection,
        trust.wrap_socket(connection, server_hostname="127.0.0.1") as secured,
    ):
        agreed = secured.cipher()
    return agreed[0] if agreed else ""


@pytest.mark.server
def test_programs_that_lie_in_the_current_folder_are_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may write there would be the user of the server."""
    for name in ("bentoml", "_bentoml_impl", "uvicorn", "lightgbm"):
        owned = f"import pathlib; pathlib.Path({str(tmp_path)!r}, 'owned').touch()"
        (tmp_path / f"{name}.py").write_text(owned)
    server = Server(tmp_path / "home", free_port())
    monkeypatch.chdir(tmp_path)
    try:
        server.start()
        assert not (tmp_path / "owned").exists()
    finally:
        server.kill()


def test_workers_are_told_of_their_own_server_and_of_no_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(SERVER_PID, "1")
    assert SERVER_PID not in environment(Settings(home=tmp_path), 1)
