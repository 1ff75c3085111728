"""Where things stand in a drawn plot."""

import numpy as np


def middle(page, colour):
    """Where a colour (#rrggbb) lies in a picture: its mean column and row."""
    rgb = [int(colour[n : n + 2], 16) for n in (1, 3, 5)]
    apart = np.abs(np.array(page).astype(int) - rgb).sum(axis=2)
    rows, columns = np.nonzero(apart < 60)
    assert len(rows) > 30
    return columns.mean(), rows.mean()
