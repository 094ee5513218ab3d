"""Convolutions over a square of rows: each column by itself, and the stages of a tower that begins with them."""

from itertools import count

import numpy as np

from llm_core.errors import ModelError
from llm_core.program.graph import Value
from llm_core.vision.layout import squares
from llm_core.vision.tensors import vector

KERNEL = 3
POSITIONS = "v.position_embd.weight"


def neighbours(grid: tuple[int, int], stride: int) -> np.ndarray:
    """int [patches that are taken, 9]: the patches around every `stride`-th one of every `stride`-th row, row by row;
    -1 outside the grid."""
    high, wide = grid
    framed = np.full((high + 2, wide + 2), -1)
    framed[1:-1, 1:-1] = np.arange(high * wide).reshape(grid)
    around = np.lib.stride_tricks.sliding_window_view(framed, (KERNEL, KERNEL))[::stride, ::stride]
    return around.reshape(-1, KERNEL**2)


def kernel(model, name: str, width: int):
    """A convolution of each column by itself, tensor [width, (1,) 3, 3], as rows for `filter_rows`."""
    values = model.param(name).tensor.dequantize()
    if values.shape not in ((width, KERNEL, KERNEL), (width, 1, KERNEL, KERNEL)):
        raise ModelError(f"tensor {name!r}: shape {values.shape}, expected {(width, KERNEL, KERNEL)}")
    rows = np.zeros((KERNEL**2, -(-width // 16) * 16), np.float32)
    rows[:, :width] = values.reshape(width, KERNEL**2).T
    return model.made(vector(f"{name}.rows", rows))


def stages(g, model, x: Value) -> Value:
    """Rows of patches → one row for each square of them: as many stages as the file has, each of them blocks as in
    ConvNeXt (Liu et al., 2022) with kernels of 3 * 3 and ReLU, then a norm and a product of the rows of a square side
    by side, whose size follows from the matrix; positions are added to what is left."""
    if model.first:
        raise ModelError("tensor 'v.class_embd': a tower of convolutions has no row for it")
    side = g.grid[0]
    for stage in count():
        prefix = f"v.stage.{stage}."
        if stage and not model.find(f"{prefix}merge.weight"):
            break
        around = neighbours((side, side), 1)
        for block in count():
            if not model.find(f"{prefix}blk.{block}.conv.weight"):
                break
            x = _block(g, model, f"{prefix}blk.{block}.", x, f"{prefix}around", around)
        weight = model.param(f"{prefix}merge.weight")
        merge = _side_of(weight, x.width, side)
        x = g.layer_norm(x, model.param(f"{prefix}ln.weight"), model.find(f"{prefix}ln.bias"))
        x = g.concat_rows(x, f"{prefix}squares", squares(side, side, merge))
        side //= merge
        last = not model.find(f"v.stage.{stage + 1}.merge.weight")
        positions = g.constant(POSITIONS, model.values(POSITIONS, side * side, weight.rows)) if last else None
        x = g.linear(x, weight, bias=model.find(f"{prefix}merge.bias"), residual=positions)
    return x


def _side_of(weight, width: int, side: int) -> int:
    """Rows of the side of the squares that `weight` takes. Raises ModelError when there are no such squares."""
    columns = weight.tensor.shape[-1]
    merge = round((columns / width) ** 0.5)
    if not merge or merge * merge * width != columns or side % merge:
        raise ModelError(
            f"tensor {weight.tensor.name!r}: {columns} columns, expected squares of {width} (of {side} rows a side)"
        )
    return merge


def _block(g, model, prefix: str, x: Value, name: str, around: np.ndarray) -> Value:
    """x + linear(relu(linear(norm(convolution(x)))))"""

    def linear(part: str, value: Value, residual: Value | None = None) -> Value:
        weight, bias = model.param(f"{prefix}{part}.weight"), model.find(f"{prefix}{part}.bias")
        return g.linear(value, weight, x.width if residual else None, bias=bias, residual=residual)

    bias = model.find(f"{prefix}conv.bias")
    h = g.filter_rows(x, name, around, kernel(model, f"{prefix}conv.weight", x.width), bias)
    h = g.layer_norm(h, model.param(f"{prefix}ln.weight"), model.find(f"{prefix}ln.bias"))
    return linear("ffn_down", g.activate("relu", linear("ffn_up", h)), residual=x)
