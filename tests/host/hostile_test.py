#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The ealloc tool against whoever wants it to hang, lie, fill the memory or lose output unnoticed.

    hostile_test.py EALLOC PRELOAD REPLAY_SYNTH RECORD_VICTIM
"""
import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
import unittest

EALLOC, PRELOAD, SYNTH, VICTIM = [os.path.abspath(path) for path in sys.argv[1:5]]
ENV = dict(os.environ, EALLOC_PRELOAD=PRELOAD, LC_ALL="C.UTF-8")
ENV.pop("LD_PRELOAD", None)
with open(EALLOC, "rb") as tool:
    SANITIZED = re.search(b"__[at]san_init", tool.read()) is not None
EVIL = "\x1b[2J\x07\x9b31m\u202etext\nealloc: forged"
# What a terminal acts upon, but for the line breaks that are ours.
TREACHEROUS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def synth(name, events, *flags):
    text = "\n".join(events) + "\n"
    subprocess.run([SYNTH, name, *flags], input=text, text=True, check=True)
    return name


def ealloc(*arguments, **more):
    more = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "timeout": 20, "env": ENV, **more}
    run = subprocess.run([EALLOC, *arguments], check=False, **more)
    for name in "stdout", "stderr":
        if isinstance(getattr(run, name), bytes):
            setattr(run, name, getattr(run, name).decode(errors="surrogateescape"))
    return run


def read(name):
    with open(name, "rb") as file:
        return file.read()


def write(name, data):
    with open(name, "wb") as file:
        file.write(data)
    return name


def blocks(n, size=100, stride=4096):
    return [f"a {(i + 1) * stride} {size}" for i in range(n)]


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        os.chdir(self.folder.name)
        self.addCleanup(os.chdir, "/")

    def one_line(self, run, *parts):
        self.assertEqual(run.stderr.count("\n"), 1, run.stderr)
        self.assertTrue(run.stderr.startswith("ealloc"), run.stderr)
        for part in parts:
            self.assertIn(part, run.stderr)

    def harmless(self, run):
        for text in run.stdout, run.stderr:
            self.assertIsNone(TREACHEROUS.search(text), text)
            self.assertNotIn("\nealloc: forged", text)
            text.encode()  # no lone bytes


class Names(Case):
    def test_a_module_that_is_a_fifo_or_a_device_is_left_alone(self):
        os.mkfifo("pipe")
        for path in os.path.abspath("pipe"), "/dev/tty", "/dev/zero", "/proc", "pipe":
            run = ealloc("info", synth("a.rec", [f"M {path}", "a 4096 100"]), timeout=5)
            self.assertEqual(run.returncode, 0, run.stderr)
            self.assertIn(os.path.basename(path) + "+0x100", run.stdout)

    def test_names_in_a_recording_are_printed_without_their_poison(self):
        path = "/no/" + "".join(f"%{byte:02x}" for byte in EVIL.encode())
        name = synth("a.rec", [f"M {path}", "a 4096 100", "f 8192"], "command=" + EVIL,
                     "machine=" + EVIL)
        for arguments in ["info"], ["replay"], ["replay", "--movable"], ["replay", "--movable=x1b"]:
            run = ealloc(*arguments, name)
            self.harmless(run)
            if arguments[-1] != "--movable=x1b":
                self.assertIn("\\x1b[2J", run.stdout)
        self.harmless(ealloc("replay", "--movable=" + EVIL.split("/")[-1], name))
        for arguments in ["info", "--json"], ["replay", "--json"], ["replay", "--json", "--movable"]:
            self.assertEqual(self.command(json.loads(ealloc(*arguments, name).stdout)), EVIL)

    @staticmethod
    def command(found):
        return found.get("command") or found["recording"]["command"]

    def test_names_of_files_are_printed_without_their_poison(self):
        good = synth("good.rec", blocks(3))
        for name in EVIL.replace("/", ""), "\udcff\x1b.rec":
            os.rename(good, name)
            for command in "info", "replay":
                self.harmless(ealloc(command, name))
            os.rename(name, good)
            write(name, read(good)[:-7])  # truncated
            for command in "info", "replay":
                run = ealloc(command, name)
                self.harmless(run)
                self.one_line(run, "\\x1b")
            os.unlink(name)
            for arguments in (["info", name], ["replay", name], ["record", "--", "./" + name],
                              ["record", "-o", "no/" + name, "--", "true"], [name],
                              ["replay", "--heap", name, good], ["replay", "--fit", name, good],
                              ["replay", "--profile", name, good], ["info", "--sites", name, good],
                              ["replay", "--timeline", "no/" + name, good],
                              ["replay", "--movable=" + name, good], ["bound", name],
                              ["replay", "--movable", "--layout", name, good],
                              ["replay", "--movable", "--demand", name, good],
                              ["bound", "--live", name, "--largest", "1"],
                              ["bound", "--live", "1", "--largest", "1", "--layout", name],
                              ["bound", "--live", "1", "--largest", "1", "--align", name]):
                run = ealloc(*arguments)
                self.assertNotEqual(run.returncode, 0)
                self.harmless(run)

    def test_names_in_a_manifest_are_printed_without_their_poison(self):
        with open("x.manifest.json", "w") as file:
            json.dump({"manifest_version": 1, "processes": [{"file": EVIL, "events": 1}]}, file)
        for command in "info", "replay":
            run = ealloc(command, "x.manifest.json")
            self.harmless(run)
            self.one_line(run)

    def test_json_of_what_is_not_utf8(self):
        name = synth("\udcffa.rec", ["M /lib/%ff%fe.so", "a 4096 100"], "command=caf\udce9 \udcff",
                     "machine=\udcfe")
        for command in "info", "replay":
            run = ealloc(command, "--json", name)
            self.assertEqual((run.returncode, run.stderr), (0, ""))
            found = json.loads(run.stdout)
            self.assertEqual(self.command(found), "caf\\xe9 \\xff")
        run = ealloc("record", "-j", "-o", "o\udcff.rec", "--", VICTIM, "mark", "1", "\udcff")
        found = json.loads(run.stdout)
        self.assertEqual(found["command"][-1], "\\xff")
        with open("o\udcff.rec.manifest.json") as file:
            self.assertEqual(json.load(file), found)


class Output(Case):
    def test_output_that_is_lost_is_told(self):
        name = synth("a.rec", blocks(10))
        commands = [["--help"], ["--version"], ["info", "--help"], ["info", name],
                    ["info", "--json", name], ["replay", "--help"], ["replay", name],
                    ["replay", "--json", name], ["record", "--help"], ["info", "--version"],
                    ["replay", "--movable", name], ["replay", "--movable", "--json", name],
                    ["bound", "--help"], ["bound", name], ["bound", "--json", name],
                    ["record", "-j", "-o", "o.rec", "--", VICTIM, "mark", "1"]]
        for command in commands:
            with open("/dev/full", "w") as full:
                run = ealloc(*command, stdout=full)
            self.assertEqual(run.returncode, 125 if command[0] == "record" else 1, command)
            self.one_line(run, "standard output", "No space left on device")
            run = ealloc(*command, preexec_fn=lambda: os.close(1), stdout=None)
            self.assertEqual(run.returncode, 125 if command[0] == "record" else 1, command)
            self.one_line(run, "standard output")

    def test_closed_descriptors_do_not_mix_files_up(self):
        name = synth("a.rec", blocks(10))
        before = read(name)
        for closed in (0,), (1,), (2,), (0, 1, 2):
            def close_some(descriptors=closed):
                for fd in descriptors:
                    os.close(fd)
            run = subprocess.run([EALLOC, "replay", "--timeline", "t.csv", name], timeout=20,
                                 preexec_fn=close_some, check=False)
            self.assertEqual(run.returncode, 1 if 1 in closed else 0)
            self.assertTrue(read("t.csv").startswith(b"time_us,"))
            self.assertNotIn(b"recording", read("t.csv"))
            self.assertEqual(read(name), before)
            script = "for n in 0 1 2; do test -e /proc/$$/fd/$n && echo $n; done >&9"
            with open("open", "w") as out:
                os.dup2(out.fileno(), 9)
                run = subprocess.run([EALLOC, "record", "-q", "-o", "o.rec", "--", "sh", "-c", script],
                                     timeout=20, preexec_fn=close_some, env=ENV, pass_fds=[9],
                                     check=False)
                os.close(9)
            # The shell's own redirection takes descriptor 1 and gives it back.
            self.assertEqual({int(n) for n in read("open").split()} - {1}, {0, 1, 2} - set(closed) - {1})
            self.assertEqual(ealloc("info", "o.rec").returncode, 0)

    def test_a_timeline_that_cannot_be_written_is_told_before_the_work(self):
        name = synth("a.rec", ["f 8192", *blocks(10)])  # irregular: told when it is read
        run = ealloc("replay", "--timeline", "no/such/folder.csv", name)
        self.assertEqual(run.returncode, 1)
        self.one_line(run, "no/such/folder.csv")
        self.assertEqual(run.stdout, "")
        with open("old.csv", "w") as file:
            file.write("keep me\n" * 1000)
        ealloc("replay", "--timeline", "old.csv", "missing.rec")
        self.assertEqual(read("old.csv"), b"keep me\n" * 1000)
        ealloc("replay", "--timeline", "new.csv", "missing.rec")
        self.assertFalse(os.path.exists("new.csv"))
        ealloc("replay", "--timeline", "old.csv", name)
        self.assertNotIn(b"keep me", read("old.csv"))
        run = ealloc("replay", "--timeline", "/dev/full", name)
        self.assertEqual(run.returncode, 1)

    def test_a_recording_to_nowhere_leaves_nothing(self):
        before = set(os.listdir("/dev"))
        run = ealloc("record", "-o", "/dev/null", "--", "sh", "-c", f"{VICTIM} mark 5; {VICTIM} mark 5")
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertEqual(set(os.listdir("/dev")), before)
        self.assertIn("recorded 3 processes", run.stderr)

    def test_a_recording_into_a_fifo_is_a_stream(self):
        os.mkfifo("pipe")
        with open("copy.rec", "wb") as copy, subprocess.Popen(["cat", "pipe"], stdout=copy) as reader:
            try:
                run = ealloc("record", "-q", "-o", "pipe", "--", VICTIM, "mark", "5")
                self.assertEqual((run.returncode, run.stderr), (0, ""))
                reader.wait(timeout=20)
            finally:
                reader.kill()
        self.assertEqual(ealloc("info", "copy.rec").returncode, 0)
        self.assertEqual(sorted(os.listdir(".")), ["copy.rec", "pipe"])

    def test_what_stands_in_the_way_of_further_files_is_told(self):
        for name in "o.rec.2", "o.rec.manifest.json":
            os.mkfifo(name)
            run = ealloc("record", "-q", "-o", "o.rec", "--", "sh", "-c", f"{VICTIM} mark 5; true")
            self.assertEqual(run.returncode, 125)
            self.one_line(run, name, "File exists")
            os.unlink(name)

    def test_a_limit_of_file_sizes_ends_neither_the_program_nor_the_recorder(self):
        def limit_to(size):
            return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        run = ealloc("record", "-o", "o.rec", "--", VICTIM, "mark", "100", preexec_fn=limit_to(2**25))
        self.assertEqual(run.returncode, 0)
        run = ealloc("record", "-o", "o.rec", "--", VICTIM, "mark", "100", preexec_fn=limit_to(2**20))
        self.assertEqual(run.returncode, 125)
        self.one_line(run, "nothing recorded", "ulimit -f")

    def test_a_recording_is_read_from_a_pipe(self):
        data = read(synth("a.rec", blocks(10)))
        for command in "info", "replay":
            run = ealloc(command, "/dev/stdin", input=data)
            self.assertEqual((run.returncode, run.stderr), (0, ""))


class Values(Case):
    def test_absurd_sizes_are_refused_in_one_line(self):
        huge = [2**64 - 1, 2**64 - 8, 2**63, 2**62, 2**57]
        for size in huge:
            name = synth("a.rec", [*blocks(3), f"a 409600 {size}", "f 409600"])
            for arguments in [], ["--heap", "64K"], ["--find-min"], ["--movable"], ["--movable=unknown"]:
                run = ealloc("replay", *arguments, name)
                self.assertEqual(run.returncode, 3, (size, run.stderr))
                self.one_line(run, name, "event 4", "offset", str(size))
            run = ealloc("bound", name)
            self.assertEqual(run.returncode, 3, run.stderr)
            self.one_line(run, name, "event 4", "offset", str(size))
            found = json.loads(ealloc("info", "--json", name).stdout)
            self.assertEqual(found["peak_live_bytes"], 300)
            self.assertEqual(found["impossible_sizes"], 1)

    def test_more_than_a_heap_can_hold_is_refused_in_one_line(self):
        def limit():
            resource.setrlimit(resource.RLIMIT_CPU, (5, 5))
        for events in ([*blocks(3), f"a 409600 {2**40}"], blocks(8, 2**30), ["c 4096 4294967290"]):
            name = synth("a.rec", events)
            for arguments in [], ["--find-min"]:
                run = ealloc("replay", *arguments, name, preexec_fn=limit)
                self.assertEqual(run.returncode, 1, run.stderr)
                self.one_line(run, name, "event", "offset", "--heap")
            run = ealloc("replay", "--heap", "64K", name, preexec_fn=limit)
            self.assertEqual((run.returncode, run.stderr), (0, ""))
            self.assertRegex(run.stdout, r"failures +[1-8]; the first at event")
            for arguments in ["--movable"], ["--movable=unknown"], ["--movable", "--demand", "64"]:
                run = ealloc("replay", *arguments, name, preexec_fn=limit)
                self.assertEqual(run.returncode, 1, run.stderr)
                self.one_line(run, name, "event", "--heap")
            run = ealloc("replay", "--movable", "--heap", "64K", name, preexec_fn=limit)
            self.assertEqual((run.returncode, run.stderr), (0, ""))
            self.assertRegex(run.stdout, r"failures +[1-8]: [1-8] too large")
            run = ealloc("replay", "--movable", "--heap", "30G", name, preexec_fn=limit)
            if run.returncode != 0:  # as much memory as that there may be
                self.one_line(run, name, "no memory")

    def test_no_numbers_of_bound_hang_or_overflow(self):
        sizes = ["1", "2", "7", "64K", str(2**31), str(2**32 + 1), str(2**55), str(2**56)]
        def limit():
            resource.setrlimit(resource.RLIMIT_CPU, (2, 2))
        for live in sizes:
            for largest in sizes:
                for smallest in sizes:
                    if not int(smallest.replace("64K", "65536")) <= int(largest.replace("64K", "65536")) <= \
                            int(live.replace("64K", "65536")):
                        continue
                    run = ealloc("bound", "--json", "--live", live, "--largest", largest, "--smallest",
                                 smallest, "--pins", str(2**56), preexec_fn=limit)
                    self.assertEqual((run.returncode, run.stderr), (0, ""))
                    found = json.loads(run.stdout)
                    by = {row["policy"]: row["bytes"] for row in found["bounds"] if row["bytes"] is not None}
                    for name, value in by.items():
                        # The last block may not fit beside others of its size.
                        least = found["live_bytes"] - found["largest_bytes"] + 1
                        self.assertGreaterEqual(value, least, (name, live, largest, smallest))
                    self.assertLessEqual(by["least"], by["first_fit"])
                    self.assertLessEqual(by["first_fit"], by["best_fit"])
                    self.assertLessEqual(by["best_fit"], by["good_fit"])
                    self.assertLessEqual(by["least"], by["buddy"])

    def test_the_limits_of_a_heap_are_those_that_it_says(self):
        name = synth("a.rec", ["a 4096 1", "f 4096"])
        for options in ([], ["--profile", "tiny"], ["--profile", "throughput"], ["--links", "16"],
                        ["--align", "16"], ["--fit", "half"]):
            for wrong in "1", "5G":
                run = ealloc("replay", *options, "--heap", wrong, name)
                self.assertEqual(run.returncode, 2, run.stderr)
                found = re.search(r"takes (\d+) to (\d+) bytes", run.stderr)
                self.assertIsNotNone(found, run.stderr)
            least, most = found.groups()
            self.assertEqual(ealloc("replay", *options, "--heap", least, name).returncode, 0)
            run = ealloc("replay", *options, "--heap", str(int(least) - 1), name)
            self.assertEqual(run.returncode, 2)
            run = ealloc("replay", *options, "--heap", str(int(most) + 1), name)
            self.assertEqual(run.returncode, 2)
            if int(most) < 2**20:
                self.assertEqual(ealloc("replay", *options, "--heap", most, name).returncode, 0)

    def test_a_heap_and_a_search_for_it_exclude_each_other(self):
        run = ealloc("replay", "--find-min", "--heap", "1M", synth("a.rec", blocks(3)))
        self.assertEqual(run.returncode, 2)
        self.assertIn("--find-min", run.stderr)
        self.assertIn("--heap", run.stderr)

    def test_allocations_at_no_address_are_none(self):
        name = synth("a.rec", ["a 0 100", "c 0 50", "r 0 5 0", "a 4096 7", "f 0", "f 4096"])
        found = json.loads(ealloc("info", "--json", name).stdout)
        self.assertEqual((found["peak_live_bytes"], found["peak_live_blocks"]), (7, 1))
        run = ealloc("replay", "--json", name)
        self.assertEqual((run.returncode, run.stderr), (0, ""))
        self.assertEqual(json.loads(run.stdout)["peak_live_bytes"], 7)

    def test_absurd_times_are_damage(self):
        for when in 2**64 - 1, 2**63, 2**58:
            name = synth("a.rec", ["a 4096 100", f"t {when}", "a 8192 100"])
            for command, status in ("info", 1), ("replay", 3):
                run = ealloc(command, name)
                self.assertEqual(run.returncode, status, run.stdout)
                self.one_line(run, name, "time", "offset")
        for start in 2**64 - 1, 2**63, 0:
            run = ealloc("info", synth("a.rec", ["a 4096 100"], f"start={start}"))
            self.assertEqual(run.returncode, 0)
            self.assertRegex(run.stdout, r"started (not known|1970)")

    def test_a_flood_of_blocks_ends_in_one_line(self):
        name = synth("a.rec", ["A 4096 100 2200000"])
        self.assertLess(os.path.getsize(name), 2**20)  # as zip bombs are
        def limit():
            resource.setrlimit(resource.RLIMIT_AS, (3 * 2**26, 3 * 2**26))
        for command, status in ("info", 1), ("replay", 3), ("bound", 3):
            if SANITIZED:
                continue  # the sanitizer's shadow is larger than that
            run = ealloc(command, name, preexec_fn=limit)
            self.assertEqual(run.returncode, status, run.stderr)
            self.one_line(run, name, "no memory")

    def test_arguments_without_sense(self):
        name = synth("a.rec", blocks(3))
        for arguments, status in ((["info", "--sites", "-1", name], 2), (["info"], 2), (["info", ""], 1),
                                  (["replay", ""], 3), (["replay", "--jobs", "99999999999", name], 2),
                                  (["info", "--sites", "4294967296", name], 2), ([""], 2),
                                  (["replay", "--heap", " 64K", name], 2),
                                  (["replay", "--heap", "64KK", name], 2), (["record", "--", ""], 127),
                                  (["record", "-o", "", "--", "true"], 125),
                                  (["record", "-o", ".", "--", "true"], 125)):
            run = ealloc(*arguments)
            self.assertEqual(run.returncode, status, (arguments, run.stderr))
            self.assertEqual(run.stdout, "")
            self.assertNotEqual(run.stderr, "")
        self.assertEqual(os.listdir("."), ["a.rec"])


class Damage(Case):
    def frames(self, data):
        """(offset, type) of each frame."""
        at, found = 16, []
        while at < len(data):
            found.append((at, data[at + 4]))
            at += 32 + int.from_bytes(data[at + 12:at + 16], "little")
        return found

    def events(self, *flags):
        lines = []
        for frame in range(5):
            lines += [f"a {(frame * 100 + i + 1) * 4096} 100" for i in range(100)] + ["b"]
        return synth("a.rec", lines, *flags)

    def test_info_goes_on_behind_a_damaged_frame(self):
        data = read(self.events())
        at = [offset for offset, kind in self.frames(data) if kind == 4][2]
        for byte in at + 40, at + 5, at, at + 9:  # payload, header, magic, index
            damaged = bytearray(data)
            damaged[byte] ^= 0x55
            write("bad.rec", damaged)
            run = ealloc("info", "bad.rec")
            self.assertEqual(run.returncode, 1)
            self.one_line(run, "bad.rec", f"at offset {at}")
            self.assertIn("events      400:", run.stdout)
            self.assertRegex(run.stdout, r"damaged +1 place, 100 events missing")
            found = json.loads(ealloc("info", "--json", "bad.rec").stdout)
            self.assertEqual((found["events"], found["missing_events"], found["damaged_places"]),
                             (400, 100, 1))
            self.assertFalse(found["complete"])
            self.assertEqual(found["exit_status"], 0)  # the end frame was read
            # A replay needs every event up to where it stands: it keeps what lies before.
            run = ealloc("replay", "bad.rec")
            self.assertEqual(run.returncode, 3)
            self.assertIn("operations      200:", run.stdout)

    def test_several_places_and_a_missing_end(self):
        data = bytearray(read(self.events()))
        frames = [offset for offset, kind in self.frames(data) if kind == 4]
        data[frames[0] + 35] ^= 1
        data[frames[3] + 3] ^= 1
        found = json.loads(ealloc("info", "--json", write("bad.rec", data[:-9])).stdout)
        self.assertEqual((found["events"], found["damaged_places"]), (300, 3))
        self.assertIsNone(found["missing_events"])  # nobody knows

    def test_a_frame_cut_out_or_doubled_is_noticed(self):
        data = read(self.events())
        frames = [offset for offset, kind in self.frames(data) if kind == 4]
        found = json.loads(ealloc("info", "--json", write("bad.rec", data[:frames[1]] + data[frames[2]:])).stdout)
        self.assertEqual((found["events"], found["missing_events"]), (400, 100))
        twice = data[:frames[2]] + data[frames[1]:]
        found = json.loads(ealloc("info", "--json", write("bad.rec", twice)).stdout)
        self.assertEqual((found["events"], found["missing_events"]), (500, 0))
        self.assertFalse(found["complete"])

    def test_sites_whose_definition_is_lost_are_unknown(self):
        data = bytearray(read(synth("a.rec", ["M /lib/one.so", *blocks(10), "b", "M /lib/two.so",
                                              *blocks(10, 50, 8192), "b", "M /lib/three.so",
                                              *blocks(10, 25, 12288)])))
        sites = [offset for offset, kind in self.frames(data) if kind == 3]
        data[sites[1] + 34] ^= 1
        found = json.loads(ealloc("info", "--json", write("bad.rec", data)).stdout)
        self.assertEqual(found["events"], 30)
        names = {site["name"]: site["bytes"] for site in found["sites"]}
        self.assertEqual(names, {"one.so+0x100": 1000, "unknown": 750})

    def test_messages_say_offset_alike(self):
        cut = write("cut.rec", read(synth("a.rec", blocks(10)))[:-3])
        with open("bad.json", "w") as file:
            file.write('{"manifest_version": 1, "processes": [')
        for arguments in (["replay", cut], ["info", cut], ["replay", "bad.json"], ["info", "bad.json"],
                          ["replay", synth("b.rec", ["a 4096 100", "f 8192"])]):
            run = ealloc(*arguments)
            self.assertRegex(run.stderr, r"^ealloc (info|replay): \S+: .* at offset \d+\n$")
            self.assertNotRegex(run.stderr, "near|expected|token")  # the JSON library's words


class Words(Case):
    def test_one_is_not_many(self):
        run = ealloc("info", synth("a.rec", ["M /lib/one.so", "a 4096 100", "f 4096", "f 16"]))
        self.assertIn("1 thread, 1 call site\n", run.stdout)
        self.assertIn("1 free of a block allocated before", run.stdout)

    def test_info_and_replay_tell_the_end_alike(self):
        for flags, text in ((["exec"], "the process went on as another program (exec)"),
                            (["unclosed"], "killed by signal 11"), ([], "exit status 0")):
            name = synth("a.rec", blocks(3), *flags)
            shown = ealloc("info", name).stdout
            self.assertIn(text, shown)
            ended = re.search(r"^ended +(.*)$", shown, re.MULTILINE).group(1)
            self.assertIn(ended, ealloc("replay", name).stdout)
        self.assertEqual(ealloc("replay", "--strict", synth("a.rec", blocks(3), "exec")).returncode, 0)

    def test_info_of_a_manifest_describes_every_process(self):
        run = ealloc("record", "-o", "m.rec", "--", "sh", "-c", f"{VICTIM} mark 7; {VICTIM} mark 8")
        with open("m.rec.manifest.json") as file:
            manifest = json.load(file)
        run = ealloc("info", "m.rec.manifest.json")
        self.assertEqual(run.returncode, 0, run.stderr)
        for process in manifest["processes"]:
            self.assertIn(f"recording   {process['file']}, format", run.stdout)
        found = json.loads(ealloc("info", "--json", "m.rec.manifest.json").stdout)
        self.assertEqual([p["file"] for p in found["processes"]], [p["file"] for p in manifest["processes"]])
        self.assertEqual([p["events"] for p in found["processes"]],
                         [p["events"] for p in manifest["processes"]])
        os.unlink("m.rec.2")
        run = ealloc("info", "m.rec.manifest.json")
        self.assertEqual(run.returncode, 1)
        self.one_line(run, "m.rec.2")
        self.assertIn("m.rec.3", run.stdout)
        os.mkfifo("m.rec.2")
        run = ealloc("info", "m.rec.manifest.json")
        self.one_line(run, "m.rec.2", "not a regular file")

    def test_the_closing_summary_names_the_peak(self):
        run = ealloc("record", "-o", "m.rec", "--", VICTIM, "mark", "10")
        found = json.loads(ealloc("info", "--json", "m.rec").stdout)
        self.assertIn(f"peak live {found['peak_live_bytes']} bytes", run.stderr)
        with open("m.rec.manifest.json") as file:
            (process,) = json.load(file)["processes"]
        self.assertEqual(process["peak_live_bytes"], found["peak_live_bytes"])


class Signals(Case):
    def start(self, *command):
        recorder = subprocess.Popen([EALLOC, "record", "-o", "s.rec", "--", *command], env=ENV,
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                    start_new_session=True)
        self.addCleanup(self.clean_up, recorder)
        self.assertEqual(recorder.stdout.readline(), "ready\n")
        return recorder

    @staticmethod
    def clean_up(recorder):
        try:
            os.killpg(recorder.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        recorder.wait()
        recorder.stdout.close()
        recorder.stderr.close()

    def end(self, recorder):
        recorder.wait(timeout=20)  # what it left running may hold the pipes open
        self.assertEqual(ealloc("info", "s.rec").returncode, 0)
        with open("s.rec.manifest.json") as file:
            return recorder.returncode, json.load(file)

    def test_signals_reach_the_command_and_the_recording_is_kept(self):
        for number in signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT:
            recorder = self.start(VICTIM, "hang", "1000")
            recorder.send_signal(number)
            status, manifest = self.end(recorder)
            self.assertEqual(status, 128 + number)
            self.assertEqual(manifest["exit_status"], 128 + number)
            self.assertEqual(manifest["processes"][0]["ended"], "signal")
            self.assertGreaterEqual(manifest["processes"][0]["events"], 1000)

    def test_the_keyboards_interrupt_comes_once(self):
        script = "trap 'echo got; n=$((n + 1))' INT; echo ready; sleep 1 & wait; wait; echo $n; exit 3"
        recorder = self.start("sh", "-c", script)
        os.killpg(recorder.pid, signal.SIGINT)  # as kill does it to a group
        out, _ = recorder.communicate(timeout=20)
        self.assertEqual(recorder.returncode, 3)
        self.assertIn("got\n", out)

    def test_a_command_that_catches_the_signal_has_the_last_word(self):
        # The sleep has its own recording before the signal comes.
        script = "trap 'exit 7' TERM; sleep 20 & sleep 1; echo ready; wait"
        recorder = self.start("sh", "-c", script)
        recorder.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        recorder.send_signal(signal.SIGTERM)  # the sleep it left is not waited for
        status, manifest = self.end(recorder)
        self.assertEqual((status, manifest["exit_status"]), (7, 7))
        self.assertIn("still running", [p["ended"] for p in manifest["processes"]])

    def test_how_a_grandchild_ended_is_known(self):
        # Long enough for the recorder to see it alive.
        dies = f"{VICTIM} hang 5 & sleep 0.3; kill -9 $!; wait $!"
        leaves = f"{sys.executable} -c 'import os, time; time.sleep(0.3); os._exit(5)'"
        run = ealloc("record", "-q", "-o", "g.rec", "--", "sh", "-c", f"{VICTIM} exit 3; {leaves}; {dies}; true",
                     stdout=subprocess.DEVNULL)
        self.assertEqual(run.returncode, 0, run.stderr)
        with open("g.rec.manifest.json") as file:
            processes = {p["argv"][0]: (p["ended"], p["exit_status"])
                         for p in json.load(file)["processes"] if p["argv"][1:2] != ["hang"]}
        with open("g.rec.manifest.json") as file:
            killed = [(p["ended"], p["exit_status"]) for p in json.load(file)["processes"]
                      if p["argv"][1:2] == ["hang"]]
        self.assertEqual(processes[VICTIM], ("exit", 3))
        if tuple(int(n) for n in os.uname().release.split(".")[:2]) < (6, 15):
            return  # there, nobody but the parent knows of the others
        self.assertEqual(processes[sys.executable], ("exit", 5))
        self.assertEqual(killed[-1], ("signal", 137))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[5:])
