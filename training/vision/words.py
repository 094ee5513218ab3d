"""What a perfect tower would say: embeddings of a picture's cells from its labels instead of its pixels.

With them the language model's LoRA learns to read pictures before a tower can see (stage B), from words that it knows:
a cell begins as the embeddings of its thing's shape and colour. The tower's projector is then taught to say the same.
"""

from __future__ import annotations

import torch
from torch import nn

from llm_ros.sim.scene import COLOURS, SHAPES
from training.vision.data import CELL_CLASSES, CELL_LABELS, CELLS, NONE, PLACES
from training.vision.lm import LanguageModel

WHOLE = {0: 7, 16: 2, 17: 2}  # labels of the whole that every cell tells: how many things, kind of scene, table
NOTHING = {0: len(SHAPES), 1: len(COLOURS), 2: len(SHAPES)}  # labels that say nothing
HIDDEN = (("rank", "order"), ("same_shape", "same_colour"), ("part_shape", "part_colour"))  # left out now and then


class Words(nn.Module):
    """Labels as `data.labels` makes them → embeddings [n, cells, width]: for each label a vector, all added up."""

    def __init__(self, lm: LanguageModel):
        super().__init__()
        known = lm.weights["token_embd.weight"]
        width, std = known.shape[1], float(known.std())
        self.std = std

        def table(n: int, scale: float) -> nn.Parameter:
            return nn.Parameter(torch.randn(n, width) * std * scale)

        self.cell = nn.ParameterList(table(n, 0.35) for n in CELL_CLASSES)
        self.whole = nn.ParameterDict({str(i): table(n, 0.2) for i, n in WHOLE.items()})
        self.places, self.row, self.column = table(PLACES, 0.3), table(CELLS, 0.3), table(CELLS, 0.3)
        for i, names in ((1, COLOURS), (2, SHAPES), (3, COLOURS), (10, COLOURS)):
            for j, name in enumerate(names):
                ids = list(lm.tokenizer.encode(" " + name, add_special=False, parse_special=False))
                word = lm.embed(torch.tensor(ids)).mean(0)
                with torch.no_grad():
                    self.cell[i][j] += (0.3 if i == 10 else 0.8) * word

    def forward(
        self, cells: torch.Tensor, places: torch.Tensor, whole: torch.Tensor, hidden: torch.Tensor | None = None
    ) -> torch.Tensor:
        """hidden: bool [n, labels], which are left out."""
        total = self.row[:, None] + self.column[None]
        total = total.flatten(0, 1).expand(len(cells), -1, -1)
        for i, table in enumerate(self.cell):
            wanted = cells[..., i].long()
            there = (wanted != NONE) & (wanted != NOTHING.get(i, NONE))
            if hidden is not None:
                there &= ~hidden[:, None, i]
            total = total + table[wanted.clamp(min=0)] * there[..., None]
        centred = (cells[..., 2] != NOTHING[2])[..., None]
        total = total + (places @ self.places) * centred
        for i, table in self.whole.items():
            total = total + table[whole[:, int(i)].long()][:, None]
        return total


def left_out(n: int, generator: torch.Generator) -> torch.Tensor:
    """bool [n, labels]: groups of labels that some pictures do without, so that no answer hangs on them alone."""
    hidden = torch.zeros(n, len(CELL_LABELS), dtype=torch.bool)
    for group in HIDDEN:
        gone = torch.rand(n, generator=generator) < 0.25
        for name in group:
            hidden[:, CELL_LABELS.index(name)] = gone
    return hidden
