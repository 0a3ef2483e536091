"""Bring the catalogues up to date with the words in templates, Python and scripts: `make words`.

Writes locale/consult.pot and merges it into every locale/*/LC_MESSAGES/consult.po. Locations name files only, so that a
moved line changes nothing; they also tell which words the scripts need.
"""

from __future__ import annotations

import re
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

TOP = Path(__file__).resolve().parent.parent
TEMPLATE = TOP / "locale" / "consult.pot"
METHODS = [
    ("consult/**.py", "python"),
    ("templates/**.html", "jinja2"),
    ("static/js/**.js", "javascript"),
]
OPTIONS = {
    # Not silent: a template that cannot be read must not lose its words without a sound.
    "templates/**.html": {"extensions": "jinja2.ext.do", "silent": "false", "trimmed": "true"},
    "static/js/**.js": {"encoding": "utf-8", "parse_template_string": "true"},
}
# What changes at every run, or would have to be kept by hand.
HEADER_LINES_LEFT_OUT = re.compile(
    rb'^"(Report-Msgid-Bugs-To|POT-Creation-Date|PO-Revision-Date|Last-Translator|Generated-By|Project-Id-Version):.*\n',
    re.M,
)
KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2), "N_": None}


def extract() -> Catalog:
    """Return every word that people read, with the files it stands in."""
    catalog = Catalog(project="consult", charset="utf-8")
    for folder in ("consult", "templates", "static/js"):
        found = extract_from_dir(
            TOP / folder,
            _below(folder),
            _options(folder),
            keywords=KEYWORDS,
            # Babel leaves out folders such as _partials by itself; ours hold words too.
            directory_filter=lambda path: Path(path).name != "__pycache__",
        )
        for file_name, _line, message, _comments, context in found:
            catalog.add(message, None, [(f"{folder}/{file_name}", 0)], context=context)
    return catalog


def _below(folder: str) -> list[tuple[str, str]]:
    return [(pattern.removeprefix(f"{folder}/"), method) for pattern, method in METHODS if pattern.startswith(folder)]


def _options(folder: str) -> dict[str, dict[str, str]]:
    return {pattern.removeprefix(f"{folder}/"): kept for pattern, kept in OPTIONS.items() if pattern.startswith(folder)}


def read_catalogue(path: Path) -> Catalog:
    with path.open("rb") as file:
        return read_po(file)


def write_catalogue(path: Path, catalog: Catalog) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    catalog.header_comment = "# The words of Consult. Brought up to date by `make words`."
    out = BytesIO()
    write_po(out, catalog, width=118, sort_output=True, include_lineno=False, ignore_obsolete=True)
    path.write_bytes(HEADER_LINES_LEFT_OUT.sub(b"", out.getvalue()))


def main() -> None:
    found = extract()
    write_catalogue(TEMPLATE, found)
    for path in sorted((TOP / "locale").glob("*/LC_MESSAGES/consult.po")):
        catalog = read_catalogue(path)
        catalog.update(found, no_fuzzy_matching=True)
        write_mo(BytesIO(), catalog)  # fails here rather than at start
        write_catalogue(path, catalog)
        missing = [message.id for message in catalog if message.id and not message.string]
        print(f"{path.relative_to(TOP)}: {len(catalog)} messages, {len(missing)} without a translation")


if __name__ == "__main__":
    main()
