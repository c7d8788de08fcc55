"""Who gets what when several tickets meet several free agents: the assignment of greatest total value."""

from __future__ import annotations

from collections.abc import Sequence

FORBIDDEN = -1e7
"""Value of a pair that must not be; it is left out of the result. Real values lie within ±1e5."""


def match(values: Sequence[Sequence[float]]) -> list[int]:
    """Column of each row, or -1. As many rows as possible are placed; among such plans the value is the greatest.

    values  one row per ticket, one column per agent, all rows equally long. Pairs at FORBIDDEN are never made.
    Time grows with rows x rows x columns, so blocks are kept small. Shortest augmenting paths: Jonker & Volgenant 1987.
    """
    if not values or not values[0]:
        return [-1] * len(values)
    if len(values) > len(values[0]):
        columns = match([list(column) for column in zip(*values, strict=True)])
        rows = [-1] * len(values)
        for column, row in enumerate(columns):
            if row >= 0:
                rows[row] = column
        return rows
    return _augment([[-max(value, FORBIDDEN) for value in row] for row in values])


def _augment(costs: list[list[float]]) -> list[int]:
    height, width = len(costs), len(costs[0])
    u, v = [0.0] * (height + 1), [0.0] * (width + 1)
    owner, way = [0] * (width + 1), [0] * (width + 1)
    for row in range(1, height + 1):
        owner[0], column = row, 0
        least, seen = [float("inf")] * (width + 1), [False] * (width + 1)
        while owner[column]:
            column = _grow(costs, (u, v), (owner, way), least, seen, column)
        while column:
            owner[column] = owner[way[column]]
            column = way[column]
    placed = [-1] * height
    for column in range(1, width + 1):
        if owner[column] and costs[owner[column] - 1][column - 1] < -FORBIDDEN / 2:
            placed[owner[column] - 1] = column - 1
    return placed


def _grow(
    costs: list[list[float]], duals: tuple[list[float], list[float]], tree: tuple[list[int], list[int]],
    least: list[float], seen: list[bool], column: int,
) -> int:  # fmt: skip
    """Take the nearest column into the tree of alternating paths; returns it."""
    (u, v), (owner, way) = duals, tree
    seen[column] = True
    row, nearest, delta = owner[column], 0, float("inf")
    costs_of, base = costs[row - 1], u[row]
    for other in range(1, len(v)):
        if seen[other]:
            continue
        reduced = costs_of[other - 1] - base - v[other]
        if reduced < least[other]:
            least[other], way[other] = reduced, column
        if least[other] < delta:
            delta, nearest = least[other], other
    for other in range(len(v)):
        if seen[other]:
            u[owner[other]] += delta
            v[other] -= delta
        else:
            least[other] -= delta
    return nearest
