"""Every method of lsp.def, on a script with text that is not ASCII: methods.py DEQ SOURCE."""
import os
import re
import sys
import tempfile

from client import Client, edited, part, utf16

deq, source = sys.argv[1:3]
folder = tempfile.mkdtemp()
os.environ["XDG_CACHE_HOME"] = folder + "/cache"
rows = re.findall(r'^(REQUEST|NOTICE)\(\w+, "([^"]+)"', open(source + "/compiler/server/lsp.def").read(), re.M)
methods = {name for _, name in rows}
assert len(methods) > 20
used = set()


class Recording(Client):
    def send(self, message):
        used.add(message.get("method"))
        super().send(message)


text = '''/// Ein Netz: für Bilder 🙂 und anderes.
import std.layers (Dense)
import std.losses (cross_entropy)
import std.optimisers (adam)
import std.data (fashion_mnist)
import parts as mine

/// Die Hälfte: x → x / 2, 🙂 as documented.
fn half(x: f32[N], by: f32 = 2.0) -> f32[N] = x / by

layer Body[I, H](x: f32[I]) -> f32[H] {
  use inject = Dense[I, H]
  let u = inject(x) /* not a comment */
  return u
}
'''.replace(" /* not a comment */", "  // 🙂 → u")
text += '''
layer Net(image: f32[1, 28, 28]) -> f32[10] {
  use body = Body[784, 16]
  use head = Dense[16, 10]
  let flat = image |> flatten
  let inner = half(body(flat), by: 4.0) |> mine.twice
  return inner |> head
}

data fashion: (f32[1, 28, 28], label[10]) = fashion_mnist()

train net = Net on fashion.train[0..1000] {
  loss:     cross_entropy
  optimise: adam(rate: 1e-3)
  epochs:   1
}

experiment study {
  let clean = accuracy(net, fashion.test)
  let steps = net.body.parameters + 2 * net.parameters
  table "t" { columns: [clean, steps] }
}
'''
with open(folder + "/parts.deq", "w") as file:
    file.write("/// Zweimal.\nfn twice(x: f32[N]) -> f32[N] = 2 * x\n")
path = folder + "/größe 1.deq"
with open(path, "w") as file:
    file.write(text)
uri = "file://" + path.replace(" ", "%20").replace("ö", "%C3%B6").replace("ß", "%C3%9F")
parts = "file://" + folder + "/parts.deq"

c = Recording(deq)
assert c.capabilities["positionEncoding"] == "utf-16" and c.capabilities["textDocumentSync"]["change"] == 2
for row in re.findall(r'^REQUEST\(.*?, "textDocument/\w+", "((?:[^"\\]|\\.)*)"', open(source + "/compiler/server/lsp.def").read(), re.M):
    if row:
        assert row.split(":")[0].replace('\\"', "") in c.capabilities, row
document = {"textDocument": {"uri": uri}}


def at(words, step=0):
    """The place `step` characters behind the beginning of the words, which stand once in the text."""
    assert text.count(words) == 1, (words, text.count(words))
    return {**document, "position": utf16(text, text.index(words) + step)}


def change(old, new):
    """Replaces words that stand once, as an editor does."""
    global text
    start = text.index(old)
    assert text.count(old) == 1, old
    c.change(uri, {"range": {"start": utf16(text, start), "end": utf16(text, start + len(old))}, "text": new})
    text = text.replace(old, new)


