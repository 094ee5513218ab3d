"""What camera chips and drivers deliver → RGB: Bayer mosaics and YUV 4:2:2. uint8 arrays in and out, numpy only."""

from __future__ import annotations

import numpy as np

# Colour (0 red, 1 green, 2 blue) of the pixels of a mosaic's 2 x 2 cells, row by row.
BAYER = {"rggb": (0, 1, 1, 2), "bggr": (2, 1, 1, 0), "gbrg": (1, 2, 0, 1), "grbg": (1, 0, 2, 1)}
# Where a pair of pixels has its Y of the left one, U, Y of the right one, V.
YUV422 = {"uyvy": (1, 0, 3, 2), "yuyv": (0, 1, 2, 3)}
# R, G, B of (Y, U, V) for video levels (Y 16…235, U and V 16…240): Recommendation ITU-R BT.601.
_BT601 = np.array([[1.164384, 0.0, 1.596027], [1.164384, -0.391762, -0.812968], [1.164384, 2.017232, 0.0]], np.float32)


def demosaic(mosaic: np.ndarray, pattern: str) -> np.ndarray:
    """A Bayer mosaic [height, width] of a pattern in BAYER → RGB [height, width, 3]; both sides at least 2.

    Bilinear: a colour that a pixel lacks is the rounded mean of its nearest neighbours that have it. The picture is
    mirrored at its edges, which keeps the mosaic's order.
    """
    height, width = mosaic.shape
    cells = np.pad(mosaic, 1, mode="reflect").astype(np.uint16)
    out = np.empty((height, width, 3), np.uint8)
    colours = BAYER[pattern]
    for phase in range(4):
        y, x = divmod(phase, 2)
        rows, columns = -(-(height - y) // 2), -(-(width - x) // 2)

        def near(dy, dx, y=y, x=x, rows=rows, columns=columns):
            """The neighbours (dy, dx) of this phase's pixels."""
            return cells[1 + y + dy :: 2, 1 + x + dx :: 2][:rows, :columns]

        row = (near(0, -1) + near(0, 1), 2)
        column = (near(-1, 0) + near(1, 0), 2)
        cross = (row[0] + column[0], 4)
        corners = (near(-1, -1) + near(-1, 1) + near(1, -1) + near(1, 1), 4)
        for colour in range(3):
            if colours[phase] == colour:
                total, count = near(0, 0), 1
            elif colour == 1:
                total, count = cross
            elif colours[phase] == 1:
                total, count = row if colours[phase ^ 1] == colour else column
            else:
                total, count = corners
            out[y::2, x::2, colour] = (total + count // 2) // count
    return out


def yuv422(pairs: np.ndarray, order: str) -> np.ndarray:
    """Video pixels [height, width / 2, 4], two of them in four bytes in an order of YUV422 → RGB [height, width, 3].

    Both pixels of a pair have its U and V.
    """
    height, half, _ = pairs.shape
    left, u, right, v = (pairs[..., i].astype(np.float32) for i in YUV422[order])
    u, v = u - 128, v - 128
    out = np.empty((height, half, 2, 3), np.uint8)
    for colour, (of_y, of_u, of_v) in enumerate(_BT601):
        shade = of_u * u + of_v * v
        for side, y in enumerate((left, right)):
            out[:, :, side, colour] = np.clip(np.rint(of_y * (y - 16) + shade), 0, 255)
    return out.reshape(height, 2 * half, 3)
