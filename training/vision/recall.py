"""Stages B and C from a model that is there already: `python -m training.vision.recall DATA OUT [--mmproj F.gguf]`.

Its LoRA, and the words that its tower says where a label holds, by least squares over pictures whose labels are known.
Writes OUT/reader.pt, from which `training.vision.read` goes on: so a new tower needs no new reader. With --tower also
OUT/eyes.pt, its tower and projector too, from which `training.vision.align` goes on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from llm_core.gguf import open_gguf
from llm_core.hub import resolve
from llm_core.vision.model import load_vision
from llm_core.vision.runner import VisionRunner
from training.vision.align import weights
from training.vision.data import CELLS, NONE, NOTHING, Pictures, load, pixels
from training.vision.export import parameters
from training.vision.lm import LanguageModel, Lora
from training.vision.pretrain import save
from training.vision.tower import Projector, Tower, TowerConfig
from training.vision.words import SHAPE, Words, silent


def columns(words: Words, cells: torch.Tensor, places: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
    """What each row of `tables(words)` is multiplied with, [n, cells, rows]: `words(...)` as one product."""
    one_hot = torch.nn.functional.one_hot
    parts = []
    for i, table in words.cell.items():
        wanted = cells[..., int(i)].long()
        there = (wanted != NONE) & (wanted != NOTHING.get(int(i), NONE))
        parts.append(one_hot(wanted.clamp(min=0), len(table)) * there[..., None])
    parts += [silent(cells)[..., None], places * (cells[..., SHAPE] != NOTHING[SHAPE])[..., None]]
    for i, table in words.whole.items():
        parts.append(one_hot(whole[:, int(i)].long(), len(table))[:, None].expand(-1, cells.shape[1], -1))
    rows, across = torch.arange(cells.shape[1]) // CELLS, torch.arange(cells.shape[1]) % CELLS
    parts += [one_hot(at, CELLS).expand(len(cells), -1, -1) for at in (rows, across)]
    return torch.cat([part.float() for part in parts], -1)


def tables(words: Words) -> list[torch.nn.Parameter]:
    """The vectors of `words` in the order of `columns`, each as a matrix."""
    return [*words.cell.values(), words.silent[None], words.places, *words.whole.values(), words.row, words.column]


def fit(words: Words, data: Pictures, embeddings: np.ndarray) -> float:
    """Make `words` say what `embeddings` [n, cells, width] say about the same pictures; returns what is left of them,
    as a part of their variance."""
    labels = [torch.from_numpy(v) for v in data.labels(range(len(data)))]
    x, y = columns(words, *labels).flatten(0, 1), torch.from_numpy(embeddings).flatten(0, 1)
    weight = weights(labels[0]).flatten()[:, None]
    square = (weight * x).T @ x + 1.0 * torch.eye(x.shape[1])
    found = torch.linalg.solve(square, (weight * x).T @ y)
    with torch.no_grad():
        for table, part in zip(tables(words), found.split([len(t) for t in tables(words)]), strict=True):
            table.copy_(part)
    centre = (weight * y).sum(0) / weight.sum()
    return float((weight * (x @ found - y).square()).sum() / (weight * (y - centre).square()).sum())


def main() -> None:
    """Write OUT/reader.pt."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--mmproj", default="tabletop", help="the file, or a name")
    parser.add_argument("--count", type=int, default=3000, help="pictures to look at")
    parser.add_argument("--tower", action="store_true", help="write the whole model as OUT/eyes.pt too")
    args = parser.parse_args()
    lm = LanguageModel(args.model)
    path = Path(resolve(args.mmproj))
    whole = {n: torch.from_numpy(t.dequantize().copy()) for n, t in open_gguf(path).tensors.items()}
    tensors = {n: values for n, values in whole.items() if ".lora_" in n}
    rank = next(len(t) for n, t in tensors.items() if n.endswith("lora_a"))
    lm.lora, words = Lora(lm, rank), Words(lm)
    lm.lora.load_state_dict(
        {n.replace(".weight.lora_", ".lora_").replace(".", "_"): values for n, values in tensors.items()}
    )
    data = load(args.data / "train", limit=args.count)
    runner = VisionRunner(load_vision(path), n_threads=2)
    found = [runner.encode(image.permute(1, 2, 0).numpy().copy()).copy() for image in pixels(data.images)]
    runner.close()
    left = fit(words, data, np.stack(found))
    args.out.mkdir(parents=True, exist_ok=True)
    state = {"lora": lm.lora.state_dict(), "words": words.state_dict(), "rank": rank, "first": 0, "step": 0}
    save(args.out / "reader.pt", state)
    if args.tower:
        config = TowerConfig()
        seeing = {"tower": Tower(config), "projector": Projector(config)}
        with torch.no_grad():
            for module, prefix in zip(seeing.values(), ("v.", "mm."), strict=True):
                for name, parameter in parameters(module, prefix).items():
                    parameter.copy_(whole[name].reshape(parameter.shape))
        state |= {name: module.state_dict() for name, module in seeing.items()}
        save(args.out / "eyes.pt", state | {"config": config.__dict__, "seconds": 0.0})
    print(f"{args.out / 'reader.pt'}: words of {len(data)} pictures, {left:.0%} of their variance left")


if __name__ == "__main__":
    main()
