"""The search behind the quantizers: scales for groups of values that lose least, by weighted least squares.

Values `x` and the weights `w` of their squared errors are float32 [group, n]: n groups side by side, so that numpy adds
whole rows. A search lets the extreme value land on and around the extreme level. The levels that follow are held
fixed, the best scale for them is solved for, and the scale that explains most is kept: levels q take
(sum w x q)^2 / sum w q^2 off the weighted squared error of all zeros. `TwoLevel…` does it for blocks whose groups'
scales are small integers under one or two half-precision ones, and refines all of them in turn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Array = np.ndarray
Nearest = Callable[[Array], Array]
"""Scaled values, which may be overwritten, to the nearest levels."""

# where the extreme value may land, in gaps between levels before (negative) or beyond the extreme level
_SCALE_STEPS = np.linspace(-1.2, 1.2, 11, dtype=np.float32)
_AFFINE_STEPS = np.linspace(-1.2, 1.5, 13, dtype=np.float32)
_REFINEMENTS = 2
_HALF_MAX = np.float32(65504)
# beyond what any block can express, and small enough that sums of cubes stay finite
_LIMIT = np.float32(1e9)


def inverse(d: Array) -> Array:
    """1 / d, and 0 where that is no finite number."""
    r = np.float32(1) / d
    return np.where(np.isfinite(r), r, np.float32(0))


def half(d: Array) -> Array:
    """The float32 that the nearest half-precision number is; beyond its range, the largest one."""
    return np.clip(d, -_HALF_MAX, _HALF_MAX).astype(np.float16).astype(np.float32)


def peak(x: Array) -> Array:
    """The value of largest magnitude along the first axis, with its sign."""
    low, high = x.min(axis=0), x.max(axis=0)
    return np.where(-low > high, low, high)


def whole(low: int, high: int) -> Nearest:
    """Levels that are the integers of low … high."""

    def nearest(scaled: Array) -> Array:
        np.rint(scaled, out=scaled)
        return np.clip(scaled, np.float32(low), np.float32(high), out=scaled)

    return nearest


def dot(a: Array, b: Array) -> Array:
    """Sums of products along the groups, [n], without a temporary."""
    return np.einsum("gn,gn->n", a, b)


def groups(values: Array, size: int) -> Array:
    """[n, block] to [size, n * block / size], within ±1e9."""
    return np.clip(values.reshape(-1, size).T, -_LIMIT, _LIMIT, order="C")


def ungroup(q: Array, n: int) -> Array:
    """Levels as `groups` lays them out, back to [n, block]."""
    return np.ascontiguousarray(q.T).reshape(n, -1)


def importance(values: Array, weights: Array | None, size: int) -> Array:
    """The weights of the errors, as `groups` lays them out.

    `weights` [n, block]: what the model's inputs say (an importance matrix); None: large values
    count more than small ones.
    """
    if weights is not None:
        return groups(weights, size)
    x = np.abs(groups(values, size))
    return x + np.sqrt((x * x).mean(axis=0))


def fit_scale(x: Array, w: Array, nearest: Nearest, extreme: float, gap: float = 1) -> Array:
    """d [n] such that d * nearest(x / d) is close to x; `extreme` is the level of largest magnitude, `gap` about the
    distance to the next ones."""
    wx = w * x
    unit = inverse(peak(x)) * np.float32(np.sign(extreme))
    best, best_gain = np.zeros(x.shape[1], np.float32), np.zeros(x.shape[1], np.float32)
    scaled, weighted = np.empty_like(x), np.empty_like(x)
    for step in _SCALE_STEPS:
        q = nearest(np.multiply(x, unit * np.float32(abs(extreme) + gap * step), out=scaled))
        xq, qq = dot(wx, q), dot(np.multiply(w, q, out=weighted), q)
        d = xq * inverse(qq)
        gain = d * xq
        better = gain > best_gain
        np.copyto(best_gain, gain, where=better)
        np.copyto(best, d, where=better)
    return best


def fit_affine(x: Array, w: Array, top: int) -> tuple[Array, Array]:
    """d and m, both [n] and >= 0, such that d * q - m is close to x for some integers q of 0 … top."""
    low, high = np.minimum(x.min(axis=0), 0), x.max(axis=0)
    unit = inverse(high - low)
    nearest, shifted, scaled, weighted = whole(0, top), x - low, np.empty_like(x), np.empty_like(x)
    wx = w * x
    w1, x1 = w.sum(axis=0), wx.sum(axis=0)
    best_d, best_m = np.zeros_like(low), np.maximum(-x1 * inverse(w1), 0)
    best_gain = -best_m * (2 * x1 + best_m * w1)
    for step in _AFFINE_STEPS:
        q = nearest(np.multiply(shifted, unit * np.float32(top + step), out=scaled))
        wq = np.multiply(w, q, out=weighted)
        q1, xq, qq = wq.sum(axis=0), dot(wx, q), dot(wq, q)
        d, m = solve_affine(w1, x1, q1, xq, qq)
        gain = d * (2 * xq - d * qq) - m * (2 * x1 + m * w1) + 2 * d * m * q1
        better = gain > best_gain
        for kept, found in ((best_gain, gain), (best_d, d), (best_m, m)):
            np.copyto(kept, found, where=better)
    return best_d, best_m


def solve_affine(w1: Array, x1: Array, q1: Array, xq: Array, qq: Array) -> tuple[Array, Array]:
    """d and m >= 0 of least sum w (d * q - m - x)^2, from the weighted sums of 1, x, q, x * q and q * q."""
    r = inverse(w1 * qq - q1 * q1)
    d, m = (w1 * xq - x1 * q1) * r, (q1 * xq - qq * x1) * r
    flat = (m <= 0) | (d <= 0)
    return np.where(flat, np.maximum(xq, 0) * inverse(qq), d), np.where(flat, np.float32(0), m)


@dataclass(frozen=True)
class TwoLevelScale:
    """x = d * scale * q: a half-precision d for a block, an integer scale of `scale_low` … `scale_high` for a group."""

    group: int
    nearest: Nearest
    extreme: float
    scale_low: int
    scale_high: int
    gap: float = 1

    def fit(self, values: Array, weights: Array | None) -> tuple[Array, Array, Array]:
        """[n, block] to d [n], scales [n, groups] and levels [n, block], all float32."""
        n = len(values)
        x, w = groups(values, self.group), importance(values, weights, self.group)
        wx = w * x
        to_scale = whole(self.scale_low, self.scale_high)

        def levels(d: Array, scales: Array) -> tuple[Array, Array]:
            step = (d[:, None] * scales).reshape(-1)
            q = self.nearest(x * inverse(step))
            return q, (w * (step * q - x) ** 2).sum(axis=0).reshape(n, -1).sum(axis=1)

        per_group = fit_scale(x, w, self.nearest, self.extreme, self.gap).reshape(n, -1)
        d = half(peak(per_group.T) / np.float32(self.scale_low))
        scales = to_scale(per_group * inverse(d)[:, None])
        q, error = levels(d, scales)
        for _ in range(_REFINEMENTS):
            xq, qq = dot(wx, q).reshape(n, -1), dot(w * q, q).reshape(n, -1)
            new_d = half((scales * xq).sum(axis=1) * inverse((scales * scales * qq).sum(axis=1)))
            new_scales = to_scale(xq * inverse(qq * new_d[:, None]))
            new_q, new_error = levels(new_d, new_scales)
            better = new_error < error
            for kept, found in ((error, new_error), (d, new_d), (scales, new_scales)):
                kept[better] = found[better]
            np.copyto(q, new_q, where=np.repeat(better, scales.shape[1]))
        return d, scales, ungroup(q, n)


@dataclass(frozen=True)
class TwoLevelAffine:
    """x = d * scale * q - dmin * min: two half-precision numbers for a block, two integers of 0 … `scale_top` for a
    group, levels of 0 … `top`."""

    group: int
    top: int
    scale_top: int

    def fit(self, values: Array, weights: Array | None) -> tuple[Array, Array, Array, Array, Array]:
        """[n, block] to d, dmin [n], scales, mins [n, groups] and levels [n, block], all float32."""
        n = len(values)
        x, w = groups(values, self.group), importance(values, weights, self.group)
        wx = w * x
        to_scale, to_level = whole(0, self.scale_top), whole(0, self.top)

        def by_group(sums: Array) -> Array:
            return sums.reshape(n, -1)

        def levels(d: Array, dmin: Array, scales: Array, mins: Array) -> tuple[Array, Array]:
            step, offset = (d[:, None] * scales).reshape(-1), (dmin[:, None] * mins).reshape(-1)
            q = to_level((x + offset) * inverse(step))
            return q, by_group((w * (step * q - offset - x) ** 2).sum(axis=0)).sum(axis=1)

        w1, x1 = w.sum(axis=0), wx.sum(axis=0)
        group_d, group_m = map(by_group, fit_affine(x, w, self.top))
        d, dmin = (half(v.max(axis=1) / np.float32(self.scale_top)) for v in (group_d, group_m))
        scales, mins = to_scale(group_d * inverse(d)[:, None]), to_scale(group_m * inverse(dmin)[:, None])
        q, error = levels(d, dmin, scales, mins)
        for _ in range(_REFINEMENTS):
            wq = w * q
            q1, xq, qq = wq.sum(axis=0), dot(wx, q), dot(wq, q)
            new_d, new_dmin = _solve_block(scales, mins, *map(by_group, (w1, x1, q1, xq, qq)))
            new_d, new_dmin = half(np.where(new_d > 0, new_d, d)), half(np.where(new_dmin > 0, new_dmin, dmin))
            best_d, _ = solve_affine(w1, x1, q1, xq, qq)
            new_scales = to_scale(by_group(best_d) * inverse(new_d)[:, None])
            # the best offset for the scale as it was rounded
            best_m = np.maximum((np.repeat(new_d, scales.shape[1]) * new_scales.reshape(-1) * q1 - x1) * inverse(w1), 0)
            new_mins = to_scale(by_group(best_m) * inverse(new_dmin)[:, None])
            new_q, new_error = levels(new_d, new_dmin, new_scales, new_mins)
            better = new_error < error
            for kept, found in (
                (error, new_error), (d, new_d), (dmin, new_dmin), (scales, new_scales), (mins, new_mins),
            ):  # fmt: skip
                kept[better] = found[better]
            np.copyto(q, new_q, where=np.repeat(better, scales.shape[1]))
        return d, dmin, scales, mins, ungroup(q, n)


def _solve_block(scales: Array, mins: Array, w1: Array, x1: Array, q1: Array, xq: Array, qq: Array):
    """The block's d and dmin of least error for given integers; the sums are [n, groups]."""
    dd, dm, mm = (scales * scales * qq).sum(axis=1), (scales * mins * q1).sum(axis=1), (mins * mins * w1).sum(axis=1)
    xd, xm = (scales * xq).sum(axis=1), (mins * x1).sum(axis=1)
    r = inverse(dd * mm - dm * dm)
    return np.where(mm > 0, (xd * mm - dm * xm) * r, xd * inverse(dd)), (dm * xd - dd * xm) * r