# ---- diagnostics: ranges, codes, help, and what another file has to say
c.open(uri, text)
assert c.diagnostics(uri) == [], c.diagnostics(uri)
change("let u = inject(x)", "let u🙂 = injct(x)")
change("u🙂", "u")
found = c.diagnostics(uri)
assert [d["code"] for d in found] == ["E0201"] and found[0]["severity"] == 1 and found[0]["source"] == "deq", found
assert part(text, found[0]["range"]) == "injct" and "did you mean 'inject'?" in found[0]["message"], found
actions = c.request("textDocument/codeAction", {**document, "range": found[0]["range"], "context": {"diagnostics": found}})
assert [a["title"] for a in actions] == ["Write 'inject'"], actions
fixed = edited(text, actions[0]["edit"]["changes"][uri])
c.change(uri, {"text": fixed})
text = fixed
assert c.diagnostics(uri) == []
change("  return u\n", "  return relu(gelu(u))\n")
found = c.diagnostics(uri)
assert found and found[0]["code"] == "E0201", found
actions = c.request("textDocument/codeAction", {**document, "range": found[0]["range"], "context": {"diagnostics": []}})
assert [a["title"] for a in actions] == ["Import 'gelu' from std.activations"], actions
text = edited(text, actions[0]["edit"]["changes"][uri])
assert "import std.activations (gelu)\n" in text
c.change(uri, {"text": text})
assert c.diagnostics(uri) == []

# a size that only the whole script decides: known once the client is quiet
change("use body = Body[784, 16]", "use body = Body[783, 16]")
assert [d["code"] for d in c.diagnostics(uri)][0].startswith("E03"), c.diagnostics(uri)
change("use body = Body[783, 16]", "use body = Body[784, 16]")
assert c.diagnostics(uri) == []

# a hover makes the nets too: what they show is told all the same
hovered = "file://" + folder + "/hovered.deq"
bad_net = text.replace("use body = Body[784, 16]", "use body = Body[783, 16]")
c.open(hovered, bad_net)
c.request("textDocument/hover", {"textDocument": {"uri": hovered}, "position": utf16(bad_net, bad_net.index("body = Body"))})
while not c.diagnostics(hovered):
    c.notices.append(c.receive(10))
c.notify("textDocument/didClose", {"textDocument": {"uri": hovered}})
# an import stands behind the documentation of the module and before that of the first declaration
c.open(hovered, "/// Module.\n\n/// Of f.\n/// More.\nfn f(x: f32[N]) -> f32[N] = gelu(x)\n")
everywhere = {"start": {"line": 0, "character": 0}, "end": {"line": 9, "character": 0}}
actions = c.request("textDocument/codeAction", {"textDocument": {"uri": hovered}, "range": everywhere, "context": {}})
imports = [a["edit"]["changes"][hovered] for a in actions if a["title"].startswith("Import")]
assert imports[0][0]["range"]["start"] == {"line": 2, "character": 0}, imports
# `"range": null` is the whole text
c.change(hovered, {"range": None, "text": "const A = 1\n"})
assert [s["name"] for s in c.request("textDocument/documentSymbol", {"textDocument": {"uri": hovered}})] == ["A"]

# ---- outline
symbols = c.request("textDocument/documentSymbol", document)
assert [s["name"] for s in symbols] == ["half", "Body", "Net", "fashion", "net", "study"], symbols
assert [s["name"] for s in symbols[2]["children"]] == ["body", "head", "flat", "inner"]
for s in symbols:
    assert part(text, s["selectionRange"]) == s["name"] and s["selectionRange"] != s["range"]

# declarations of all scripts, by some of their letters
def everywhere_named(query):
    return c.request("workspace/symbol", {"query": query})


found = everywhere_named("hlf")
assert [(f["name"], f["location"]["uri"]) for f in found] == [("half", uri)], found
assert part(text, found[0]["location"]["range"]) == "half" and "containerName" not in found[0]
found = everywhere_named("TWICE")
assert [(f["name"], f["containerName"], f["location"]["uri"]) for f in found] == [("twice", "parts", parts)], found
found = [f for f in everywhere_named("dense") if f["name"] == "Dense"]
assert len(found) == 1 and found[0]["containerName"] == "std.layers" and found[0]["kind"] == 5, found
assert "layer Dense[" in open(found[0]["location"]["uri"][7:]).read()
assert everywhere_named("no such name") == [] and {"Body", "Net", "fashion", "net", "adam"} <= {f["name"] for f in everywhere_named("")}
c.refused("workspace/symbol", {}, -32602)

