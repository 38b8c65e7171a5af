#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""From a crash to its culprit: firmware dies of a bug in QEMU, its fault handler dumps the allocator,
and ealloc inspect names owner, file and line of the block that was overrun, and tells of movable
blocks. The same from the RAM that QEMU saves of firmware that has no dump.

    crash_test.py EALLOC        (77: the cross compiler or QEMU is not there)
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EALLOC = os.path.abspath(sys.argv[1])
ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
sys.dont_write_bytecode = True
from by_component import units_of  # noqa: E402

BOARD = "mps2-an385"
RAM_BEGIN, RAM_BYTES = 0x20000000, 0x40000
FIRMWARE = ROOT / "tests/host/crash_firmware.c"
GCC = "arm-none-eabi-gcc"


def line_with(text):
    return next(i for i, line in enumerate(FIRMWARE.read_text().splitlines(), 1) if text in line)


def build(folder):
    common = ROOT / "boards/common"
    sources = units_of([p for part in ("base", "stores", "accounts", "memory", "observe")
                        for p in (ROOT / "src" / part).glob("*.c") if p.name != "heap_instance.c"],
                       folder)
    sources += [ROOT / "ports/baremetal/port_baremetal.c", FIRMWARE]
    sources += [common / name for name in ("put.c", "start.c", "semihost.c", "cortex-m.c", "tick_arm.c")]
    flags = ["-mcpu=cortex-m3", "-mthumb", "-std=c11", "-g", "-Os", "-ffunction-sections",
             f"-I{ROOT}/include", f"-I{ROOT}/src", f"-I{common}", "-DBOARD_TICK_PS=40000u"]
    link = ["-nostartfiles", f"-T{ROOT}/boards/{BOARD}/link.ld", f"-L{common}", "-Wl,--gc-sections",
            "-Wl,--build-id", "-mcpu=cortex-m3", "-mthumb"]
    subprocess.run([GCC, *flags, "-c", *map(str, sources)], check=True, timeout=300, cwd=folder)
    objects = [str(path) for path in folder.glob("*.o") if path.stem != FIRMWARE.stem]
    for name, define in ("firmware", "-DCRASH_STAYS=0"), ("stays", "-DCRASH_STAYS=1"):
        subprocess.run([GCC, *flags, define, str(FIRMWARE), *objects, *link, "-o", f"{name}.elf"],
                       check=True, timeout=300, cwd=folder)
    return folder / "firmware.elf", folder / "stays.elf"


def save_ram(elf, ram):
    """Run the firmware that stays where it died, and save its RAM with QEMU's monitor."""
    with subprocess.Popen(["qemu-system-arm", "-M", BOARD, "-display", "none", "-serial", "null",
                           "-monitor", "stdio", "-semihosting-config", "enable=on,target=native",
                           "-kernel", str(elf)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                          text=True) as qemu:
        time.sleep(2)
        qemu.stdin.write(f"stop\npmemsave {RAM_BEGIN} {RAM_BYTES} \"{ram}\"\nquit\n")
        qemu.stdin.flush()
        qemu.wait(timeout=60)


def main():
    if not shutil.which(GCC) or not shutil.which("qemu-system-arm"):
        print("crash_test: no cross compiler or no QEMU here")
        return 77
    failures = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (elf, stays), dump, ram = build(folder), folder / "crash.dump", folder / "ram.bin"
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
        culprit = (rf"24 bytes of radio, allocated by receive \(crash_firmware.c:"
                   rf"{line_with('the culprit:')}\)|up to \d+ bytes of radio, allocated by receive "
                   rf"\(crash_firmware.c:{line_with('the culprit:')}\)")
        for what in (r"cause +HardFault",
                     rf"where +draw \(crash_firmware.c:{line_with('here it dies')}\)",
                     r"build id +[0-9a-f]{40}, that of the ELF file", culprit,
                     r"store letters: .*\n.*L.*~.*m.*\n(?:.*\n)+?  blocks +252 bytes in 3 with a handle, "
                     r"24 bytes in 1 fixed\n",
                     r"  move +80 bytes from 0x2\w+ to 0x2\w+, \d+ of them are there\n"
                     r"  locked +1 block, 84 bytes; .*\n    0x2\w+: 80 bytes, handle 0x\w+, 1 lock; free below "
                     r"84, above 0\n"):
            if not re.search(what, done.stdout):
                failures.append(f"not found: {what}")
        told = done.stdout.split("used ", 1)[-1]
        address = re.search(r"culprit +(0x[0-9a-f]+)", told)
        save_ram(stays, ram)
        done = subprocess.run([EALLOC, "inspect", "--base", hex(RAM_BEGIN), str(ram), str(stays)],
                              capture_output=True, text=True, timeout=60, check=False)
        print(done.stdout, done.stderr)
        if done.returncode != 3 or not re.search(culprit, done.stdout):
            failures.append(f"the RAM does not tell the culprit ({done.returncode})")
        if done.stdout.split("used ", 1)[-1] != told:
            failures.append("the RAM tells another story than the dump")
        for source in [str(dump), str(elf)], ["--base", hex(RAM_BEGIN), str(ram), str(stays)]:
            done = subprocess.run([EALLOC, "inspect", "--address", address[1], *source],
                                  capture_output=True, text=True, timeout=60, check=False)
            if len(re.findall(r"ALLOC .* radio, by receive \(crash_firmware.c", done.stdout)) != 2:
                failures.append(f"the history of the culprit's block: {done.stdout}")
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
