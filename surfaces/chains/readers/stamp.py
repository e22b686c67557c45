"""Date lines that web pages write in their reader's language."""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from zoneinfo import ZoneInfo

import pandas as pd

from gammawall.surfaces.clock import NEW_YORK, to_new_york

__all__ = ["find_stamp"]

# First letters without accents, enough to tell the twelve months apart in each language.
_MONTHS: tuple[tuple[str, ...], ...] = (
    ("jan", "ene", "gen", "янв", "sty", "oca"),
    ("feb", "fev", "фев", "lut", "sub"),
    ("mar", "мар", "maart", "mrt"),
    ("apr", "abr", "avr", "апр", "kwi", "nis"),
    ("may", "mai", "mag", "mei", "май", "мая", "maj"),
    ("jun", "juin", "giu", "июн", "cze", "haz"),
    ("jul", "juil", "lug", "июл", "lip", "tem"),
    ("aug", "ago", "aou", "авг", "sie"),
    ("sep", "set", "сен", "wrz", "eyl"),
    ("oct", "out", "okt", "ott", "окт", "paz", "eki"),
    ("nov", "ноя", "lis", "kas"),
    ("dec", "dez", "dic", "дек", "gru", "ara"),
)
_TUESDAYS = {"martes", "mardi", "martedi"}
_ZONES = {
    **dict.fromkeys(("est", "edt", "et"), "America/New_York"),
    **dict.fromkeys(("cst", "cdt", "ct"), "America/Chicago"),
    **dict.fromkeys(("mst", "mdt", "mt"), "America/Denver"),
    **dict.fromkeys(("pst", "pdt", "pt"), "America/Los_Angeles"),
    **dict.fromkeys(("cet", "cest"), "Europe/Paris"),
    **dict.fromkeys(("gmt", "utc", "z"), "UTC"),
    "bst": "Europe/London",
}
_TIME = re.compile(r"(?<![\d:])(\d{1,2}):(\d{2})(?::(\d{2}))?")
_OFFSET = re.compile(r"(?:gmt|utc)\s*([+-])\s*(\d{1,2})(?::?(\d{2}))?")
_HALF_DAY = re.compile(r"\b([ap])\.?\s?m\b\.?")
_ISO_DATE = re.compile(r"(?<!\d)(20\d{2})\s*[-/.年]\s*(\d{1,2})\s*[-/.月]\s*(\d{1,2})(?!\d)")
_YEAR = re.compile(r"(?<!\d)(20\d{2})(?!\d)")
_DAY = re.compile(r"(?<!\d)(\d{1,2})(?!\d)")


def find_stamp(line: str) -> pd.Timestamp | None:
    """Instant written in a line such as ``Date: 4 de setembro de 2025 às 14:30 GMT-4,Bid: 6484.5``.

    Months by name in the main European languages, ISO and Chinese-style dates; zones by abbreviation or as
    an offset, New York when none is written. Numeric dates whose day and month could be swapped are not read.

    Returns:
        A New York instant, or None when the line holds no date and time that can be read without guessing.
    """
    plain = _plain(line)
    if (time := _TIME.search(plain)) is None:
        return None
    date = _date(plain[: time.start()])
    tail = re.split("[,;\t]", plain[time.end() :])[0]
    # Chinese-style dates put the offset before the time.
    ahead = _OFFSET.search(plain, 0, time.start())
    zone = _zone(tail if ahead is None else ahead[0])
    if date is None or zone is None or re.search("[午오]", line):
        return None
    hour, minute, second = int(time[1]), int(time[2]), int(time[3] or 0)
    if half := _HALF_DAY.search(tail):
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half[1] == "p" else 0)
    try:
        return to_new_york(dt.datetime(*date, hour, minute, second, tzinfo=zone))
    except ValueError:
        return None


def _plain(line: str) -> str:
    # Accents off (but й stays), every dash and space of Unicode to the plain one.
    marks = unicodedata.normalize("NFKD", line.replace("й", "\uffff").replace("Й", "\uffff"))
    text = "".join(c for c in marks if not unicodedata.combining(c)).replace("\uffff", "й").lower()
    return re.sub(r"[^\S\t]", " ", re.sub(r"[\u2010-\u2015\u2212]", "-", text))


def _date(text: str) -> tuple[int, int, int] | None:
    if iso := _ISO_DATE.search(text):
        return int(iso[1]), int(iso[2]), int(iso[3])
    years = _YEAR.findall(text)
    days = _DAY.findall(text)
    months = {
        month
        for word in re.findall(r"[^\W\d_]{3,}", text)
        for month, starts in enumerate(_MONTHS, start=1)
        if word.startswith(starts) and word not in _TUESDAYS
    }
    if len(years) != 1 or len(days) != 1 or len(months) != 1:
        return None
    return int(years[0]), months.pop(), int(days[0])


def _zone(tail: str) -> dt.tzinfo | None:
    if offset := _OFFSET.search(tail):
        minutes = 60 * int(offset[2]) + int(offset[3] or 0)
        return dt.timezone(dt.timedelta(minutes=minutes if offset[1] == "+" else -minutes))
    words = re.findall(r"[a-z]+", _HALF_DAY.sub(" ", tail))
    known = [_ZONES[word] for word in words if word in _ZONES]
    if known:
        return ZoneInfo(known[0])
    return NEW_YORK if not words else None
