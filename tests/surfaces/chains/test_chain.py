from __future__ import annotations

import gzip
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gammawall.surfaces.chains.chain import QUOTE_COLUMNS, OptionChain
from gammawall.surfaces.chains.read import read_chain
from gammawall.surfaces.clock import NEW_YORK
from gammawall.surfaces.errors import InputError
from tests.helpers.synthetic import AS_OF, EXPIRIES, HEADER, cboe_csv, make_chain, make_quotes

CHAINS = Path(__file__).parents[4] / "shared" / "chains"
SMALL = make_quotes(expiries=EXPIRIES[1:4], strikes=np.arange(6300.0, 6700.0, 50.0))
TEXT = cboe_csv(SMALL)
FIRST_ROW = TEXT.splitlines().index(HEADER) + 2  # line number of the first row of quotes

# Contracts listed, expiry dates listed, spot, as_of; the counts are those of the folder's own description.
REAL = {
    "cboe_csv_spx_2025-09-04.csv": (24_040, 54, 6485.6401, "2025-09-04 14:15"),
    "cboe_csv_spx_2025-08-27.csv": (24_034, 53, 6481.3999, "2025-08-27 21:15"),
    "cboe_csv_spx_2025-08-28.csv": (24_050, 53, 6501.8599, "2025-08-28 16:10"),
    "cboe_csv_spx_2023-06-09.csv": (17_788, 49, 4300.0098, "2023-06-09 13:25"),
    "cboe_csv_spx_2023-12-08_ru.csv": (6_230, 15, 4604.3701, "2023-12-09 13:34"),
    "cboe_csv_spx_2024-11-11_es.csv": (560, 14, 5995.54, "2024-11-11 07:47"),
    "cboe_csv_spx_2022-01-07_excel.csv": (5_514, 10, 4677.0298, "2022-01-09 02:56"),
    "cboe_csv_spx_2022-09-13_noheader.csv": (19_354, 46, None, None),
}


