"""Options and value types that several commands share."""

from __future__ import annotations

import argparse

from gan.data import sources
from gan.errors import GanError


def device_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="auto", help="auto, cuda, mps or cpu")
    parser.add_argument("--threads", type=count, default=1, help="CPU threads a run (default 1)")


def size(text: str) -> int:
    try:
        return sources.parse_size(text)
    except GanError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def listed(text: str) -> list[str]:
    """ "plain,rescue" -> ["plain", "rescue"]."""
    return [part.strip() for part in text.split(",")]


def sizes(text: str) -> list[int]:
    return [size(part) for part in listed(text)]


def count(text: str) -> int:
    """A whole number from 1 on."""
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number from 1 on")
    return int(text)
