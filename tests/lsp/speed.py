"""How long answers take: speed.py DEQ SOURCE.  Processor time of the server, from a change of the text to the answer, on the
two largest modules of the library and on a script whose nets take long to make.  The median of each method is told, and
whether it is above the 50 ms that are wanted.  A busy machine doubles processor times too, so that only what is ten times
as slow fails: work that is done again for each symbol or for each declaration."""
import glob
import os
import statistics
import sys

from client import Client, utf16

deq, source = sys.argv[1:3]
c = Client(deq)
times = {}


def spent():
    with open("/proc/%d/schedstat" % c.process.pid) as file:
        return int(file.read().split()[0]) / 1e6


def measure(path):
    with open(path) as file:
        text = file.read()
    uri = "file://" + path
    document = {"textDocument": {"uri": uri}}
    c.open(uri, text)
    layer = utf16(text, text.find("\nlayer ") + 8)
    c.request("textDocument/hover", {**document, "position": layer})  # the first makes the nets
    for k in range(3):
        at = text.index("\n", (4001 * k) % (len(text) - 200)) + 1
        place = utf16(text, at)
        whole = {"start": utf16(text, 0), "end": utf16(text, len(text))}
        for method in ("documentSymbol", "hover", "definition", "references", "documentHighlight", "prepareRename", "rename",
                       "completion", "signatureHelp", "formatting", "inlayHint", "codeAction", "semanticTokens/full"):
            begin = spent()
            c.change(uri, {"range": {"start": place, "end": place}, "text": " "})
            c.ask("textDocument/" + method,
                  {**document, "position": layer if k % 2 else place, "range": whole, "newName": "other", "options": {},
                   "context": {"includeDeclaration": True, "diagnostics": []}})
            times.setdefault(method, []).append(spent() - begin)
            c.change(uri, {"text": text})
        begin = spent()
        c.change(uri, {"range": {"start": place, "end": place}, "text": "x"})
        c.diagnostics(uri)
        times.setdefault("diagnostics", []).append(spent() - begin)
        c.change(uri, {"text": text})
        c.notices.clear()
    c.notify("textDocument/didClose", document)


library = sorted(glob.glob(source + "/stdlib/*.deq"), key=os.path.getsize)
for path in [*library[-2:], source + "/examples/paper/table4.deq"]:
    times.clear()
    measure(path)
    print(path[len(source) + 1:])
    for method, list_ in sorted(times.items()):
        median = statistics.median(list_)
        print("  %-20s %5.1f ms of processor, %5.1f at most%s" %
              (method, median, max(list_), ", above 50" if median > 50 else ""))
        assert median <= 500, method
assert c.end() == 0