# ---- hover
def hover(words, step=0):
    result = c.request("textDocument/hover", at(words, step))
    return (result["contents"]["value"], part(text, result["range"])) if result else (None, None)


value, name = hover("half(body")
assert name == "half" and "fn half(x: f32[N], by: f32 = 2.0) -> f32[N]" in value and "Die Hälfte: x → x / 2, 🙂" in value
assert "f32[16]" in hover("inner |>")[0]
assert "12560 parameters" in hover("Body[784, 16]")[0], hover("Body[784, 16]")
assert "170 parameters, gives `f32[10]`" in hover("head = Dense")[0]
assert "12730 parameters" in hover("net = Net")[0]
assert "passes over the examples" in hover("epochs:")[0]
assert "negative" not in hover("flatten")[0] and "flatten(x)" in hover("flatten")[0]
assert "Zweimal." in hover("mine.twice", 6)[0]
assert hover("= 2.0", 2) == (None, None)
assert hover("x / by", 2) == ("`x / by`: `f32[N]`", "/")
assert "use body = Body[784, 16]" in hover("net.body", 4)[0]

# ---- definition, in this file, in another, in the library
def definition(words, step=0):
    return c.request("textDocument/definition", at(words, step))


place = definition("half(body")
assert place["uri"] == uri and part(text, place["range"]) == "half"
place = definition("mine.twice", 6)
assert place["uri"] == parts and place["range"]["start"] == {"line": 1, "character": 3}
assert definition("mine.twice", 1)["uri"] == parts
place = definition("Dense[16")
library = open(place["uri"][len("file://"):].replace("%20", " ")).read()
assert part(library, place["range"]) == "Dense" and place["uri"].endswith("/layers.deq")
assert not os.access(place["uri"][len("file://"):], os.W_OK) or os.getuid() == 0
assert definition("flatten") is None
assert definition("net.body", 4)["range"]["start"]["line"] == text[: text.index("use body")].count("\n")
places = c.request("textDocument/references", {**at("inject = "), "context": {"includeDeclaration": True}})
assert [part(text, p["range"]) for p in places] == ["inject", "inject"]
places = c.request("textDocument/references", {**at("inject = "), "context": {"includeDeclaration": False}})
assert len(places) == 1
assert [h["kind"] for h in c.request("textDocument/documentHighlight", at("inject = "))] == [3, 2]

# ---- rename: a parameter with the arguments that name it; what would break the script; words of the language
assert part(text, c.request("textDocument/prepareRename", at("by: 4.0"))) == "by"
changes = c.request("textDocument/rename", {**at("by: 4.0"), "newName": "divisor"})["changes"]
renamed = edited(text, changes[uri])
assert "half(x: f32[N], divisor: f32 = 2.0) -> f32[N] = x / divisor" in renamed and "divisor: 4.0" in renamed
assert "declared twice" in c.refused("textDocument/rename", {**at("flat = "), "newName": "inner"}, -32803)
assert "reserved" in c.refused("textDocument/rename", {**at("flat = "), "newName": "let"}, -32602)
c.refused("textDocument/rename", {**at("flat = "), "newName": "ü"}, -32602)
assert "library" in c.refused("textDocument/prepareRename", at("Dense[16"), -32803)
assert "language" in c.refused("textDocument/prepareRename", at("flatten"), -32803)
# with the paths that name a part of a net
renamed = edited(text, c.request("textDocument/rename", {**at("body = Body"), "newName": "trunk"})["changes"][uri])
assert "use trunk = Body" in renamed and "half(trunk(flat)" in renamed and "net.trunk.parameters" in renamed
# in the files that the script imports
changes = c.request("textDocument/rename", {**at("mine.twice", 6), "newName": "double"})["changes"]
assert len(changes[uri]) == 1 and len(changes[parts]) == 1, changes

