#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Records programs that thread, fork, exec, crash and misbehave, and checks what was recorded.

record_test.py EALLOC PRELOAD VICTIM STATIC_VICTIM OTHER_PRELOAD      (TAP on standard output)
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

EALLOC, PRELOAD, VICTIM, STATIC, OTHER = (os.path.abspath(path) for path in sys.argv[1:6])
MARK = 77777  # the size that record_victim asks for at marked places
MARK_CLASS = 131072

ENV = dict(os.environ, EALLOC_PRELOAD=PRELOAD)
ENV.pop("LD_PRELOAD", None)
failures = []


def check(condition, what):
    if not condition:
        failures.append(what)


def equal(got, want, what):
    check(got == want, f"{what}: {got!r}, not {want!r}")


def run(*command, env=ENV, **more):
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=100, **more)


def record(*command, status=0, env=ENV):
    """Record a command; the manifest's processes with what info says of each, and the run itself."""
    done = run(EALLOC, "record", "-o", "out.rec", "--", *command, env=env)
    equal(done.returncode, status, f"exit status ({done.stderr.strip()})")
    processes = []
    if os.path.exists("out.rec.manifest.json"):
        with open("out.rec.manifest.json") as file:
            manifest = json.load(file)
        equal(manifest["exit_status"], status, "manifest's exit status")
        for process in manifest["processes"]:
            process["info"] = info(process["file"])
            equal(process["info"]["events"], process["events"], "events in file and manifest")
            processes.append(process)
    return processes, done


def info(file, status=0):
    done = run(EALLOC, "info", "--json", file)
    equal(done.returncode, status, f"info's exit status ({done.stderr.strip()})")
    return json.loads(done.stdout)


def marks(process):
    """How many marks the recording holds."""
    sizes = process["info"]["sizes"]
    return sum(s["allocations"] for s in sizes if s["up_to"] == MARK_CLASS)


def sound(process, closed=True):
    equal(process["info"]["duplicate_addresses"], 0, "addresses given out twice")
    equal(process["info"]["complete"], True, "complete")
    equal(process["info"]["closed"], closed, "closed")


def every_call_is_recorded():
    (p,), done = record(VICTIM, "every")
    sound(p)
    equal(done.stdout, "1\n", "output")
    kinds = p["info"]["events_by_kind"]
    equal(kinds["calloc"], 1, "calloc")
    equal(kinds["realloc"], 2, "realloc")
    equal(kinds["aligned"], 5, "aligned")
    equal(kinds["usable_size"], 1, "usable_size")
    equal(kinds["failed"], 3, "failed")
    equal(kinds["malloc"], 3, "malloc")
    equal(kinds["free"], 8, "free: 2 of malloc, 5 of aligned, 1 by realloc to 0")
    equal(p["info"]["inherited_frees"], 0, "frees of unknown blocks")


def sites_are_named_with_file_and_line():
    (p,), _ = record(VICTIM, "mark", "3")
    names = [site["name"] for site in p["info"]["sites"]]
    check(any("mark" in n and "record_victim.c:" in n for n in names), f"site of mark() in {names}")


def operator_new_is_called_from_its_caller():
    done = run(VICTIM, "new", "1")
    if done.returncode == 77:
        return  # no C++ library here
    (p,), _ = record(VICTIM, "new", "10")
    names = [s["name"] for s in p["info"]["sites"] if s["bytes"] == 10 * MARK]
    check(len(names) == 1 and "record_victim.c:" in names[0], f"site of new in {names}")


def threads_never_see_an_address_twice():
    (p,), _ = record(VICTIM, "threads", "100000")
    sound(p)
    equal(p["info"]["threads"], 5, "threads")
    equal(p["info"]["inherited_frees"], 0, "frees of unknown blocks")
    equal(p["info"]["live_at_end_blocks"] < 20, True, "no releases are missing")


def an_address_that_realloc_lost_to_another_thread_is_released_first():
    processes, done = record("sh", "-c", f'LD_PRELOAD="$LD_PRELOAD:{OTHER}" exec {VICTIM} handover')
    equal(done.stdout, "1\n", "the race took place")
    p = processes[-1]
    sound(p)
    equal(p["info"]["events_by_kind"]["realloc"], 0, "the realloc is told in two parts")
    equal(p["info"]["inherited_frees"], 0, "frees of unknown blocks")
    sizes = {s["up_to"]: s["bytes"] for s in p["info"]["sizes"]}
    equal(sizes.get(65536), 44444 + 55555, "both blocks")


