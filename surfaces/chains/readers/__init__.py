"""One reader per family of vendors' files, and the tables and cells that they share."""

from gammawall.surfaces.chains.readers import cboe_csv, json_text, long_csv
from gammawall.surfaces.chains.readers.source import Reader

__all__ = ["READERS", "Reader"]

READERS: tuple[Reader, ...] = (json_text, cboe_csv, long_csv)
"""asked in this order; the first whose `matches` says yes reads the file"""
