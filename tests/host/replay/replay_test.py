#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""ealloc replay and bound, from outside: known answers, bad input, options, JSON, CSV and manifests.

    replay_test.py EALLOC REPLAY_SYNTH
"""
import csv
import json
import os
import subprocess
import sys
import tempfile
import unittest

EALLOC, SYNTH = [os.path.abspath(path) for path in sys.argv[1:3]]
CONTROL_SLACK = 24  # end header and alignment of the first block


def synth(name, events, *flags):
    text = "\n".join(events) + "\n"
    subprocess.run([SYNTH, name, *flags], input=text, text=True, check=True)
    return name


def replay(*arguments, env=None):
    return subprocess.run([EALLOC, "replay", *arguments], capture_output=True, text=True,
                          timeout=60, env=env)


def report(*arguments, status=0):
    run = replay("--json", *arguments)
    assert run.returncode == status, (run.returncode, run.stderr)
    return json.loads(run.stdout)


def read(name):
    with open(name, "rb") as file:
        return file.read()


def write(name, data):
    with open(name, "wb") as file:
        file.write(data)


def blocks(n, size, stride=4096):
    return [f"a {(i + 1) * stride} {size}" for i in range(n)]


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        os.chdir(self.folder.name)
        self.addCleanup(os.chdir, "/")

    def one_line(self, run, *parts):
        lines = run.stderr.strip().split("\n")
        self.assertEqual(len(lines), 1, run.stderr)
        for part in parts:
            self.assertIn(part, lines[0])


class KnownAnswers(Case):
    def test_peaks_and_perfect_packing(self):
        found = report(synth("a.rec", [
            "a 4096 100", "c 8192 0", "u 4096", "m 12288 13 64", "r 16384 1000 4096", "f 8192",
            "x 0 99999999", "a 4096 1"]))
        recording = found["recording"]
        self.assertEqual(recording["events"], 8)
        self.assertEqual(recording["operations"], 6)
        self.assertEqual((recording["allocations"], recording["reallocations"],
                          recording["frees"]), (4, 1, 1))
        self.assertEqual(recording["recorded_failures"], 1)
        self.assertEqual(recording["command"], "synthetic program")
        self.assertEqual(found["peak_live_bytes"], 1014)
        self.assertEqual(found["peak_live_blocks"], 3)
        self.assertEqual(found["perfect_packing_bytes"],
                         1008 + 24 + 16 + found["heap"]["control_bytes"])
        self.assertEqual((found["failures"], found["damaged"]), (0, 0))
        self.assertTrue(found["heap"]["chosen"])
        self.assertGreaterEqual(found["peak_used_bytes"], 1008 + 24 + 16)

    def test_smallest_heap(self):
        name = synth("a.rec", blocks(100, 100))
        found = report("--find-min", name)
        smallest = found["find_min"]
        perfect = found["perfect_packing_bytes"]
        self.assertTrue(perfect <= smallest["smallest_bytes"] <= perfect + CONTROL_SLACK)
        self.assertEqual(smallest["exceptions"], [])
        self.assertEqual(smallest["safe_bytes"], smallest["smallest_bytes"])
        self.assertEqual(found["heap"]["heap_bytes"], smallest["smallest_bytes"])
        self.assertEqual(found["failures"], 0)
        less = report("--heap", str(smallest["smallest_bytes"] - 8), name)
        self.assertEqual(less["failures"], 1)
        for jobs in "1", "3":
            same = report("--find-min", "--jobs", jobs, name)["find_min"]
            self.assertEqual(same["smallest_bytes"], smallest["smallest_bytes"])

    def test_half_fit_takes_powers_of_two(self):
        name = synth("a.rec", blocks(100, 100))
        good = report("--find-min", name)["find_min"]["smallest_bytes"]
        half = report("--find-min", "--fit", "half", name)["find_min"]["smallest_bytes"]
        self.assertGreater(half, good * 1.15)  # 128 for 104

    def test_a_heap_too_small_says_what_failed_first(self):
        name = synth("a.rec", ["a 4096 500", "u 4096", "a 8192 5000", "f 8192", "f 4096"])
        found = report("--heap", "2K", name)
        self.assertEqual(found["heap"]["heap_bytes"], 2048)
        self.assertEqual(found["failures"], 1)
        self.assertIsNone(found["overhead_percent"])
        first = found["first_failure"]
        self.assertEqual((first["event"], first["size_bytes"]), (3, 5000))
        self.assertTrue(500 < first["largest_free_bytes"] <= first["free_bytes"] < 1600)
        text = replay("--heap", "2K", name).stdout
        self.assertIn("1; the first at event 3: 5000 bytes", text)
        self.assertEqual(replay("--strict", "--heap", "2K", name).returncode, 1)
        self.assertEqual(replay("--strict", name).returncode, 0)

    def test_text_report(self):
        text = replay(synth("a.rec", blocks(100, 100))).stdout
        for word in ("operations", "failures        none", "intact", "peak live       10000",
                     "peak used", "overhead", "perfect packing", "ns an operation",
                     "fragmentation"):
            self.assertIn(word, text)
        self.assertIn("not checked", replay("--no-check", "a.rec").stdout)

    def test_pictures_follow_locale_and_width(self):
        name = synth("a.rec", blocks(1000, 100))
        plain = replay(name, env={"LC_ALL": "C", "COLUMNS": "60"}).stdout
        self.assertTrue(plain.isascii())
        picture = [line for line in plain.split("\n") if "|" in line]
        self.assertEqual(len(picture), 12)
        self.assertLessEqual(max(map(len, picture)), 60)
        self.assertGreaterEqual(max(map(len, picture)), 55)
        blocks_drawn = replay(name, env={"LC_ALL": "C.UTF-8"}).stdout
        self.assertIn("█", blocks_drawn)


class Options(Case):
    def test_instances(self):
        name = synth("a.rec", blocks(100, 100))
        for arguments, profile, align, links in (
                ([], "default", 8, 32), (["--quick"], "throughput", 8, 32),
                (["--profile", "fast", "--align", "16"], "fast", 16, 32),
                (["--profile", "tiny"], "tiny", 8, 32), (["--links", "16"], "default", 8, 16)):
            heap = report(*arguments, name)["heap"]
            self.assertEqual((heap["profile"], heap["align"], heap["link_bits"]),
                             (profile, align, links))

    def test_sizes(self):
        name = synth("a.rec", blocks(10, 100))
        for text, value in (("65536", 65536), ("64K", 65536), ("64k", 65536), ("1M", 1 << 20)):
            self.assertEqual(report("--heap", text, name)["heap"]["heap_bytes"], value)

    def test_wrong_usage(self):
        name = synth("a.rec", blocks(10, 100))
        for arguments in ([], [name, name], ["--heap", "0", name], ["--heap", "12Q", name],
                          ["--heap", "-5", name], ["--heap", "5G", name], ["--heap", "", name],
                          ["--heap", "18446744073709551616", name], ["--fit", "best", name],
                          ["--profile", "turbo", name], ["--align", "32", name],
                          ["--profile", "fast", "--links", "16", name], ["--jobs", "0", name],
                          ["--what", name]):
            run = replay(*arguments)
            self.assertEqual(run.returncode, 2, arguments)
            self.assertEqual(run.stdout, "")
            self.assertNotEqual(run.stderr, "")

    def test_no_such_heap(self):
        name = synth("a.rec", blocks(10, 100))
        run = replay("--heap", "16", name)
        self.assertEqual(run.returncode, 2)
        self.assertRegex(run.stderr, r"--heap takes \d+ to \d+ bytes for this kind of heap, not '16'")

    def test_help_has_an_example_and_the_exit_statuses(self):
        run = replay("--help")
        self.assertEqual(run.returncode, 0)
        for word in ("Example:", "Exit status", "64-bit program", "--find-min", "--movable[=SITE]"):
            self.assertIn(word, run.stdout)

    def test_timeline(self):
        name = synth("a.rec", blocks(3000, 100) + [f"f {(i + 1) * 4096}" for i in range(2000)])
        report("--heap", "1M", "--timeline", "t.csv", name)
        with open("t.csv") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual(list(rows[0]), ["time_us", "live", "used", "free", "largest_free",
                                         "fragmentation_permille"])
        self.assertEqual(len(rows), 1000)
        numbers = [[int(value) for value in row.values()] for row in rows]
        times = [row[0] for row in numbers]
        self.assertEqual(times, sorted(times))
        self.assertAlmostEqual(times[-1], 50000, delta=20)
        self.assertEqual(max(row[1] for row in numbers), 300000)
        self.assertEqual(numbers[-1][1], 100000)
        self.assertEqual(len({row[2] + row[3] for row in numbers}), 1)  # used + free: the heap
        self.assertTrue(all(row[2] >= row[1] for row in numbers))
        self.assertTrue(all(row[4] <= row[3] and 0 <= row[5] <= 1000 for row in numbers))
        self.assertEqual(numbers[500][5], 0)  # one free block

    def test_timeline_that_cannot_be_written(self):
        run = replay("--timeline", "no/such/folder.csv", synth("a.rec", blocks(10, 100)))
        self.assertEqual(run.returncode, 1)
        self.one_line(run, "no/such/folder.csv")

    def test_timeline_never_overwrites_the_input(self):
        name = synth("a.rec", blocks(10, 100))
        with open(name, "rb") as file:
            before = file.read()
        run = replay("--timeline", name, name)
        self.assertEqual(run.returncode, 2)
        self.one_line(run, "would overwrite the input")
        with open(name, "rb") as file:
            self.assertEqual(file.read(), before)


class BadInput(Case):
    def test_not_a_recording(self):
        with open("text", "w") as file:
            file.write("hello, this is no recording at all\n" * 10)
        open("empty", "w").close()
        for name in ("text", "empty", "missing", "."):
            run = replay(name)
            self.assertEqual(run.returncode, 3, name)
            self.assertEqual(run.stdout, "")
            self.one_line(run, name)

    def test_wrong_version(self):
        data = bytearray(read(synth("a.rec", blocks(10, 100))))
        data[8] += 1
        write("b.rec", data)
        run = replay("b.rec")
        self.assertEqual(run.returncode, 3)
        self.one_line(run, "b.rec")

    def test_truncated_keeps_what_was_readable(self):
        # "f 0" makes the writer finish a frame: the second one is cut.
        whole = synth("a.rec", blocks(100, 100) + ["f 0"] + blocks(100, 70, 8190))
        write("cut.rec", read(whole)[:-60])
        found = report("cut.rec", status=3)
        self.assertTrue(found["recording"]["partial"])
        self.assertIn("cut.rec", found["recording"]["error"])
        self.assertIn("offset", found["recording"]["error"])
        self.assertGreaterEqual(found["recording"]["operations"], 100)
        run = replay("cut.rec")
        self.one_line(run, "cut.rec", "offset")
        self.assertIn("(partial)", run.stdout)

    def test_a_corrupt_byte_anywhere_is_noticed(self):
        data = read(synth("a.rec", blocks(40, 100)))
        for at in range(len(data)):
            damaged = bytearray(data)
            damaged[at] ^= 0x10
            write("bad.rec", damaged)
            run = replay("bad.rec")
            self.assertEqual(run.returncode, 3, at)
            self.one_line(run, "bad.rec", "offset" if at >= 16 else "")

    def test_free_of_an_unknown_block(self):
        name = synth("a.rec", ["a 4096 100", "f 8192", "a 8192 50", "f 8192", "f 8192"])
        found = report(name, status=3)
        self.assertEqual(found["recording"]["irregular"], 2)
        self.assertEqual(found["peak_live_bytes"], 150)
        self.assertEqual(found["failures"], 0)
        self.one_line(replay(name), name, "offset", "event 2", "unknown block 0x2000")

    def test_a_forked_process_inherits_blocks(self):
        name = synth("a.rec", ["f 8192", "a 8192 50", "r 20480 10 16384"], "forked")
        found = report("--strict", name)
        self.assertEqual(found["recording"]["inherited"], 2)
        self.assertEqual(found["recording"]["irregular"], 0)

    def test_a_program_that_died(self):
        name = synth("a.rec", blocks(10, 100), "unclosed")
        self.assertTrue(report(name)["recording"]["unclosed"])
        self.assertEqual(replay("--strict", name).returncode, 1)

    def test_an_empty_recording(self):
        found = report("--find-min", synth("a.rec", ["u 4096"]))
        self.assertEqual(found["recording"]["operations"], 0)
        self.assertEqual(found["peak_live_bytes"], 0)


class Manifests(Case):
    def manifest(self, processes, name="all.manifest.json", version=1):
        with open(name, "w") as file:
            json.dump({"manifest_version": version, "processes": [
                {"file": file_name, "events": n} for file_name, n in processes]}, file)
        return name

    def test_the_largest_process_is_replayed(self):
        os.mkdir("sub")
        synth("sub/small.rec", blocks(3, 100))
        synth("sub/large.rec", blocks(30, 100))
        name = self.manifest([("small.rec", 3), ("old/place/large.rec", 30)],
                             "sub/x.manifest.json")
        found = report(name)
        self.assertEqual(found["recording"]["file"], "sub/large.rec")
        self.assertEqual(found["recording"]["manifest"], name)
        self.assertEqual(found["recording"]["operations"], 30)
        self.assertIn("most events in sub/x.manifest.json", replay(name).stdout)

    def test_a_small_recording_hints_at_the_larger(self):
        synth("a.rec", blocks(3, 100))
        synth("a.rec.2", blocks(30, 100))
        self.manifest([("a.rec", 3), ("a.rec.2", 30)], "a.rec.manifest.json")
        self.assertIn("ealloc replay a.rec.manifest.json", replay("a.rec").stdout)
        self.assertNotIn("a.rec.manifest.json", replay("a.rec.2").stdout)

    def test_bad_manifests(self):
        with open("broken.json", "w") as file:
            file.write('{"manifest_version": 1, "processes": [')
        with open("other.json", "w") as file:
            file.write('{"name": "something else"}')
        self.manifest([("x", 1)], "future.json", 2)
        self.manifest([], "none.json")
        self.manifest([("gone.rec", 1)], "gone.json")
        for name in ("broken.json", "other.json", "future.json", "none.json", "gone.json"):
            run = replay(name)
            self.assertEqual(run.returncode, 3, name)
            self.one_line(run, "gone.rec" if name == "gone.json" else name)


class Movable(Case):
    CHURN = ([f"a {(i + 1) * 4096} {40 + i % 7 * 30}" for i in range(300)] +
             [f"f {(i + 1) * 4096}" for i in range(0, 300, 2)] +
             [f"a {(i + 1000) * 4096} 250" for i in range(60)])

    def test_the_region_is_the_least_there_can_be(self):
        found = report("--movable", synth("a.rec", self.CHURN))
        store, need = found["movable"], found["need"]
        self.assertEqual((store["layout"], store["unit_bytes"], store["demand_bytes"]),
                         ("small", 4, None))
        self.assertEqual((found["failures"], found["damaged"]), (0, 0))
        self.assertTrue(found["contents_checked"])
        live = [40 + i % 7 * 30 for i in range(300)]
        late = [size for i, size in enumerate(live) if i % 2] + [250] * 60
        gross = max(sum((size + 4 + 3) // 4 * 4 for size in sizes) for sizes in (live, late))
        self.assertEqual(need["blocks_bytes"], gross)
        self.assertEqual(need["table_bytes"], 10 * 68)
        self.assertEqual(need["total_bytes"], gross + 680 + need["control_bytes"])
        self.assertEqual(need["total_bytes"], need["peak_live_bytes"] + need["metadata_bytes"])
        self.assertEqual(store["region_bytes"], need["total_bytes"])
        self.assertEqual(found["find_min"]["smallest_bytes"], store["region_bytes"])
        self.assertEqual(need["region_ratio"], 1)
        self.assertGreater(found["moved"]["bytes"], 0)
        self.assertGreaterEqual(found["moved"]["bytes"], found["moved"]["most_in_one_request"])
        heap = report("--find-min", "a.rec")
        self.assertEqual(found["comparison"]["all_in_heap"]["smallest_bytes"],
                         heap["find_min"]["smallest_bytes"])
        self.assertGreater(heap["find_min"]["smallest_bytes"], store["region_bytes"])
        self.assertEqual(found["recording"], heap["recording"])
        less = report("--movable", "--heap", str(store["region_bytes"] - 4), "a.rec")
        self.assertGreater(less["failures"], 0)
        self.assertEqual(less["refused"]["no_memory"], less["failures"])
        self.assertEqual(less["first_failure"]["reason"], "no_memory")
        self.assertIsNone(less["find_min"])

    def test_budgets(self):
        name = synth("a.rec", self.CHURN)
        size = str(report("--movable", name)["movable"]["region_bytes"])
        none = report("--movable", "--demand", "0", "--heap", size, name)
        self.assertGreater(none["refused"]["again"], 0)
        self.assertEqual(none["moved"]["most_charged"], 0)
        self.assertEqual(none["comparison"]["heap_bytes"], int(size))
        self.assertGreater(none["comparison"]["heap_failures"], 0)
        idle = report("--movable", "--demand", "0", "--idle", "1K", "--idle-every", "5", "--heap", size, name)
        self.assertLess(idle["refused"]["again"], none["refused"]["again"])
        self.assertEqual(idle["moved"]["steps"], 510 // 5)
        self.assertEqual((idle["movable"]["idle_bytes"], idle["movable"]["idle_every"]), (1024, 5))
        searched = report("--movable", "--demand", "2K", name)
        self.assertGreaterEqual(searched["movable"]["region_bytes"], int(size))
        self.assertEqual(searched["failures"], 0)
        self.assertLessEqual(searched["moved"]["most_charged"], 2048)
        self.assertEqual(report("--movable", "--demand", "unlimited", name)["movable"]["region_bytes"],
                         int(size))

    def test_the_smallest_layout_that_will_do(self):
        for n, size, layout in ((10, 100, "small"), (2049, 4, "medium"), (10, 6600, "medium"),
                                (17000, 4, "large"), (10, 27000, "large")):
            name = synth("a.rec", blocks(n, size))
            self.assertEqual(report("--movable", "--no-check", name)["movable"]["layout"], layout)
        run = replay("--movable", "--layout", "medium", name)
        self.assertEqual((run.returncode, run.stdout), (1, ""))
        self.one_line(run, name, "medium", "262144", "16376")
        name = synth("a.rec", blocks(10, 100))
        self.assertEqual(report("--movable", "--layout", "large", name)["movable"]["layout"], "large")
        self.assertEqual(report("--movable", "--heap", "64K", name)["movable"]["layout"], "small")
        self.assertEqual(report("--movable", "--heap", "65K", name)["movable"]["layout"], "medium")
        many = report("--movable", "--heap", "60K", synth("a.rec", blocks(2100, 4)))
        self.assertEqual((many["movable"]["layout"], many["failures"]), ("medium", 0))

    def test_only_blocks_of_chosen_sites(self):
        name = synth("a.rec", ["M /lib/one.so", *blocks(20, 100), "M /lib/two.so",
                               *blocks(30, 50, 8200), "r 4096 300 4096", "f 8200", "u 8192",
                               "M /lib/three.so", "a 4100 7"])
        found = report("--movable=one.so", name)
        sites = found["movable"]["sites"]
        self.assertEqual(sites, {"asked_for": ["one.so"], "chosen": 1, "allocating": 3})
        self.assertEqual(found["recording"]["allocations"], 51)
        self.assertEqual(found["need"]["peak_live_bytes"], 20 * 100 + 200)
        self.assertEqual(found["need"]["peak_live_blocks"], 20)
        both = report("--movable=one.so", "--movable=two", name)
        self.assertEqual(both["movable"]["sites"]["chosen"], 2)
        self.assertEqual(both["need"]["peak_live_bytes"], 2200 + 1500)
        self.assertEqual(both["need"]["peak_live_blocks"], 50)
        comparison = found["comparison"]
        self.assertGreater(comparison["rest_in_heap"]["smallest_bytes"], 1500)
        self.assertGreater(comparison["all_in_heap"]["smallest_bytes"],
                           comparison["rest_in_heap"]["smallest_bytes"])
        rest = comparison["rest_in_heap"]["smallest_bytes"]
        text = replay("--movable=one.so", name).stdout
        self.assertIn("blocks of 1 of 3 call sites: one.so; 20 of 51 allocations", text)
        self.assertIn(f"{rest} bytes, the smallest heap; with the region "
                      f"{rest + found['movable']['region_bytes']}", text)
        run = replay("--movable=one.so", "--movable=nine", name)
        self.assertEqual((run.returncode, run.stdout), (1, ""))
        self.one_line(run, name, "nine", "ealloc info --sites")

    def test_events_of_chosen_blocks_keep_their_numbers(self):
        name = synth("a.rec", ["M /lib/one.so", "a 4096 100", "M /lib/two.so", *blocks(5, 9, 8200),
                               "r 4096 90000 4096"])
        found = report("--movable=one.so", "--heap", "4K", name)
        self.assertEqual(found["first_failure"]["event"], 7)
        self.assertEqual(found["first_failure"]["size_bytes"], 90000)

    def test_an_address_that_changes_sides_frees_what_was_there(self):
        lines = ["M /lib/one.so", "a 4096 100", "a 8192 100", "M /lib/two.so", "a 4096 50",
                 "f 4096", "r 12288 60 8192", "f 12288", "f 4096"]
        found = report("--movable=one.so", synth("a.rec", lines), status=3)
        self.assertEqual(found["recording"]["irregular"], 2)
        self.assertEqual((found["need"]["peak_live_bytes"], found["need"]["peak_live_blocks"]), (200, 2))
        self.assertEqual((found["failures"], found["damaged"]), (0, 0))

    def test_text(self):
        text = replay("--movable", synth("a.rec", self.CHURN)).stdout
        for part in ("every block", "small: units of 4 bytes, up to 64.0 K", "whatever it takes",
                     "the smallest that completes (1 replay)", "failures        none", "intact",
                     "region above it 0.000 %", "in one request", "compaction      saves"):
            self.assertIn(part, text)
        text = replay("--movable", "--heap", "30K", "--demand", "0", "--idle", "1",
                      synth("a.rec", [*self.CHURN, "m 5 3 64"])).stdout
        for part in ("may move 0 bytes; a step of 1 bytes after every 16 operations",
                     " for want of ", "the first at event", "heap            30720 bytes: ",
                     "1 request for more than 4 bytes of it"):
            self.assertIn(part, text)
        self.assertIn("not checked", replay("--movable", "--no-check", "a.rec").stdout)

    def test_wrong_usage(self):
        name = synth("a.rec", blocks(10, 100))
        for arguments in (["--demand", "5"], ["--idle", "5"], ["--idle-every", "5"], ["--layout", "small"],
                          ["--movable", "--layout", "tiny"], ["--movable", "--demand", "-1"],
                          ["--movable", "--demand", ""], ["--movable", "--idle", "1Q"],
                          ["--movable", "--idle-every", "0"], ["--movable="],
                          ["--movable", "--timeline", "t.csv"], ["--movable", "--heap", "100"],
                          ["--movable", "--layout", "small", "--heap", "65537"],
                          ["--movable", "--find-min", "--heap", "1M"]):
            run = replay(*arguments, name)
            self.assertEqual(run.returncode, 2, arguments)
            self.assertEqual(run.stdout, "")
            self.assertNotEqual(run.stderr, "")
        self.assertFalse(os.path.exists("t.csv"))
        least = int(replay("--movable", "--heap", "1", name).stderr.split(" takes ")[1].split()[0])
        self.assertEqual(replay("--movable", "--heap", str(least), name).returncode, 0)

    def test_strict_partial_and_empty(self):
        name = synth("a.rec", self.CHURN)
        self.assertEqual(replay("--movable", "--strict", name).returncode, 0)
        self.assertEqual(replay("--movable", "--strict", "--heap", "8K", name).returncode, 1)
        self.assertEqual(replay("--movable", "--heap", "8K", name).returncode, 0)
        write("cut.rec", read(synth("b.rec", self.CHURN + ["f 0"] + self.CHURN))[:-60])
        run = replay("--movable", "cut.rec")
        self.assertEqual(run.returncode, 3)
        self.one_line(run, "cut.rec", "offset")
        found = report("--movable", synth("c.rec", ["u 4096"]))
        self.assertEqual((found["need"]["peak_live_bytes"], found["failures"]), (0, 0))
        self.assertEqual((found["need"]["region_ratio"], found["find_min"]["replays"]), (1, 1))


def bound(*arguments):
    return subprocess.run([EALLOC, "bound", *arguments], capture_output=True, text=True, timeout=60)


def bounds(*arguments, status=0):
    run = bound("--json", *arguments)
    assert run.returncode == status, (run.returncode, run.stderr)
    found = json.loads(run.stdout)
    found["by"] = {row["policy"]: row for row in found["bounds"]}
    return found


class Bound(Case):
    # 124 bytes payload are 128 in a heap and in the small layout; 12 are 16.
    OPTIONS = ["--live", "12000", "--largest", "124", "--smallest", "12"]

    def test_known_answers_from_options(self):
        found = bounds(*self.OPTIONS, "--layout", "small")
        live = 12000 + 1000 * 11  # a header and 7 of rounding each, at worst
        self.assertEqual((found["blocks"], found["heap"]["live_bytes"]), (1000, live // 8 * 8))
        self.assertEqual((found["heap"]["largest_bytes"], found["heap"]["smallest_bytes"]), (128, 16))
        units, n, m = live // 8, 16, 2
        by = {name: row["bytes"] for name, row in found["by"].items()}
        whole = 12000 // 8 // m // 8 * 8  # without headers and rounding: a program that there is
        self.assertEqual(by["least"], 8 * m * (whole + whole * 3 // 2 - 8 + 1))
        self.assertEqual(by["first_fit"], 8 * units * 5)
        most = max(units + min(999, (units - s) // m) * (s - 1) for s in range(m, n + 1))
        self.assertTrue(8 * most <= by["best_fit"] <= 8 * (most + n))
        self.assertEqual(by["best_fit"], 8 * (units + 999 * (n - 1)))
        self.assertEqual(by["good_fit"], 8 * (units + 999 * 20 + 4))
        self.assertEqual(by["half_fit"], 8 * min(2 * units * 4, 2 * units + 999 * (n - 1)))
        self.assertEqual(by["buddy"], 8 * ((2 * units + 15) // 16 * 16) * 4)
        self.assertEqual(by["pools"], 16 * 1000 + 32 * (12000 // 17) + 64 * (12000 // 33) + 128 * (12000 // 65))
        store = 12000 + 1000 * 7
        self.assertEqual(found["handles_bytes"], 32 * 68)
        self.assertEqual(by["movable"], store + 32 * 68)
        self.assertEqual(by["sliding"], store + 128 + 4 * ((store // 4 + 3) // 4) + 32 * 68)
        self.assertEqual(by["sliding_steps"], store + 2 * (128 + 4 * ((store // 4 + 2) // 3)) + 32 * 68)
        for row in found["bounds"]:
            self.assertAlmostEqual(row["factor"], row["bytes"] / 12000, places=9)
            self.assertIn(row["basis"], ("proved", "published"))
            self.assertTrue(row["formula"] and row["source"])
        more = bounds(*self.OPTIONS, "--pins", "3", "--moved", "100")
        self.assertEqual(more["by"]["movable"]["bytes"], by["movable"] + 3 * (128 - 4))
        self.assertIsNone(more["by"]["sliding_steps"]["bytes"])
        self.assertEqual(more["by"]["sliding"]["bytes"], 2 * store + 128 + 32 * 68)
        few = bounds(*self.OPTIONS, "--blocks", "100")
        self.assertEqual(few["heap"]["live_bytes"], (12000 + 100 * 11) // 8 * 8)
        units = few["heap"]["live_bytes"] // 8
        self.assertEqual(few["by"]["best_fit"]["bytes"], 8 * (units + 99 * 15))
        wide = bounds(*self.OPTIONS, "--align", "16")
        self.assertEqual(wide["heap"]["unit_bytes"], 16)
        self.assertEqual(wide["heap"]["live_bytes"], 12000 + 1000 * 19 - (12000 + 1000 * 19) % 16)
        units = wide["heap"]["live_bytes"] // 16  # blocks of 1 to 8 units; none keeps a unit of waste
        self.assertEqual(wide["by"]["good_fit"]["bytes"], 16 * (units + 999 * (10 - 1) + 2))

    def test_known_answers_from_a_recording(self):
        name = synth("a.rec", ["a 4096 100", "a 8192 20", "f 4096", "a 12288 50", "a 16384 50",
                               "r 8192 10 8192", "u 8192"])
        found = bounds(name)
        self.assertEqual((found["live_bytes"], found["blocks"]), (120, 3))
        self.assertEqual((found["largest_bytes"], found["smallest_bytes"]), (100, 10))
        self.assertEqual(found["heap"]["live_bytes"], 24 + 56 + 56)
        self.assertEqual(found["powers_of_two"]["live_bytes"], 32 + 64 + 64)
        self.assertEqual(found["movable"]["live_bytes"], max(104 + 24, 24 + 56 + 56))
        self.assertEqual(found["layout"], "small")
        self.assertEqual(found["by"]["pools"]["bytes"], 128 + 32 + 2 * 64 + 16)
        self.assertEqual(found["by"]["movable"]["bytes"], 136 + 68)
        self.assertEqual(found["file"], name)
        text = bound(name).stdout
        self.assertIn("120 bytes at most, in at most 3 blocks of 10 to 100 bytes", text)
        # Old and new block at once where it grows, but where others can always be moved.
        grown = bounds(synth("b.rec", ["a 4096 100", "a 8192 20", "r 4096 200 4096", "f 8192"]))
        self.assertEqual((grown["live_bytes"], grown["blocks"]), (220, 3))
        self.assertEqual(grown["heap"]["live_bytes"], 104 + 24 + 208)
        self.assertEqual(grown["powers_of_two"]["live_bytes"], 128 + 32 + 256)
        self.assertEqual(grown["movable"]["live_bytes"], 104 + 24 + 204)
        self.assertEqual(grown["movable_in_place"]["live_bytes"], 24 + 204)
        self.assertEqual(grown["by"]["movable"]["bytes"], 24 + 204 + 68)
        self.assertEqual(grown["by"]["pools"]["bytes"], 128 + 32 + 256)
        # No replay of it needs more than any bound.
        need = report("--movable", name)["need"]
        self.assertLessEqual(need["total_bytes"] - need["control_bytes"], 136 + 68)

    def test_what_no_layout_holds(self):
        found = bounds("--live", "40G", "--largest", "1M", "--smallest", "100")
        self.assertIsNone(found["by"]["movable"]["bytes"])
        self.assertEqual(found["by"]["movable"]["basis"], "unbounded")
        self.assertNotIn("sliding", found["by"])
        text = bound("--live", "40G", "--largest", "1M", "--smallest", "100").stdout
        self.assertRegex(text, r"movable +no bound\n")
        self.assertEqual(bounds("--live", "1M", "--largest", "1K", "--blocks", "2048")["layout"], "large")
        self.assertEqual(bounds("--live", "100K", "--largest", "1K", "--blocks", "2048")["layout"], "medium")
        self.assertEqual(bounds("--live", "20K", "--largest", "100", "--blocks", "2048")["layout"], "small")
        self.assertEqual(bounds("--live", "20K", "--largest", "100", "--blocks", "2049")["layout"], "medium")
        self.assertEqual(bounds("--live", "1G", "--largest", "64M", "--blocks", str(2**38))["blocks"], 2**30)
        same = bounds("--live", "1200", "--largest", "12", "--smallest", "12")
        self.assertEqual(same["powers_of_two"]["live_bytes"], 100 * 16)

    def test_numbers_too_large_for_64_bits_are_exact_in_text(self):
        run = bound("--live", str(2**56), "--largest", str(2**56), "--smallest", "1")
        self.assertEqual((run.returncode, run.stderr), (0, ""))
        units, m = 2**57, 2
        s = 2**53 + 1  # the largest block: less than half
        self.assertIn(f"{8 * (units + (units - s) * (s - 1) // m)} bytes", run.stdout)
        found = bounds("--live", str(2**56), "--largest", str(2**56))
        self.assertEqual(found["live_bytes"], 2**56)
        self.assertAlmostEqual(found["by"]["best_fit"]["bytes"] / (8 * (units - s) * (s - 1) // m), 1, places=9)

    def test_every_line_tells_formula_and_source(self):
        text = bound(*self.OPTIONS).stdout
        for word in ("Robson 1974", "Robson 1977", "Ogasawara 1995", "Bendersky and Petrank", "Knowlton",
                     "M (1 + ceil(log2 n))", "times what is live", "proved: "):
            self.assertIn(word, text)
        run = bound("--help")
        self.assertEqual(run.returncode, 0)
        for word in ("Example: ealloc bound", "Exit status", "--smallest", "--moved"):
            self.assertIn(word, run.stdout)

    def test_wrong_usage(self):
        name = synth("a.rec", blocks(10, 100))
        for arguments in ([], ["--live", "5"], ["--largest", "5"], ["--live", "5", "--largest", "6"],
                          ["--live", "0", "--largest", "0"], ["--live", "1K", "--largest", "-1"],
                          ["--live", "1K", "--largest", "10", "--smallest", "11"],
                          ["--live", str(2**56 + 1), "--largest", "1"],
                          ["--live", "99999999999999999999", "--largest", "1"],
                          ["--live", "1K", "--largest", "10", "--blocks", "0"],
                          ["--live", "1K", "--largest", "10", "--blocks", "102"],
                          ["--live", "1K", "--largest", "10", "--pins", "x"],
                          ["--live", "1K", "--largest", "10", "--moved", "0"],
                          ["--live", "1K", "--largest", "10", "--moved", "100001"],
                          ["--live", "1K", "--largest", "10", "--align", "4"],
                          ["--live", "1K", "--largest", "10", "--layout", "none"],
                          ["--live", "1K", name], ["--blocks", "5", name], [name, name], ["--what", name]):
            run = bound(*arguments)
            self.assertEqual(run.returncode, 2, arguments)
            self.assertEqual(run.stdout, "")
            self.assertNotEqual(run.stderr, "")

    def test_bad_recordings(self):
        whole = read(synth("a.rec", blocks(100, 100) + ["f 0"] + blocks(100, 70, 8190)))
        write("cut.rec", whole[:-60])
        run = bound("cut.rec")
        self.assertEqual(run.returncode, 3)
        self.one_line(run, "cut.rec", "offset")
        self.assertIn("least", run.stdout)
        write("text", b"hello, this is no recording at all" * 10)
        synth("none.rec", ["u 4096"])
        for name in "text", "missing", ".", "none.rec":
            run = bound(name)
            self.assertEqual((run.returncode, run.stdout), (3, ""))
            self.one_line(run, name)
        run = bound(synth("big.rec", ["a 4096 4294967296"]))
        self.assertEqual((run.returncode, run.stdout), (1, ""))
        self.one_line(run, "big.rec", "4 GB")
        self.assertEqual(bound(synth("odd.rec", ["a 4096 100", "f 8192"])).returncode, 3)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
