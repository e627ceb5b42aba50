#!/usr/bin/env bash
# The files of lang/editors, by the editors that are installed: Neovim, Vim, Emacs with eglot, Pygments, and npm where
# DEQ_NPM is set.  Each that is absent is named.  Skipped where none is there.
source "$(dirname "$0")/../programs/lib.sh"
editors=$SOURCE/lang/editors
export HOME=$WORK TMPDIR=$WORK PATH=$(dirname "$DEQ"):$PATH
mkdir -p project
cat >project/net.deq <<'D'
import std.layers (Dense)

/// Ein Netz 🙂.
layer Net(image: f32[4]) -> f32[2] {
  use head = Dense[4, 2]
  let ähnlich = 1
  return image |> head
}
D
sed '/ähnlich/d; s/|> head/|> hed/' project/net.deq >project/wrong.deq
sed -i '/ähnlich/d' project/net.deq
ran=0
absent() { echo "skipped: no $1"; }

# ---- Neovim: the client of the protocol that it has
if command -v nvim >/dev/null; then
  cat >init.lua <<L
vim.opt.runtimepath:append("$editors/vim")
package.path = "$editors/neovim/?.lua;" .. package.path
require("deq").setup({ cmd = { "$DEQ", "lsp" } })
L
  cat >session.lua <<'L'
