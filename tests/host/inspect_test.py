#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""ealloc inspect: what it says of dumps, cores and RAM whose program is known, and of those that are no
good.

    inspect_test.py EALLOC DUMP_MAKE RAM_MAKE

RAM_MAKE is DUMP_MAKE linked so that its addresses are those of its ELF file.
"""
import json
import os
import re
import resource
import struct
import subprocess
import sys
import tempfile
import unittest
import zlib
from pathlib import Path

EALLOC, MAKE, RAM_MAKE = [os.path.abspath(path) for path in sys.argv[1:4]]
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


def make_ram(name, *how):
    """The RAM of the program, from its first address on, which is returned."""
    done = subprocess.run([RAM_MAKE, name, *how, "ram"], check=True, timeout=20, capture_output=True, text=True)
    return done.stdout.strip()


def make_core(*how):
    """The core of the program; None: this machine writes none into the program's folder."""
    def allow_core():
        hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
        resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    subprocess.run([MAKE, "unused", *how, "die"], timeout=20, check=False, preexec_fn=allow_core)
    cores = sorted(Path(".").glob("core*"))
    return str(cores[-1]) if cores else None


def cbor(value):
    """A record, or a part of one, of a dump."""
    def head(major, n):
        for size, code, most in (0, n, 24), (1, 24, 1 << 8), (2, 25, 1 << 16), (4, 26, 1 << 32), (8, 27, 1 << 64):
            if n < most:
                return bytes([major << 5 | code]) + (n.to_bytes(size, "big") if size else b"")
        raise ValueError(n)
    if isinstance(value, int):
        return head(0, value)
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        return head(3, len(value)) + value.encode()
    return head(4, len(value)) + b"".join(map(cbor, value))


