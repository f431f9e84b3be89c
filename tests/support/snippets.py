"""Run the snippets of a document in order, as its reader would.

What a fenced block is for stands behind its language:

- ``file=NAME``: write it to that file;
- ``run``: a shell runs it and must succeed;
- ``background``: a daemon in a second terminal, left running; it must have ended well when the document ends;
- ``beside``: another program in a terminal of its own, ended with the document;
- ``from=NAME``: a part of that file of this repository, as it is;
- ``output``: what the ``run`` before it printed, line by line; ``…`` stands for anything.

Blocks without such a word are only shown.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.eventually import eventually

REPOSITORY = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```\w+ +(?P<role>\S+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Snippet:
    """One marked block: what to do with it, and its text."""

    role: str
    text: str


def snippets(document: Path) -> Iterator[Snippet]:
    """The marked blocks of ``document`` in order."""
    for match in _BLOCK.finditer(document.read_text()):
        yield Snippet(match["role"], match["text"])


@dataclass
class Reader:
    """Follows a document in the directory ``home``; ``ready`` says that a background command is up."""

    home: Path
    env: Mapping[str, str]
    ready: Callable[[], bool]
    patience: float = 60.0
    _printed: str = ""
    _background: list[subprocess.Popen[str]] = field(default_factory=list)
    _beside: list[subprocess.Popen[str]] = field(default_factory=list)

    def follow(self, document: Path) -> None:
        """Do what every marked block says; AssertionError for the first that fails."""
        try:
            for snippet in snippets(document):
                self._do(snippet)
            for process in self._background:
                assert process.wait(self.patience) == 0, f"ended badly:\n{self._log()}"
        finally:
            for process in self._background + self._beside:
                process.kill()
                process.wait(self.patience)

    def _do(self, snippet: Snippet) -> None:
        verb, _, name = snippet.role.partition("=")
        match verb:
            case "file":
                (self.home / name).write_text(snippet.text)
            case "from":
                assert snippet.text in (REPOSITORY / name).read_text(), f"{name} has no:\n{snippet.text}"
            case "run":
                self._run(snippet.text)
            case "background":
                self._await(self._start(snippet.text, self._background), snippet.text)
            case "beside":
                self._start(snippet.text, self._beside)
            case "output":
                self._compare(snippet.text)
            case _:
                raise AssertionError(f"unknown mark {snippet.role!r}")

    def _run(self, text: str) -> None:
        done = subprocess.run(
            ["/bin/sh", "-euc", text],
            cwd=self.home,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=self.patience,
        )
        told = f"{text}\nexit code {done.returncode}\n{done.stdout}{done.stderr}\n{self._log()}"
        assert done.returncode == 0, told
        self._printed = done.stdout

    def _start(self, text: str, among: list[subprocess.Popen[str]]) -> subprocess.Popen[str]:
        with (self.home / "background.log").open("a") as log:
            argv = ["/bin/sh", "-euc", f"exec {text}"]
            process = subprocess.Popen(
                argv, cwd=self.home, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, text=True
            )
        among.append(process)
        return process

    def _await(self, process: subprocess.Popen[str], text: str) -> None:
        def up() -> bool:
            if process.poll() is not None:
                raise RuntimeError(f"{text}ended with {process.returncode}:\n{self._log()}")
            return self.ready()

        eventually(up, within=self.patience, every=0.2)

    def _compare(self, expected: str) -> None:
        pattern = re.escape(expected.strip()).replace("…", ".*")
        assert re.fullmatch(pattern, self._printed.strip(), flags=re.DOTALL), (
            f"expected:\n{expected}\nprinted:\n{self._printed}\n{self._log()}"
        )

    def _log(self) -> str:
        log = self.home / "background.log"
        return log.read_text()[-8000:] if log.exists() else ""
