#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""ealloc inspect: what it says of dumps whose program is known, and of dumps that are no good.

    inspect_test.py EALLOC DUMP_MAKE
"""
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

EALLOC, MAKE = [os.path.abspath(path) for path in sys.argv[1:3]]
SOURCE = (Path(__file__).parent / "dump_make.c").read_text().splitlines()
FRAME_LINE = next(i for i, line in enumerate(SOURCE, 1) if "the line that the test looks for" in line)
ENV = dict(os.environ, LC_ALL="C.UTF-8", COLUMNS="80")
with open(EALLOC, "rb") as tool:
    SANITIZED = re.search(rb"__[at]san_init", tool.read()) is not None


def inspect(*arguments):
    return subprocess.run([EALLOC, "inspect", *arguments], capture_output=True, text=True,
                          errors="surrogateescape", timeout=60, env=ENV, check=False)


def make(name, *how):
    subprocess.run([MAKE, name, *how], check=True, timeout=20)
    return name


class Inspect(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        os.chdir(self.folder.name)

    def tearDown(self):
        os.chdir("/")
        self.folder.cleanup()

    def found(self, *arguments, status=0):
        done = inspect(*arguments)
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stdout

    def json(self, *arguments, status=0):
        return json.loads(self.found("--json", *arguments, status=status))

    def one_line(self, done, *, status, holds):
        self.assertEqual(done.returncode, status)
        self.assertRegex(done.stderr, holds)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)

    def test_a_sound_dump_names_owners_sites_and_the_last_refusal(self):
        text = self.found(make("a.dump"), MAKE)
        self.assertRegex(text, r"net +1 +100 +2000")
        self.assertRegex(text, r"ui +1 +200 +none")
        self.assertIn(f"take_frame (dump_make.c:{FRAME_LINE})", text)
        self.assertRegex(text, r"last refusal 2500 bytes for net, OVER_LIMIT of net")
        self.assertIn("damage       none was found", text)
        self.assertNotIn("\033", text)

    def test_json_tells_the_same_and_its_blocks_leave_no_gap(self):
        told = self.json(make("a.dump"), MAKE)
        self.assertTrue(told["complete"])
        self.assertEqual([o["owner"] for o in told["owners"]], ["ui", "net"])
        self.assertEqual(told["used_blocks"], 2)
        region = told["regions"][0]
        self.assertEqual(sum(b["bytes"] for b in region["blocks"]), region["total_bytes"])
        self.assertEqual(told["free_bytes"], region["free_bytes"])

    def test_a_write_behind_a_block_is_laid_to_its_owner(self):
        text = self.found(make("a.dump", "overflow"), MAKE, status=3)
        self.assertRegex(text, rf"write behind the block.*\n    culprit .*100 bytes of net, allocated by "
                               rf"take_frame \(dump_make.c:{FRAME_LINE}\)\n    offset    100\n")
        self.assertRegex(text, r"bytes     21 21 .*!!")

    def test_a_damaged_header_is_laid_to_the_block_below_and_what_follows_is_there(self):
        text = self.found(make("a.dump", "header"), MAKE, status=3)
        self.assertRegex(text, rf"damaged block header.*\n    below .*of net, allocated by take_frame "
                               rf"\(dump_make.c:{FRAME_LINE}\)")
        self.assertRegex(text, r"ui +1 +200 +none")

    def test_a_write_to_a_freed_block_is_found(self):
        text = self.found(make("a.dump", "freed"), MAKE, status=3)
        self.assertRegex(text, r"the heap is damaged|free block was written to")

    def test_diff_tells_what_grew(self):
        text = self.found("--diff", make("a.dump"), make("b.dump", "leak"), MAKE)
        self.assertRegex(text, r"ui +200 +600 +\+400")
        self.assertRegex(text, rf"take_frame \(dump_make.c:{FRAME_LINE}\) +100 +500 +\+400")
        told = self.json("--diff", "a.dump", "b.dump")
        self.assertEqual(told["owners"][0]["bytes_b"], 600)

    def test_the_map_fits_the_terminal(self):
        make("a.dump")
        for columns in 40, 80, 120:
            done = subprocess.run([EALLOC, "inspect", "a.dump"], capture_output=True, text=True,
                                  env=dict(ENV, COLUMNS=str(columns)), check=True)
            rows = [r for r in done.stdout.splitlines() if re.match(r"  0x[0-9a-f]+  ", r)]
            self.assertTrue(rows)
            self.assertLessEqual(max(map(len, rows)), columns)

    def test_another_build_of_the_firmware_is_refused(self):
        done = inspect(make("a.dump", "id"), MAKE)
        self.one_line(done, status=1, holds=r"dump_make: another build|dump_make: .*build ids differ")
        self.assertIn("net ", done.stdout)
        self.assertNotIn("dump_make.c:", done.stdout)

    def test_an_elf_file_that_is_none_or_stripped_still_leaves_addresses(self):
        make("a.dump")
        Path("no.elf").write_bytes(b"\x7fELF, but not really")
        for name in "no.elf", "missing.elf", ".":
            done = inspect("a.dump", name)
            self.one_line(done, status=1, holds=r"^ealloc inspect: \S+: ")
            self.assertIn("net ", done.stdout)
        subprocess.run(["strip", "-s", "-o", "stripped.elf", MAKE], check=True)
        self.assertIn("net ", self.found("a.dump", "stripped.elf"))

    def test_what_is_no_dump_is_said_in_one_line(self):
        Path("empty").write_bytes(b"")
        Path("text").write_bytes(b"not a dump at all\n")
        data = bytearray(Path(make("a.dump")).read_bytes())
        data[6] = 9
        Path("later").write_bytes(data)
        for name, holds in ("empty", "empty: the file is empty"), ("text", "offset 0: not a dump"), (
                "later", "version 9; this tool reads version 1"), ("missing", "No such file"), (
                ".", "not a regular file"):
            done = inspect(name)
            self.one_line(done, status=1, holds=holds)
            self.assertEqual(done.stdout, "")
        self.assertEqual(inspect().returncode, 2)
        self.assertEqual(inspect("--diff", "a.dump").returncode, 2)

    def test_a_dump_cut_anywhere_says_so_and_shows_what_is_there(self):
        data = Path(make("a.dump")).read_bytes()
        for n in range(1, len(data), 7 if SANITIZED else 3):
            Path("cut").write_bytes(data[:n])
            done = inspect("cut")
            self.one_line(done, status=1, holds=r"cut: offset \d+: ")
        self.assertIn("net ", done.stdout)

    def test_any_flipped_byte_is_noticed(self):
        data = Path(make("a.dump", "header")).read_bytes()
        for i in range(0, len(data), 7 if SANITIZED else 2):
            for mask in 0xFF, 0x01:
                Path("bad").write_bytes(data[:i] + bytes([data[i] ^ mask]) + data[i + 1:])
                done = inspect("bad")
                self.one_line(done, status=1, holds=r"bad: offset \d+: ")

    def test_a_console_log_holds_a_dump_as_hexadecimal_lines(self):
        data = Path(make("a.dump")).read_bytes().hex()
        lines = "\r\n".join(data[i:i + 64] for i in range(0, len(data), 64))
        Path("log").write_text(f"booting\r\ndump:\r\n{lines}\r\nend of dump\r\n")
        self.assertEqual(self.found("log").split("bytes", 1)[1], self.found("a.dump").split("bytes", 1)[1])
        Path("log").write_text(f"dump:\n{lines[:300]}\nReset!\n")
        self.one_line(inspect("log"), status=1, holds=r"log: offset \d+: ")

    def test_help_has_an_example(self):
        self.assertIn("Example: ealloc inspect crash.dump firmware.elf", self.found("--help"))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
