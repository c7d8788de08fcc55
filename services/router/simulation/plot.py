"""A bar chart as SVG: each policy's measures over the base policy's, with the paired interval."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

SHOWN = ("wait_mean_s", "wait_p95_s", "cost_weighted_wait_s", "weighted_tardiness_s", "abandoned", "work_per_ticket_s")
COLOURS = ("#4878a8", "#d1834b", "#5f9e6e", "#b55d60", "#857aab", "#8d7866", "#c44e9c", "#7f7f7f")
BAR, ROW, LEFT, SPAN = 14, 22, 190, 460


def svg(found: Mapping[str, Mapping[str, Mapping[str, float]]], base: str, title: str) -> str:
    """found: as measures.paired gives it. Ratios beyond 2 are cut at the edge, their figure stands beside the bar."""
    shown = [name for name in SHOWN if any("over_base" in row.get(name, {}) for row in found.values())]
    parts, y = [_text(10, 24, f"{title}: ratio to {base}, paired 95 % intervals", 15)], 44
    for name in shown:
        parts.append(_text(10, y + 12, name.replace("_", " ")))
        for number, (policy, row) in enumerate(found.items()):
            cell = row.get(name, {})
            if "over_base" not in cell:
                continue
            parts.append(_bar(y, cell["over_base"], cell["over_base_half"], COLOURS[number % len(COLOURS)], policy))
            y += ROW
        y += 12
    parts.append(
        f'<line x1="{LEFT + SPAN // 2}" x2="{LEFT + SPAN // 2}" y1="36" y2="{y}" stroke="#333" stroke-dasharray="4"/>'
    )
    body = "".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + SPAN + 260}" height="{y + 12}" '
        f'font-family="sans-serif"><rect width="100%" height="100%" fill="#fff"/>{body}</svg>\n'
    )


def _bar(y: int, ratio: float, half: float, colour: str, policy: str) -> str:
    def x(value: float) -> float:
        return LEFT + SPAN * min(max(value, 0.0), 2.0) / 2.0

    middle = y + BAR / 2
    return (
        f'<rect x="{LEFT}" y="{y}" width="{x(ratio) - LEFT:.1f}" height="{BAR}" fill="{colour}"/>'
        f'<line x1="{x(ratio - half):.1f}" x2="{x(ratio + half):.1f}" y1="{middle}" y2="{middle}" stroke="#111"/>'
        + _text(LEFT + SPAN + 8, y + 11, f"{policy} {ratio:.3f} ± {half:.3f}")
    )


def _text(x: int, y: int, words: str, size: int = 12) -> str:
    return f'<text x="{x}" y="{y}" font-size="{size}">{escape(words)}</text>'