@pytest.fixture
def write(tmp_path):
    def save(text: str | bytes, name: str = "quotes.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return save


def _real(name: str) -> Path:
    if not (CHAINS / name).exists():
        pytest.skip("the folder of real chains is not beside the project")
    return CHAINS / name


@pytest.mark.parametrize("name", REAL)
def test_real_files(name):
    contracts, dates, spot, as_of = REAL[name]
    given_time = as_of is None
    chain = read_chain(_real(name), as_of="2022-09-12 15:00" if given_time else None)
    report, quotes = chain.report, chain.quotes
    assert report.rows_read == contracts
    assert report.rows_kept == len(quotes) == contracts - sum(report.dropped.values())
    lapsed = 1 if "expired" in report.dropped else 0
    assert quotes["expiry"].dt.date.nunique() + lapsed == dates
    assert quotes["symbol"].is_unique
    if given_time:
        assert any("implied by put-call parity" in note for note in report.notes)
    else:
        assert chain.spot == spot
        assert chain.as_of == pd.Timestamp(as_of, tz=NEW_YORK)
    assert (quotes["expiry"] > chain.as_of).all()


def test_every_real_quote_table_is_covered():
    _real("README.md")
    assert {path.name for path in CHAINS.glob("cboe_csv*")} == set(REAL)


def test_crossed_quotes_and_expired_rows_of_an_overnight_file_are_reported():
    report = read_chain(_real("cboe_csv_spx_2025-08-27.csv")).report
    assert any(note.startswith("131 quotes are crossed") for note in report.notes)
    assert report.dropped == {"expired": 420}


def test_twins_of_a_third_friday_stay_apart_in_a_real_file():
    quotes = read_chain(_real("cboe_csv_spx_2025-09-04.csv")).quotes
    day = quotes[quotes["expiry"].dt.date == pd.Timestamp("2025-09-19").date()]
    twins = day.groupby(["strike", "is_call"])["root"].agg(lambda roots: sorted(roots))
    assert (twins.str.len() == 2).sum() > 500
    hours = day.groupby("root")["expiry"].agg(lambda e: e.dt.hour.unique().tolist())
    assert hours.to_dict() == {"SPX": [9], "SPXW": [16]}


def test_the_largest_real_file_reads_in_well_under_a_second():
    path, walls = _real("cboe_csv_spx_2025-09-04.csv"), []
    for _ in range(3):
        start = time.perf_counter()
        read_chain(path)
        walls.append(time.perf_counter() - start)
    assert min(walls) < 1.0


def test_a_table_comes_back_as_it_was_written(write):
    quotes = make_quotes()
    chain = read_chain(write(cboe_csv(quotes)))
    assert chain.as_of == pd.Timestamp(AS_OF, tz=NEW_YORK)
    assert chain.spot == 6485.0
    assert list(chain.quotes.columns) == list(QUOTE_COLUMNS)
    assert isinstance(chain.quotes.index, pd.RangeIndex)
    expected = read_chain(quotes, spot=6485.0, as_of=AS_OF).quotes
    for name in ("symbol", "root", "strike", "is_call", "expiry"):
        assert (chain.quotes[name].to_numpy() == expected[name].to_numpy()).all(), name
    for name in (
        "bid",
        "ask",
        "last",
        "volume",
        "open_interest",
        "vendor_vol",
        "vendor_delta",
        "vendor_gamma",
    ):
        np.testing.assert_allclose(chain.quotes[name], expected[name], rtol=1e-5, err_msg=name)
    assert chain.report.open_interest_coverage == pytest.approx((quotes["open_interest"] > 0).mean())


SIDE = "Ult,Neto,Compra,Venta,Vol,VI,D,G,Abierto"
TRANSLATED = f"Vencimiento,Compras,{SIDE},Ejercicio,Ventas,{SIDE}"
VARIANTS = {
    "missing first line": cboe_csv(SMALL, first_line=None),
    "comma first line": cboe_csv(SMALL, first_line="," * 21),
    "example first line": cboe_csv(SMALL, first_line="---Example Data---"),
    "windows lines": cboe_csv(SMALL, newline="\r\n"),
    "byte order mark": "\ufeff" + TEXT,
    "numbered repeats": TEXT.replace("Puts,Last Sale,Net,Bid", "Puts,Last Sale.1,Net.1,Bid.1"),
    "translated header": cboe_csv(SMALL, header=TRANSLATED),
    "no header": TEXT.replace(HEADER + "\n", ""),
    "bare thousands in the preamble": TEXT.replace("6485.0000", "6,485.0000"),
    "quoted thousands": TEXT.replace(",6350.00,", ',"6,350.00",'),
    "blank rows": TEXT.replace("\nFri", "\n\n,,,\nFri"),
    "trailing commas": "\n".join(line + ",,," for line in TEXT.splitlines()),
    "tabs": TEXT.replace(",", "\t"),
    "semicolons and decimal commas": "\n".join(
        line.replace(",", ";").replace(".", ",") if "SPX" in line else line for line in TEXT.splitlines()
    ),
    "index column": "\n".join(
        f"{i},{line}" if "SPX" in line or line == HEADER else line for i, line in enumerate(TEXT.splitlines())
    ),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_of_the_table_give_the_same_chain(write, variant):
    plain, other = read_chain(write(TEXT)), read_chain(write(VARIANTS[variant], "other.csv"))
    assert (other.spot, other.as_of) == (plain.spot, plain.as_of)
    pd.testing.assert_frame_equal(other.quotes, plain.quotes)


def test_utf16_with_its_mark_is_read(write):
    assert read_chain(write(TEXT.encode("utf-16"))).report.rows_kept == len(SMALL)


def test_without_a_date_the_caller_is_asked_for_one(write):
    bare = write(cboe_csv(SMALL, spot=None, stamp=None, first_line=None))
    with pytest.raises(InputError, match=r"no date line.*as_of=… or --as-of …"):
        read_chain(bare)
    chain = read_chain(bare, as_of=AS_OF)
    assert chain.spot == pytest.approx(6485.0, abs=0.5)
    assert any("implied by put-call parity" in note for note in chain.report.notes)
    assert read_chain(bare, as_of=AS_OF, spot=6484.0).spot == 6484.0


def test_an_unreadable_index_level_is_implied_and_said(write):
    chain = read_chain(write(TEXT.replace("Last: 6485.0000", "Last: 6485,0")))
    assert chain.spot == pytest.approx(6485.0, abs=0.5)
    assert any("no index level" in note for note in chain.report.notes)


def test_no_level_and_no_two_sided_quotes_asks_for_the_spot(write):
    quotes = SMALL.assign(bid=0.0)
    with pytest.raises(InputError, match=r"quotes\.csv.*give it: spot=…"):
        read_chain(write(cboe_csv(quotes, spot=None)))


def test_given_time_and_level_go_before_the_file(write):
    chain = read_chain(write(TEXT), as_of="2025-09-15 12:00", spot=6500.0)
    assert chain.spot == 6500.0
    assert chain.report.dropped == {"expired": int((SMALL["expiry"] < "2025-09-15").sum())}
    assert any("given" in note for note in chain.report.notes)


def test_an_expired_file_is_refused(write):
    with pytest.raises(InputError, match=r"no live contract.*check the date"):
        read_chain(write(TEXT), as_of="2030-01-02")


def test_an_option_is_gone_at_the_instant_of_its_expiry(write):
    path, instant = write(TEXT), SMALL["expiry"].min()
    assert read_chain(path, as_of=instant).quotes["expiry"].min() > instant
    assert not read_chain(path, as_of=instant - pd.Timedelta(seconds=1)).report.dropped


def test_a_repeated_symbol_is_kept_once_and_counted(write):
    lines = TEXT.splitlines(keepends=True)
    chain = read_chain(write("".join([*lines, lines[-1]])))
    assert chain.report.dropped == {"duplicate": 2}
    assert len(chain.quotes) == len(SMALL)


def _mend(old: str, new: str, row: int = 3) -> str:
    lines = TEXT.splitlines(keepends=True)
    at = FIRST_ROW - 1 + row
    assert old in lines[at]
    lines[at] = lines[at].replace(old, new, 1)
    return "".join(lines)


FIRST = TEXT.splitlines()[FIRST_ROW - 1].split(",")
ROW = TEXT.splitlines()[FIRST_ROW + 2].split(",")
BROKEN = {
    "call symbol": (_mend(ROW[1], "SPXW2509"), rf"line {FIRST_ROW + 3}: the call's symbol is 'SPXW2509'"),
    "put symbol": (_mend(ROW[12], ROW[12].lower()), rf"line {FIRST_ROW + 3}: the put's symbol"),
    "swapped type": (_mend(ROW[12], ROW[1]), rf"line {FIRST_ROW + 3}: the put's symbol"),
    "negative strike": (_mend(f",{ROW[11]},", f",-{ROW[11]},"), rf"line {FIRST_ROW + 3}: strike '-6"),
    "nan strike": (_mend(f",{ROW[11]},", ",nan,"), rf"line {FIRST_ROW + 3}: strike 'nan'"),
    "other strike": (_mend(f",{ROW[11]},", ",6300.00,"), "not one contract pair"),
    "words for a bid": (_mend(f",{ROW[4]},", ",n/a,"), rf"line {FIRST_ROW + 3}: the call's bid is 'n/a'"),
    "empty ask": (_mend(f",{ROW[5]},", ",,"), rf"line {FIRST_ROW + 3}: the call's ask is ''"),
    "negative bid": (_mend(f",{ROW[4]},", ",-1,"), "the call's bid is '-1'"),
    "infinite ask": (_mend(f",{ROW[5]},", ",inf,"), "the call's ask is 'inf'"),
    "underscored ask": (_mend(f",{ROW[5]},", ",1_0,"), "the call's ask is '1_0'"),
    "decimal comma": (_mend(f",{ROW[5]},", ',"1,5",'), "the call's ask is '1,5'"),
    "unreadable open interest": (_mend(f",{ROW[21]}\n", ",many\n"), "the put's open interest is 'many'"),
    "missing field": (_mend(f",{ROW[2]},", ","), rf"line {FIRST_ROW + 3}: 21 fields where 22"),
    "extra field": (_mend(f",{ROW[2]},", ",1,1,"), rf"line {FIRST_ROW + 3}: 23 fields where 22"),
    "cut short": (TEXT[: TEXT.rindex(",")], r"cut short"),
    "open quote": (_mend(f",{ROW[2]},", ',"1,'), r"line \d+: "),
    "no such date": (TEXT.replace("250912", "250932"), "no such expiry date"),
    "columns in another order": (
        TEXT.replace("Bid,Ask,Volume", "Ask,Bid,Volume"),
        "'ask' where 'bid' is expected",
    ),
    "first symbol damaged": (_mend(ROW[1][:8], "SPXWxxxx", 0), rf"line {FIRST_ROW}: a row of quotes"),
    "first symbols lost": (
        _mend(FIRST[1], "x", 0).replace(FIRST[12], "x"),
        rf"line {FIRST_ROW}: a row of quotes",
    ),
    "wrong encoding": (TEXT.encode("cp1252"), r"line 3: not UTF-8"),
    "zero byte": (TEXT.encode() + b"\0", "zero byte"),
    "compressed": (gzip.compress(TEXT.encode()), "not UTF-8|zero byte"),
    "empty": (b"", "is empty"),
    "blank": (b" \n\n", "is empty"),
    "header only": (HEADER, "not in a known format"),
    "a web page": ("<html><body>Access denied</body></html>", "not in a known format"),
    "JSON": ('{"data": {"options": []}}', "not in a known format"),
}


@pytest.mark.parametrize("damage", BROKEN)
def test_damaged_files_are_refused_with_the_place(write, damage):
    text, message = BROKEN[damage]
    with pytest.raises(InputError, match=message) as caught:
        read_chain(write(text))
    assert "quotes.csv" in str(caught.value)


def test_translated_columns_in_another_order_are_noticed_by_their_numbers(write):
    def swap(line: str, a: int, b: int) -> str:
        cells = line.split(",")
        for shift in (0, 11):
            cells[a + shift], cells[b + shift] = cells[b + shift], cells[a + shift]
        return ",".join(cells)

    for a, b in ((4, 5), (7, 8)):
        rows = [
            swap(line, a, b) if "SPX" in line else line for line in VARIANTS["translated header"].splitlines()
        ]
        with pytest.raises(InputError, match="not in the order"):
            read_chain(write("\n".join(rows) + "\n"))


def test_missing_files_folders_and_oversized_files(tmp_path, monkeypatch, write):
    with pytest.raises(InputError, match=r"nowhere\.csv does not exist"):
        read_chain(tmp_path / "nowhere.csv")
    with pytest.raises(InputError, match="is a folder"):
        read_chain(tmp_path)
    with pytest.raises(InputError, match="cannot be read"):
        read_chain("a\0b")
    monkeypatch.setattr("gammawall.surfaces.chains.readers.source.LARGEST_BYTES", 2**10)
    with pytest.raises(InputError, match="MiB"):
        read_chain(write(TEXT))


@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_no_damage_ends_in_anything_but_a_chain_or_an_input_error(tmp_path_factory, data):
    raw = bytearray(TEXT.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        length = data.draw(st.integers(0, 40))
        raw[at : at + length] = data.draw(
            st.binary(max_size=8) | st.sampled_from([b"", b",", b'"', b"\n", b"-", b"9"])
        )
    path = tmp_path_factory.getbasetemp() / "fuzz.csv"
    path.write_bytes(bytes(raw))
    chain, refusal = None, ""
    try:
        chain = read_chain(path)
    except InputError as error:
        refusal = str(error)
    if chain is None:
        assert "fuzz.csv" in refusal
        return
    known = SMALL.set_index("symbol")[["strike", "is_call"]]
    both = chain.quotes[chain.quotes["symbol"].isin(known.index)].set_index("symbol")
    assert (both["strike"] == known.loc[both.index, "strike"]).all()
    assert np.isfinite(chain.quotes[["bid", "ask", "open_interest"]]).all(axis=None)


@settings(deadline=None, max_examples=60)
@given(cut=st.integers(0, len(TEXT) - 2))
def test_a_file_cut_anywhere_never_loses_rows_unnoticed(tmp_path_factory, cut):
    path = tmp_path_factory.getbasetemp() / "cut.csv"
    path.write_text(TEXT[:cut])
    whole_line = TEXT[cut - 1 : cut] == "\n"
    try:
        chain = read_chain(path)
    except InputError:
        return
    # What cannot be told apart: a cut at a line's end, and one inside the last number, which is noted.
    assert whole_line or any("last line has no line end" in note for note in chain.report.notes)


def test_frame_by_symbol_or_by_fields_give_the_same_chain():
    fields = make_chain(expiries=EXPIRIES[:4]).quotes
    by_symbol = read_chain(fields[["symbol", "bid", "ask", "open_interest"]], spot=6485.0, as_of=AS_OF).quotes
    dates = fields.assign(expiry=fields["expiry"].dt.tz_localize(None).dt.normalize()).drop(columns="symbol")
    by_date = read_chain(dates.sample(frac=1.0, random_state=1), spot=6485.0, as_of=AS_OF).quotes
    for name in ("symbol", "root", "expiry", "strike", "is_call", "bid"):
        assert (by_symbol[name] == fields[name]).all(), name
        assert (by_date[name] == fields[name]).all(), name
    assert by_symbol["vendor_vol"].isna().all()


def test_calls_come_first_and_twins_are_sorted_by_instant():
    quotes = make_chain(expiries=EXPIRIES[2:4], strikes=[6400.0, 6500.0]).quotes
    assert quotes["root"].tolist() == ["SPX"] * 4 + ["SPXW"] * 4
    assert quotes["is_call"].tolist() == [True, False] * 4
    assert quotes["strike"].tolist() == [6400.0, 6400.0, 6500.0, 6500.0] * 2


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("strike", -6400.0, "strike is -6400"),
        ("strike", float("nan"), "strike is nan"),
        ("strike", float("inf"), "strike is inf"),
        ("bid", float("nan"), "bid is nan"),
        ("ask", -0.05, "ask is -0.05"),
        ("open_interest", float("inf"), "open_interest is inf"),
        ("expiry", pd.NaT, "NaT"),
        ("is_call", "call", "is_call"),
        ("bid", "cheap", "bid is not a column of numbers"),
    ],
)
def test_values_that_are_no_quotes_are_refused(column, value, message):
    frame = SMALL.drop(columns="symbol").astype({column: object})
    frame.loc[2, column] = value
    with pytest.raises(InputError, match=message):
        read_chain(frame, spot=6485.0, as_of=AS_OF)


@pytest.mark.parametrize("spot", [0.0, -1.0, float("nan"), float("inf")])
def test_a_level_that_is_none_is_refused(spot):
    with pytest.raises(InputError, match="spot is"):
        read_chain(SMALL, spot=spot, as_of=AS_OF)


def test_lacking_columns_and_zones_are_named():
    with pytest.raises(InputError, match="lacks open_interest, symbol"):
        read_chain(SMALL[["bid", "ask", "strike"]], spot=6485.0, as_of=AS_OF)
    with pytest.raises(InputError, match="is empty"):
        read_chain(SMALL.iloc[:0], spot=6485.0, as_of=AS_OF)
    chain = make_chain(expiries=EXPIRIES[:1])
    with pytest.raises(InputError, match="lacks last"):
        OptionChain(chain.quotes.drop(columns="last"), chain.spot, chain.as_of)
    with pytest.raises(InputError, match="as_of has the time zone None"):
        OptionChain(chain.quotes, chain.spot, pd.Timestamp(AS_OF))
    with pytest.raises(InputError, match="expiry has the time zone UTC"):
        OptionChain(
            chain.quotes.assign(expiry=chain.quotes["expiry"].dt.tz_convert("UTC")), chain.spot, chain.as_of
        )
    with pytest.raises(InputError, match="unique"):
        OptionChain(pd.concat([chain.quotes, chain.quotes]), chain.spot, chain.as_of)
