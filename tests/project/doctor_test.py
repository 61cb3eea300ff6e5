"""doctor_test.py DOCTOR: runs lenskit-doctor on this machine as it is and as it should not be."""
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time
import unittest

DOCTOR = None
SECTIONS = ["build", "cpus", "memory", "storage", "kernel", "backends", "settings", "variables", "leftovers", "engines"]
VERDICT = ["schema", "healthy", "problems", "warnings"]


class Doctor(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.path = pathlib.Path(self.directory.name)
        (self.path / "pyproject.toml").touch()  # ends the search for a configuration
        self.addCleanup(self.directory.cleanup)

    def run_doctor(self, *arguments, limit=None, **variables):
        """`limit`: the bytes of address space that it may have."""
        clean = {k: v for k, v in os.environ.items()
                 if not k.startswith(("LK_", "SLURM_", "OMP_")) and not k.endswith("_NUM_THREADS")}
        return subprocess.run([DOCTOR, *arguments], env={**clean, **variables}, cwd=self.path, text=True,
                              capture_output=True, timeout=60, encoding="utf-8",
                              preexec_fn=limit and (lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit))))

    def report(self, **variables):
        done = self.run_doctor("--json", **variables)
        report = json.loads(done.stdout)
        self.assertEqual(done.returncode, 0 if report["healthy"] else 1)
        self.assertEqual(report["healthy"], not report["problems"])
        return report

    def test_a_healthy_machine(self):
        report = self.report()
        self.assertEqual(list(report), VERDICT + SECTIONS)
        self.assertEqual(report["schema"], 1)
        self.assertEqual(report["problems"], [])
        self.assertGreaterEqual(report["cpus"]["chosen"], 1)
        self.assertLessEqual(report["cpus"]["chosen"], len(os.sched_getaffinity(0)))
        self.assertTrue(report["kernel"]["pidfd"] and report["kernel"]["sealed_memfd"])
        self.assertGreater(report["memory"]["total"], 0)
        for name in ("in_process", "threads", "processes"):
            self.assertTrue(report["engines"][name]["works"])
            self.assertGreater(report["engines"][name]["us_per_task"], 0)
        self.assertEqual(report["settings"]["num_threads"]["source"], "default")

    def test_text_has_the_same_sections(self):
        done = self.run_doctor("--all")
        self.assertEqual(done.returncode, 0)
        lines = [line for line in done.stdout.splitlines() if not line.startswith(" ")]
        self.assertIn("works on this machine", lines[0])
        self.assertEqual([line.split()[0] for line in lines[-len(SECTIONS):]], SECTIONS)

    def test_O3_the_verdict_and_what_helps_come_first_and_on_one_screen(self):
        done = self.run_doctor(LK_TEMP_DIR=str(self.path / "none"))
        self.assertEqual(done.returncode, 1)
        lines = done.stdout.splitlines()
        self.assertIn("does not work as it should", lines[0])
        self.assertEqual(lines[1], "problems")
        self.assertTrue(any("LK_TEMP_DIR" in line for line in lines[2:6]))
        self.assertTrue(any("what helps: export LK_TEMP_DIR=" in line for line in lines[2:6]))
        self.assertLess(len(lines), 24)

    def test_O3_it_ends_where_libraries_do_not_get_their_memory(self):
        for kibibytes in (400_000, 200_000, 100_000, 60_000):
            begin = time.monotonic()
            done = self.run_doctor("--json", limit=kibibytes * 1024)
            self.assertLess(time.monotonic() - begin, 20)
            # Where there is too little for the doctor itself, it says so.
            self.assertIn(done.returncode, (0, 1), done.stderr)
            if not done.stdout:
                self.assertTrue(done.stderr)
                continue
            report = json.loads(done.stdout)
            self.assertEqual(list(report), VERDICT + SECTIONS)

    def test_O3_libraries_are_looked_at_in_a_process_of_their_own(self):
        report = self.report()
        self.assertEqual(report["backends"]["loaded"], [])
        self.assertTrue(report["backends"]["installed"], "the tests' own OpenMP at least")

    def test_O3_text_beyond_ascii_arrives_as_it_is(self):
        done = self.run_doctor("--json", LK_NOTE="z\u00fcrich \u4e2d\u6587 \U0001f600")
        self.assertIn("z\u00fcrich \u4e2d\u6587 \U0001f600", done.stdout)
        self.assertEqual(json.loads(done.stdout)["variables"]["LK_NOTE"], "z\u00fcrich \u4e2d\u6587 \U0001f600")

    def test_O3_bytes_that_are_no_utf_8_stay_json(self):
        for bad in (b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf5\x80\x80\x80", b"a\xe4\xb8"):
            done = subprocess.run([DOCTOR, "--json"], env={**os.environb, b"LK_NOTE": bad + b" end"}, cwd=self.path,
                                  capture_output=True, timeout=60)
            note = json.loads(done.stdout.decode("utf-8"))["variables"]["LK_NOTE"]
            self.assertEqual(note, bad.decode("latin-1") + " end")

    def test_the_version(self):
        done = self.run_doctor("--version")
        self.assertEqual(done.stdout.strip(), self.report()["build"]["version"])

    def test_settings_come_with_their_source(self):
        (self.path / "lenskit.toml").write_text("[parallel]\nnum_procs = 3\nnum_threads = 5\nnum_thread = 1\n")
        (self.path / "lenskit.local.toml").write_text("[parallel]\nnum_procs = 2\n[random]\nseed = 42\n")
        report = self.report(LK_NUM_BACKEND_THREADS="1", LK_NUM_CPUS="8")
        settings = report["settings"]
        self.assertEqual(settings["num_procs"]["value"], 2)
        self.assertTrue(settings["num_procs"]["source"].endswith("lenskit.local.toml:2"))
        self.assertTrue(settings["num_threads"]["source"].endswith("lenskit.toml:3"))
        self.assertEqual(settings["num_backend_threads"], {"value": 1, "source": "LK_NUM_BACKEND_THREADS"})
        self.assertEqual(settings["random_seed"], 42)
        self.assertEqual(report["variables"], {"LK_NUM_BACKEND_THREADS": "1", "LK_NUM_CPUS": "8"})
        self.assertTrue(any("parallel.num_thread " in warning for warning in report["warnings"]))

    def test_problems_are_named(self):
        for variables, reason in [({"LK_NUM_THREADS": "many"}, "LK_NUM_THREADS=many"),
                                  ({"LK_USE_RAY": "1"}, "in_process, threads and processes"),
                                  ({"LK_TEMP_DIR": str(self.path / "none")}, "LK_TEMP_DIR")]:
            report = self.report(**variables)
            self.assertFalse(report["healthy"])
            self.assertTrue(any(reason in problem for problem in report["problems"]), report["problems"])

    def test_a_bad_file_is_a_problem(self):
        (self.path / "lenskit.toml").write_text("[parallel]\nnum_procs = 'two'\n")
        self.assertTrue(any("lenskit.toml:2" in problem for problem in self.report()["problems"]))

    def test_files_left_over_are_found(self):
        file = self.path / ("lenskit-" + "0" * 32 + ".model")
        file.touch()
        report = self.report(LK_TEMP_DIR=str(self.path))
        self.assertEqual(report["leftovers"]["files"], [str(file)])
        self.assertTrue(report["healthy"])

    def test_bytes_of_any_kind_stay_json(self):
        report = self.report(LK_NOTE='"quoted" \\ \x01 z\u00fcrich')
        self.assertIn('"quoted" \\', report["variables"]["LK_NOTE"])

    def test_a_wrong_argument(self):
        self.assertEqual(self.run_doctor("--jsno").returncode, 2)
        self.assertEqual(self.run_doctor("--help").returncode, 0)


if __name__ == "__main__":
    DOCTOR = os.path.abspath(sys.argv.pop())
    unittest.main()
