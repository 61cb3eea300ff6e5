"""Shows floors.py small trees with one fault each: a check that finds nothing anywhere proves nothing."""
import pathlib
import tempfile
import unittest

import floors


def check(files):
    with tempfile.TemporaryDirectory() as directory:
        root = pathlib.Path(directory)
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")
        return list(floors.violations(root))


class Floors(unittest.TestCase):
    def test_a_higher_floor_is_refused(self):
        for lower, higher in (("detail/os/a.hpp", "detail/wire/b.hpp"), ("detail/wire/a.hpp", "detail/log/b.hpp"),
                              ("shared_array.hpp", "detail/worker/b.hpp"), ("detail/worker/a.hpp", "detail/dispatch/b.hpp"),
                              ("detail/dispatch/a.hpp", "detail/engines/b.hpp"), ("detail/engines/a.hpp", "invoker.hpp")):
            self.assertEqual(len(check({"include/lenskit/" + lower: f"#include <lenskit/{higher}>\n"})), 1, lower)
            self.assertEqual(check({"include/lenskit/" + higher: f"#include <lenskit/{lower}>\n"}), [], higher)

    def test_sources_have_the_floor_of_their_headers(self):
        self.assertEqual(len(check({"src/os/a.cpp": "#include <lenskit/detail/share/b.hpp>\n"})), 1)
        self.assertEqual(check({"src/dispatch/a.cpp": "#include <lenskit/detail/share/b.hpp>\n"}), [])

    def test_libraries_stay_in_their_rooms(self):
        self.assertEqual(len(check({"src/dispatch/a.cpp": "#include <spdlog/spdlog.h>\n"})), 1)
        self.assertEqual(check({"src/log/a.cpp": "#include <spdlog/spdlog.h>\n"}), [])
        self.assertEqual(len(check({"include/lenskit/invoker.hpp": "#include <boost/archive/x.hpp>\n"})), 1)
        self.assertEqual(len(check({"src/settings/a.cpp": "#include <sys/mman.h>\n"})), 1)
        self.assertEqual(check({"src/os/a.cpp": "#include <sys/mman.h>\n"}), [])

    def test_system_calls_stay_in_their_rooms_and_comments_are_not_calls(self):
        self.assertEqual(len(check({"src/dispatch/a.cpp": "int x = ::fork();\n"})), 1)
        self.assertEqual(len(check({"src/dispatch/a.cpp": "  waitpid(p, nullptr, 0);\n"})), 1)
        self.assertEqual(check({"src/dispatch/a.cpp": "sys::fork(); // then waitpid(p)\nx.mmap(); f(\"fork()\");\n"}), [])


if __name__ == "__main__":
    unittest.main()
