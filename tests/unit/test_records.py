"""Records without a database: types by magic bytes, titles from names, ranges."""

from __future__ import annotations

import pytest

from consult.records.model import (
    MAX_TITLE_CHARS,
    ByteRange,
    MediaType,
    distinct_title,
    media_type_of,
    range_of,
    title_from,
)


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"%PDF-1.7\n", MediaType.PDF),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 8, MediaType.PNG),
        (b"\xff\xd8\xff\xe0" + b"\0" * 12, MediaType.JPEG),
        (b"RIFF\x10\0\0\0WEBPVP8 ", MediaType.WEBP),
        (b"RIFF\x10\0\0\0WAVEfmt ", None),
        (b"<!doctype html><script>", None),
        (b"<svg xmlns='http://www.w3.org/2000/svg'>", None),
        (b" %PDF-1.7", None),
        (b"", None),
    ],
)
def test_the_type_is_read_from_the_first_bytes(head: bytes, expected: MediaType | None) -> None:
    assert media_type_of(head) is expected


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("Pathology report.pdf", "Pathology report"),
        ("../../etc/passwd", "passwd"),
        ("C:\\scans\\ct_chest_18_Feb.PNG", "ct chest 18 Feb"),
        ("report\x00\n.pdf", "report"),
        ("…", "…"),
        ("", ""),
        (".pdf", ""),
        ("x" * 300 + ".jpg", "x" * 120),
    ],
)
def test_a_title_is_made_from_the_file_name_and_is_never_a_path(name: str, title: str) -> None:
    assert title_from(name) == title


@pytest.mark.parametrize(
    ("taken", "title"),
    [
        ([], "report"),
        (["scan", "reports"], "report"),
        (["report"], "report (2)"),
        (["REPORT", "Report (2)"], "report (3)"),
        (["report", "report (3)"], "report (2)"),
    ],
)
def test_a_title_that_is_taken_gets_the_next_free_number(taken: list[str], title: str) -> None:
    assert distinct_title("report", taken) == title


def test_a_long_title_keeps_its_length_with_a_number() -> None:
    assert distinct_title("x" * MAX_TITLE_CHARS, ["x" * MAX_TITLE_CHARS]) == "x" * (MAX_TITLE_CHARS - 4) + " (2)"


def test_a_range_is_read_in_its_three_forms() -> None:
    assert range_of("bytes=0-9", 100) == ByteRange(0, 10)
    assert range_of("bytes=90-", 100) == ByteRange(90, 100)
    assert range_of("bytes=-5", 100) == ByteRange(95, 100)
    assert range_of("bytes=-500", 100) == ByteRange(0, 100)
    assert range_of("bytes=10-999", 100) == ByteRange(10, 100)


@pytest.mark.parametrize(
    "header", [None, "", "bytes=", "bytes=a-b", "items=0-1", "bytes=0-1,5-6", "bytes=-", "bytes=١-٢"]
)
def test_what_is_no_range_sends_everything(header: str | None) -> None:
    assert range_of(header, 100) is None


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=9-5", "bytes=500-600", "bytes=-0"])
def test_a_range_outside_the_file_is_refused(header: str) -> None:
    with pytest.raises(ValueError, match="outside"):
        range_of(header, 100)
