"""Shows unit_tests.py small trees with one fault each: a check that finds nothing anywhere proves nothing."""
import pathlib
import tempfile
import unittest

import unit_tests

COMPLETE = {f"include/lenskit/detail/{room}/{room}.hpp": "#pragma once\n" for room in unit_tests.ROOMS}
TESTS = {f"tests/unit/{room}/{room}_test.cpp": f"#include <lenskit/detail/{room}/{room}.hpp>\n"
         for room in unit_tests.ROOMS}


def check(files):
    with tempfile.TemporaryDirectory() as directory:
        root = pathlib.Path(directory)
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")
        return list(unit_tests.violations(root))


class UnitTests(unittest.TestCase):
    def test_a_tree_in_which_all_is_tested_is_right(self):
        self.assertEqual(check({**COMPLETE, **TESTS}), [])

    def test_a_header_that_no_test_includes_is_found(self):
        found = check({**COMPLETE, **TESTS, "include/lenskit/detail/engines/new.hpp": "#pragma once\n"})
        self.assertEqual(len(found), 1)
        self.assertIn("engines/new.hpp", found[0])

    def test_an_include_in_a_comment_or_of_another_kind_of_file_is_none(self):
        for name, text in (("tests/unit/engines/other_test.cpp", "// #include <lenskit/detail/engines/new.hpp>\n"),
                           ("tests/unit/engines/helper.hpp", "#include <lenskit/detail/engines/new.hpp>\n"),
                           ("tests/faults/new_test.cpp", "#include <lenskit/detail/engines/new.hpp>\n")):
            self.assertEqual(len(check({**COMPLETE, **TESTS, "include/lenskit/detail/engines/new.hpp": "", name: text})), 1)

    def test_a_room_that_has_been_moved_away_is_found(self):
        files = {name: text for name, text in {**COMPLETE, **TESTS}.items() if "detail/worker" not in name}
        self.assertEqual(len(check(files)), 1)


if __name__ == "__main__":
    unittest.main()
