"""Requests that no good client makes: bad.py DEQ."""
import json
import os
import sys
import tempfile

from client import Client

deq = sys.argv[1]
folder = tempfile.mkdtemp()
uri = "file://" + folder + "/a.deq"
document = {"textDocument": {"uri": uri}}
text = "fn f(x: f32[N]) -> f32[N] = x // 🙂\n"

# ---- out of order
c = Client(deq, initialize=False)
assert "before" in c.refused("textDocument/hover", document, -32002)
c.notify("textDocument/didOpen", {"textDocument": {"uri": uri, "text": text, "version": 1}})  # dropped
c.refused("shutdown", None, -32002)
c.request("initialize", {})
c.refused("initialize", {}, -32600)
assert "not open" in c.refused("textDocument/hover", {**document, "position": {"line": 0, "character": 0}}, -32602)
assert "no method" in c.refused("textDocument/nonsense", {}, -32601)
for odd in ("ü" * 600, "x" + "🙂" * 300, "\0", "", "%s%n"):  # a reason is cut, but not in a character
    c.refused(odd, {}, -32601)
    c.refused("textDocument/hover", {"textDocument": {"uri": odd}}, -32602)
c.refused("textDocument/didOpen", {}, -32600)  # a notification with an id
c.notify("textDocument/nonsense", {})
c.notify("$/anything", {})
c.open(uri, text)

# ---- positions beyond the file, inside a pair of UTF-16, and such as are none
for place in ({"line": 0, "character": 100000}, {"line": 99999, "character": 3}, {"line": 4294967296, "character": 0},
              {"line": 0, "character": 35}, {"line": 0, "character": 34}, {"line": 2**62, "character": 2**62}):
    for method in ("hover", "definition", "documentHighlight", "completion", "signatureHelp"):
        c.request("textDocument/" + method, {**document, "position": place})
for place in ({"line": -1, "character": 0}, {"line": 0}, {}, [], None, {"line": "0", "character": 0}, {"line": 0.5, "character": 0}):
    c.refused("textDocument/hover", {**document, "position": place}, -32602)
for params in (None, [], 3, "text", {}, {"textDocument": None}, {"textDocument": {"uri": 3}}, {"textDocument": []}):
    c.refused("textDocument/documentSymbol", params, -32602)
c.refused("textDocument/rename", {**document, "position": {"line": 0, "character": 3}}, -32602)
c.refused("textDocument/codeAction", document, -32602)
c.refused("textDocument/inlayHint", {**document, "range": {}}, -32602)

# ---- changes: beyond the end, turned round, without text, of a text that is not open; nothing is lost
c.change(uri, {"range": {"start": {"line": 50, "character": 0}, "end": {"line": 60, "character": 0}}, "text": "const A = 1\n"},
         {"range": {"start": {"line": 1, "character": 5}, "end": {"line": 0, "character": 0}}, "text": ""},
         {"range": {"start": {}, "end": {}}, "text": "lost"}, {"range": None}, {"text": 3}, {}, None, [])
c.notify("textDocument/didChange", {"textDocument": {"uri": "file:///nowhere"}, "contentChanges": [{"text": "x"}]})
c.notify("textDocument/didChange", {"textDocument": {"uri": uri, "version": 3}, "contentChanges": "x"})
c.versions[uri] = 3
assert [s["name"] for s in c.request("textDocument/documentSymbol", document)] == ["f", "A"]
assert c.diagnostics(uri) == []
for params in (None, [], {}, {"textDocument": {}}, {"textDocument": {"uri": uri}}, {"textDocument": {"text": "x"}}):
    c.notify("textDocument/didOpen", params)
    c.notify("textDocument/didChange", params)
    c.notify("textDocument/didSave", params)
c.notify("textDocument/didClose", {"textDocument": {"uri": "file:///nowhere"}})

