#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""From a crash to its culprit: firmware dies of a bug in QEMU, its fault handler dumps the allocator,
and ealloc inspect names owner, file and line of the block that was overrun.

    crash_test.py EALLOC        (77: the cross compiler or QEMU is not there)
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

EALLOC = os.path.abspath(sys.argv[1])
ROOT = Path(__file__).resolve().parent.parent.parent
BOARD = "mps2-an385"
FIRMWARE = ROOT / "tests/host/crash_firmware.c"
GCC = "arm-none-eabi-gcc"


def line_with(text):
    return next(i for i, line in enumerate(FIRMWARE.read_text().splitlines(), 1) if text in line)


def build(folder):
    common = ROOT / "boards/common"
    sources = [p for part in ("base", "stores", "accounts", "memory", "observe")
               for p in sorted((ROOT / "src" / part).glob("*.c")) if p.name != "heap_instance.c"]
    sources += [ROOT / "ports/baremetal/port_baremetal.c", FIRMWARE]
    sources += [common / name for name in ("put.c", "start.c", "semihost.c", "cortex-m.c", "tick_arm.c")]
    flags = ["-mcpu=cortex-m3", "-mthumb", "-std=c11", "-g", "-Os", "-ffunction-sections",
             f"-I{ROOT}/include", f"-I{ROOT}/src", f"-I{common}", "-DBOARD_TICK_PS=40000u"]
    link = ["-nostartfiles", f"-T{ROOT}/boards/{BOARD}/link.ld", f"-L{common}", "-Wl,--gc-sections",
            "-Wl,--build-id"]
    elf = folder / "firmware.elf"
    subprocess.run([GCC, *flags, *map(str, sources), *link, "-o", str(elf)], check=True, timeout=300)
    return elf


def main():
    if not shutil.which(GCC) or not shutil.which("qemu-system-arm"):
        print("crash_test: no cross compiler or no QEMU here")
        return 77
    failures = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        elf, dump = build(folder), folder / "crash.dump"
        with dump.open("wb") as file:
            status = subprocess.run([str(ROOT / "boards/run"), BOARD, str(elf)], stdout=file,
                                    timeout=120, check=False).returncode
        if status == 43:
            failures.append("the dump took 512 bytes of stack or more")
        elif status != 42:
            failures.append(f"the firmware ended with {status}, not by its fault handler")
        done = subprocess.run([EALLOC, "inspect", str(dump), str(elf)], capture_output=True, text=True,
                              timeout=60, check=False)
        print(done.stdout, done.stderr)
        if done.returncode != 3:
            failures.append(f"ealloc inspect ended with {done.returncode}, not 3")
        for what in (r"cause +HardFault",
                     rf"where +draw \(crash_firmware.c:{line_with('here it dies')}\)",
                     r"build id +[0-9a-f]{40}, that of the ELF file",
                     rf"24 bytes of radio, allocated by receive \(crash_firmware.c:"
                     rf"{line_with('the culprit:')}\)|up to \d+ bytes of radio, allocated by receive "
                     rf"\(crash_firmware.c:{line_with('the culprit:')}\)"):
            if not re.search(what, done.stdout):
                failures.append(f"not found: {what}")
        other = folder / "other.elf"
        shutil.copy(EALLOC, other)
        done = subprocess.run([EALLOC, "inspect", str(dump), str(other)], capture_output=True, text=True,
                              timeout=60, check=False)
        if done.returncode != 1 or done.stderr.count("\n") != 1:
            failures.append(f"another ELF file: {done.returncode}, {done.stderr!r}")
    for failure in failures:
        print("not ok -", failure)
    return 1 if failures else 0


sys.exit(main())
