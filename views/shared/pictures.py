"""Images as HTML with crisp pixels; no streamlit here.

Browsers smooth enlarged images, and st.image turns small arrays into JPEG; both spoil a digit of 28 x 28 pixels. PNG data
links with ``image-rendering: pixelated`` keep it.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence

import numpy as np
from PIL import Image

from gan.networks.images import to_png

_STYLE = "image-rendering:pixelated;display:block;width:100%;border-radius:0"


def image_tag(image: np.ndarray, alt: str, max_width: int | None = None) -> str:
    """image uint8 [H, W, 1 or 3] -> an <img> as wide as its container, at most ``max_width`` pixels."""
    return png_tag(to_png(image), alt, max_width)


def png_tag(png: bytes, alt: str, max_width: int | None = None) -> str:
    """A PNG file -> an <img> as wide as its container, at most ``max_width`` pixels."""
    width = f";max-width:{max_width}px" if max_width else ""
    return (
        # decode in the same frame, so that nothing flashes when one image replaces another
        f'<img alt="{html.escape(alt, quote=True)}" decoding="sync" style="{_STYLE}{width}" '
        f'src="{data_link(png)}">'
    )


def data_link(png: bytes) -> str:
    """A PNG file as a data link."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def frame(words: str) -> str:
    """An empty square frame with ``words`` in it, as a placeholder for an image."""
    return (
        '<div style="aspect-ratio:1;width:100%;border:1px dashed currentColor;opacity:0.7;display:flex;'
        'align-items:center;justify-content:center;text-align:center;padding:1rem;box-sizing:border-box">'
        f"{html.escape(words)}</div>"
    )


def favicon() -> Image.Image:
    """A small pixel 0 for the browser's tab. A named icon would be fetched from another server."""
    rows = (
        "........",
        "..####..",
        ".##..##.",
        ".##..##.",
        ".##..##.",
        ".##..##.",
        "..####..",
        "........",
    )
    pixels = np.array([[255 if c == "#" else 20 for c in row] for row in rows], dtype=np.uint8)
    return Image.fromarray(pixels).resize((64, 64), Image.Resampling.NEAREST)


def strip(columns: Sequence[tuple[str, str, np.ndarray, bool]], label: str) -> str:
    """A row of images, labelled ``label``, that scrolls sideways on narrow screens.

    columns: (heading, alt text, image uint8 [H, W, C], whether it is the current one). A frame and bold type mark the
    current one, not only colour.
    """
    cells = []
    for heading, alt, image, current in columns:
        line = "currentColor" if current else "transparent"
        weight = "700" if current else "400"
        mark = ' aria-current="true"' if current else ""
        cells.append(
            f'<figure{mark} style="margin:0;flex:1 0 64px;max-width:128px">'
            f'<div style="border:3px solid {line};padding:2px">{image_tag(image, alt)}</div>'
            f'<figcaption style="text-align:center;font-weight:{weight};font-size:0.8rem;'
            f'line-height:1.3;white-space:pre-line">{html.escape(heading)}</figcaption></figure>'
        )
    return (
        f'<div role="region" aria-label="{html.escape(label, quote=True)}" tabindex="0" '
        f'style="display:flex;gap:2px;overflow-x:auto">{"".join(cells)}</div>'
    )


def digit_row(counts: Sequence[int], present: Sequence[int], alt: str) -> str:
    """The ten digits and how often each was read. Those not ``present`` are struck through and have a dashed frame, so that
    colour is not the only sign."""
    cells = []
    for digit, count in enumerate(counts):
        there = digit in present
        line = "solid" if there else "dashed"
        words = "none" if there else "line-through"
        cells.append(
            f'<div style="flex:1 1 1.5rem;text-align:center;border:1px {line} currentColor;'
            f'border-radius:4px;padding:2px 0;opacity:{1 if there else 0.55}">'
            f'<div style="font-size:1.15rem;font-weight:700;text-decoration:{words}">{digit}</div>'
            f'<div style="font-size:0.75rem">{count}</div></div>'
        )
    return (
        f'<div role="img" aria-label="{html.escape(alt, quote=True)}" '
        f'style="display:flex;flex-wrap:wrap;gap:4px">{"".join(cells)}</div>'
    )
