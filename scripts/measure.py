# SPDX-License-Identifier: MIT
"""What scripts/wcet and scripts/size share: running commands, cross builds, tables."""
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
ARM = "arm-none-eabi-"
RISCV = "riscv64-unknown-elf-"
TOOLS = {"cortex-m0": ARM, "cortex-m3": ARM, "cortex-m4f": ARM, "cortex-m33": ARM, "rv32": RISCV,
         "host": ""}
BOARDS = {"cortex-m0": "mps2-an385", "cortex-m3": "mps2-an385", "cortex-m4f": "mps2-an386",
          "cortex-m33": "mps2-an505", "rv32": "virt-rv32"}


def run(command):
    """Run a command; its output. A failure ends the script and shows it."""
    command = [str(word) for word in command]
    done = subprocess.run(command, cwd=ROOT, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    if done.returncode != 0:
        sys.exit(f"{done.stdout}\nfailed: {' '.join(command)}")
    return done.stdout


def missing_tools(cores):
    """Compilers and emulators that are needed for these cores and not installed."""
    tools = {TOOLS[core] + "gcc" for core in cores}
    tools |= {"qemu-system-riscv32" if core == "rv32" else "qemu-system-arm"
              for core in cores if core != "host"}
    return sorted(tool for tool in tools if shutil.which(tool) is None)


def build(folder, core, target):
    """Build one target of the project for a core in a build tree of its own."""
    command = ["cmake", "-S", ROOT, "-B", folder, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=MinSizeRel",
               "-DEALLOC_BUILD_TESTS=OFF", "-DEALLOC_BUILD_HOST=OFF", "-DEALLOC_INSTALL=OFF",
               "-DEALLOC_BUILD_COUNTS=ON"]
    if core != "host":
        command.append(f"-DCMAKE_TOOLCHAIN_FILE={ROOT}/cmake/toolchains/{core}.cmake")
    run(command)
    run(["cmake", "--build", folder, "-j2", "--target", target])


def run_on_board(core, program, *options):
    """Run a program, in QEMU unless it is the host's; its output."""
    if core == "host":
        return run([program])
    return run([ROOT / "boards/run", *options, BOARDS[core], program])


def print_table(head, rows):
    """The first column to the left, the others to the right."""
    widths = [max(len(str(row[i])) for row in [head] + rows) for i in range(len(head))]
    for row in [head] + rows:
        cells = [str(cell).ljust(width) if i == 0 else str(cell).rjust(width)
                 for i, (cell, width) in enumerate(zip(row, widths))]
        print("  " + "  ".join(cells).rstrip())
    print()
