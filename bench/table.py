"""The tables of speed from a record of run.py: ``bench/table.py RECORD.json [docs/speed.md README.md]``.

The page gets every line, the README the few that answer most questions.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- speed: made by make bench -->", "<!-- end of speed -->"

IN_SHORT = (
    "greeks, 11 outputs, 200,000, float64",
    "implied vol, 200,000, float64",
    "GEX profile, 24,000 contracts × 1,000 spots",
    "path-steps, one strike, 98,304 × 390",
    "gammawall run pin-7000, cold",
    "gammawall run pin-7000, compiled before",
)
"""The lines of the README."""


def short(record: dict[str, Any]) -> str:
    """Markdown: the lines of the README.

    Raises:
        LookupError: the record lacks one of them.
    """
    lines = {line["name"]: line for line in record["lines"]}
    if missing := [name for name in IN_SHORT if name not in lines]:
        raise LookupError(f"the record has no line {missing[0]!r}: change IN_SHORT")
    return table({**record, "lines": [lines[name] for name in IN_SHORT], "peaks": [], "implied_vols": []})


def table(record: dict[str, Any]) -> str:
    """Markdown: every line with its limit or peer, those that lose too."""
    versions = ", ".join(f"{name} {number}" for name, number in record["versions"].items())
    where = f"{record['device']}, {record['cores']} cores, {record['created'][:10]}"
    rows = [
        f"{where}; {versions}. Median of repeated runs; the cores that were busy on average.",
        "",
        "| job | time | busy | beside |",
        "|---|---|---|---|",
    ]
    for line in record["lines"]:
        took = f"{amount(line['ns'])} per {line['unit']}" if line["work"] > 1 else amount(line["ns"])
        busy = f"{line['cores']:.1f} cores" if line["cores"] is not None else ""
        rows.append(f"| {line['name']} | {took} | {busy} | {_ratio(line)} |")
    for peak in record["peaks"]:
        rows.append(f"| {peak['name']} | {peak['bytes'] / 1e6:,.0f} MB | | {_ratio(peak)} |")
    for vol in record["implied_vols"]:
        found = f"worst error {vol['worst_over_bound']:.2g} × bound, {vol['silent']} wrong without a word"
        name = f"implied vol, {vol['points']} points, {vol['library']}"
        rows.append(f"| {name} | {amount(vol['ns_per_vol'])} per vol | | {found} |")
    return "\n".join(rows)


def _ratio(measured: dict[str, Any]) -> str:
    return "" if measured["ratio"] is None else f"{measured['ratio']:.2f} × {measured['limit']}"


def amount(ns: float) -> str:
    """A time in the unit that suits its size."""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3), ("ns", 1.0)):
        if ns >= size:
            return f"{ns / size:.3g} {unit}"
    return f"{1e3 * ns:.3g} ps"


def main() -> None:
    """Print the whole table, or put it and the short one between their marks in the page and the README."""
    record = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    if len(sys.argv) < 3:
        print(table(record))
        return
    for target, text in zip(map(Path, sys.argv[2:]), (table(record), short(record)), strict=True):
        put(target, text)


def put(target: Path, text: str) -> None:
    """Replace what stands between the marks of a file."""
    page = target.read_text(encoding="utf-8")
    if BEGIN not in page or END not in page:
        sys.exit(f"{target} has no place for the table: add {BEGIN} and {END}")
    head, rest = page.split(BEGIN, 1)
    target.write_text(f"{head}{BEGIN}\n{text}\n{END}{rest.split(END, 1)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
