"""What a perfect tower would say: embeddings of a picture's cells from its labels instead of its pixels.

With them the language model's LoRA learns to read pictures before a tower can see (stage B), from words that it knows:
a thing is its colour's embedding and in the next cell that of its shape, as in a text, and a cell of no thing is a
full stop. What else is true of the thing is added. The tower's projector is then taught to say the same.
"""

from __future__ import annotations

import torch
from torch import nn

from llm_ros.sim.scene import COLOURS, SHAPES
from training.vision.data import CELL_CLASSES, CELL_LABELS, CELLS, NONE, NOTHING, PLACES
from training.vision.lm import LanguageModel

WHOLE = {0: 7, 16: 2, 17: 2}  # labels of the whole that every cell tells: how many things, kind of scene, table
SHAPE, COLOUR = (CELL_LABELS.index(k) for k in ("shape", "colour"))
NUMBERS = tuple("123456")
SILENT = " ."
# Left out of so many pictures: what is there to count, the language model shall learn to count.
HIDDEN = {("rank", "order"): 0.25, ("same_shape", "same_colour"): 0.6}


class Words(nn.Module):
    """Labels as `data.labels` makes them → embeddings [n, cells, width]: for each label a vector, all added up."""

    def __init__(self, lm: LanguageModel):
        super().__init__()
        known = lm.weights["token_embd.weight"]
        width, std = known.shape[1], float(known.std())
        self.std = std

        def word(text: str) -> torch.Tensor:
            ids = list(lm.tokenizer.encode(text, add_special=False, parse_special=False))
            return lm.embed(torch.tensor(ids)).mean(0)

        def table(n: int, scale: float, words: tuple[str, ...] = (), share: float = 0.0) -> nn.Parameter:
            vectors = torch.randn(n, width) * std * scale
            for i, text in enumerate(words):
                vectors[i] += share * word(text)
            return nn.Parameter(vectors)

        def ramp(n: int) -> nn.Parameter:
            """Vectors that grow along a line, so that two of them are easily compared."""
            return nn.Parameter(torch.linspace(-1, 1, n)[:, None] * torch.randn(width) * std * 0.5 + table(n, 0.1))

        known_words = {
            SHAPE: ([" " + name for name in SHAPES], 1.0), COLOUR: ([" " + name for name in COLOURS], 1.0),
            6: (NUMBERS, 0.3), 7: (NUMBERS, 0.3), 10: ([" " + name for name in COLOURS], 0.3),
        }  # fmt: skip
        self.cell = nn.ParameterDict({
            str(i): table(n, 0.0 if i in NOTHING else 0.3, *known_words.get(i, ()))
            for i, n in enumerate(CELL_CLASSES) if i > 1
        })  # fmt: skip
        self.whole = nn.ParameterDict({
            "0": table(WHOLE[0], 0.1, ("0", *NUMBERS), 0.2), **{str(i): table(WHOLE[i], 0.2) for i in (16, 17)}
        })  # fmt: skip
        self.silent = nn.Parameter(word(SILENT).clone())
        self.places, self.row, self.column = table(PLACES, 0.4), ramp(CELLS), ramp(CELLS)

    def forward(
        self, cells: torch.Tensor, places: torch.Tensor, whole: torch.Tensor, hidden: torch.Tensor | None = None
    ) -> torch.Tensor:
        """hidden: bool [n, labels], which are left out."""
        total = self.row[:, None] + self.column[None]
        total = total.flatten(0, 1).expand(len(cells), -1, -1)
        for i, table in self.cell.items():
            wanted = cells[..., int(i)].long()
            there = (wanted != NONE) & (wanted != NOTHING.get(int(i), NONE))
            if hidden is not None:
                there &= ~hidden[:, None, int(i)]
            total = total + table[wanted.clamp(min=0)] * there[..., None]
        total = total + self.silent * silent(cells)[..., None]
        total = total + (places @ self.places) * (cells[..., SHAPE] != NOTHING[SHAPE])[..., None]
        for i, table in self.whole.items():
            total = total + table[whole[:, int(i)].long()][:, None]
        return total


def silent(cells: torch.Tensor) -> torch.Tensor:
    """Which cells [n, cells] tell of no thing."""
    return (cells[..., SHAPE] == NOTHING[SHAPE]) & (cells[..., COLOUR] == NOTHING[COLOUR])


def left_out(n: int, generator: torch.Generator) -> torch.Tensor:
    """bool [n, labels]: groups of labels that some pictures do without, so that no answer hangs on them alone."""
    hidden = torch.zeros(n, len(CELL_LABELS), dtype=torch.bool)
    for group, share in HIDDEN.items():
        gone = torch.rand(n, generator=generator) < share
        for name in group:
            hidden[:, CELL_LABELS.index(name)] = gone
    return hidden
