"""How long answers take: speed.py DEQ SOURCE.  Processor time of the server, from a change of the text to the answer, on the
largest module of the library; the median of each method is at most 50 ms."""
import glob
import os
import statistics
import sys

from client import Client, utf16

deq, source = sys.argv[1:3]
path = max(glob.glob(source + "/stdlib/*.deq"), key=os.path.getsize)
text = open(path).read()
uri = "file://" + path
document = {"textDocument": {"uri": uri}}
c = Client(deq)
c.open(uri, text)


def spent():
    with open("/proc/%d/schedstat" % c.process.pid) as file:
        return int(file.read().split()[0]) / 1e6


times = {}
c.request("textDocument/documentSymbol", document)
for k in range(6):
    at = text.index("\n", (4001 * k) % (len(text) - 200)) + 1
    place = utf16(text, at)
    whole = {"start": utf16(text, 0), "end": utf16(text, len(text))}
    for method in ("documentSymbol", "hover", "definition", "references", "documentHighlight", "prepareRename", "rename",
                   "completion", "signatureHelp", "formatting", "inlayHint", "codeAction", "semanticTokens/full"):
        name = "textDocument/" + method
        begin = spent()
        c.change(uri, {"range": {"start": place, "end": place}, "text": " "})
        c.ask(name, {**document, "position": place, "range": whole, "newName": "other", "options": {},
                     "context": {"includeDeclaration": True, "diagnostics": []}})
        times.setdefault(method, []).append(spent() - begin)
        c.change(uri, {"text": text})
    begin = spent()
    c.change(uri, {"range": {"start": place, "end": place}, "text": "x"})
    c.diagnostics(uri)
    times.setdefault("diagnostics", []).append(spent() - begin)
    c.change(uri, {"text": text})
    c.notices.clear()
assert c.end() == 0
for method, list_ in sorted(times.items()):
    print("%-20s %5.1f ms of processor, %5.1f at most" % (method, statistics.median(list_), max(list_)))
    assert statistics.median(list_) <= 50, method
