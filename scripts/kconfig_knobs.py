# SPDX-License-Identifier: MIT
"""What the Kconfig scripts share: the knobs of Kconfig, and how they map to config.h."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

try:
    import kconfiglib
except ImportError:
    sys.exit("kconfiglib is missing (Debian: python3-kconfiglib)")

PREFIX = "EALLOC_"
MACRO_PREFIX = "EA_CFG_"


def load(kconfig=ROOT / "Kconfig"):
    """The Kconfig tree. Its warnings are kept, not printed."""
    return kconfiglib.Kconfig(str(kconfig), warn_to_stderr=False)


def knobs(kconf):
    """The symbols that are knobs: all but the members of choices, which only select a knob's value."""
    return [sym for sym in kconf.unique_defined_syms if sym.choice is None]


def macro(sym):
    """EALLOC_HEAP_ALIGN -> EA_CFG_HEAP_ALIGN."""
    return MACRO_PREFIX + sym.name.removeprefix(PREFIX)


def value(sym):
    """The knob's value as config.h spells it."""
    if sym.type == kconfiglib.BOOL:
        return int(sym.str_value == "y")
    return int(sym.str_value, 0)


def allowed(sym):
    """Every value the knob can take."""
    if sym.type == kconfiglib.BOOL:
        return {0, 1}
    if sym.ranges:
        low, high, _ = sym.ranges[0]
        return set(range(int(low.str_value, 0), int(high.str_value, 0) + 1))
    return {int(default.str_value, 0) for default, _ in sym.defaults}