# ---- texts that are none: a NUL, a control character, nothing at all; other addresses than files
c.change(uri, {"text": "fn f(x: f32[N]) -> f32[N] = x\0\n\u0001const A = 1\n"})
found = c.diagnostics(uri)
assert found[0]["code"] == "E0111" and found[0]["range"]["start"] == {"line": 0, "character": 29}, found
assert {"f", "A"} <= {s["name"] for s in c.request("textDocument/documentSymbol", document)}
c.change(uri, {"text": ""})
assert c.diagnostics(uri) == [] and c.request("textDocument/documentSymbol", document) == []
for other in ("untitled:Untitled-1", "", "file://", "file:///%00", "file:///%zz%4", "http://x/y.deq", "file://host/a.deq"):
    c.open(other, text)
    assert c.request("textDocument/documentSymbol", {"textDocument": {"uri": other}})[0]["name"] == "f", other
    assert c.diagnostics(other) == [], other

# ---- what is no message: each is one answer, and the next request is answered too
def raw(data, code):
    c.write(data)
    message = c.answer(None)
    assert message["error"]["code"] == code, (data[:60], message)
    assert c.request("textDocument/documentSymbol", document) == []


def framed(body):
    return b"Content-Length: %d\r\n\r\n" % len(body) + body


raw(framed(b"no JSON"), -32700)
raw(framed(b'{"id": 1, "method": '), -32700)
raw(framed(b'{"id": 1, "method": "\xff"}'), -32700)
raw(framed(b'{"id": 1, "method": "\\ud800"}'), -32700)
raw(framed(b"[" * 100000), -32700)
raw(framed(b"[]"), -32600)
raw(framed(b'[{"id": 1, "method": "shutdown"}]'), -32600)
raw(framed(b"{}"), -32600)
raw(framed(b'{"id": {}, "method": "shutdown"}'), -32600)
raw(framed(b'{"id": 1.5, "method": "shutdown"}'), -32600)
raw(framed(b""), -32700)
raw(b"Content-Type: x\r\n\r\n", -32700)
raw(b"Content-Length: -3\r\n\r\n", -32700)
raw(b"Content-Length: 3 4\r\n\r\n", -32700)
raw(b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n", -32700)
raw(b"x" * 5000, -32700)
body = b'{"id": "text", "method": "nonsense"}'
c.write(b"content-length:  %d\r\nContent-Type: any\r\n\r\n" % len(body) + body)
assert c.answer("text")["error"]["code"] == -32601
c.write(framed(b'{"id": 7, "result": null}'))  # an answer that nobody waits for
# a message in pieces, and two in one
body = framed(json.dumps({"id": 900, "method": "textDocument/documentSymbol", "params": document}).encode())
for k in range(len(body)):
    c.write(body[k : k + 1])
assert c.answer(900)["result"] == []
c.write(body + body)
assert c.answer(900) and c.answer(900)
# longer than a message may be: passed over
length = (64 << 20) + 1
c.write(b"Content-Length: %d\r\n\r\n" % length)
assert c.answer(None)["error"]["code"] == -32600
for _ in range(64):
    c.write(b" " * (1 << 20))
c.write(b" ")
assert c.request("textDocument/documentSymbol", document) == []

# ---- the end: after shutdown only exit; a client that leaves
c.request("shutdown", None)
c.refused("textDocument/documentSymbol", document, -32600)
c.notify("exit", None)
assert c.process.wait(60) == 0
c = Client(deq)
c.notify("exit", None)
assert c.process.wait(60) == 1
c = Client(deq)
c.open(uri, text)
c.input.close()
assert c.process.wait(60) == 1
c = Client(deq)
c.write(b"Content-Length: 100\r\n\r\n{")  # in the middle of a message
c.input.close()
assert c.process.wait(60) == 1
c = Client(deq)
c.request("shutdown", None)
c.input.close()
assert c.process.wait(60) == 0
c = Client(deq)
c.output.close()  # it reads no answers
try:
    for _ in range(1000):
        c.send({"id": 1, "method": "textDocument/nonsense", "params": None})
except BrokenPipeError:
    pass
assert c.process.wait(60) == 1
print("bad requests: all have their answer")