local function ensure(good, what) if not good then error(what) end end
local function wait(what, condition) ensure(vim.wait(20000, condition, 20), "no " .. what) end
local ok, problem = pcall(function()
  vim.cmd("edit project/wrong.deq")
  ensure(vim.bo.filetype == "deq", "file type " .. vim.bo.filetype)
  ensure(vim.fn.synIDattr(vim.fn.synID(4, 1, 1), "name") == "deqWord", "syntax of layer")
  wait("diagnostics", function() return #vim.diagnostic.get(0) > 0 end)
  local found = vim.diagnostic.get(0)[1]
  ensure(found.code == "E0201" and found.lnum == 5 and found.col == 18, vim.inspect(found))
  vim.cmd("%s/hed/head/")
  wait("end of the diagnostics", function() return #vim.diagnostic.get(0) == 0 end)
  local place = { textDocument = vim.lsp.util.make_text_document_params(), position = { line = 5, character = 18 } }
  local function ask(method, params)
    for _, answer in pairs(vim.lsp.buf_request_sync(0, method, params, 20000)) do return answer.result end
  end
  ensure(ask("textDocument/hover", place).contents.value:find("Dense%[4, 2%]"), "hover")
  ensure(ask("textDocument/definition", place).range.start.line == 4, "definition")
  ensure(#ask("textDocument/documentSymbol", place) == 1, "symbols")
  place.newName = "last"
  vim.lsp.util.apply_workspace_edit(ask("textDocument/rename", place), "utf-16")
  ensure(vim.fn.getline(5) == "  use last = Dense[4, 2]" and vim.fn.getline(6) == "  return image |> last", "rename")
  vim.fn.setline(6, "  return  image|>last")
  vim.lsp.buf.formatting_sync(nil, 20000)
  ensure(vim.fn.getline(6) == "  return image |> last", "formatting: " .. vim.fn.getline(6))
  vim.lsp.stop_client(vim.lsp.get_active_clients(), false)
  wait("end of the client", function() return #vim.lsp.get_active_clients() == 0 end)
end)
if ok then print("neovim agrees") vim.cmd("qall!") else print(problem) vim.cmd("cquit") end
L
  timeout 100 nvim --headless -u init.lua -c 'luafile session.lua' >out 2>&1 </dev/null || fail "Neovim"
  grep -q 'neovim agrees' out || fail "Neovim"
  ran=$((ran + 1)) checks=$((checks + 1))
else
  absent neovim
fi

# ---- Vim: syntax and file type
if command -v vim >/dev/null; then
  cat >session.vim <<V
set nocompatible
filetype plugin on
syntax on
edit project/net.deq
let names = map([[4, 1], [1, 8], [3, 2], [4, 18], [6, 17]], 'synIDattr(synID(v:val[0], v:val[1], 1), "name")')
call writefile([&filetype, &shiftwidth] + names, 'vim.out')
qall!
V
  timeout 60 vim -e -s -u NONE --cmd "set runtimepath^=$editors/vim" -S session.vim >out 2>&1 </dev/null || true
  printf '%s\n' deq 2 deqWord '' deqDocumentation deqType deqOperator >want
  if [[ -e vim.out ]] && vim --version | grep -q '+syntax' && vim --version | grep -q '+eval'; then
    diff want vim.out >out || fail "Vim's syntax"
    ran=$((ran + 1)) checks=$((checks + 1))
  else
    absent "vim with syntax"
  fi
else
  absent vim
fi

# ---- Emacs: the mode, and the server by eglot
if command -v emacs >/dev/null && emacs --batch --eval "(progn (package-initialize) (require 'eglot))" >/dev/null 2>&1; then
  sed 's/|> hed/|> head/' project/wrong.deq >project/emacs.deq
  cat >session.el <<L
(package-initialize)
(add-to-list 'load-path "$editors/emacs")
(require 'deq-mode)
(require 'eglot)
(setq eglot-server-programs '((deq-mode . ("$DEQ" "lsp"))) eglot-sync-connect 20 eglot-connect-timeout 60)
(defun must (good what) (unless good (error "no %s" what)))
(find-file "project/emacs.deq")
(must (eq major-mode 'deq-mode) "deq-mode")
(font-lock-ensure)
(must (eq (get-text-property (progn (goto-char (point-min)) (search-forward "\nlayer Net") (- (point) 5)) 'face) 'font-lock-keyword-face) "face")
(apply #'eglot--connect (eglot--guess-contact))
(goto-char (point-max))
(search-backward "head")
(let ((hover (jsonrpc-request (eglot-current-server) :textDocument/hover (eglot--TextDocumentPositionParams))))
  (must (string-match-p "Dense\\\\[4, 2\\\\]" (plist-get (plist-get hover :contents) :value)) "hover"))
(must (= 5 (line-number-at-pos (xref-location-marker (xref-item-location (car (xref-backend-definitions 'eglot "head")))))) "definition")
(eglot-rename "last")
(must (progn (goto-char (point-min)) (search-forward "use last = Dense[4, 2]" nil t)) "rename")
(goto-char (point-max))
(search-backward "image")
(insert "   ")
(eglot-format-buffer)
(must (progn (goto-char (point-min)) (search-forward "  return image |> last" nil t)) "formatting")
(set-buffer-modified-p nil)
(eglot-shutdown (eglot-current-server))
(message "emacs agrees")
L
  timeout 100 emacs --batch -l session.el >out 2>&1 </dev/null || fail "Emacs"
  grep -q 'emacs agrees' out || fail "Emacs"
  ran=$((ran + 1)) checks=$((checks + 1))
else
  absent "emacs with eglot (Debian: emacs-nox, elpa-eglot)"
fi

# ---- Pygments: every character has a kind
if /usr/bin/python3 -c 'import pygments' 2>/dev/null; then
  PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$editors/pygments /usr/bin/python3 - "$SOURCE" >out 2>&1 <<'P' || fail "Pygments"
import glob, sys
from pygments.token import Error, Keyword, Name, String
from deq_lexer import DeqLexer
files = glob.glob(sys.argv[1] + "/stdlib/**/*.deq", recursive=True) + glob.glob(sys.argv[1] + "/examples/**/*.deq", recursive=True)
assert len(files) > 20
for path in files:
    text = open(path).read()
    tokens = list(DeqLexer(ensurenl=False, stripnl=False).get_tokens(text))
    wrong = [value for kind, value in tokens if kind is Error]
    assert not wrong, (path, wrong[:5])
    assert "".join(value for _, value in tokens) == text, path
kinds = dict((value, kind) for kind, value in DeqLexer().get_tokens('layer Net(x: f32[2]) -> f32 { // c\n  loss: "s"\n'))
assert kinds["layer"] is Keyword.Declaration and kinds["Net"] is Name.Function and kinds["loss"] is Name.Attribute
assert kinds["f32"] is Keyword.Type and kinds['"s"'] is String.Double
P
  ran=$((ran + 1)) checks=$((checks + 1))
else
  absent "pygments (Debian: python3-pygments)"
fi

# ---- VS Code: the grammar, as far as regular expressions of Python are those of the editor
/usr/bin/python3 - "$editors/vscode" >out 2>&1 <<'P' || fail "the grammar of VS Code"
import json, re, sys
folder = sys.argv[1]
grammar = json.load(open(folder + "/syntaxes/deq.tmLanguage.json"))
package = json.load(open(folder + "/package.json"))
json.load(open(folder + "/language-configuration.json"))
assert package["contributes"]["grammars"][0]["scopeName"] == grammar["scopeName"] == "source.deq"
assert {p["include"][1:] for p in grammar["patterns"]} == set(grammar["repository"])


def kind(line, word):
    """The kind of the first pattern that matches at the word."""
    at = line.index(word)
    for include in grammar["patterns"]:
        rule = grammar["repository"][include["include"][1:]]
        for match in re.finditer(rule.get("match", rule.get("begin")), line):
            for group, name in [(0, rule)] if "name" in rule else [(int(g), n) for g, n in rule["captures"].items()]:
                if match.start(group) == at:
                    return name["name"]


for line, word, want in [
    ("layer Net[N](x: f32[N]) -> f32 {", "layer", "keyword.declaration.deq"), ("layer Net[N](x: f32[N])", "Net", "entity.name.function.deq"),
    ("  use head = Dense[4, 2]", "use", "keyword.control.deq"), ("  return tanh(x)", "tanh", "support.function.deq"),
    ("    forward: anderson(tol: 1e-3)", "forward", "variable.other.property.deq"), ("  /// text", "///", "comment.line.documentation.deq"),
    ("    forward: anderson(tol: 1e-3)", "anderson", "support.constant.deq"), ("  let a: f32 = 1.5e-3", "f32", "support.type.deq"),
    ("  let a: f32 = 1.5e-3", "1.5e-3", "constant.numeric.deq"), ("a |> b", "|>", "keyword.operator.deq"), ('p: "x"', '"x"', "string.quoted.double.deq")]:
    assert kind(line, word) == want, (line, word, kind(line, word), want)
P
checks=$((checks + 1))

# ---- VS Code: packed, where npm is asked for and answers
cp -r "$editors/vscode" extension
if [[ -n ${DEQ_NPM:-} ]] && command -v npm >/dev/null && (cd extension && timeout 240 npm install --no-audit --no-fund) >out 2>&1; then
  (cd extension && npm run pack) >out 2>&1 || fail "the extension of VS Code is not packed"
  ls extension/*.vsix >out && unzip -l extension/*.vsix >>out
  for file in out/client.js syntaxes/deq.tmLanguage.json language-configuration.json package.json; do
    grep -q "extension/$file" out || fail "$file is not packed"
  done
  grep -q node_modules out && fail "the extension holds node_modules"
  cat >extension/session.js <<'J'
// The client of the protocol that the extension has, without the editor.
const rpc = require("vscode-jsonrpc/node");
const { spawn } = require("child_process");
const fs = require("fs");
const server = spawn(process.argv[2], ["lsp"]);
const connection = rpc.createMessageConnection(new rpc.StreamMessageReader(server.stdout), new rpc.StreamMessageWriter(server.stdin));
const must = (good, what) => { if (!good) { console.error("no " + what); process.exit(1); } };
const uri = "file://" + process.argv[3], text = fs.readFileSync(process.argv[3], "utf8");
const textDocument = { uri, languageId: "deq", version: 1, text };
const published = new Promise((done) => connection.onNotification("textDocument/publishDiagnostics", done));
connection.listen();
(async () => {
  const begun = await connection.sendRequest("initialize", { processId: process.pid, rootUri: null, capabilities: {} });
  must(begun.capabilities.hoverProvider && begun.serverInfo.name === "deq", "capabilities");
  connection.sendNotification("initialized", {});
  connection.sendNotification("textDocument/didOpen", { textDocument });
  must((await published).diagnostics[0].code === "E0201", "diagnostics");
  const symbols = await connection.sendRequest("textDocument/documentSymbol", { textDocument });
  must(symbols.length === 1 && symbols[0].name === "Net", "symbols");
  const error = await connection.sendRequest("textDocument/nonsense", {}).catch((e) => e);
  must(error.code === -32601, "error");
  await connection.sendRequest("shutdown");
  connection.sendNotification("exit");
  server.on("exit", (code) => { must(code === 0, "exit code"); console.log("jsonrpc agrees"); process.exit(0); });
})();
J
  (cd extension && timeout 60 node session.js "$DEQ" "$WORK/project/wrong.deq") >out 2>&1 || fail "vscode-jsonrpc"
  grep -q 'jsonrpc agrees' out || fail "vscode-jsonrpc"
  ran=$((ran + 1)) checks=$((checks + 1))
else
  absent "packing of the extension (set DEQ_NPM where npm answers)"
fi
((ran > 0)) || exit 77
done_testing
