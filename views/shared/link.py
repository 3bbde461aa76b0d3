"""The link of a page: query parameters to settings and back, and the browser's back and forward.

A session starts with the settings of its link. After every run the page writes its link into the address bar. A pydantic
model per page describes the parameters; an old or hostile link still opens the page, with a notice of what it ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import streamlit as st
from pydantic import BaseModel, ValidationError

from views.shared.i18n import LANGUAGES, text

M = TypeVar("M", bound=BaseModel)
Problem = tuple[str, str]  # a parameter that cannot be used: its name and value
_LONGEST_VALUE = 40  # characters of a value that a notice repeats


@dataclass(frozen=True)
class Page:
    """``key``: where the session keeps what this page has written; ``foreign``: a parameter that only the other page
    has. The address bar shows the other page's link for a moment while the visitor goes there."""

    key: str
    foreign: str


PAGES = {"explore": Page("written", "job"), "train": Page("train_written", "model")}


class Written(NamedTuple):
    """The link that a page wrote last, what it showed then, and the address it accepted for that: the link itself, or a
    bare address that the visitor passed on the way back."""

    link: dict[str, str]
    shown: Any
    address: dict[str, str]


def read(
    model: type[M], query: Mapping[str, str], context: object = None, **defaults: Any
) -> tuple[M, list[Problem]]:
    """The settings of a link as ``model``, and the parameters that do not fit: those keep their default. Unknown
    parameters are ignored. ``defaults`` replace those of the model."""
    names = {field.validation_alias or name for name, field in model.model_fields.items()}
    given = {name: value for name, value in query.items() if name in names}
    try:
        return model.model_validate({**defaults, **given}, context=context), []
    except ValidationError as error:
        wrong = {str(problem["loc"][0]) for problem in error.errors()} & given.keys()
        if not wrong:
            raise  # a default of ours is wrong
    rest = {name: value for name, value in given.items() if name not in wrong}
    found, more = read(model, rest, context, **defaults)
    return found, [(name, given[name][:_LONGEST_VALUE]) for name in given if name in wrong] + more


def begin(
    page: Page,
    lang: str,
    known: bool,
    take: Callable[[Mapping[str, str]], list[Problem]],
    current: Callable[[], tuple[dict[str, str], Any]],
) -> None:
    """At the start of every run: takes over the link of a new session, of a visitor who comes back from the other page,
    and of one who goes back or forward in the browser.

    known: whether the widgets have values; take: fills the widgets from query parameters and returns those that it
    cannot use; current: the link of what the widgets show, and what that is.
    """
    query = _incoming(page, current()[1] if known else None)
    if query is None:
        return
    problems = take(query)
    # Accept it now, not at the end of the run. The next step in the browser's history may cut this run short, and would
    # then look like an address that is late.
    link, shown = current()
    st.session_state[page.key] = Written(link, shown, link)
    if query.get("lang", lang) not in LANGUAGES:
        problems.append(("lang", query["lang"][:_LONGEST_VALUE]))
    if problems:
        # A stranger's link goes into Markdown: as code, without the backticks that could end the code.
        named = (" ".join(f"{name}={value}".replace("`", "").split()) for name, value in problems)
        quoted = ", ".join(f"`{part}`" for part in named)
        st.warning(text(lang, "link_problem", problems=quoted), icon=":material/link_off:")


def _incoming(page: Page, shown: Any) -> dict[str, str] | None:
    """The query parameters to take over, None to leave the widgets as they are."""
    query = st.query_params.to_dict()
    last = written(page)
    ours = "lang" in query and page.foreign not in query
    if (
        shown is None
    ):  # new, or back from the other page by a link, or by the navigation without one
        return query if ours or last is None else last.link
    # An address that the page did not write is a step in the browser's history, unless a widget has changed in the same
    # run: then the address is merely late.
    if last is None or query == last.address or shown != last.shown:
        return None
    if ours:
        return query
    # a bare address: a step on the way back
    st.session_state[page.key] = last._replace(address=query)
    return None


def write(page: Page, link: dict[str, str], shown: Any) -> None:
    """Writes ``link`` into the address bar, unless the page accepted the present address for what is ``shown``: a
    visitor who goes back in the browser must not be sent forward again."""
    query = st.query_params.to_dict()
    last = written(page)
    if last is not None and (last.address, last.shown) == (query, shown):
        return
    st.session_state[page.key] = Written(link, shown, link)
    if query != link:
        st.query_params.from_dict(link)


def written(page: Page) -> Written | None:
    """What this session's page wrote last, None if it has not been shown yet."""
    return st.session_state.get(page.key)