# where an import fails too; where another name, of any open script, would then mean something else
def rename_refused(script, old, new):
    c.change(hovered, {"text": script})
    place = {"textDocument": {"uri": hovered}, "position": utf16(script, script.index(old))}
    return c.refused("textDocument/rename", {**place, "newName": new}, -32803)


head = "fn f(x: f32[N]) -> f32[N] {\n"
assert "declared twice" in rename_refused("import nowhere (thing)\n" + head + "  let a = x + 1\n  let b = a * 2\n  return b\n}\n", "a = x", "b")
assert "else" in rename_refused(head + "  let a = x + 1\n  return a + c\n}\n", "a = x", "c")
assert "else" in rename_refused("const scale = 2.0\n" + head + "  let b = 3.0\n  return x * b * scale\n}\n", "b = 3", "scale")
c.change(hovered, {"text": "import parts (twice)\nfn g(x: f32[N], other: f32[N]) -> f32[N] = twice(x)\nfn h(x: f32[N]) -> f32[N] = x\n"})
c.refused("textDocument/rename", {**at("mine.twice", 6), "newName": "h"}, -32803)
c.notify("textDocument/didClose", {"textDocument": {"uri": hovered}})

# ---- completion
def labels(words, step=0):
    items = c.request("textDocument/completion", at(words, step))["items"]
    begin = utf16(text, text.index(words) + step)
    for item in items:  # what is replaced ends behind the place, on its line
        place = item["textEdit"]["range"]
        assert place["start"]["line"] == begin["line"] and place["start"]["character"] <= begin["character"], item
        assert part(text, place).replace(".", "").replace("_", "").isalnum() or part(text, place) == "", item
    return {item["label"]: item for item in items}


offered = labels("inner = half", 10)
assert {"half", "body", "head", "flat", "image", "tanh", "mine", "Dense", "gelu"} <= set(offered), sorted(offered)
assert "inner" not in offered and "logits" not in offered and "u" not in offered
assert offered["flat"]["detail"] == "f32[784]"
assert offered["silu"]["additionalTextEdits"][0]["newText"] == ", silu", offered["silu"]
assert {"epochs", "batch", "loss"} <= set(labels("  epochs:", 2)) and "forward" not in labels("  epochs:", 2)
assert {"train", "test"} == set(labels("fashion.train", 8))
assert {"rate:", "beta1:"} <= set(labels("adam(rate", 5))
assert "std.layers" in labels("import std.losses", 7) and "layers" in labels("import std.losses", 11)
assert "Conv" in labels("(Dense)", 1)
assert set(labels("mine.twice", 5)) == {"twice"}
assert labels("// 🙂", 4) == {} and "Net" in labels("train net = Net", 12)
assert {"f32", "label"} <= set(labels("-> f32[10]", 3))

assert {"body", "head", "parameters", "log"} <= set(labels("net.body", 4))
assert labels("import parts", 7)["parts"]["detail"] == "beside this script" and "größe 1" not in labels("import parts", 7)

# what is being written, in a text that does not parse
def written(old, new, after):
    """What is offered behind the last characters of `new`, which stands for `old`."""
    start = text.index(old)
    changed = text[:start] + new + text[start + len(old):]
    c.change(uri, {"text": changed})
    place = utf16(changed, start + new.index(after) + len(after))
    items = c.request("textDocument/completion", {**document, "position": place})["items"]
    c.change(uri, {"text": text})
    return [item["label"] for item in sorted(items, key=lambda item: item["sortText"])]


assert {"verdict", "steps"} <= set(written("let steps =", "let q = clean.\n  let steps =", "clean.")), "clean."
assert "lost_gradients" in written("let steps =", "let q = clean.attack.\n  let steps =", "attack.")
assert {"implicit", "phantom.unroll"} <= set(written("let steps =", "let q = net with { gradient: \n  let steps =", "gradient: "))
assert written("let steps =", "let q = net with { on_fail: \n  let steps =", "on_fail: ") == [
    "keep_best", "stop", "warn", "zero_gradient"]
