"""What was said, by session, in files that survive a restart.

In: session ids, turns. Out: a `Session`; one JSON file per session, written whole or not at all. Both the number of
sessions and the turns of each are bounded: the session that was quiet longest makes room, the oldest turns go. A file
that cannot be read is put aside, and the session begins anew. Safe to call from any thread.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from llm_core.errors import RequestError

MAX_TEXT = 8000
KINDS = ("talk", "control", "task", "news")
ROLES = ("user", "assistant")
_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")


class SessionError(RequestError):
    """A session id that cannot be used, or a session that is not there."""


@dataclass(frozen=True)
class Turn:
    """What one side said. kind: one of KINDS. stamp: seconds since 1970."""

    role: str
    text: str
    kind: str = "talk"
    stamp: float = 0.0

    def __post_init__(self):
        if self.role not in ROLES or self.kind not in KINDS or not isinstance(self.text, str):
            raise ValueError(f"no turn: role = {self.role!r}, kind = {self.kind!r}")


@dataclass
class Session:
    """turns: oldest first. dialogue: id of the planner's question that is open ("" if none); question: its words.

    lock: held while a turn is being decided.
    """

    name: str
    turns: list[Turn] = field(default_factory=list)
    dialogue: str = ""
    question: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def to_json(self) -> dict:
        """What the file holds."""
        return {"turns": [asdict(turn) for turn in self.turns], "dialogue": self.dialogue, "question": self.question}

    @classmethod
    def from_json(cls, name: str, value: dict) -> Session:
        """Raises KeyError, TypeError, ValueError for what is no session."""
        turns = [Turn(**turn) for turn in value["turns"]]
        return cls(name, turns, str(value["dialogue"]), str(value["question"]))


class SessionStore:
    """Sessions in a folder, which is made when the first is saved. log(text) hears of files that cannot be used."""

    def __init__(
        self,
        folder: str | Path,
        max_sessions: int = 64,
        max_turns: int = 200,
        clock: Callable[[], float] = time.time,
        log: Callable[[str], None] = lambda text: None,
    ):
        self.folder = Path(folder).expanduser()
        self._max_sessions, self._max_turns, self._clock, self._log = max_sessions, max_turns, clock, log
        self._lock = threading.RLock()
        self._open: dict[str, Session] = {}

    def get(self, name: str) -> Session:
        """The session of that name; a new one if there is none. Raises SessionError for a name that cannot be one."""
        with self._lock:
            if name not in self._open:
                self._open[name] = self._load(name) or Session(name)
            return self._open[name]

    def find(self, name: str) -> Session:
        """The session of that name. Raises SessionError if there is none."""
        with self._lock:
            if name in self._open or self._file(name).is_file():
                return self.get(name)
        raise SessionError(f"session_id = {name!r}: there is no such conversation")

    def add(self, session: Session, role: str, text: str, kind: str) -> Turn:
        """Adds a turn and saves. Raises OSError if the file cannot be written; the turn then still counts."""
        turn = Turn(role, text[:MAX_TEXT], kind, round(self._clock(), 3))
        with self._lock:
            session.turns.append(turn)
            del session.turns[: -self._max_turns]
            self.save(session)
        return turn

    def save(self, session: Session) -> None:
        """Writes a session. Raises OSError."""
        with self._lock:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self.folder, prefix=".", suffix=".part")
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as stream:
                    json.dump(session.to_json(), stream, ensure_ascii=False, indent=1)
                    stream.flush()
                    os.fsync(stream.fileno())
                os.replace(name, self._file(session.name))
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
            for old in self.names()[self._max_sessions :]:
                self._drop(old)

    def forget(self, name: str) -> None:
        """Deletes a session. Raises SessionError if there is none, OSError."""
        with self._lock:
            session = self.find(name)
            session.turns.clear()
            session.dialogue = session.question = ""
            self._drop(name)

    def names(self) -> list[str]:
        """All sessions that are saved, the latest first."""
        with self._lock:
            found = [(path.stat().st_mtime_ns, path.stem) for path in self.folder.glob("*.json")]
        return [name for _, name in sorted(found, reverse=True)]

    def _drop(self, name: str) -> None:
        self._open.pop(name, None)
        self._file(name).unlink(missing_ok=True)

    def _file(self, name: str) -> Path:
        if not _ID.fullmatch(name):
            raise SessionError(f"session_id = {name[:80]!r}: up to 64 letters, digits, '.', '_' and '-' are wanted")
        return self.folder / f"{name}.json"

    def _load(self, name: str) -> Session | None:
        path = self._file(name)
        if not path.is_file():
            return None
        try:
            return Session.from_json(name, json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            aside = path.with_suffix(".broken")
            self._log(f"{path} cannot be read ({type(error).__name__}: {error}): moved to {aside.name}")
            with contextlib.suppress(OSError):
                os.replace(path, aside)
            return None


__all__ = ["Session", "SessionError", "SessionStore", "Turn"]
