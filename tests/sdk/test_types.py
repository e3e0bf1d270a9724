"""What a type checker says of code that uses the SDK: typical mistakes are refused, correct use passes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SDK = Path(__file__).parents[2] / "sdk"

Found = dict[str, dict[int, str]]  #: by file: what is refused, by line


@pytest.fixture(scope="module", params=["mypy", "pyright"])
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Found:
    """Both files in one run of a checker: it reads the SDK once."""
    folder = tmp_path_factory.mktemp(request.param)
    for name in ("misuse", "use"):
        (folder / f"{name}.py").write_bytes((HERE / f"{name}.txt").read_bytes())
    return mypy(folder) if request.param == "mypy" else pyright(folder)


def mypy(folder: Path) -> Found:
    """What mypy --strict refuses."""
    options = ["--strict", "--follow-imports=silent", "--config-file=", "--output=json"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, "misuse.py", "use.py"],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "MYPYPATH": str(SDK)},
        check=False,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found: Found = {"misuse.py": {}, "use.py": {}}
    for line in done.stdout.splitlines():
        said = json.loads(line)
        if said["severity"] == "error":
            found[said["file"]].setdefault(said["line"], said["message"])
    return found


def pyright(folder: Path) -> Found:
    """What pyright refuses, in its standard mode."""
    settings = {"include": ["misuse.py", "use.py"], "extraPaths": [str(SDK)], "pythonVersion": "3.11"}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings), "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable],
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found: Found = {"misuse.py": {}, "use.py": {}}
    for said in json.loads(done.stdout)["generalDiagnostics"]:
        if said["severity"] == "error":
            found[Path(said["file"]).name].setdefault(said["range"]["start"]["line"] + 1, said["message"])
    return found


def test_typical_mistakes_are_refused(found: Found) -> None:
    lines = dict(enumerate((HERE / "misuse.txt").read_text("utf-8").splitlines(), 1))
    marked, refused = {n for n, line in lines.items() if line.endswith("# refused")}, found["misuse.py"]
    assert len(marked) > 40
    assert {n: lines[n] for n in marked - refused.keys()} == {}, "these pass"
    assert {n: refused[n] for n in refused.keys() - marked} == {}, "these are refused"


def test_correct_use_passes(found: Found) -> None:
    assert found["use.py"] == {}
