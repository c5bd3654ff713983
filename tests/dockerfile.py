"""Run the Dockerfile's steps in an ordinary folder, without a container engine."""

import json
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.paths import ROOT

DOCKERFILE = ROOT / "Dockerfile"


def instructions() -> list[list[tuple[str, str]]]:
    """Return the instructions of each stage, in order."""
    text = DOCKERFILE.read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    stages: list[list[tuple[str, str]]] = []
    for line in lines:
        word, _, rest = line.partition(" ")
        if word == "FROM":
            stages.append([])
        stages[-1].append((word, rest))
    return stages


def build(folder: Path) -> Path:
    """Run the build stage with /venv and the sources in ``folder``, and return the venv's path."""
    venv, sources = folder / "venv", folder / "src"
    sources.mkdir()
    for word, rest in instructions()[0]:
        if word == "COPY":
            *names, target = shlex.split(rest)
            for name in names:
                _copy(ROOT / name, sources / target)
        elif word == "RUN":
            command = rest.replace("/venv", str(venv))
            subprocess.run(["/bin/sh", "-euc", command], cwd=sources, check=True)
        else:
            assert word in ("FROM", "WORKDIR")
    return venv


def command_of(word: str) -> list[str]:
    """Return the command of HEALTHCHECK or CMD."""
    (rest,) = (rest for name, rest in instructions()[1] if name == word)
    command: list[str] = json.loads(rest[rest.index("[") :])
    return command


def environment() -> dict[str, str]:
    """Return the image's environment variables, except PATH."""
    (rest,) = (rest for name, rest in instructions()[1] if name == "ENV")
    return dict(_pairs(rest))


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for pair in shlex.split(text):
        name, _, value = pair.partition("=")
        if name != "PATH":
            yield name, value


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
