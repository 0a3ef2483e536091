"""Forms as a browser has them: what stands in a page, what would be sent, and whether it is shown again as typed."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urlsplit


@dataclass(slots=True)
class PageForm:
    """One form of a page. fields: names and values as a browser would send them, in order; kinds: by name."""

    action: str
    fields: list[tuple[str, str]] = field(default_factory=list)
    kinds: dict[str, str] = field(default_factory=dict)
    buttons: list[tuple[str, str]] = field(default_factory=list)
    is_upload: bool = False

    def with_value(self, name: str, value: str) -> list[tuple[str, str]]:
        """What is sent if one field has another value; of a group of boxes, the first one has it."""
        sent, is_set = [], False
        for one, old in self.fields:
            if one == name and not is_set:
                is_set = True
                sent.append((one, value))
            else:
                sent.append((one, old))
        return sent if is_set else [*sent, (name, value)]

    def without(self, name: str) -> list[tuple[str, str]]:
        return [(one, value) for one, value in self.fields if one != name]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.forms: list[PageForm] = []
        self.texts: list[str] = []  # what stands in the fields of the page
        self._form: PageForm | None = None
        self._area: str | None = None
        self._select: str | None = None
        self._options: list[tuple[str, bool]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._form = PageForm(known.get("action", ""), is_upload="multipart" in known.get("enctype", ""))
            if known.get("method", "get").lower() == "post":
                self.forms.append(self._form)
            return
        name = known.get("name", "")
        if tag == "textarea":
            self._area, self._text = name, ""
        if tag == "select":
            self._select, self._options = name, []
        if tag == "option" and self._select is not None:
            self._options.append((known.get("value", ""), "selected" in known))
        if tag == "input" and "value" in known:
            self.texts.append(known["value"])
        if self._form is None or not name:
            return
        kind = known.get("type", "text") if tag == "input" else tag
        if tag == "button":
            self._form.buttons.append((name, known.get("value", "")))
        elif kind in ("checkbox", "radio"):
            self._form.kinds.setdefault(name, kind)
            self._form.buttons.append((name, known.get("value", "on")))
            if "checked" in known:
                self._form.fields.append((name, known.get("value", "on")))
        elif kind not in ("file", "submit") and tag == "input":
            self._form.kinds[name] = kind
            self._form.fields.append((name, known.get("value", "")))

    def handle_data(self, data: str) -> None:
        if self._area is not None:
            self._text += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        if tag == "textarea" and self._area is not None:
            text = self._text.removeprefix("\n")
            self.texts.append(text)
            if self._form is not None:
                self._form.kinds[self._area] = "textarea"
                self._form.fields.append((self._area, text))
            self._area = None
        if tag == "select" and self._select is not None:
            chosen = [value for value, is_chosen in self._options if is_chosen] or [
                value for value, _ in self._options[:1]
            ]
            if self._form is not None:
                self._form.kinds[self._select] = "select"
                self._form.fields += [(self._select, value) for value in chosen]
            self._select = None


def forms_of(page: str) -> list[PageForm]:
    """Return the forms of a page that change something."""
    reader = _Reader()
    reader.feed(page)
    return reader.forms


def texts_of(page: str) -> list[str]:
    """Return what stands in the fields of a page."""
    reader = _Reader()
    reader.feed(page)
    return reader.texts


def path_of(address: str) -> str:
    return urlsplit(address).path
