"""An Apache Kafka as deploy/kafka/README.md describes it: TLS, SCRAM logins, an authorizer; set up by the recipe."""

import os
import shlex
import subprocess
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from deploy.embedded.jars import class_path
from deploy.embedded.java import java_program
from deploy.embedded.kafka import Kafka, start_kafka
from deploy.embedded.process import free_port
from streams.kafka import KafkaSettings

RECIPE = Path(__file__).parents[2] / "deploy/kafka/departments.sh"
PREFIX = "tandem"
ADMIN = "admin"
PASSWORDS = {
    "marketing": "a,b=[c]\\d\\\\e:f#g!h\"i'j$k",  # whatever a properties file or a shell could trip over
    "sales": "sales-1",
    "tandem-worker": "worker-1",
    "tandem-gateway": "gateway-1",
    "tandem-publisher": "publisher-1",
    "tandem-agents": "agents-1",
}

_TOOLS = {
    "kafka-configs.sh": "kafka.admin.ConfigCommand",
    "kafka-acls.sh": "org.apache.kafka.tools.AclCommand",
}


def start_secured_kafka(folder: Path) -> Kafka:
    """Start the broker and run the recipe. `folder` is made, and holds what clients need, too."""
    folder.mkdir()
    _make_certificates(folder)
    port = free_port()
    broker = start_kafka(
        folder / "kafka",
        port,
        folder / "kafka.log",
        tied=False,
        overrides=_settings(folder, port),
        format_options=["--add-scram", f"SCRAM-SHA-512=[name={ADMIN},password={ADMIN}]"],
    )
    (folder / "admin.properties").write_text(
        "security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\n"
        "sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required "
        f'username="{ADMIN}" password="{ADMIN}";\n'
        f"ssl.truststore.type=PEM\nssl.truststore.location={folder / 'ca.pem'}\n",
        "utf-8",
    )
    _make_tools(folder, broker.bootstrap)
    done = run_recipe(folder, broker.bootstrap, PASSWORDS)
    assert done.returncode == 0, done.stderr
    return broker


def run_recipe(folder: Path, bootstrap: str, passwords: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """Run departments.sh for the users that have a password here."""
    given = {f"{user.replace('-', '_').upper()}_PASSWORD": password for user, password in passwords.items()}
    return run_tool(folder, str(RECIPE), bootstrap, str(folder / "admin.properties"), PREFIX, *passwords, **given)


def list_rights(folder: Path, bootstrap: str) -> list[str]:
    """All that kafka-acls.sh lists, sorted: it keeps no order."""
    options = ("--bootstrap-server", bootstrap, "--command-config", str(folder / "admin.properties"))
    done = run_tool(folder, "kafka-acls.sh", *options, "--list")
    assert done.returncode == 0, done.stderr
    resources = done.stdout.split("Current ACLs for resource ")
    return sorted("\n".join(sorted(resource.split("\n"))) for resource in resources)


def run_tool(folder: Path, *command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a command that finds the stock tools on its PATH."""
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        command, env={"PATH": path, **environment}, capture_output=True, text=True, check=False, timeout=300
    )


def settings_of(user: str, folder: Path, bootstrap: str, password: str | None = None) -> KafkaSettings:
    """How a user gets in."""
    return KafkaSettings(
        bootstrap=bootstrap,
        security="SASL_SSL",
        username=user,
        password=password or PASSWORDS[user],
        ca_file=str(folder / "ca.pem"),
        topic_prefix=PREFIX,
        partitions=1,
    )


def _settings(folder: Path, port: int) -> dict[str, object]:
    brokers, controller = free_port(), free_port()
    return {
        "listeners": f"CLIENTS://127.0.0.1:{port},BROKERS://127.0.0.1:{brokers},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"CLIENTS://127.0.0.1:{port},BROKERS://127.0.0.1:{brokers}",
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "inter.broker.listener.name": "BROKERS",
        "listener.security.protocol.map": "CLIENTS:SASL_SSL,BROKERS:SSL,CONTROLLER:SSL",
        "listener.name.brokers.ssl.client.auth": "required",
        "listener.name.controller.ssl.client.auth": "required",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": folder / "broker.pem",
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": folder / "ca.pem",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.clients.scram-sha-512.sasl.jaas.config": (
            "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        ),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "false",
        "super.users": f"User:CN=broker;User:{ADMIN}",
    }


def _make_certificates(folder: Path) -> None:
    """ca.pem, and broker.pem with key and certificate, as Kafka's PEM stores want them."""
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca = _certificate("ca", ca_key.public_key(), "ca").add_extension(x509.BasicConstraints(True, 0), critical=True)
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    broker = _certificate("broker", key.public_key(), "ca").add_extension(names, critical=False)
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "ca.pem").write_bytes(ca.sign(ca_key, SHA256()).public_bytes(Encoding.PEM))
    (folder / "broker.pem").write_bytes(secret + broker.sign(ca_key, SHA256()).public_bytes(Encoding.PEM))


def _certificate(subject: str, key: ec.EllipticCurvePublicKey, issuer: str) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return x509.CertificateBuilder(
        issuer_name=_named(issuer),
        subject_name=_named(subject),
        public_key=key,
        serial_number=x509.random_serial_number(),
        not_valid_before=now - timedelta(hours=1),
        not_valid_after=now + timedelta(days=2),
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _make_tools(folder: Path, bootstrap: str) -> None:
    """The stock tools of Kafka's archive, which the jars do not hold.

    The recipe calls them some thirty times: an archive of their classes saves a third of the time.
    """
    archive = folder / "tools.jsa"
    java = [java_program(), "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", class_path()]
    listing = ["--bootstrap-server", bootstrap, "--command-config", str(folder / "admin.properties"), "--list"]
    command = [*java, f"-XX:ArchiveClassesAtExit={archive}", _TOOLS["kafka-acls.sh"], *listing]
    subprocess.run(command, capture_output=True, check=True)
    (folder / "bin").mkdir()
    for name, entry in _TOOLS.items():
        tool = folder / "bin" / name
        line = shlex.join([*java, f"-XX:SharedArchiveFile={archive}", entry])
        tool.write_text(f'#!/bin/sh\nexec {line} "$@"\n', "utf-8")
        tool.chmod(0o755)
