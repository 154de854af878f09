#!/usr/bin/env python3
"""Writes the first inputs of fuzz_config into the folder given: the example, as it is and with every key set, and lists."""
import pathlib
import re
import sys

folder = pathlib.Path(sys.argv[1])
example = (pathlib.Path(__file__).resolve().parents[2] / "broker/config/garasu.conf").read_text()
lines = [re.sub(r"^(\t?)# ?(?=[a-z_]+ = |group |\t|}$)", r"\1", line) for line in example.splitlines()]
short = [line for line in lines if not line.strip().startswith("#")]
seeds = {
    "example": example,
    "every-key": "\n".join(short),
    "lists": 'egress { default = "deny" allow = {".lg.jp", "総務省.jp", "[2001:db8::1]:443", "192.0.2.1"} allow += {"a.example:8080"}\n'
             'deny = {} ports = {80, 443} networks_refused = {"203.0.113.0/24", "2001:db8::/32"} upstream = "p.example:8080" }',
    "groups": 'group "広報課" { persons = {"tanaka", "suzuki"} default = "permit" }\ngroup "b" { persons = {"sato"} deny = {".x.example"} }',
    "twice": 'group "a" { persons = {"x"} persons = {"x", "y"} }\ngroup "b" { persons = {"y"} }\negress { allow = {"a"} }\negress { allow = {"b"} }',
    "wrong": 'listen { port = 70000 }\nsession { width = x }',
    "comments": "# a\n/* b */ // c\nlisten { # d\n port=1 /* e\n */ }\n",
    "quotes": "egress { allow = {'a.example', \"b\\x2eexample\", c.example} }",
}
for name, text in seeds.items():
    (folder / name).write_text(text)
