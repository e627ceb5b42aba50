"""No memory stays behind: memory.py DEQ SOURCE.  The median of resident memory over forty turns of edits and
requests is that of the forty before."""
import os
import statistics
import sys

from client import Client, utf16

deq, source = sys.argv[1:3]
text = open(source + "/stdlib/attacks.deq").read()
uri = "untitled:attacks"
document = {"textDocument": {"uri": uri}}
# malloc is to give back what is freed: what it keeps for later varies by 2 MB and more, huge pages among it
os.environ["GLIBC_TUNABLES"] = "glibc.malloc.mmap_threshold=65536:glibc.malloc.trim_threshold=65536"
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


def usual(turns):
    """The median of the resident memory after each of these turns, in kB."""
    sizes = []
    for k in turns:
        turn(k)
        sizes.append(resident())
    return statistics.median(sizes)


for k in range(60):
    turn(k)
before = usual(range(60, 100))
# requests alone, of one version
for k in range(20):
    c.request("textDocument/completion", {**document, "position": utf16(text, (7919 * k) % len(text))})
after = usual(range(100, 140))
assert c.end() == 0
assert after < before + 512, "%d kB became %d kB" % (before, after)
print("memory: %d kB, then %d kB" % (before, after))
