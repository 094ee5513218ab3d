"""What the robot's planner and executor know together: the skills, the world and what was learned of it since.

In: files, changes, sightings. Out: a `Planner` that plans over the world as it is believed to be now, and skills and
world handed to the `Executor` whose belief it is; `told` is called whenever these are others. Every change holds whole
or not at all; what is being planned keeps what it began with, a plan that runs is told at its next step
(`Executor.use`). Safe to call from any thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from llm_ros.execution.executor import Executor
from llm_ros.planner.planner import Planner
from llm_ros.planner.skills import Skills, parse_skills
from llm_ros.planner.strictyaml import read_text
from llm_ros.planner.world import World
from llm_ros.planner.world_edit import Change, ChangeError
from llm_ros.planner.world_file import WorldFile


class Knowledge:
    """make_planner(skills, world) -> Planner. Raises ConfigError naming file, line and key."""

    def __init__(self, make_planner: Callable[[Skills, World], Planner], skills: str | Path, world: str | Path):
        self._make_planner, self._lock = make_planner, threading.RLock()
        self._executor: Executor | None = None
        self._told: Callable[[], None] = lambda: None
        self._seen: dict[str, float] = {}
        self._take(skills, world)

    @property
    def skills(self) -> Skills:
        """The skills of the file."""
        return self._skills

    @property
    def world(self) -> World:
        """The world of the file with all changes, without what is only believed."""
        return self._file.world

    @property
    def file(self) -> WorldFile:
        """The same with the file it came from."""
        return self._file

    @property
    def skills_yaml(self) -> str:
        """The text of the skills file."""
        return self._skills_yaml

    @property
    def belief(self):
        """The executor's `Belief`."""
        return self._executor.belief

    def share(self, executor: Executor, told: Callable[[], None] = lambda: None) -> None:
        """The executor whose belief this is, and who is told when skills or world are others; once, before anything
        else."""
        self._executor, self._told = executor, told
        told()

    def planner(self) -> Planner:
        """A planner over what is known now."""
        with self._lock:
            if self._planner is None:
                self._planner = self._make_planner(self._skills, self.world)
            return self._planner.knowing(self.belief.moved())

    def reload(self, skills: str | Path, world: str | Path) -> None:
        """Takes both files. Raises ConfigError, and then nothing has changed."""
        with self._lock:
            self._take(skills, world)
            self._executor.use(self._skills, self.world)
            self._told()

    def _take(self, skills: str | Path, world: str | Path) -> None:
        text = read_text(skills)
        loaded, file = parse_skills(text, str(skills)), WorldFile.load(world)
        planner = self._make_planner(loaded, file.world)
        self._skills, self._skills_yaml, self._file, self._planner = loaded, text, file, planner

    def update(self, changes: Iterable[Change], save: bool = False, save_as: str = "") -> None:
        """Makes all changes, and writes the world if wanted. Raises ChangeError, ConfigError, OSError, and then
        nothing has changed.
        """
        changes = tuple(changes)
        with self._lock:
            file = self._file.changed(changes)
            for number, change in enumerate(changes):
                if why := self._refuses(change, file.world):
                    raise ChangeError(f"changes[{number}]: {change}: {why}")
            if save or save_as:
                file = file.save(save_as or None)
            other = file.world is not self.world
            if other:
                self._planner = None
            self._file = file
            for change in changes:
                if change.what == "remove":
                    self.belief.forget(change.name)
                    self._seen.pop(change.name, None)
            self._executor.use(self._skills, file.world)
            for change in changes:
                self._believe(change)
            if other:
                self._told()

    def _refuses(self, change: Change, world: World) -> str:
        """Why something cannot be believed in this world, or ""."""
        if change.what == "move":
            known = change.name in world.objects or change.name in world.people
            if not known and (change.name in world.places or change.name not in self.belief.state.places):
                return "there is no such object or person"
            if change.location and change.location not in world.places:
                return f"location = {change.location[:60]!r}: there is no such room or location"
        if change.what in ("open", "close") and change.name not in (*world.doors, *world.locations):
            return "there is no such door or location"
        return ""

    def _believe(self, change: Change) -> None:
        if change.what == "move":
            self.belief.put(change.name, change.location or None)
        elif change.what in ("open", "close"):
            self.belief.learn([f"{'not ' if change.what == 'open' else ''}closed({change.name})"])

    def see(self, name: str, location: str, category: str = "", missing: bool = False, stamp: float = 0.0) -> None:
        """Perception has seen a thing, or looked for it in vain; `stamp`: seconds, an older one than the last of that
        thing is ignored. Raises ChangeError, ConfigError.
        """
        with self._lock:
            world = self.world
            if stamp < self._seen.get(name, float("-inf")):
                return
            if location not in world.places:
                raise ChangeError(f"location = {location[:60]!r}: there is no such room or location")
            if name not in world.objects and name not in world.people:
                if missing:
                    raise ChangeError(f"name = {name[:60]!r}: there is no such object or person")
                self.update([Change("add", name, category=category)])
            self._seen[name] = stamp
            state = self.belief.state
            here = world.is_at(state.places.get(name), location)
            if name != state.holding and here == missing:
                self.belief.put(name, None if missing else location)


__all__ = ["Knowledge"]
