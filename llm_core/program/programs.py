"""The linked programs of one runner: the model's own, and one for each set of adapters that rows took lately."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from llm_core.program.graph import Graph, Step
from llm_core.program.lora import Lora, splice

KEPT = 32  # sets of adapters; encoding a program takes some milliseconds


@dataclass(frozen=True)
class Program:
    """Rows that threads replay: `body` for all rows of a step, `head` for those whose logits are wanted; `whole`."""

    whole: np.ndarray
    body: np.ndarray
    head: np.ndarray


class Programs:
    """`encode([body, head])`: the rows of recorded steps. `forget` may be called by any thread."""

    def __init__(self, graph: Graph, encode: Callable[[list[list[Step]]], np.ndarray]):
        self._graph, self._encode = graph, encode
        self._plain = self._make(())
        self._adapted: OrderedDict[tuple[Lora, ...], Program] = OrderedDict()
        self._lock = threading.Lock()

    def __getitem__(self, loras: tuple[Lora, ...]) -> Program:
        """The program for rows that take these adapters."""
        if not loras:
            return self._plain
        with self._lock:
            program = self._adapted.pop(loras, None) or self._make(loras)
            self._adapted[loras] = program
            if len(self._adapted) > KEPT:
                self._adapted.popitem(last=False)
            return program

    def forget(self, one: Lora) -> None:
        """Drop the programs with this adapter."""
        with self._lock:
            for loras in [loras for loras in self._adapted if one in loras]:
                del self._adapted[loras]

    def _make(self, loras: tuple[Lora, ...]) -> Program:
        parts = splice(self._graph, loras)
        whole = self._encode(parts)
        return Program(whole, whole[: len(parts[0])], whole[len(parts[0]) :])
