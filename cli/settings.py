"""Settings: the environment, read once, and the stack that runs in the data dir."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cli.errors import NoStack, UserError
from streams.agents.settings import AgentSettings, webhook_of
from streams.kafka import KafkaSettings

if TYPE_CHECKING:
    from api.access.caller import AccessSettings
    from projections.playbook.rules import Rules

STACK_FILE = "stack.json"
_SECURITY = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")


@dataclass(frozen=True, slots=True)
class Settings:
    """Where everything is. Secrets never show in a repr."""

    kafka: KafkaSettings
    database_url: str = field(repr=False)
    api: str  #: base URL
    playbook: Path | None  #: None for the default playbook
    feed_days: int  #: how long changes are kept for subscribers
    agents: str | None = None  #: base URL of the page about the stack's agents, if it has any


def data_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the embedded stack keeps its data: TANDEM_DATA_DIR, or .tandem in the working directory."""
    return Path(environ.get("TANDEM_DATA_DIR", ".tandem"))


def running_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """The data dir of the stack that commands mean by default: data_dir() if one runs there, else the last started."""
    folder = data_dir(environ)
    if "TANDEM_DATA_DIR" in environ or read_stack(folder) is not None:
        return folder
    try:
        last = Path(current_file(environ).read_text("utf-8"))
    except OSError:
        return folder
    return last if read_stack(last) is not None else folder


def current_file(environ: Mapping[str, str] = os.environ) -> Path:
    """Where `tandem up` notes its data dir, so that commands in other folders find the stack."""
    state = environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "tandem" / "current"


