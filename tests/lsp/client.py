"""A client of `deq lsp`: one process, requests by number, diagnostics as they come."""
import json
import os
import select
import subprocess
import time


class Client:
    def __init__(self, deq, *arguments, initialize=True, root="/"):
        self.process = subprocess.Popen([deq, "lsp", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.input, self.output = self.process.stdin, self.process.stdout
        self.held, self.number, self.notices, self.versions = b"", 0, [], {}
        self.slowest = {}
        if initialize:
            self.capabilities = self.request("initialize", {"processId": os.getpid(), "rootUri": "file://" + root,
                                                            "capabilities": {}})["capabilities"]
            self.notify("initialized", {})

    def write(self, data):
        self.input.write(data)
        self.input.flush()

    def send(self, message):
        text = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.write(b"Content-Length: %d\r\n\r\n" % len(text) + text)

    def receive(self, seconds=60):
        """The next message; None when the server has ended."""
        end = time.monotonic() + seconds
        while True:
            head, found, rest = self.held.partition(b"\r\n\r\n")
            if found:
                length = int(head.split(b":")[1])
                if len(rest) >= length:
                    self.held = rest[length:]
                    return json.loads(rest[:length])
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.output], [], [], left)[0]:
                raise TimeoutError("no message within %g s" % seconds)
            more = os.read(self.output.fileno(), 1 << 16)
            if not more:
                return None
            self.held += more

    def answer(self, number):
        while True:
            message = self.receive()
            assert message is not None, "the server ended without an answer"
            if "id" in message and "method" not in message:
                assert message["id"] == number, (message, number)
                return message
            self.notices.append(message)

    def ask(self, method, params):
        """The whole answer, with its error if it is one."""
        self.number += 1
        begin = time.monotonic()
        self.send({"id": self.number, "method": method, "params": params})
        message = self.answer(self.number)
        self.slowest[method] = max(self.slowest.get(method, 0), time.monotonic() - begin)
        return message

    def request(self, method, params):
        message = self.ask(method, params)
        assert "error" not in message, (method, message)
        return message["result"]

    def refused(self, method, params, code):
        message = self.ask(method, params)
        assert message.get("error", {}).get("code") == code, (method, message)
        return message["error"]["message"]

    def notify(self, method, params):
        self.send({"method": method, "params": params})

    def open(self, uri, text):
        self.versions[uri] = 1
        self.notify("textDocument/didOpen",
                    {"textDocument": {"uri": uri, "languageId": "deq", "version": 1, "text": text}})

    def change(self, uri, *changes):
        self.versions[uri] += 1
        self.notify("textDocument/didChange", {"textDocument": {"uri": uri, "version": self.versions[uri]},
                                               "contentChanges": list(changes)})

    def diagnostics(self, uri):
        """Those of the text as it is now."""
        while True:
            for k in range(len(self.notices) - 1, -1, -1):
                params = self.notices[k]["params"]
                if self.notices[k]["method"] == "textDocument/publishDiagnostics" and params["uri"] == uri:
                    if params.get("version") == self.versions[uri]:
                        return params["diagnostics"]
            message = self.receive()
            assert message is not None, "the server ended without diagnostics"
            self.notices.append(message)

    def end(self):
        """The exit code after shutdown and exit."""
        self.request("shutdown", None)
        self.notify("exit", None)
        return self.process.wait(60)


def utf16(text, at):
    """The place of a character of the text, as the protocol counts."""
    line = text.rfind("\n", 0, at) + 1
    return {"line": text.count("\n", 0, at), "character": len(text[line:at].encode("utf-16-le")) // 2}


def offset(text, place):
    lines = text.split("\n")
    assert place["line"] < len(lines), place
    units = lines[place["line"]].encode("utf-16-le")
    assert 0 <= 2 * place["character"] <= len(units), (place, lines[place["line"]])
    return sum(len(x) + 1 for x in lines[: place["line"]]) + len(units[: 2 * place["character"]].decode("utf-16-le"))


def part(text, place):
    """The text of a range; the range lies in it."""
    start, end = offset(text, place["start"]), offset(text, place["end"])
    assert start <= end, place
    return text[start:end]


def edited(text, edits):
    for edit in sorted(edits, key=lambda e: offset(text, e["range"]["start"]), reverse=True):
        start, end = offset(text, edit["range"]["start"]), offset(text, edit["range"]["end"])
        text = text[:start] + edit["newText"] + text[end:]
    return text