assert {"tol:", "max:"} <= set(written("let steps =", "let q = net with { forward: anderson(\n", "anderson("))
assert {"absolute", "relative"} <= set(written("let steps =", "let q = net with { forward: anderson(stop: \n", "stop: "))
assert written("let flat =", "let g: = 1\n  let flat =", "let g: ")[:2] == ["bool", "f32"]
assert written("let flat =", "param w: \n  let flat =", "param w: ")[:2] == ["bool", "f32"]
assert "f32" in written("layer Net", "fn g(x: f\nlayer Net", "x: f") and "Net" not in written("layer Net", "fn g(x: f\nlayer Net", "x: f")
assert written("let flat =", "let g = 4.\n  let flat =", "4.") == []
assert {"body", "image", "head"} <= set(written("  let inner", "  let g = h\n  let inner", "let g = h"))
assert "by:" not in written("let flat =", "let g = half(1,\n  let h = \n  let flat =", "let h = "), "a bracket that was forgotten"
assert "by:" in written("let flat =", "let g = half(1,\n    b\n  let flat =", "    b")
assert "glorot" in written("let flat =", "param w: f32[2] = g\n  let flat =", "= g")
assert "head" in written("return inner |> head\n}\n", "return inner |> h", "|> h"), "at the end of a text without its bracket"

# ---- signature help
shown = c.request("textDocument/signatureHelp", at("by: 4.0", 4))
assert shown["signatures"][0]["label"].startswith("fn half(") and shown["activeParameter"] == 1, shown
assert c.request("textDocument/signatureHelp", at("adam(rate", 5))["activeParameter"] == 0
assert c.request("textDocument/signatureHelp", at("body(flat", 5))["signatures"][0]["label"].startswith("layer Body")
assert c.request("textDocument/signatureHelp", at("let flat")) is None

# ---- types, formatting, kinds of names
hints = c.request("textDocument/inlayHint", {**document, "range": {"start": utf16(text, 0), "end": utf16(text, len(text))}})
assert [h["label"] for h in hints] == [": f32[H]", ": f32[784]", ": f32[16]", ": f32", ": f32"], hints
change("  let flat = image |> flatten\n", "    let  flat=image|>flatten // 🙂\n")
edits = c.request("textDocument/formatting", {**document, "options": {"tabSize": 2, "insertSpaces": True}})
assert "  let flat = image |> flatten // 🙂\n" in edited(text, edits) or "  let flat = image |> flatten  // 🙂\n" in edited(text, edits)
assert len(edits) == 1 and edits[0]["range"]["start"]["line"] > 10, edits
c.change(uri, {"text": edited(text, edits)})
text = edited(text, edits)
assert c.request("textDocument/formatting", {**document, "options": {}}) == []
legend = c.capabilities["semanticTokensProvider"]["legend"]["tokenTypes"]
data = c.request("textDocument/semanticTokens/full", document)["data"]
line = column = 0
kinds = {}
for k in range(0, len(data), 5):
    line, column = line + data[k], data[k + 1] if data[k] else column + data[k + 1]
    place = {"start": {"line": line, "character": column}, "end": {"line": line, "character": column + data[k + 2]}}
    kinds.setdefault(part(text, place), set()).add(legend[data[k + 3]])
assert kinds["half"] == {"function"} and kinds["Dense"] == {"class"} and kinds["mine"] == {"namespace"}, kinds
assert kinds["N"] == {"typeParameter"} and kinds["by"] == {"parameter"} and "🙂" not in "".join(kinds)

# ---- a text that does not parse keeps its symbols, and they move with it
before = [s["name"] for s in c.request("textDocument/documentSymbol", document)]
change("layer Net(image", "// neu\nlayer Net((image")
assert c.diagnostics(uri)[0]["code"].startswith("E01")
assert sorted(s["name"] for s in c.request("textDocument/documentSymbol", document)) == sorted(before)
assert c.request("textDocument/formatting", {**document, "options": {}}) is None
assert "not parse" in c.refused("textDocument/prepareRename", at("half(x"), -32803)
assert "f32[16]" in hover("inner |>")[0]
assert {"half", "body"} <= set(labels("inner = half", 10))
change("layer Net((image", "layer Net(image")
assert c.diagnostics(uri) == []

