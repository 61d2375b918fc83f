#!/usr/bin/env python3
"""The picture of the README: quality for size and speed beside the limit, drawn from the tables of the documents.

    at_a_glance.py [OUT.svg]        default: docs/images/at-a-glance.svg

Run it again when a table of docs/quality.md or docs/benchmarks.md has changed.
"""
import html
import math
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
OURS, OTHERS, GREY, INK = "#c2410c", "#475569", "#cbd5e1", "#0f172a"


def table(document, heading, n_columns):
    """Rows of the first table with that many columns behind a heading, as plain text."""
    text = (ROOT / "docs" / document).read_text(encoding="utf-8").split(f"\n{heading}\n", 1)[1]
    rows = [[cell.replace("*", "").strip() for cell in line.strip("|").split("|")]
            for line in re.search(r"(?:^\|.*\n)+", text, re.M)[0].splitlines()]
    assert len(rows) > 2 and len(rows[0]) == n_columns, (document, heading, rows[:1])
    return rows[2:]


def number(cell):
    return float(re.search(r"[\d.]+", cell)[0])


class Drawing:
    def __init__(self, width, height):
        self.parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
                      f'height="{height}" font-family="sans-serif" font-size="13" fill="{INK}">',
                      f'<rect width="{width}" height="{height}" fill="white"/>']

    def line(self, x1, y1, x2, y2, colour=GREY):
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>')

    def text(self, x, y, text, anchor="start", colour=INK, more=""):
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}" {more}>'
                          f"{html.escape(text)}</text>")

    def dot(self, x, y, colour):
        self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{colour}"/>')

    def bar(self, x, y, width, height, colour):
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height}" fill="{colour}"/>')

    def write(self, path):
        path.write_text("\n".join(self.parts) + "\n</svg>\n", encoding="utf-8")


def draw_quality(drawing, left, top, width, height):
    """KL divergence over bits a weight, the reference model `small`; the divergence by powers of two."""
    points = [(name.removeprefix("llama.cpp "), number(bits), number(distance), name.startswith("upg"))
              for name, bits, distance, *_ in table("quality.md", "## Beside llama.cpp", 7) if 3 <= number(bits) <= 6]
    low, high = 0.5**7, 0.5

    def x(bits):
        return left + (bits - 3) / 3 * width

    def y(distance):
        return top + height * math.log2(high / distance) / math.log2(high / low)

    drawing.text(left, top - 30, "Distance to the original, 89 M weights", more='font-weight="bold"')
    drawing.text(left, top - 12, "KL divergence in nats a token: lower is nearer", colour=OTHERS)
    for i in range(7):
        value = high / 2**i
        drawing.line(left, y(value), left + width, y(value))
        drawing.text(left - 8, y(value) + 4, f"{value:.3f}", "end", OTHERS)
    for bits in range(3, 7):
        drawing.text(x(bits), top + height + 20, f"{bits}", "middle", OTHERS)
    drawing.text(left + width / 2, top + height + 40, "bits a weight, whole file", "middle", OTHERS)
    for name, bits, distance, ours in points:
        colour, is_crowded = OURS if ours else OTHERS, any(0 < other - bits < 0.35 for _, other, *_ in points)
        drawing.dot(x(bits), y(distance), colour)
        drawing.text(x(bits) + (-9 if is_crowded and not ours else 9), y(distance) + 4, "upg" if ours else name,
                     "end" if is_crowded and not ours else "start", colour)


def draw_speed(drawing, left, top, width):
    """Tokens a second of Phi-4's shape beside what reading the weights alone would allow."""
    drawing.text(left, top - 30, "Speed of Phi-4's shape, 3.2 bits, 2 cores", more='font-weight="bold"')
    drawing.text(left, top - 12, "tokens/s; grey: what reading the weights would allow", colour=OTHERS)
    for i, (tier, rate, fraction, *_) in enumerate(table("benchmarks.md", "### Whole tokens, Phi-4's shape", 7)):
        y, limit = top + 14 + 58 * i, number(rate) / (number(fraction) / 100)
        scale = width / 6
        drawing.text(left, y, tier, colour=OTHERS)
        drawing.bar(left, y + 8, limit * scale, 22, GREY)
        drawing.bar(left, y + 8, number(rate) * scale, 22, OURS)
        drawing.text(left + number(rate) * scale - 8, y + 24, f"{number(rate):g}", "end", "white")
        drawing.text(left + limit * scale + 8, y + 24, f"{number(fraction):g} %", colour=OTHERS)


def main():
    drawing = Drawing(920, 330)
    draw_quality(drawing, 60, 60, 400, 210)
    draw_speed(drawing, 540, 60, 330)
    drawing.write(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images" / "at-a-glance.svg")


if __name__ == "__main__":
    main()
