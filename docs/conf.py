"""Settings of the site: ``make docs`` builds it offline and fails on any warning."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

project = "gammawall"
html_title = project
extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "myst_nb", "api_pages"]
root_doc = "index"
exclude_patterns = ["**.ipynb_checkpoints"]

# Docstrings put code between single backticks; api_pages links what is public.
default_role = "literal"
autodoc_member_order = "bysource"
napoleon_numpy_docstring = False
napoleon_custom_sections = ["Source"]

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # the tests run the notebooks; the site shows the outputs that they keep

# Nothing comes from another origin: furo brings no fonts, and the widgets' scripts are switched off.
nb_ipywidgets_js: dict[str, dict[str, str]] = {}
html_theme = "furo"
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
html_static_path: list[str] = []