def dump_of(records):
    """A dump of these records, with a head of a 32-bit device an hour after its start before them."""
    first = [0, 1, 4, 0x000100, 3600 * 1000000, b"", 0, 0, 8, 4, 8, 1, 1, 1, 21, 0, "", 0]
    data = b"\xd9\xd9\xf7\x9f" + b"".join(map(cbor, [first] + records))
    return data + cbor([13, len(records) + 2, zlib.crc32(data)]) + b"\xff"


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

    def test_what_the_allocator_itself_found_is_named(self):
        for kind, text in (2, "write behind the block"), (5, "double free"), (1 << 33, "damage"):
            Path("a.dump").write_bytes(dump_of([[2, kind, 0x20001000, 20] + [0] * 12]))
            self.assertIn(f"last found   {text} at 0x20001000, 20 bytes of nobody", self.found("a.dump"))

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

    def test_another_build_without_a_build_id_is_refused_where_its_functions_lie_elsewhere(self):
        told = subprocess.run(["readelf", "-sSW", MAKE], check=True, capture_output=True, text=True).stdout
        text = int(re.search(r" \.text +PROGBITS +(\w+)", told).group(1), 16)
        was = int(re.search(r": (\w+) .* ea_dump$", told, re.M).group(1), 16)
        moved = f"ea_dump=.text:{was + 2 - text},function,global"
        subprocess.run(["objcopy", "--strip-symbol=ea_dump", "--add-symbol", moved, MAKE, "moved.elf"], check=True)
        done = inspect(make("a.dump"), "moved.elf")
        self.one_line(done, status=1, holds=r"moved.elf: another build than the dump is of \(ea_dump")
        self.assertNotIn("dump_make.c:", done.stdout)

    def test_an_elf_file_that_is_none_or_stripped_still_leaves_addresses(self):
        make("a.dump")
        Path("no.elf").write_bytes(b"\x7fELF, but not really")
        Path("cut.elf").write_bytes(Path(MAKE).read_bytes()[:4000])
        for name in "no.elf", "cut.elf", "missing.elf", ".":
            done = inspect("a.dump", name)
            self.one_line(done, status=1, holds=r"^ealloc inspect: \S+: ")
            self.assertIn("net ", done.stdout)
        subprocess.run(["strip", "-s", "-o", "stripped.elf", MAKE], check=True)
        self.assertIn("net ", self.found("a.dump", "stripped.elf"))

    def test_lines_are_named_where_debug_information_has_no_address_ranges_as_clangs(self):
        subprocess.run(["objcopy", "--remove-section=.debug_aranges", MAKE, "bare.elf"], check=True)
        self.assertIn(f"take_frame (dump_make.c:{FRAME_LINE})", self.found(make("a.dump"), "bare.elf"))

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
        self.assertEqual(inspect("--diff", "--address", "1", "a.dump", "a.dump").returncode, 2)

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

    def story(self, text):
        """What is told of the memory, without where it comes from and when it was taken."""
        text = re.sub(r" at 0x[0-9a-f]+| {4}0x[0-9a-f]+|0x[0-9a-f]+|, at [0-9.]+ s|bytes  .*\n", "", text)
        return re.sub(r"\n(pools\n)?.*  messages\n", "", text.split("\nused ", 1)[1])

    def test_ram_tells_what_a_dump_tells(self):
        for how in [], ["pools"], ["leak", "trace", "pools"], ["header"], ["overflow", "pools", "drip"]:
            base = make_ram("ram.bin", *how)
            status = 3 if "header" in how or "overflow" in how else 0
            dump = self.json(make("a.dump", *how), MAKE, status=status)
            ram = self.json("--base", base, "ram.bin", RAM_MAKE, status=status)
            keys = ["used_bytes", "used_blocks", "free_bytes", "free_blocks", "largest_free_bytes", "suspects",
                    "free", "accounts"]
            if "header" not in how:  # else the size that was asked for is a guess
                keys += ["owners", "sites"]
            for key in keys:
                self.assertEqual(dump[key], ram[key], (how, key))
            self.assertEqual([w["what"] for w in dump["damage"]], [w["what"] for w in ram["damage"]])
            own = ram["pools"].pop()  # a variable, which is no allocator's and in no dump
            self.assertEqual((own["name"], own["n_blocks"], own["used_blocks"]), ("messages", 6, int("pools" in how)))
            self.assertEqual([len(p["blocks"]) for p in dump["pools"]], [len(p["blocks"]) for p in ram["pools"]])

    def test_ram_in_pieces_and_by_name(self):
        base = int(make_ram("ram.bin"), 16)
        data = Path("ram.bin").read_bytes()
        half = len(data) // 2
        Path("low").write_bytes(data[:half])
        Path("high").write_bytes(data[half:])
        whole = self.found("--base", hex(base), "ram.bin", RAM_MAKE)
        pieces = self.found("--image", f"low@{base:#x}", "--image", f"high@{base + half:#x}", RAM_MAKE)
        self.assertEqual(self.story(whole), self.story(pieces))
        self.assertIn("allocator    memory, at 0x", whole)
        named = self.found("--heap", "memory", "--base", hex(base), "ram.bin", RAM_MAKE)
        self.assertEqual(whole, named)
        at = re.search(r"memory, at (0x[0-9a-f]+)", whole)[1]
        self.assertEqual(self.story(whole),
                         self.story(self.found("--heap", at, "--base", hex(base), "ram.bin", RAM_MAKE)))

    def test_a_freed_block_that_was_written_to_is_found_in_ram(self):
        base = make_ram("ram.bin", "freed")
        text = self.found("--base", base, "ram.bin", RAM_MAKE, status=3)
        self.assertRegex(text, r"damaged block header|a free block was written to|the heap is damaged")

    def test_ram_that_is_short_or_elsewhere_is_said_in_one_line(self):
        base = make_ram("ram.bin")
        data = Path("ram.bin").read_bytes()
        Path("cut").write_bytes(data[:len(data) - 2048])
        done = inspect("--base", base, "cut", RAM_MAKE)
        self.one_line(done, status=1, holds=r"cut: the region's memory is missing from 0x[0-9a-f]+ on")
        self.assertRegex(done.stdout, r"net +1 +100")
        self.one_line(inspect("--base", "0x1000", "ram.bin", RAM_MAKE), status=1, holds=r"ram.bin: no allocator, heap or store")
        self.one_line(inspect("--base", base, "ram.bin", "ram.bin"), status=1, holds=r"ram.bin: not an ELF file")
        self.one_line(inspect("--base", base, "missing", RAM_MAKE), status=1, holds=r"missing: No such file")
        self.one_line(inspect("--base", base, "ram.bin", EALLOC), status=1, holds=r"ealloc: no debug inf|no allocator")
        for wrong in (["--base", "here", "ram.bin", RAM_MAKE], ["--base", base, "ram.bin"],
                      ["--image", "ram.bin", RAM_MAKE], ["--image", f"ram.bin@{base}"]):
            self.assertEqual(inspect(*wrong).returncode, 2)

    def test_any_flipped_byte_of_ram_ends_in_a_report_or_a_line(self):
        base = make_ram("ram.bin", "trace", "pools", "drip")
        data = Path("ram.bin").read_bytes()
        for i in range(0, len(data), 499 if SANITIZED else 97):
            Path("bad").write_bytes(data[:i] + bytes([data[i] ^ (0xFF if i % 2 else 0x01)]) + data[i + 1:])
            done = inspect("--base", base, "bad", RAM_MAKE)
            self.assertIn(done.returncode, (0, 1, 3), (i, done.stderr))
            self.assertEqual(done.stderr.count("\n"), 1 if done.returncode == 1 else 0, (i, done.stderr))

    def test_a_core_tells_where_the_program_died_and_what_was_in_its_memory(self):
        core = make_core("trace", "drip", "overflow")
        if core is None:
            self.skipTest("no core was written")
        text = self.found(core, status=3)  # the core names its program
        self.assertEqual(text, self.found(core, MAKE, status=3))
        self.assertRegex(text, r"cause +signal 11 \(SIGSEGV\), of dump_make unused trace drip overf")
        self.assertRegex(text, r"where +main \(dump_make.c:\d+\)")
        self.assertRegex(text, rf"damage.*\n.*\n.*100 bytes of net, allocated by take_frame \(dump_make.c:{FRAME_LINE}\)")
        self.assertRegex(text, r"leak suspects\n  take_image ")
        self.assertEqual(self.story(text).split("\nregion")[1:],
                         self.story(self.found(make("a.dump", "trace", "drip", "overflow"), MAKE,
                                               status=3)).split("\nregion")[1:])

    def test_a_core_of_another_build_or_a_stripped_program_is_refused_in_one_line(self):
        core = make_core()
        if core is None:
            self.skipTest("no core was written")
        self.one_line(inspect(core, RAM_MAKE), status=1, holds=r"ram_make: another build or program .*build ids")
        subprocess.run(["strip", "-s", "-o", "stripped.elf", MAKE], check=True)
        self.one_line(inspect(core, "stripped.elf"), status=1, holds=r"stripped.elf: no debug information of ealloc")
        self.one_line(inspect("--heap", "nobody", core), status=1, holds=r"no allocator, heap or store in use is called that")
        self.one_line(inspect(MAKE), status=1, holds=r"an ELF file, but neither a dump nor a core")

    def test_diff_says_when_the_two_are_of_different_builds(self):
        core = make_core("leak")
        if core is None:
            self.skipTest("no core was written")
        done = inspect("--diff", make("a.dump", "id"), core)
        self.one_line(done, status=1, holds=rf"^ealloc inspect: {core}: another build")
        self.found("--diff", core, core)

    def test_a_core_that_ends_before_the_allocator_is_said_to_be_cut_off(self):
        core = make_core()
        if core is None:
            self.skipTest("no core was written")
        notes = subprocess.run(["readelf", "-n", MAKE], stdout=subprocess.PIPE, text=True, check=True).stdout
        build_id = bytes.fromhex(re.search(r"Build ID: (\w+)", notes)[1])
        in_the_id = Path(core).read_bytes().index(build_id) + 8
        for n in 4000, 9000, in_the_id:
            Path("cut").write_bytes(Path(core).read_bytes()[:n])
            self.one_line(inspect("cut"), status=1, holds=rf"cut: offset {n}: the core ends here, cut off")

    def test_a_damaged_core_ends_in_a_report_or_a_line(self):
        core = make_core("trace", "pools")
        if core is None:
            self.skipTest("no core was written")
        data = Path(core).read_bytes()
        Path(core).unlink()
        places = list(range(16, 2048, 67)) + list(range(2048, len(data), len(data) // 40))
        for i in places[::4 if SANITIZED else 1]:
            Path("bad").write_bytes(data[:i] + bytes([data[i] ^ 0xFF]) + data[i + 1:])
            done = inspect("bad", MAKE)
            self.assertIn(done.returncode, (0, 1, 3), (i, done.stderr))
            self.assertLessEqual(done.stderr.count("\n"), 1, (i, done.stderr))
        for n in places[::4 if SANITIZED else 2]:
            Path("cut").write_bytes(data[:n])
            done = inspect("cut", MAKE)
            self.one_line(done, status=1, holds=r"^ealloc inspect: \S+: ")
        phoff, = struct.unpack_from("<Q", data, 32)
        for what in struct.pack("<Q", 1 << 63), b"\xff" * 8:  # sizes and places beyond everything
            for field in 8, 16, 32, 40:
                bad = bytearray(data)
                for segment in range(8):
                    at = phoff + 56 * segment + field
                    bad[at:at + 8] = what
                Path("bad").write_bytes(bad)
                self.assertIn(inspect("bad", MAKE).returncode, (0, 1, 3))

    def test_a_store_of_movable_blocks_is_told_with_its_locks_and_its_move(self):
        text = self.found(make("a.dump", "store"), MAKE)
        self.assertRegex(text, r"\nstore letters: 0x[0-9a-f]+ to 0x[0-9a-f]+\n +0x[0-9a-f]+ .*L.*~.*m.*#.*\.")
        self.assertRegex(text, r"blocks +624 bytes in 6 with a handle, 64 bytes in 1 fixed\n"
                               r"  free +932 bytes in 2 holes, the largest 828; fragmentation 11.1 %\n"
                               r"  other +104 bytes\n"
                               r"  compaction +can make a hole of 932 bytes; moved \d+ bytes in 0 moves until now\n"
                               r"  handles +16 of at most 16, medium layout; refusals: 0, for want of budget 0\n"
                               r"  move +100 bytes from (0x[0-9a-f]+) to (0x[0-9a-f]+), \d+ of them are there\n"
                               r"  locked +1 block, 104 bytes; without locks a hole of 1036 could be made\n"
                               r"    0x[0-9a-f]+: 100 bytes, handle 0x[0-9a-f]+, 2 locks; free below 104, above 0\n")
        self.assertIn("damage       none was found", text)
        self.assertRegex(text, r"net +1 +100 +2000")  # its blocks are no owner's
        self.assertNotIn("nobody", text)

    def test_json_of_a_store_adds_up_and_its_blocks_leave_no_gap(self):
        told = self.json(make("a.dump", "pools", "store"), MAKE)["stores"][0]
        self.assertEqual(sum(b["bytes"] for b in told["blocks"]), told["total_bytes"])
        self.assertEqual(told["total_bytes"], told["used_bytes"] + told["fixed_bytes"] + told["free_bytes"]
                         + told["other_bytes"])
        ends = [int(b["begin"], 16) + b["bytes"] for b in told["blocks"]]
        self.assertEqual([int(b["begin"], 16) for b in told["blocks"]][1:], ends[:-1])
        moving = [b for b in told["blocks"] if b["state"] == "moving"]
        self.assertEqual(len(moving), 1)
        self.assertEqual([p["address"] for p in moving[0]["pieces"]][0], told["move"]["to"])
        self.assertEqual(sum(p["bytes"] for p in moving[0]["pieces"]), 100)
        self.assertEqual(told["pins"][0]["block"]["locks"], 2)
        self.assertEqual(len([b for b in told["blocks"] if b.get("fixed")]), 1)
        self.assertIsNone(told["region"])

    def test_a_torn_header_of_a_store_is_named_with_the_block_and_the_one_below(self):
        text = self.found(make("a.dump", "torn"), MAKE, status=3)
        self.assertRegex(text, r"damage: 1 place\n  damaged block header, at 0x[0-9a-f]+\n"
                               r"    block +0x[0-9a-f]+: up to 100 bytes, handle 0x[0-9a-f]+\n"
                               r"    below +0x[0-9a-f]+: 100 bytes, handle 0x[0-9a-f]+\n"
                               r".*\n    bytes +21 21 21 21 66")
        at = re.search(r"damaged block header, at (0x[0-9a-f]+)", text)[1]
        about = self.found("--address", hex(int(at, 16) + 20), "a.dump", status=3)
        self.assertRegex(about, r"16 bytes into a block\nblock .*, behind a damaged header\n +up to 100 bytes, handle ")

    def test_a_store_in_ram_tells_what_a_dump_tells(self):
        for how in "store", "torn":
            base = make_ram("ram.bin", how)
            status = 3 if how == "torn" else 0
            dump = self.json(make("a.dump", how), MAKE, status=status)["stores"][0]
            ram = self.json("--base", base, "ram.bin", RAM_MAKE, status=status)["stores"][0]
            self.assertEqual(dump["name"], ram["name"])
            for key in set(dump) - {"begin", "end", "move", "pins", "blocks"}:
                self.assertEqual(dump[key], ram[key], (how, key))
            for one, other in zip(dump["blocks"], ram["blocks"], strict=True):
                for key in set(one) - {"begin", "address", "pieces"}:
                    self.assertEqual(one[key], other[key], (how, key))
            self.assertEqual(dump["move"]["copied_bytes"], ram["move"]["copied_bytes"])

    def test_a_store_is_found_by_its_address(self):
        base = make_ram("ram.bin", "store")
        first = self.json("--base", base, "ram.bin", RAM_MAKE)
        store = first["stores"][0]["begin"]
        again = self.json("--heap", store, "--base", base, "ram.bin", RAM_MAKE)
        self.assertEqual(again["stores"], first["stores"])
        self.assertEqual((again["regions"], again["damage"]), ([], []))
        text = self.found("--heap", store, "--base", base, "ram.bin", RAM_MAKE)
        self.assertRegex(text, rf"\nstore +at {store}\n")

    def test_any_flipped_byte_of_a_store_in_ram_ends_in_a_report_or_a_line(self):
        base = make_ram("ram.bin", "store")
        data = Path("ram.bin").read_bytes()
        told = self.json("--base", base, "ram.bin", RAM_MAKE)["stores"][0]
        first = int(told["begin"], 16) - int(base, 16)
        last = int(told["end"], 16) - int(base, 16)
        for i in range(first, last, 97 if SANITIZED else 23):
            Path("bad").write_bytes(data[:i] + bytes([data[i] ^ (0xFF if i % 2 else 0x01)]) + data[i + 1:])
            done = inspect("--base", base, "bad", RAM_MAKE)
            self.assertIn(done.returncode, (0, 1, 3), (i, done.stderr))
            self.assertEqual(done.stderr.count("\n"), 1 if done.returncode == 1 else 0, (i, done.stderr))

    def test_an_address_is_told_with_its_neighbours_and_its_history(self):
        told = self.json(make("a.dump", "trace", "drip"), MAKE)
        leaked = [b for b in told["regions"][0]["blocks"] if b.get("requested") == 24]
        address = hex(int(leaked[3]["address"], 16) + 5)
        text = self.found("--address", address, "a.dump", MAKE)
        self.assertRegex(text, r"5 bytes into a block\nblock +0x[0-9a-f]+ to 0x[0-9a-f]+, used\n +24 bytes of ui, "
                               r"allocated by take_image \(dump_make.c:\d+\)")
        self.assertRegex(text, r"below it .*, used\n.*\nabove it .*, used\n")
        self.assertRegex(text, r"history +\d+ of \d+ events are about it\n(?:.*\n)*.*ALLOC +40 to 47.*take_frame.*\n.*FREE .*drip"
                               r".*\n.*ALLOC +24 to 27 .*, ui, by take_image")
        about = self.json("--address", address, "a.dump", MAKE)["about"]
        self.assertEqual([e["kind"] for e in about["events"]][-3:], ["ALLOC", "FREE", "ALLOC"])
        self.assertEqual(about["below"]["requested"], 24)
        self.assertIn("in no block of this allocator", self.found("--address", "0x10", "a.dump"))
        self.assertEqual(inspect("--address", "x", "a.dump").returncode, 2)

    def test_a_leak_is_a_suspect_and_what_was_made_at_the_start_or_comes_and_goes_is_none(self):
        last = (3600 * 1000000 >> 22) - 1
        region = [[5, 0, 0x20000000, 0x20010000, 0x20000000, 0, 0, 0, 1, 0]]
        births = {0x1000: [2] * 20, 0x2000: range(20), 0x3000: range(last - 40, last, 2),
                  0x4000: range(0, last, last // 20)}
        blocks = [[7, 0, 40, 1, 24, 0, site, birth] for site in births for birth in births[site]]
        for i, block in enumerate(blocks):
            block[1] = 0x20000100 + 40 * i
        Path("a.dump").write_bytes(dump_of(region + blocks))
        told = self.json("a.dump")
        self.assertEqual([s["site"] for s in told["suspects"]], ["0x4000"])
        self.assertRegex(self.found("a.dump"), r"left of each quarter of the time since the oldest block: 6, 5, 5, 5\n")
        # Too few of them, or all within half a minute: nothing can be said.
        few = [b for b in blocks if b[6] != 0x4000] + [b for b in blocks if b[6] == 0x4000][:7]
        Path("b.dump").write_bytes(dump_of(region + few))
        self.assertEqual(self.json("b.dump")["suspects"], [])
        short = [b[:7] + [last - b[7] % 4] for b in blocks]
        Path("c.dump").write_bytes(dump_of(region + short))
        self.assertEqual(self.json("c.dump")["suspects"], [])

    def test_what_is_kept_while_others_go_is_a_suspect(self):
        self.assertRegex(self.found(make("a.dump", "trace", "drip"), MAKE),
                         r"leak suspects\n  take_image \(dump_make.c:\d+\)\n    680 bytes in 21 blocks\n"
                         r"    left of each quarter of the history: \d+, \d+, \d+, \d+ \(22 allocated, 1 freed\)\n")
        self.assertNotIn("suspects", self.found(make("b.dump", "trace", "leak"), MAKE))

    def test_free_blocks_are_counted_by_size(self):
        told = self.json(make("a.dump", "drip"), MAKE)
        self.assertEqual(sum(c["blocks"] for c in told["free"]), told["free_blocks"])
        self.assertEqual(sum(c["bytes"] for c in told["free"]), told["free_bytes"])
        for c in told["free"]:
            self.assertLess(c["bytes"] / c["blocks"], 2 * c["least_bytes"])

    def test_colour_is_for_terminals(self):
        make("a.dump", "overflow")
        for extra, coloured in ({}, True), ({"NO_COLOR": "1"}, False):
            reader, writer = os.openpty()
            env = {k: v for k, v in dict(ENV, **extra).items() if extra or k != "NO_COLOR"}
            subprocess.run([EALLOC, "inspect", "a.dump"], stdout=writer, env=env, timeout=60, check=False)
            os.close(writer)
            text = b""
            try:
                while chunk := os.read(reader, 65536):
                    text += chunk
            except OSError:
                pass
            os.close(reader)
            self.assertEqual(b"\033[1;31m!" in text, coloured)

    def test_help_has_an_example(self):
        self.assertIn("Example: ealloc inspect crash.dump firmware.elf", self.found("--help"))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
