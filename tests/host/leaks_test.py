#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""ealloc leaks: three programs at work with real libraries, one of them with threads, are recorded
with a leak and without. The leak's line is named in the first three; without it nothing is said.

    leaks_test.py EALLOC STORE SESSIONS WORKERS
"""
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

EALLOC, *PROGRAMS = [os.path.abspath(path) for path in sys.argv[1:5]]
HERE = Path(__file__).parent
ENV = dict(os.environ, LC_ALL="C.UTF-8")


def ealloc(*arguments):
    return subprocess.run([EALLOC, *arguments], capture_output=True, text=True,
                          errors="surrogateescape", timeout=60, env=ENV, check=False)


def line_of(program):
    source = HERE / (Path(program).name + ".c")
    lines = source.read_text().splitlines()
    number = next(i for i, line in enumerate(lines, 1) if "the line that the test looks for" in line)
    return f"{source.name}:{number}"


class Leaks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        os.chdir(cls.folder.name)

    @classmethod
    def tearDownClass(cls):
        os.chdir("/")
        cls.folder.cleanup()

    def record(self, program, *arguments):
        name = "-".join([Path(program).name, *arguments]) + ".rec"
        if not os.path.exists(name):
            done = ealloc("record", "-q", "-o", name, "--", program, *arguments)
            self.assertEqual(done.returncode, 0, done.stderr)
        return name

    def test_the_leak_is_among_the_first_three(self):
        for program in PROGRAMS:
            with self.subTest(program=program):
                done = ealloc("leaks", "--json", self.record(program, "20"))
                self.assertEqual(done.returncode, 1, done.stderr)
                told = json.loads(done.stdout)
                self.assertTrue(told["complete"])
                sites = [s["site"] for s in told["suspects"][:3]]
                self.assertTrue(any(line_of(program) in site for site in sites), sites)
                leak = next(s for s in told["suspects"] if line_of(program) in s["site"])
                self.assertGreater(leak["suspects"], 50)
                self.assertGreater(leak["bytes_per_s"], 0)
                self.assertLess(leak["usual_s"], told["duration_s"] / 4)

    def test_without_a_leak_nothing_is_suspected(self):
        for program in PROGRAMS:
            with self.subTest(program=program):
                done = ealloc("leaks", self.record(program))
                self.assertEqual(done.returncode, 0, done.stdout)
                self.assertRegex(done.stdout, r"^0 suspects in \d+\.\d+ s\n$")

    def test_text_tells_the_same(self):
        done = ealloc("leaks", "--top", "1", self.record(PROGRAMS[0], "20"))
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout, r"^\d+ suspects? in")
        self.assertIn(line_of(PROGRAMS[0]), done.stdout)
        self.assertRegex(done.stdout, r"grows +\d+ bytes a second")

    def test_how_many_are_shown_changes_neither_the_number_nor_the_status(self):
        for top in "0", "1", "4294967295":
            done = ealloc("leaks", "--top", top, self.record(PROGRAMS[0], "20"))
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertRegex(done.stdout, r"^[1-9]\d* suspects? in")
            told = json.loads(ealloc("leaks", "--json", "--top", top, self.record(PROGRAMS[0], "20")).stdout)
            self.assertGreaterEqual(told["n_suspects"], 1)
            self.assertEqual(len(told["suspects"]), min(int(top), told["n_suspects"]))

    def test_of_a_manifest_the_process_with_the_most_events_is_judged(self):
        ealloc("record", "-q", "-o", "two.rec", "--", "sh", "-c", f"{PROGRAMS[0]} 20; true")
        done = ealloc("leaks", "two.rec.manifest.json")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertRegex(done.stdout, r"^\d+ suspects? in .*\ntwo.rec.2, the process with the most events\n")
        self.assertIn(line_of(PROGRAMS[0]), done.stdout)

    def test_what_cannot_be_read_is_one_line_and_status_2(self):
        Path("no.rec").write_bytes(b"not a recording at all")
        whole = Path(self.record(PROGRAMS[0], "20")).read_bytes()
        Path("empty.rec").write_bytes(b"")
        Path("cut.rec").write_bytes(whole[:len(whole) * 3 // 4])
        Path("damaged.manifest.json").write_bytes(b'{"manifest_version": 1')
        for name in ["no.rec", "damaged.manifest.json", "missing.rec", "empty.rec", "cut.rec", "."]:
            done = ealloc("leaks", name)
            self.assertEqual(done.returncode, 2, name)
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertIn(line_of(PROGRAMS[0]), ealloc("leaks", "cut.rec").stdout)

    def test_wrong_usage_is_status_2(self):
        for arguments in [(), ("a", "b"), ("--top", "x", "a"), ("--no-such", "a")]:
            self.assertEqual(ealloc("leaks", *arguments).returncode, 2)
        self.assertEqual(ealloc("leaks", "--help").returncode, 0)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
