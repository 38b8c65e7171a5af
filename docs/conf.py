# SPDX-License-Identifier: MIT
"""Sphinx configuration. docs/build runs Doxygen first and tells where its XML is."""
import os
import re
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
sys.path.insert(0, str(DOCS / "extensions"))

project = "ealloc"
author = "the ealloc contributors"
copyright = author  # noqa: A001, the name is Sphinx's
_header = (ROOT / "include/ealloc/version.h").read_text(encoding="utf-8")
release = ".".join(re.findall(r"#define EA_VERSION_\w+ (\d+)", _header))
version = release

extensions = ["myst_parser", "breathe", "knobs"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["figures/*"]
myst_heading_anchors = 3
nitpicky = False

breathe_projects = {"ealloc": os.environ.get("EALLOC_DOXYGEN_XML",
                                             str(ROOT / "build/docs/doxygen/xml"))}
breathe_default_project = "ealloc"
breathe_domain_by_extension = {"h": "c"}
breathe_show_include = False
primary_domain = "c"
highlight_language = "c"
pygments_style = "friendly"

html_theme = "alabaster"
html_title = f"ealloc {release}"
html_theme_options = {
    "description": "Deterministic memory for firmware and long-running systems software",
    "page_width": "1080px",
    "sidebar_width": "240px",
    "fixed_sidebar": True,
}
html_static_path = ["static"]
html_css_files = ["ealloc.css"]
html_show_sphinx = False
html_copy_source = False
