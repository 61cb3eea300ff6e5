"""Shows failure_ids.py small trees: a check that finds nothing anywhere proves nothing."""
import pathlib
import tempfile
import unittest

import failure_ids


def tree(files, ask):
    with tempfile.TemporaryDirectory() as directory:
        root = pathlib.Path(directory)
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")
        return ask(root)


def cited(text, name="src/a.cpp"):
    return [id for _, id in tree({name: text}, lambda root: list(failure_ids.citations(root)))]


class FailureIds(unittest.TestCase):
    def test_comments_and_names_of_test_cases_cite(self):
        self.assertEqual(cited("// Stays (failures L1, L3).\n/* and\n W12 */ int x; // P3 to P5."),
                         ["L1", "L3", "W12", "P3", "P5"])
        self.assertEqual(cited('TEST_CASE("H2: a limit") {\n', "tests/faults/a_test.cpp"), ["H2"])

    def test_code_strings_and_options_do_not(self):
        self.assertEqual(cited('int S1 = f("// W1", "/* D2 */"); // by -O2, in 1.5 of T3, G14 or 0xF1\n'), [])
        self.assertEqual(cited('TEST_CASE("G5: a goal") {\n', "tests/faults/a_test.cpp"), [])

    def test_the_table_is_read_and_its_numbers_are_checked(self):
        whole = "".join(f"| {family}1 | x | y |\n" for family in failure_ids.FAMILIES)
        ids = tree({failure_ids.TABLE: whole + "text about W2\n"}, failure_ids.defined)
        self.assertEqual(ids, [family + "1" for family in failure_ids.FAMILIES])
        self.assertEqual(list(failure_ids.wrong_rows(ids)), [])
        for more in ("W1", "W3", "N1"):
            self.assertEqual(len(list(failure_ids.wrong_rows([*ids, more]))), 1, more)
        self.assertEqual(len(list(failure_ids.wrong_rows(ids[1:]))), 1)

    def test_what_is_not_defined_or_not_tested_is_said(self):
        files = {failure_ids.TABLE: "".join(f"| {family}1 | x | y |\n" for family in failure_ids.FAMILIES),
                 "tests/a_test.cpp": "".join(f'TEST_CASE("{id}1: x")\n' for id in failure_ids.FAMILIES)}
        self.assertEqual(tree(files, lambda root: failure_ids.check(root)[0]), [])
        self.assertEqual(tree({**files, "src/a.cpp": "// see W2\n"}, lambda root: failure_ids.check(root)[0]),
                         [f"src/a.cpp:1: W2 is not in {failure_ids.TABLE}"])
        files["tests/a_test.cpp"] = files["tests/a_test.cpp"].replace("E1", "H1")
        self.assertEqual(tree(files, lambda root: failure_ids.check(root)[0]), ["no test is named by E1"])


if __name__ == "__main__":
    unittest.main()
