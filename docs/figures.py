"""The pictures of the README, cut from reports by an installed Chromium: ``make figures`` (minutes)."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

HERE = Path(__file__).resolve().parent
CUTS = {
    # picture: report, what to open first, what to cut out
    "pin-7000": ("runs/pin-7000/report.html", "", "main > section.two >> nth=0"),
    "amplification": ("runs/ledger/report.html", "#curve-gamma", "#curve-gamma"),
    "ledger": ("runs/ledger/report.html", "", "#claims"),
}


def main() -> None:
    """Write docs/*.png from the reports below runs/."""
    browser_path = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    if browser_path is None:
        sys.exit("the pictures need a Chromium on the path")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        for name, (report, opened, cut) in CUTS.items():
            page = browser.new_page(viewport={"width": 1280, "height": 800}, device_scale_factor=1.5)
            page.goto(Path(report).resolve().as_uri())
            if opened:
                page.locator(f"details:has({opened}) > summary").click()
            page.wait_for_timeout(1500)
            page.locator(cut).first.screenshot(path=HERE / f"{name}.png")
        browser.close()


if __name__ == "__main__":
    main()
