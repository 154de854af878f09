#!/usr/bin/env python3
"""Writes the first inputs of fuzz_egress_request into the folder given: two bytes of options, then what is sent."""
import sys

SEEDS = [
    (0, b"GET http://a.example:8080/p?q#f HTTP/1.1\r\nHost: b\r\nConnection: X-Drop, close\r\nX-Drop: 1\r\nTE: x\r\n\r\n"),
    (0, b"POST http://[2001:db8::1]/ HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"),
    (0, b"POST http://a.example/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nX: 1\r\n\r\n"),
    (0, b"CONNECT a.example:443 HTTP/1.1\r\nProxy-Authorization: Basic eA==\r\n\r\n\x16\x03\x01"),
    (0, b"POST http://a/ HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET http://b/ HTTP/1.1\r\n\r\n"),
    (0, b"POST http://a/ HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"),
    (0, b"POST http://a/ HTTP/1.1\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
    (0, b"POST http://a/ HTTP/1.1\r\nTransfer-Encoding:\r\n chunked\r\n\r\n1;x=\"y\"\r\na\r\n0\r\nHost: b\r\n\r\n"),
    (0, b"GET http://u:p@a:0/ HTTP/1.1\nHost: b\nX: 1\n\tY: 2\n\n"),
    (0, b"example.com.:443"),
    (2, b"[::ffff:127.0.0.1]"),
    (2, b"127.0.0.1"),
    (1, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab"),
    (1, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n1\r\na\r\n0\r\n\r\n"),
    (3, b"HTTP/1.0 304 Not Modified\r\nX:\r\n folded\r\n\r\n"),
    (9, b"HTTP/1.1 200 Connection established\r\n\r\nXY"),
    (5, b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
]
for number, (options, text) in enumerate(SEEDS):
    for step in (0, 255):
        with open(f"{sys.argv[1]}/seed{number}-{step}", "wb") as out:
            out.write(bytes((options, step)) + text)