def more_threads_than_short_records_name():
    (p,), _ = record(VICTIM, "many-threads", "2100")
    sound(p)
    equal(p["info"]["threads"], 2100, "threads")
    equal(marks(p), 2100, "marks")


def a_program_that_aborts_is_recorded_to_its_end():
    (p,), _ = record(VICTIM, "abort", "20000", status=128 + signal.SIGABRT)
    sound(p, closed=False)
    equal(marks(p), 20000, "marks")
    equal((p["ended"], p["exit_status"]), ("signal", 134), "end")


def a_program_that_crashes_is_recorded_to_its_end():
    (p,), _ = record(VICTIM, "crash", "7", status=128 + signal.SIGSEGV)
    sound(p, closed=False)
    equal(marks(p), 7, "marks")


def a_program_that_calls__exit_is_recorded_to_its_end():
    (p,), _ = record(VICTIM, "_exit", "9", status=5)
    sound(p, closed=False)
    equal(marks(p), 9, "marks")
    equal(p["exit_status"], 5, "status")


def a_program_killed_mid_way_is_recorded_to_its_end():
    recorder = subprocess.Popen([EALLOC, "record", "-o", "out.rec", VICTIM, "hang", "30000"], env=ENV,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    equal(recorder.stdout.readline(), "ready\n", "output")
    with open(f"/proc/{recorder.pid}/task/{recorder.pid}/children") as file:
        os.kill(int(file.read().split()[0]), signal.SIGKILL)
    recorder.communicate(timeout=30)
    equal(recorder.returncode, 137, "status")
    p = {"info": info("out.rec")}
    sound(p, closed=False)
    equal(marks(p), 30000, "marks")


def the_exit_status_is_the_commands():
    (p,), _ = record(VICTIM, "exit", "42", status=42)
    equal(p["exit_status"], 42, "status")
    sound(p)


def fork_without_exec_has_a_recording_of_its_own():
    (parent, child), _ = record(VICTIM, "fork", "100")
    sound(parent)
    sound(child)
    equal(marks(parent), 200 + 1, "the parent's marks")
    equal(marks(child), 100, "the child's marks")
    equal(child["forked_from"], parent["pid"], "forked from")
    equal(child["info"]["inherited_frees"], 1, "frees of the parent's blocks")


def fork_among_busy_threads():
    processes, _ = record(VICTIM, "fork-threads", "100000")
    equal(len(processes), 21, "processes")
    for p in processes:
        sound(p)
    for p in processes[1:]:
        equal(marks(p), 5, "the child's marks")


def vfork_does_not_disturb():
    processes, _ = record(VICTIM, "vfork", "10")
    equal(marks(processes[-1] if len(processes) == 1 else
                max(processes, key=marks)), 10, "marks")


def an_exec_chain_is_one_recording_each():
    processes, _ = record(VICTIM, "exec", "3")
    equal([marks(p) for p in processes], [1, 1, 1, 1], "marks")
    equal([p["ended"] for p in processes], ["exec", "exec", "exec", "exit"], "ends")
    equal(len({p["pid"] for p in processes}), 1, "one process")


def a_shell_with_children_is_listed_whole():
    processes, _ = record("sh", "-c", f"{VICTIM} mark 5; {VICTIM} mark 6 | cat; {VICTIM} exit 3",
                          status=3)
    equal(processes[0]["argv"][:2], ["sh", "-c"], "the first is the shell")
    equal(processes[0]["file"], "out.rec", "its file")
    counted = sorted(marks(p) for p in processes if p["argv"][0] == VICTIM)
    equal(counted, [1, 5, 6], "marks")
    for p in processes:
        check(p["ppid"] > 0 and p["bytes"] == os.path.getsize(p["file"]), "process in manifest")


def an_orphan_is_waited_for():
    (p,), _ = record(VICTIM, "orphan", "20")
    equal(marks(p), 20, "marks")
    equal(p["exit_status"], 9, "status")


def a_program_that_closes_every_descriptor():
    (p,), _ = record(VICTIM, "close-all", "40000")
    sound(p)
    equal(marks(p), 80000, "marks")


def a_program_with_its_own_preload_keeps_it():
    shell = f'LD_PRELOAD="$LD_PRELOAD:{OTHER}" exec {VICTIM} mark 30'
    runs = [record("sh", "-c", shell)[0]]
    with open(EALLOC, "rb") as file:
        if b"__asan_init" not in file.read():  # a tool with AddressSanitizer must come first itself
            runs.append(record(VICTIM, "mark", "30", env=dict(ENV, LD_PRELOAD=OTHER))[0])
    for processes in runs:
        p = processes[-1]
        sound(p)
        equal(marks(p), 30, "marks")
        sizes = {s["up_to"]: s for s in p["info"]["sizes"]}
        equal(sizes[MARK_CLASS]["bytes"], 30 * MARK, "bytes")


def nothing_to_record(what, done):
    equal(done.returncode, 125, "exit status")
    check("nothing recorded" in done.stderr and what in done.stderr, f"message: {done.stderr}")
    check(not os.path.exists("out.rec"), "no file is left")


def a_static_program_is_told():
    nothing_to_record("statically linked", run(EALLOC, "record", "-o", "out.rec", STATIC, "mark", "1"))


def a_setuid_program_is_told():
    if os.getuid() != 0:
        return
    shutil.copy(VICTIM, "setuid")
    os.chown("setuid", 65534, 65534)
    os.chmod("setuid", 0o6755)
    os.chmod(".", 0o755)
    nothing_to_record("is setuid", run(EALLOC, "record", "-o", "out.rec", "./setuid", "mark", "1"))


def an_empty_environment_is_told():
    processes, _ = record("env", "-i", VICTIM, "mark", "1")
    equal(sum(marks(p) for p in processes), 0, "marks")


def a_command_that_cannot_run_ends_as_with_env():
    equal(run(EALLOC, "record", "--", "./no-such-command").returncode, 127, "not found")
    with open("not-executable", "w"):
        pass
    equal(run(EALLOC, "record", "--", "./not-executable").returncode, 126, "not executable")
    check(not os.path.exists("ealloc.rec"), "no file is left")
    done = run(EALLOC, "record")
    equal(done.returncode, 125, "no command")
    check("no command" in done.stderr, done.stderr)


def an_unwritable_output_is_told_before_the_command_runs():
    done = run(EALLOC, "record", "-o", "no/such/out.rec", "--", "touch", "ran")
    equal(done.returncode, 125, "exit status")
    check("no/such/out.rec" in done.stderr, done.stderr)
    check(not os.path.exists("ran"), "the command ran")


def the_program_is_not_overwritten_by_its_recording():
    shutil.copy("/bin/true", "program")
    before = open("program", "rb").read()
    done = run(EALLOC, "record", "-o", "program", "--", "./program")
    equal(done.returncode, 125, "exit status")
    check("would overwrite the program" in done.stderr, done.stderr)
    check(open("program", "rb").read() == before, "the program changed")


def a_full_disk_does_not_stop_the_program():
    os.symlink("/dev/full", "out.rec")
    done = run(EALLOC, "record", "-o", "out.rec", "--", "sh", "-c", f"{VICTIM} mark 900000; touch ran")
    equal(done.returncode, 125, "exit status")
    check("out.rec: No space left on device" in done.stderr, done.stderr)
    check(os.path.exists("ran"), "the command did not run to its end")


def the_recorders_death_does_not_stop_the_program():
    recorder = subprocess.Popen([EALLOC, "record", "-o", "out.rec", "--", "sh", "-c",
                                 f"{VICTIM} mark 3000000; touch ran"], env=ENV)
    time.sleep(0.1)
    recorder.kill()
    recorder.wait()
    deadline = time.time() + 30
    while not os.path.exists("ran") and time.time() < deadline:
        time.sleep(0.05)
    check(os.path.exists("ran"), "the command did not run to its end")
    for name in os.listdir("/dev/shm"):
        if name.startswith(f"ealloc.{recorder.pid}."):
            shutil.rmtree(os.path.join("/dev/shm", name))


def no_session_is_left_behind():
    left = [n for n in os.listdir("/dev/shm") if n.startswith("ealloc.")]
    record(VICTIM, "mark", "1")
    now = [n for n in os.listdir("/dev/shm") if n.startswith("ealloc.")]
    check(len(now) <= len(left), f"left: {now}")


def damaged(file, what):
    done = run(EALLOC, "info", file)
    equal(done.returncode, 1, f"info's exit status, {what}")
    lines = done.stderr.splitlines()
    check(len(lines) == 1 and file in lines[0], f"one line naming the file, {what}: {done.stderr!r}")
    return done


def truncation_is_told_with_file_and_offset():
    record(VICTIM, "mark", "50000")
    with open("out.rec", "rb") as file:
        data = file.read()
    for size in range(64, len(data), 64):
        with open("cut.rec", "wb") as file:
            file.write(data[:size])
        done = damaged("cut.rec", f"{size} bytes")
        check(" at offset " in done.stderr, done.stderr)
    with open("cut.rec", "wb") as file:
        file.write(data[:-1])
    done = damaged("cut.rec", "the last byte missing")
    check("100000 malloc" not in done.stdout and " 50000 malloc" in done.stdout,
          "what was readable is described")


def a_flipped_byte_anywhere_is_told():
    record(VICTIM, "mark", "2")
    with open("out.rec", "rb") as file:
        data = bytearray(file.read())
    for at in range(0, len(data), 3):  # recording_test flips every bit
        data[at] ^= 0x20
        with open("flip.rec", "wb") as file:
            file.write(data)
        data[at] ^= 0x20
        check(" at offset " in damaged("flip.rec", f"byte {at}").stderr, f"offset, byte {at}")


def what_is_no_recording_is_told():
    open("empty.rec", "w").close()
    check("empty file" in damaged("empty.rec", "empty").stderr, "empty file")
    shutil.copy(VICTIM, "program.rec")
    check("not a recording" in damaged("program.rec", "a program").stderr, "not a recording")
    damaged("missing.rec", "missing")
    os.mkdir("directory.rec")
    damaged("directory.rec", "a directory")
    with open("version.rec", "wb") as file:
        file.write(b"\x89EAR\r\n\x1a\n\x63\0\0\0\xf3\x08\x63\xf2")
    check("version 99" in damaged("version.rec", "version").stderr, "version")


def the_tool_explains_itself():
    done = run(EALLOC, "--help")
    check(done.returncode == 0 and "record" in done.stdout and "info" in done.stdout, "--help")
    equal(run(EALLOC, "--version").stdout.split()[0], "ealloc", "--version")
    done = run(EALLOC, "no-such-command")
    equal(done.returncode, 2, "unknown command")
    equal(len(done.stderr.splitlines()), 1, "one line")
    for command in ("record", "info"):
        done = run(EALLOC, command, "--help")
        check(done.returncode == 0 and "Example:" in done.stdout, f"{command} --help")
        done = run(EALLOC, command, "--no-such-option")
        equal(done.returncode, 125 if command == "record" else 2, "unknown option")


def main():
    tests = [f for name, f in globals().items()
             if callable(f) and getattr(f, "__module__", "") == "__main__" and name not in
             ("check", "equal", "run", "record", "info", "marks", "sound", "nothing_to_record", "damaged",
              "main")]
    n_failed = 0
    for number, test in enumerate(tests, 1):
        failures.clear()
        directory = tempfile.mkdtemp(prefix="record_test.")
        os.chdir(directory)
        try:
            test()
        except Exception as error:  # a test that breaks has failed; the others still count
            failures.append(f"{type(error).__name__}: {error}")
        os.chdir("/")
        shutil.rmtree(directory, ignore_errors=True)
        print(f"{'not ok' if failures else 'ok'} {number} - {test.__name__}")
        for failure in failures[:5]:
            print(f"# {failure}")
        n_failed += bool(failures)
    print(f"1..{len(tests)}")
    print(f"{len(tests) - n_failed} passed, {n_failed} failed")
    sys.exit(n_failed > 0)


main()