def load_settings(folder: Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Settings of a client or a single part. Raises NoStack where neither environment nor data dir says where to go."""
    folder = folder or running_dir(environ)
    stack = read_stack(folder) or {}
    bootstrap = environ.get("TANDEM_KAFKA") or stack.get("kafka")
    database_url = secret("TANDEM_DATABASE_URL", environ) or stack.get("database_url")
    if not bootstrap or not database_url:
        raise NoStack(
            f"no stack is running in {folder}: start one with `tandem up --detach`, or set "
            "TANDEM_KAFKA and TANDEM_DATABASE_URL"
        )
    return Settings(
        kafka=kafka_settings(bootstrap, {**_from_stack(stack), **environ}),
        database_url=database_url,
        api=environ.get("TANDEM_API") or stack.get("api") or "http://127.0.0.1:8765",
        playbook=playbook_path(environ),
        feed_days=_feed_days(environ),
        agents=stack.get("agents"),
    )


def agent_settings(folder: Path | None = None, environ: Mapping[str, str] = os.environ) -> AgentSettings:
    """Settings of the agents.

    Raises NoStack where nothing says where Kafka is, InvalidWebhook, InvalidPlaybook, and UserError for alert stages
    that the playbook does not have.
    """
    stack = read_stack(folder or running_dir(environ)) or {}
    bootstrap = environ.get("TANDEM_KAFKA") or stack.get("kafka")
    if not bootstrap:
        raise NoStack("agents need Kafka: start a stack with `tandem up --detach`, or set TANDEM_KAFKA")
    url, stages, mapping = (environ.get(f"TANDEM_{name}") for name in ("WEBHOOK_URL", "ALERT_STAGES", "CRM_MAPPING"))
    settings = AgentSettings(
        kafka_settings(bootstrap, {**_from_stack(stack), **environ}),
        webhook=webhook_of(url, secret("TANDEM_WEBHOOK_SECRET", environ)) if url else None,
        crm_mapping=Path(mapping) if mapping else None,
    )
    return replace(settings, alert_stages=_alert_stages(stages, environ)) if stages else settings


def _alert_stages(text: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    from projections.playbook.model import DEFAULT_PLAYBOOK, load_playbook

    names = [stage.name for stage in load_playbook(playbook_path(environ) or DEFAULT_PLAYBOOK).stages]
    wanted = tuple(_listed(text))
    unknown = [name for name in wanted if name not in names]
    if unknown or not wanted:
        wrong = f"no stage is named {unknown[0]!r}" if unknown else "it names no stage"
        raise UserError(
            f"TANDEM_ALERT_STAGES is {text!r}, and {wrong}: the playbook (TANDEM_PLAYBOOK) has {', '.join(names)}"
        )
    return wanted


def agent_names(given: Iterable[str] = (), environ: Mapping[str, str] = os.environ) -> list[str]:
    """The agents that TANDEM_AGENTS and the command name: files, or names of those that come along."""
    return list(dict.fromkeys([*_listed(environ.get("TANDEM_AGENTS", "")), *given]))


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _from_stack(stack: Mapping[str, str]) -> dict[str, str]:
    return {"TANDEM_KAFKA_IDEMPOTENCE": stack.get("kafka_idempotence", "on")}


def api_url(folder: Path | None = None, environ: Mapping[str, str] = os.environ) -> str:
    """Base URL of the API. Raises NoStack where nothing says where it is."""
    folder = folder or running_dir(environ)
    address = environ.get("TANDEM_API") or (read_stack(folder) or {}).get("api")
    if not address:
        raise NoStack(
            f"no stack is running in {folder}: start one with `tandem up --detach`, or set "
            "TANDEM_API to the address of one"
        )
    return address


def agents_url(folder: Path | None = None, environ: Mapping[str, str] = os.environ) -> str:
    """Base URL of the agents' page on this machine."""
    stack = read_stack(folder or running_dir(environ)) or {}
    return (environ.get("TANDEM_AGENTS_PAGE") or stack.get("agents") or "http://127.0.0.1:8766").rstrip("/")


def read_stack(folder: Path) -> dict[str, str] | None:
    """What the stack running in a data dir says of itself; None where none runs."""
    try:
        stack: dict[str, str] = json.loads((folder / STACK_FILE).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return stack


def kafka_settings(bootstrap: str, environ: Mapping[str, str] = os.environ) -> KafkaSettings:
    """How to reach Kafka, from the environment. Raises UserError for settings that contradict each other."""
    security = environ.get("TANDEM_KAFKA_SECURITY", "PLAINTEXT")
    if security not in _SECURITY:
        raise UserError(f"TANDEM_KAFKA_SECURITY is {security!r}: choose one of {', '.join(_SECURITY)}")
    username, password = environ.get("TANDEM_KAFKA_USERNAME"), secret("TANDEM_KAFKA_PASSWORD", environ)
    if security.startswith("SASL") and not (username and password):
        raise UserError(f"{security} needs TANDEM_KAFKA_USERNAME and TANDEM_KAFKA_PASSWORD (or _PASSWORD_FILE)")
    partitions = environ.get("TANDEM_PARTITIONS", "4")
    if not partitions.isdigit() or not 1 <= int(partitions) <= 1_000:
        raise UserError(f"TANDEM_PARTITIONS is {partitions!r}: give a number from 1 to 1000")
    return KafkaSettings(
        bootstrap=bootstrap,
        security=security,
        sasl_mechanism=environ.get("TANDEM_KAFKA_SASL_MECHANISM", "SCRAM-SHA-512"),
        username=username,
        password=password,
        ca_file=environ.get("TANDEM_KAFKA_CA_FILE"),
        cert_file=environ.get("TANDEM_KAFKA_CERT_FILE"),
        key_file=environ.get("TANDEM_KAFKA_KEY_FILE"),
        topic_prefix=environ.get("TANDEM_TOPIC_PREFIX", "tandem"),
        partitions=int(partitions),
        idempotent=environ.get("TANDEM_KAFKA_IDEMPOTENCE", "on") != "off",
    )


def _feed_days(environ: Mapping[str, str]) -> int:
    text = environ.get("TANDEM_FEED_DAYS", "30")
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 3650):
        raise UserError(f"TANDEM_FEED_DAYS is {text!r}: give a number of days from 1 to 3650")
    return int(text)


def access_settings(environ: Mapping[str, str] = os.environ) -> "AccessSettings | None":
    """Who may use the API, from the environment; None where access is off. Raises UserError."""
    from api.access.caller import AccessSettings
    from api.access.tokens import OidcSettings
    from streams.loopback import is_trusted_url

    wanted = environ.get("TANDEM_ACCESS") or "off"
    if wanted not in ("on", "off"):
        raise UserError(f"TANDEM_ACCESS is {wanted!r}: choose on or off")
    if wanted == "off":
        return None
    issuer, audience = environ.get("TANDEM_OIDC_ISSUER"), environ.get("TANDEM_OIDC_AUDIENCE")
    if not issuer and not audience:
        return AccessSettings()
    if not (issuer and audience):
        raise UserError("TANDEM_OIDC_ISSUER and TANDEM_OIDC_AUDIENCE belong together: set both, or none for keys only")
    jwks = environ.get("TANDEM_OIDC_JWKS") or None
    if jwks is None and not is_trusted_url(issuer):
        raise UserError(f"TANDEM_OIDC_ISSUER is {issuer!r}: give an https address, or set TANDEM_OIDC_JWKS")
    if jwks is not None and "://" in jwks and not is_trusted_url(jwks):
        raise UserError(f"TANDEM_OIDC_JWKS is {jwks!r}: give an https address, or a file")
    return AccessSettings(OidcSettings(issuer, audience, jwks, environ.get("TANDEM_OIDC_ROLES_CLAIM") or "roles"))


class AuditFiles(NamedTuple):
    """Where the signer's keys and its checkpoints are."""

    key: Path
    checkpoints: Path

    @property
    def public_key(self) -> Path:
        """Beside the private one."""
        return self.key.with_name(self.key.name + ".pub")


def audit_files(folder: Path | None = None, environ: Mapping[str, str] = os.environ) -> AuditFiles:
    """TANDEM_AUDIT_KEY and TANDEM_CHECKPOINTS, or files of the stack in its data dir."""
    own = (folder or running_dir(environ)) / "audit"
    key, checkpoints = environ.get("TANDEM_AUDIT_KEY"), environ.get("TANDEM_CHECKPOINTS")
    return AuditFiles(
        Path(key) if key else own / "key.pem", Path(checkpoints) if checkpoints else own / "checkpoints.jsonl"
    )


def playbook_path(environ: Mapping[str, str] = os.environ) -> Path | None:
    """The playbook file to use; None for the default one."""
    path = environ.get("TANDEM_PLAYBOOK")
    return Path(path) if path else None


def load_rules(settings: Settings, playbook: Path | None = None) -> "Rules":
    """The rules of a playbook: the one given, else the settings', else the built-in one. Raises InvalidPlaybook."""
    from projections.playbook import rules

    return rules.load_rules(playbook or settings.playbook)


def secret(name: str, environ: Mapping[str, str] = os.environ) -> str | None:
    """A secret from NAME, or from the file that NAME_FILE names. Raises UserError if that cannot be read."""
    file = environ.get(f"{name}_FILE")
    if environ.get(name) or not file:
        return environ.get(name)
    try:
        return Path(file).read_text("utf-8").strip()
    except OSError as error:
        raise UserError(f"{name}_FILE names {file}, which cannot be read: {error.strerror}") from error