# ---- a module that the client has open stands for its file
c.open(parts, "fn twice(x: f32[N]) -> f32 = sum(x)\n")
found = c.diagnostics(uri)
while not found:
    c.notices.append(c.receive())
    found = c.diagnostics(uri)
assert found[0]["code"].startswith("E03"), found
c.change(parts, {"text": "fn twice(x: f32[N]) -> f32[N] = (\n"})
while not any("relatedInformation" in d for d in found):
    c.notices.append(c.receive())
    found = c.diagnostics(uri)
assert part(text, found[0]["range"]) == "parts" and found[0]["relatedInformation"][0]["location"]["uri"] == parts, found
c.notify("textDocument/didClose", {"textDocument": {"uri": parts}})
while found:
    c.notices.append(c.receive())
    found = c.diagnostics(uri)

# ---- files: one of two addresses is edited once; folders of -I; what has changed on disk
os.makedirs(folder + "/lib")
os.symlink(folder + "/lib", folder + "/link")
with open(folder + "/lib/shared.deq", "w") as file:
    file.write("fn twice(x: f32[N]) -> f32[N] = 2 * x\n")
os.chdir(folder)
i = Client(deq, "-I", "lib")
user, shared = "file://" + folder + "/user.deq", "file://" + folder + "/link/shared.deq"
use = "import shared (twice)\nfn g(x: f32[N]) -> f32[N] = twice(x)\n"
i.open(user, use)
i.open(shared, open("lib/shared.deq").read())
asked = {"textDocument": {"uri": user}, "position": utf16(use, use.index("twice(x)"))}
changes = i.request("textDocument/rename", {**asked, "newName": "double"})["changes"]
assert {k: len(v) for k, v in changes.items()} == {user: 2, shared: 1}, changes
assert i.request("textDocument/definition", asked)["uri"] == shared
i.notify("textDocument/didClose", {"textDocument": {"uri": shared}})
with open("lib/shared.deq", "w") as file:
    file.write("// moved\n\nfn twice(x: f32[N]) -> f32[N] = 2 * x\n")
changes = i.request("textDocument/rename", {**asked, "newName": "double"})["changes"]
assert changes["file://" + folder + "/lib/shared.deq"][0]["range"]["start"] == {"line": 2, "character": 3}, changes
# a change of a text that nobody imports is no news for the others
i.notices.clear()  # a rename reads again, and tells again
assert i.diagnostics(user) == []
i.notices.clear()
i.open("untitled:other", "const A = 1\n")
assert i.diagnostics("untitled:other") == []
assert [n["params"]["uri"] for n in i.notices] == ["untitled:other"], i.notices
assert i.end() == 0
w = Client(deq, initialize=False)
w.request("initialize", {"capabilities": {"workspace": {"didChangeWatchedFiles": {"dynamicRegistration": True}}}})
w.notify("initialized", {})
asked = w.receive()
assert asked["method"] == "client/registerCapability" and asked["params"]["registrations"][0]["method"] in methods, asked
w.send({"id": asked["id"], "result": None})
assert w.end() == 0

# ---- what has no answer
c.notify("textDocument/didSave", document)
c.notify("workspace/didChangeWatchedFiles", {"changes": []})
c.notify("workspace/didChangeConfiguration", {"settings": {}})
c.notify("$/setTrace", {"value": "off"})
c.notify("$/cancelRequest", {"id": 1})
assert c.request("textDocument/documentSymbol", document)
c.notify("textDocument/didClose", document)
assert c.end() == 0
assert methods == used - {None}, (methods - used, used - methods)
print("methods: all %d" % len(methods))
