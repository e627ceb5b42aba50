"""Typing in the middle of unfinished scripts: typing.py DEQ SOURCE [ROUNDS].  Scripts of the library and of the examples
are cut and edited at random places; the outline never disappears, and every answer is valid."""
import random
import sys
import time

from client import Client, edited, offset, part, utf16

deq, source = sys.argv[1:3]
rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 6
files = ["stdlib/attacks", "stdlib/layers", "stdlib/mdeq", "stdlib/losses", "examples/quickstart", "examples/robust",
         "examples/monotone", "examples/two_states", "examples/adaptive"]
typed = ["x", "let h = ", "norm(", ")", "{", "}", "\n", "\"", "// 🙂 ", "[", "]", ".", "fixed point z: f32[", "0.1.", "layer A",
         "ß", "𝔸", " = ", ": ", "train n = ", "import std.", "|>", "attack a(x: f32[..S]; ", "\r\n", "    forward: ", ","]
random.seed(20)
c = Client(deq)
text, uri = "", ""


def check_symbols(symbols, names):
    for s in symbols:
        whole, name = s["range"], s["selectionRange"]
        assert s["name"] and offset(text, whole["start"]) <= offset(text, name["start"])
        assert offset(text, name["end"]) <= offset(text, whole["end"])
        names.add(s["name"])
        check_symbols(s.get("children", []), names)
    return names


def check_ranges(result):
    """Every range of an answer about this script lies in it."""
    if isinstance(result, list):
        for one in result:
            check_ranges(one)
    elif isinstance(result, dict):
        if "start" in result and "end" in result:
            part(text, result)
        elif result.get("uri", uri) == uri:
            for one in result.values():
                check_ranges(one)


def ask(at):
    document = {"textDocument": {"uri": uri}}
    place = {**document, "position": utf16(text, at)}
    for method in ("hover", "definition", "documentHighlight", "completion", "signatureHelp"):
        check_ranges(c.request("textDocument/" + method, place))
    check_ranges(c.request("textDocument/references", {**place, "context": {"includeDeclaration": True}}))
    whole = {"start": utf16(text, 0), "end": utf16(text, len(text))}
    for hint in c.request("textDocument/inlayHint", {**document, "range": whole}):
        offset(text, hint["position"])
    check_ranges(c.request("textDocument/codeAction", {**document, "range": whole, "context": {"diagnostics": []}}))
    line = column = 0
    data = c.request("textDocument/semanticTokens/full", document)["data"]
    for k in range(0, len(data), 5):
        line, column = line + data[k], data[k + 1] if data[k] else column + data[k + 1]
        assert part(text, {"start": {"line": line, "character": column},
                           "end": {"line": line, "character": column + data[k + 2]}})
    edits = c.request("textDocument/formatting", {**document, "options": {}})
    if edits:
        edited(text, edits)
    for _ in range(2):
        answer = c.ask("textDocument/rename", {**place, "newName": "other_name"})
        assert "error" in answer or answer["result"]["changes"], answer


lost = edits_made = 0
for name in files:
    text = whole_text = open("%s/%s.deq" % (source, name)).read()
    uri = "file://%s/%s.deq" % (source, name)
    c.open(uri, text)
    good = check_symbols(c.request("textDocument/documentSymbol", {"textDocument": {"uri": uri}}), set())
    assert len(good) > 3, good
    for turn in range(rounds):
        start = random.randrange(len(text) + 1)
        end = min(len(text), start + random.choice([0, 0, 0, 1, 3, 30, 300]))
        new = random.choice(typed) if turn % 5 else ""
        c.change(uri, {"range": {"start": utf16(text, start), "end": utf16(text, end)}, "text": new})
        # as editors do, an end between \r and \n is that of the line
        text = text[:start] + new + text[end:] if "\r" not in text + new else None
        if text is None:
            text = whole_text
            c.change(uri, {"text": text})
            start = 0
        edits_made += 1
        names = check_symbols(c.request("textDocument/documentSymbol", {"textDocument": {"uri": uri}}), set())
        errors = [d for d in c.diagnostics(uri) if d["code"].startswith("E01")]
        if errors:  # it does not parse: nothing that the last good text had is lost
            assert good <= names, (name, turn, sorted(good - names))
        else:
            good = names
        assert names, (name, turn)
        check_ranges(c.diagnostics(uri))
        if turn % 4 == 0:
            ask(min(start + len(new), len(text)))
        if turn % 10 == 9:  # a text cut in its middle, as when a file is being written; then the whole one again
            cut = random.randrange(len(whole_text) // 4, len(whole_text))
            text = whole_text[:cut]
            c.change(uri, {"text": text})
            ask(len(text))
            text = whole_text
            c.change(uri, {"text": text})
            good = check_symbols(c.request("textDocument/documentSymbol", {"textDocument": {"uri": uri}}), set())
    c.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
assert c.end() == 0
print("typing: %d edits" % edits_made)
