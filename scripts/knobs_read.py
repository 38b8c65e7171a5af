#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Which knobs (EA_CFG_*) a source can see: what it and the headers it reads name. Configurations that
differ in others make the same object file of it. (include/ealloc/config.h names them all; no knob's
default there depends on another.)

    scripts/knobs_read.py -I FOLDER... FILE...    a line a file: FILE, tab, KNOB KNOB ...
"""
import argparse
import functools
import re
import sys
from pathlib import Path

INCLUDE = re.compile(r'^\s*#\s*include\s+["<]([^">]+)[">]', re.MULTILINE)
KNOB = re.compile(r"\bEA_CFG_\w+")


@functools.cache
def look(path):
    """What a file includes, and the knobs it names."""
    text = path.read_text(encoding="utf-8")
    return INCLUDE.findall(text), frozenset() if path.name == "config.h" else frozenset(KNOB.findall(text))


@functools.cache
def reads(path, folders):
    """The files that path includes, itself among them, whatever the condition around an include is."""
    found, rest = set(), [path]
    while rest:
        here = rest.pop()
        if here in found:
            continue
        found.add(here)
        for name in look(here)[0]:
            places = here.parent / name, *(folder / name for folder in folders)
            rest += [place for place in places if place.exists()][:1]
    return found


@functools.cache
def knobs_of(path, folders):
    return frozenset().union(*(look(p)[1] for p in reads(path, folders)))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-I", dest="folders", action="append", type=Path, default=[], metavar="FOLDER")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    for path in arguments.files:
        try:
            knobs = knobs_of(path, tuple(arguments.folders))
        except (OSError, UnicodeDecodeError) as error:
            sys.exit(f"knobs_read.py: {path}: {getattr(error, 'strerror', None) or error}")
        print(path, " ".join(sorted(knobs)), sep="\t")


if __name__ == "__main__":
    main()
