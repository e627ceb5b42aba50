// Starts `deq lsp` for scripts of deq.
const { workspace } = require("vscode");
const { LanguageClient } = require("vscode-languageclient/node");

let client;

exports.activate = () => {
  const settings = workspace.getConfiguration("deq");
  const include = settings.get("include").flatMap((folder) => ["-I", folder]);
  const run = { command: settings.get("path"), args: ["lsp", ...include] };
  client = new LanguageClient("deq", "deq", run, {
    documentSelector: [{ language: "deq" }],
    synchronize: { fileEvents: workspace.createFileSystemWatcher("**/*.deq") },
  });
  return client.start();
};

exports.deactivate = () => client?.stop();
