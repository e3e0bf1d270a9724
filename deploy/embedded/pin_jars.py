"""Writes kafka-jars.txt from pom.xml, with Maven: `python -m deploy.embedded.pin_jars` after a change of version."""

import hashlib
import os
import subprocess
import tempfile
from pathlib import Path

from deploy.embedded.jars import PINNED

_POM = Path(__file__).with_name("pom.xml")


def resolved_jars() -> str:
    """What Maven resolves pom.xml to, as kafka-jars.txt has it."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "classpath"
        command = ["mvn", "-B", "-q", "-f", str(_POM), "dependency:build-classpath", f"-Dmdep.outputFile={output}"]
        subprocess.run(command, check=True)
        files = [Path(name) for name in output.read_text("utf-8").split(os.pathsep)]
    return "".join(f"{_line(file)}\n" for file in files)


def _line(file: Path) -> str:
    """Maven's own repository has a file at group/artifact/version/, the group with a folder for each of its parts."""
    parts = file.parts[file.parts.index("repository") + 1 : -1]
    coordinates = ":".join((".".join(parts[:-2]), parts[-2], parts[-1]))
    content = file.read_bytes()
    return f"{coordinates} {len(content)} {hashlib.sha256(content).hexdigest()}"


if __name__ == "__main__":
    PINNED.write_text(resolved_jars(), "utf-8")
