"""Where pictures enter a prompt: token ids for embeddings, and the embeddings when they are asked for.

`Eyes` belongs to an engine. `picture(source)` decodes and lays out a picture (in the caller's thread, no tower runs);
`ids` names its embeddings by numbers below 0 that are the same for the same picture, so that the prefix cache takes a
picture that it has seen for what it is; `Spot.rows` computes them, in the engine's thread, at most once while they are
remembered.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from llm_core.errors import RequestError
from llm_core.vision.layout import Embeddings, Layout
from llm_core.vision.model import VisionModel
from llm_core.vision.preprocess import normalised, open_image
from llm_core.vision.runner import VisionRunner

KNOWN = 4096  # pictures whose numbers are remembered
REMEMBERED_BYTES = 128 << 20  # of embeddings


@dataclass(frozen=True)
class Picture:
    """A picture as this engine's tower takes it. `digest`: of its tiles' pixels."""

    layout: Layout = field(repr=False)
    digest: bytes

    @property
    def parts(self) -> list[str | None]:
        """Text and, as None, embeddings, in the order in which they stand in the prompt."""
        return [part if isinstance(part, str) else None for part in self.layout.parts]


@dataclass(frozen=True)
class Spot:
    """Positions first…last - 1 of a request that embeddings take. `whole`: they see each other; `grid`: rows and
    columns in which they lie for the language model, or None."""

    first: int
    last: int
    whole: bool
    grid: tuple[int, int] | None
    _eyes: Eyes = field(repr=False)
    _picture: Picture = field(repr=False)
    _part: Embeddings = field(repr=False)

    def rows(self, first: int, last: int) -> np.ndarray:
        """The embeddings of positions first…last - 1, float32 [n, width]."""
        return self._eyes.embeddings(self._picture, self._part)[first - self.first : last - self.first]


class Eyes:
    """A vision tower for one engine. `lora`: the adapter, attached to the language model's runner, without which that
    does not read this tower's pictures, or None."""

    def __init__(self, model: VisionModel, runner: VisionRunner, lora=None):
        self.model = model
        self.width = model.width
        self.whole = model.sees_whole
        self.encoded = 0  # tiles that went through the tower
        self._runner = runner
        self._lora = lora
        self._lock = threading.Lock()
        self._numbers: OrderedDict[bytes, tuple[int, int]] = OrderedDict()
        self._next = 1
        self._remembered: OrderedDict[tuple[bytes, int], np.ndarray] = OrderedDict()

    @property
    def spelling(self) -> str:
        """How chat templates for this tower write a picture."""
        return self.model.projector.SPELLING

    def adapters(self, chosen: tuple) -> tuple:
        """((lora, scale), …) of a request with pictures, from those that it has chosen."""
        if self._lora is None:
            return chosen
        return tuple(sorted((*chosen, (self._lora, 1.0)), key=lambda pair: pair[0].number))

    def picture(self, source, name: str = "image") -> Picture:
        """A picture of a path, a file's bytes, a PIL image or an array. Raises RequestError."""
        layout = self.model.projector.look(self.model, open_image(source, name))
        digest = hashlib.sha256()
        for part in layout.parts:
            digest.update(part.encode() if isinstance(part, str) else b"%d %d\0" % (part.tile, self._count(part)))
        for tile in layout.tiles:
            digest.update(b"%d %d\0" % tile.size + tile.tobytes())
        return Picture(layout, digest.digest())

    def place(self, tokens: Sequence[int], pictures: Sequence[Picture]) -> tuple[list[int], list[Spot]]:
        """Token ids in which -1 stands for each part of a picture that is embeddings, in order → ids with a number
        below 0 for each embedding, and where they are."""
        parts = [
            (p, part, *self._ids(p, part)) for p in pictures for part in p.layout.parts if not isinstance(part, str)
        ]
        if sum(token < 0 for token in tokens) != len(parts):
            raise RequestError(f"prompt: {len(pictures)} pictures, but not a place for each")
        out: list[int] = []
        spots: list[Spot] = []
        following = iter(parts)
        for token in tokens:
            if token >= 0:
                out.append(token)
                continue
            picture, part, number, count = next(following)
            spots.append(Spot(len(out), len(out) + count, self.whole, part.grid, self, picture, part))
            out += range(-number, -number - count, -1)
        return out, spots

    def embeddings(self, picture: Picture, part: Embeddings) -> np.ndarray:
        """The embeddings of one part of a picture, float32 [n, width]. Runs the tower unless they are remembered."""
        key = (picture.digest, -1 if part.join else part.tile)
        found = self._remembered.get(key)
        if found is None:
            found = self._encode(picture, part)
            self._remembered[key] = found
            while (
                sum(rows.nbytes for rows in self._remembered.values()) > REMEMBERED_BYTES and len(self._remembered) > 1
            ):
                self._remembered.popitem(last=False)
        self._remembered.move_to_end(key)
        return found

    def close(self) -> None:
        """Free the tower."""
        self._runner.close()
        self._remembered.clear()

    def _encode(self, picture: Picture, part: Embeddings) -> np.ndarray:
        c, tiles = self.model.config, picture.layout.tiles
        chosen = tiles if part.join else [tiles[part.tile]]
        features = [self._runner.encode(normalised(tile, c.mean, c.std)) for tile in chosen]
        self.encoded += len(chosen)
        return part.join(features) if part.join else features[0]

    def _count(self, part: Embeddings) -> int:
        return part.count or self.model.n_tokens

    def _ids(self, picture: Picture, part: Embeddings) -> tuple[int, int]:
        """(first number, how many) of a part's embeddings."""
        key = picture.digest + part.tile.to_bytes(4, "little")
        with self._lock:
            if key not in self._numbers:
                self._numbers[key] = (self._next, self._count(part))
                self._next += self._count(part)
                if len(self._numbers) > KNOWN:
                    self._numbers.popitem(last=False)
            self._numbers.move_to_end(key)
            return self._numbers[key]
