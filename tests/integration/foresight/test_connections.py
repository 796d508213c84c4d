"""TLS on a real server: whoever connects by an Airflow connection checks the server's certificate as it says."""

from __future__ import annotations

import tests.support.airflow_home  # noqa: F401  isort: skip

import datetime
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from include.foresight import runtime, settings
from include.foresight.database import PRIMARY
from include.foresight.serving import PooledDatabases
from launcher import connections as of_the_command_line
from launcher.clusters import Cluster, server_environment
from launcher.system import postgres_bin, server_user
from tests.support.servers import CARELESS, free_port

HOST = "primary.example"


@dataclass(frozen=True)
class Authority:
    """A certificate authority, its certificate in a file."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    path: Path

    @classmethod
    def make(cls, path: Path) -> Authority:
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(path.stem)
        certificate = _builder(name, name, key).add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        made = cls(certificate.sign(key, hashes.SHA256()), key, path)
        path.write_bytes(made.certificate.public_bytes(serialization.Encoding.PEM))
        return made

    def issue(self, host: str, certificate: Path, key_file: Path) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.DNSName(host)])
        made = _builder(_name(host), self.certificate.subject, key).add_extension(names, False)
        certificate.write_bytes(made.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
    )


@dataclass(frozen=True)
class Secured:
    """A server with a certificate for HOST of the authority `ours`; `stranger` is another authority's certificate."""

    cluster: Cluster
    ours: Path
    stranger: Path

    def stated(self, form: str, root: Path, host: str) -> str:
        """An Airflow connection to the server. The name leads nowhere: `hostaddr` does."""
        extra = {"sslmode": "verify-full", "sslrootcert": str(root), "hostaddr": "127.0.0.1"}
        if form == "uri":
            password = quote(self.cluster.password, safe="")
            return f"postgres://postgres:{password}@{host}:{self.cluster.port}/postgres?{urlencode(extra)}"
        return json.dumps(
            {
                "conn_type": "postgres",
                "host": host,
                "port": self.cluster.port,
                "login": "postgres",
                "password": self.cluster.password,
                "schema": "postgres",
                "extra": json.dumps(extra) if form == "extra as text" else extra,
            }
        )


@pytest.fixture(scope="module")
def secured() -> Iterator[Secured]:
    folder = Path(tempfile.mkdtemp(prefix="foresight-tls-", dir="/var/tmp"))
    folder.chmod(0o755)
    owner = server_user()
    ours, stranger = (Authority.make(folder / f"{name}.pem") for name in ("ours", "stranger"))
    certificate, key = folder / "server.crt", folder / "server.key"
    ours.issue(HOST, certificate, key)
    key.chmod(0o600)
    os.chown(key, owner.uid, owner.gid)
    with_tls = {"ssl": "on", "ssl_cert_file": str(certificate), "ssl_key_file": str(key)}
    cluster = Cluster(
        name="primary",
        folder=folder / "primary",
        port=free_port(),
        password=secrets.token_urlsafe(12) + "@/%",
        owner=owner,
        bin=postgres_bin(),
        settings=CARELESS | with_tls,
        environment=server_environment(None),
    )
    try:
        cluster.create()
        cluster.start()
        yield Secured(cluster, ours.path, stranger.path)
    finally:
        cluster.stop(patience=10)
        shutil.rmtree(folder)


def by_task() -> psycopg.Connection:
    return runtime.databases().connect(PRIMARY)


def by_command_line() -> psycopg.Connection:
    return of_the_command_line.databases(None).connect(PRIMARY)


def by_pool(conninfo: Callable[[str], str]) -> psycopg.Connection:
    """A session of the prediction API's; a pool that cannot connect says why only in its log, so once without it."""
    psycopg.connect(conninfo(PRIMARY)).close()
    pools = PooledDatabases(conninfo)
    try:
        with pools.session(PRIMARY) as session:
            assert is_encrypted(session.connection)
            assert session.connection.info.get_parameters()["tcp_user_timeout"] == "10000"
    finally:
        pools.close()
    return psycopg.connect(conninfo(PRIMARY))


WAYS: dict[str, Callable[[], psycopg.Connection]] = {
    "task": by_task,
    "command line": by_command_line,
    "API alone": lambda: by_pool(settings.conninfo),
    "API in Airflow": lambda: by_pool(runtime.conninfo),
}
FORMS = ("extra as object", "extra as text", "uri")


def is_encrypted(connection: psycopg.Connection) -> bool:
    return connection.execute("select ssl from pg_stat_ssl where pid = pg_backend_pid()").fetchone()[0]


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize("way", WAYS)
def test_the_servers_certificate_is_checked(secured: Secured, monkeypatch: pytest.MonkeyPatch, way: str, form: str):
    variable = f"AIRFLOW_CONN_{PRIMARY.upper()}"
    monkeypatch.setenv(variable, secured.stated(form, secured.ours, HOST))
    with WAYS[way]() as connection:
        assert is_encrypted(connection)
    monkeypatch.setenv(variable, secured.stated(form, secured.stranger, HOST))
    with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
        WAYS[way]()
    monkeypatch.setenv(variable, secured.stated(form, secured.ours, "another.example"))
    with pytest.raises(psycopg.OperationalError, match="does not match host name"):
        WAYS[way]()
