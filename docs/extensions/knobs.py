# SPDX-License-Identifier: MIT
"""The directive `knobs`: every EA_CFG_ knob of include/ealloc/config.h with what its comment says.

The page cannot forget a knob or state a default that is not so. Names, defaults and ranges are
compared with Kconfig by scripts/check-config.
"""
import re
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive

CONFIG = Path(__file__).resolve().parents[2] / "include/ealloc/config.h"
KNOB = re.compile(r"(?:/\* ((?:(?!\*/).)*?)\s*\*/|#endif)\n#ifndef (EA_CFG_\w+)\n#define \2 (\S+)",
                  re.DOTALL)


def knobs():
    """[(name, default, text)] in the order of the header. Knobs that follow one another without a
    blank line share the comment before the first."""
    source = CONFIG.read_text(encoding="utf-8")
    found = []
    for text, name, default in KNOB.findall(source):
        text = re.sub(r"\s*\n \* ?", " ", text).strip() or (found[-1][2] if found else "")
        found.append((name, default, text))
    defined = re.findall(r"^#ifndef (EA_CFG_\w+)", source, re.MULTILINE)
    if [name for name, _, _ in found] != defined:
        raise ValueError(f"{CONFIG.name}: a knob without a comment before it")
    return found


class Knobs(Directive):
    """A definition list: name and default, then the comment."""

    def run(self):
        self.state.document.settings.record_dependencies.add(str(CONFIG))
        items = nodes.definition_list()
        for name, default, text in knobs():
            term = nodes.term("", "", nodes.literal("", name), nodes.Text(f"  (default {default})"))
            items += nodes.definition_list_item(
                "", term, nodes.definition("", nodes.paragraph("", text)))
        return [items]


def setup(app):
    app.add_directive("knobs", Knobs)
    return {"version": "1", "parallel_read_safe": True}
