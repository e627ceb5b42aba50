"""No memory stays behind: memory.py DEQ SOURCE.  Resident memory after dozens of edits and requests is that after the first."""
import sys

from client import Client, utf16

deq, source = sys.argv[1:3]
text = open(source + "/stdlib/attacks.deq").read()
uri = "untitled:attacks"
document = {"textDocument": {"uri": uri}}
c = Client(deq)
c.open(uri, text)


def resident():
    with open("/proc/%d/status" % c.process.pid) as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))


def turn(k):
    at = (7919 * k) % len(text)
    place = utf16(text, at)
    c.change(uri, {"range": {"start": place, "end": place}, "text": "x ("})
    c.request("textDocument/completion", {**document, "position": place})
    c.request("textDocument/documentSymbol", document)
    c.change(uri, {"range": {"start": place, "end": utf16(text[:at] + "x (" + text[at:], at + 3)}, "text": ""})
    for method in ("hover", "completion", "signatureHelp", "definition"):
        c.request("textDocument/" + method, {**document, "position": place})
    c.request("textDocument/semanticTokens/full", document)
    if k % 10 == 0:
        c.ask("textDocument/rename", {**document, "position": place, "newName": "other"})
    c.notices.clear()


for k in range(20):
    turn(k)
before = resident()
for k in range(20, 40):
    turn(k)
# requests alone, of one version
for k in range(20):
    c.request("textDocument/completion", {**document, "position": utf16(text, (7919 * k) % len(text))})
after = resident()
assert c.end() == 0
assert after < before + 1024, "%d kB became %d kB" % (before, after)
print("memory: %d kB, then %d kB" % (before, after))
