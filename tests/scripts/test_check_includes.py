"""The include checker finds what it is there for: each rule with a tree that breaks it, beside one that keeps them all."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

CHECKER = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "check-includes"

KEPT = {
    "include/weir/extension.hpp": "#pragma once\n#include <string>\n",
    "include/weir/program.hpp": "#pragma once\n#include <weir/extension.hpp>\n",
    "proto/ids.hpp": "#pragma once\n#include <string>\nusing id = std::string;\n",
    "runtime/core/error.hpp": '#pragma once\n#include "proto/ids.hpp"\n',
    "runtime/http/server.hpp": '#pragma once\n#include "runtime/core/error.hpp"\nid name();\n',
    "runtime/http/server.cpp": '#include "runtime/http/server.hpp"\n#include <boost/asio/io_context.hpp>\n',
    "actors/node.hpp": '#pragma once\n#include "runtime/http/server.hpp"\n#include <caf/actor.hpp>\n',
    "cli/main.cpp": '#include "actors/node.hpp"\n',
    "tests/unit/node.cpp": '#include "cli/main.cpp"\n#include <librdkafka/rdkafka.h>\n#include <caf/actor.hpp>\n',
}


def run(files: dict[str, str], *options: str):
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            path = pathlib.Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        done = subprocess.run([sys.executable, CHECKER, "--root", folder, *options], capture_output=True, text=True, check=False)
        return done.returncode, done.stderr


class Rules(unittest.TestCase):
    def assert_refused(self, name: str, text: str, *words: str):
        status, output = run({**KEPT, name: text})
        self.assertEqual(status, 1, output)
        for word in (name, *words):
            self.assertIn(word, output)
        self.assertEqual(len(output.splitlines()), 1, output)

    def test_a_tree_that_keeps_the_rules_passes(self):
        self.assertEqual(run(KEPT), (0, ""))

    def test_public_headers_include_nothing_that_is_not_installed(self):
        self.assert_refused("include/weir/bad.hpp", '#include "proto/ids.hpp"\n', "include/weir/bad.hpp:1:")
        self.assert_refused("include/weir/bad.hpp", "#include <nlohmann/json.hpp>\n", "include/weir/bad.hpp:1:")

    def test_proto_includes_nothing_to_its_right(self):
        self.assert_refused("proto/bad.hpp", '#include "runtime/core/error.hpp"\n', "proto/bad.hpp:1:")

    def test_core_does_not_include_the_rest_of_runtime(self):
        self.assert_refused("runtime/core/bad.cpp", '\n\n#include "runtime/http/server.hpp"\n', "runtime/core/bad.cpp:3:")

    def test_runtime_does_not_include_actors(self):
        status, output = run({**KEPT, "runtime/http/bad.cpp": '#include "actors/node.hpp"\n'})
        self.assertEqual(status, 1)
        self.assertIn("runtime/http/bad.cpp:1: runtime includes", output)

    def test_actors_do_not_include_the_command_line(self):
        self.assert_refused("actors/bad.cpp", '#include "cli/options.hpp"\n')

    def test_runtime_does_not_see_caf(self):
        self.assert_refused("runtime/http/bad.cpp", "#include <caf/actor.hpp>\n", "caf/actor.hpp")

    def test_actors_do_not_see_a_transport(self):
        for header in ("librdkafka/rdkafka.h", "hiredis/hiredis.h", "boost/asio.hpp", "simdjson.h"):
            self.assert_refused("actors/bad.cpp", f"# include  <{header}>\n", header)

    def test_actors_do_not_see_a_transport_by_way_of_a_header_of_ours(self):
        status, output = run({**KEPT, "runtime/http/server.hpp": "#pragma once\n#include <boost/beast.hpp>\n"})
        self.assertEqual(status, 1)
        self.assertIn("actors/node.hpp:1: actors must not see <boost/beast.hpp>, by way of runtime/http/server.hpp", output)

    def test_a_path_relative_to_the_file_is_refused(self):
        self.assert_refused("actors/bad.cpp", '#include "../proto/ids.hpp"\n')

    def test_a_comment_is_no_include(self):
        self.assertEqual(run({**KEPT, "actors/good.cpp": "/*\n#include <boost/asio.hpp>\n*/\n// #include <boost/asio.hpp>\n"}), (0, ""))

    def test_an_empty_tree_is_an_error(self):
        self.assertEqual(run({})[0], 1)


class Headers(unittest.TestCase):
    def test_a_header_that_needs_another_one_before_it_is_found(self):
        files = {name: text for name, text in KEPT.items() if name.startswith("proto/")}
        self.assertEqual(run(files, "--compile"), (0, ""))
        status, output = run({**files, "proto/bad.hpp": "#pragma once\nstd::string name();\n"}, "--compile")
        self.assertEqual(status, 1)
        self.assertIn("proto/bad.hpp does not compile alone", output)


if __name__ == "__main__":
    unittest.main()
