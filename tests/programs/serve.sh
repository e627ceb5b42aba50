#!/usr/bin/env bash
# deq serve: every verb's answer and exit code, arrays, events, cancelling; what is no request; a killed client, server or
# process that works.
source "$(dirname "$0")/lib.sh"
data 60
cp "$PROGRAMS/tiny.deq" .
cat >known.deq <<'D'
layer Twice(x: f32[2, 3]) -> f32[2, 3] {
  return 2 * x
}
D

# answer ID TEXT: the answer to that request holds TEXT
answer() {
  grep "^{\"id\":$1,\"answer\":" answers >out || fail "no answer to $1: $(cut -c1-200 answers)"
  [[ $(wc -l <out) == 1 ]] || fail "several answers to $1"
  grep -q -e "$2" out || fail "no '$2' in the answer to $1"
  checks=$((checks + 1))
}

# ---- requests in one go: the end of the input ends the server ----
cat >requests <<'D'
{"id":1,"do":"check","file":"tiny.deq"}
{"id":2,"do":"run","file":"tiny.deq","set":{"net.epochs":1},"events":true}
{"id":3,"do":"run","file":"tiny.deq","set":{"net.epochs":1},"strict":false}
{"id":"four","do":"eval","file":"known.deq","expression":"Twice(x)","arrays":{"x":{"shape":[1,2,3],"values":[1,2,3,4,5,6.5]}}}

{"id":5,"do":"eval","file":"tiny.deq","expression":"net(quadrants.test[0])","set":{"net.epochs":1}}
{"id":6,"do":"plan","file":"tiny.deq"}
{"id":7,"do":"report","folder":"results/tiny"}
{"id":8,"do":"check","file":"tiny.deq","summary":true}
{"id":9,"do":"version","protocol":1}
{"id":10,"do":"run","file":"tiny.deq","threads":"many"}
{"id":11,"do":"run","file":"tiny.deq","set":{"nett.epochs":1}}
{"id":12,"do":"check","file":"absent.deq"}
{"id":13,"do":"eval","file":"known.deq","expression":"Twice(x)","arrays":{"x":"absent.npy"}}
{"id":14,"do":"eval","file":"known.deq","expression":"Twice(x)","arrays":{"x":{"shape":[1,2,2],"values":[1,2,3,4]}}}
{"id":15,"do":"check","file":"--help"}
{"id":16,"do":"journal","journals":["absent"]}
{"id":17,"do":"eval","file":"known.deq","expression":"1 +"}
{"id":18,"do":"check","file":"tiny.deq"}
{"id":19,"do":"run","file":"tiny.deq","link":"absent.o"}
{"id":20,"do":"eval","file":"known.deq","expression":"1\nconst b: f32 = 2"}
{"id":21,"do":"eval","file":"known.deq","expression":"Twice(y)","arrays":{"x":"absent.npy"}}
{"id":22,"do":"check","file":"../tiny.deq","working_folder":"inner"}
{"id":23,"do":"check","file":"tiny.deq","working_folder":"absent"}
{"id":24,"do":"check","file":"tiny.deq"}
D
mkdir inner
printf '%s' "$(cat requests)" >unended # the last line has no end
"$DEQ" serve <unended >answers &
server=$!
wait $server || fail "deq serve ended with $?"
head -1 answers | grep -q '^{"protocol":1,"version":"[0-9.]*","verbs":\[' || fail "the server does not begin with its protocol"
answer 1 '"exit":0,"results":\[\]}$'
answer 2 '"event":"table".*"event":"done"'
grep -q '^{"id":2,"event":{"event":"epoch"' answers || fail "no events while it runs"
grep -q '^{"id":3,"event":' answers && fail "events that nobody asked for"
answer 3 '"exit":0.*"cached":true'
answer '"four"' '"shape":\[1,2,3\].*"value":\[\[\[2.0,4.0,6.0\],\[8.0,10.0,13.0\]\]\]'
answer 5 '"parameters":"cache"'
answer 6 '"event":"plan"'
answer 7 '"event":"verdicts"'
answer 8 '"text":"[^"]*body'
answer 9 '"abi":'
answer 10 '"exit":64.*"code":"E0944","message":"[^"]*--threads takes a whole number[^"\\]*"'
answer 11 '"exit":64.*"error":{"event":"error","code":"E0901"'
answer 12 '"exit":1.*"code":"E0111"'
answer 13 '"exit":3.*"code":"E0801"'
answer 14 '"exit":2.*"code":"E0803"'
answer 15 '"exit":1.*"code":"E0111"'
answer 16 '"exit":3.*"code":"E0824'
answer 17 '"exit":1.*"code":"E0101"'
answer 18 '"exit":0'
answer 19 '"exit":3.*"code":"E0942","message":"[^"]*cannot open .absent.o. to link it'
answer 20 '"exit":1.*"code":"E0101".*EXPR is one expression'
answer 21 '"exit":2.*"code":"E0201".*there is no array .y.'
answer 22 '"exit":0'
answer 23 '"exit":64.*"code":"E0944","message":"[^"]*cannot work in .absent.: No such file'
answer 24 '"exit":0'
[[ $(grep -o '^{"id":[^,]*,"answer"' answers | grep -o '[0-9a-z"]*,"answer"' | tr -d '"' | cut -d, -f1 | tr '\n' ' ') == '1 2 3 four 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 ' ]] ||
  fail "the answers are in another order"
! ls /tmp/deq-serve.*."$server".* >/dev/null 2>&1 || fail "the arrays of requests were left in /tmp"

# ---- the verbs are those of the table, and stand on the page ----
head -1 answers | grep -o '"verbs":.*' | grep -o '"[a-z]*"' | tr -d '"' | grep -v -x -e verbs -e cancel >verbs
sed -n 's/^SERVED(\([a-z]*\),.*/\1/p' "$SOURCE/compiler/driver/serve.def" | cmp - verbs || fail "the server does other things than serve.def says"
while read -r verb; do
  grep -q "^| \`$verb\` |" "$SOURCE/compiler/README.md" || fail "compiler/README.md does not have the request $verb"
  checks=$((checks + 1))
done <verbs

# ---- what is no request ----
refused() { # TEXT LINE: it is answered with E0944, and the server goes on
  { printf '%s\n' "$2"; echo '{"id":"after","do":"version"}'; } | "$DEQ" serve >answers || fail "deq serve ended with $? after $2"
  grep -q '"exit":64,"results":\[\],"error":{"code":"E0944"' answers || fail "accepted: $2: $(cut -c1-300 answers)"
  grep -q -e "$1" answers || fail "no '$1' in the answer to $2: $(cut -c1-300 answers)"
  answer '"after"' '"exit":0'
}
refused 'no JSON' 'check tiny.deq'
refused 'no JSON' '{"id":1,"do":"check"'
refused 'no JSON' '{"id":1,"id":2,"do":"check"}'
refused 'no JSON' $'{"id":"\xff","do":"check"}'
refused 'no JSON' "$(head -c 100000 /dev/zero | tr '\0' '[')"
refused 'is an object' '[1]'
refused "'id' is a text" '{"id":[1],"do":"check"}'
refused "'do' is missing" '{"id":1}'
refused 'protocol 1' '{"id":1,"do":"check","protocol":2,"file":"a"}'
refused "did you mean 'check'" '{"id":1,"do":"chekc"}'
refused "did you mean 'threads'" '{"id":1,"do":"run","file":"a","treads":1}'
refused "has no member 'a" "{\"id\":1,\"do\":\"run\",\"file\":\"a\",\"a$(printf 'é%.0s' {1..80})\":1}" # cut in a letter
refused "needs the member 'file'" '{"id":1,"do":"run"}'
refused "'file' is no text" '{"id":1,"do":"run","file":7}'
refused "'strict' is true or false" '{"id":1,"do":"run","file":"a","strict":1}'
refused "'working_folder' is the path" '{"id":1,"do":"version","working_folder":""}'
refused "'set' is an object" '{"id":1,"do":"run","file":"a","set":"a=1"}'
refused "'set.a' is no text" '{"id":1,"do":"run","file":"a","set":{"a":[1]}}'
refused "has no member 'watch'" '{"id":1,"do":"run","file":"a","watch":true}'
refused "has no member 'arrays'" '{"id":1,"do":"run","file":"a","arrays":{}}'
refused 'is the path of a file' '{"id":1,"do":"eval","file":"a","expression":"x","arrays":{"x":[1]}}'
refused 'has 1 values' '{"id":1,"do":"eval","file":"a","expression":"x","arrays":{"x":{"shape":[2],"values":[1]}}}'
refused 'is no number' '{"id":1,"do":"eval","file":"a","expression":"x","arrays":{"x":{"shape":[1],"values":[null]}}}'
refused 'no name for an array' '{"id":1,"do":"eval","file":"a","expression":"x","arrays":{"../x":{"shape":[1],"values":[1]}}}'
refused "needs the member 'of'" '{"id":1,"do":"cancel"}'
refused 'no request of this id' '{"id":1,"do":"cancel","of":7}'
{ head -c 67200000 /dev/zero | tr '\0' ' '; echo; echo '{"id":1,"do":"version"}'; } | "$DEQ" serve >answers
grep -q 'more than 64 MiB' answers || fail "a line of any length is taken"
answer 1 '"exit":0'
expect 64 'too many' "$DEQ" serve tiny.deq </dev/null

# ---- a server that goes on: cancelling, and who is killed ----
LONG='"do":"run","file":"tiny.deq","set":{"net.epochs":1000000},"events":true'
begin() { # a server with its ends open: requests to 7, answers to the file
  rm -f pipe && mkfifo pipe
  "$DEQ" serve <pipe >answers 2>told &
  server=$!
  exec 7>pipe
}
seen() { # TEXT: waits for an answer or event
  patiently grep -q -e "$1" answers || fail "no '$1' came: $(cut -c1-200 answers | tail -3)"
}
begin
echo "{\"id\":1,$LONG}" >&7
seen '^{"id":1,"event":{"event":"epoch"'
printf '%s\n' '{"id":2,"do":"version"}' '{"id":3,"do":"version"}' '{"id":4,"do":"cancel","of":3}' '{"id":5,"do":"cancel","of":1}' >&7
exec 7>&-
got=0; wait $server || got=$?
[[ $got == 0 ]] || fail "the server ended with $got"
answer 1 '"exit":130.*"code":"E0921"'
answer 2 '"exit":0'
answer 3 '"exit":130.*before it began'
answer 4 '"exit":0'
answer 5 '"exit":0'

# a killed process: the request fails, the next one does not; what was trained until now was kept
begin
echo "{\"id\":1,$LONG}" >&7
seen '"event":"resumed"'
seen '"event":"epoch"'
kill_now "$(pgrep -P $server)"
echo '{"id":2,"do":"version"}' >&7
exec 7>&-
wait $server || fail "the server ended with $?"
answer 1 '"exit":70.*ended by signal 9'
answer 2 '"exit":0'

# a server that is asked to end: as Ctrl-C
begin
echo "{\"id\":1,$LONG}" >&7
seen '"event":"epoch"'
kill -TERM $server
got=0; wait $server || got=$?
exec 7>&-
[[ $got == 130 ]] || fail "the server ended with $got"
answer 1 '"exit":130.*"code":"E0921"'

# a killed server: its run writes a checkpoint and ends
begin
echo "{\"id\":1,$LONG}" >&7
seen '"event":"epoch"'
child=$(pgrep -P $server)
kill_now $server
wait $server || true
exec 7>&-
patiently gone "$child" || fail "the run outlives its server"

# a killed client: the server ends, and the run writes a checkpoint
rm -f pipe && mkfifo pipe
got=0
{ echo "{\"id\":1,$LONG}"; sleep 20; } | { "$DEQ" serve || echo $? >ended; } | grep -m 1 '"event":"epoch"' >answers &
patiently test -s ended || true
[[ $(cat ended) == 3 ]] || fail "the server does not end with its client: $(cat ended)"

# a client that cancels and ends: its run is told once, and gets to its checkpoint; only who asks again kills
begin
echo "{\"id\":1,$LONG}" >&7
seen '"event":"epoch"'
child=$(pgrep -P $server)
kill -STOP "$child"
echo '{"id":2,"do":"cancel","of":1}' >&7
seen '^{"id":2,"answer":"cancel","exit":0'
kill -TERM $server
sleep 0.5
kill -0 "$child" 2>/dev/null || fail "who ends the server after a cancel kills the run"
echo '{"id":3,"do":"cancel","of":1}' >&7
patiently gone "$child" || fail "the second cancel does not kill a run that does not end"
killed+=("$child")
exec 7>&-
got=0; wait $server || got=$?
[[ $got == 130 ]] || fail "the server ended with $got"
answer 1 '"exit":130.*"code":"E0921"'

# a reader who is slow loses nothing, and one who reads nothing does not keep the server from its end
for _ in {1..20000}; do echo '{"do":"nothing"}'; done >flood
{ cat flood; echo '{"id":"last","do":"version"}'; } | "$DEQ" serve | { sleep 1; cat; } >answers
[[ $(grep -c '"code":"E0944"' answers) == 20000 ]] || fail "a slow reader gets $(wc -l <answers) answers of 20001"
answer '"last"' '"exit":0'
rm -f pipe unread && mkfifo pipe unread
exec 8<>unread
"$DEQ" serve <pipe >unread &
server=$!
exec 7>pipe
{ head -2000 flood; echo "{\"id\":1,$LONG}"; } >&7
patiently eval 'child=$(pgrep -P $server)' || fail "no request is worked on while nobody reads"
kill -TERM $server
patiently gone $server || { kill -KILL $server; fail "a server whose answers nobody reads does not end"; }
got=0; wait $server || got=$?
exec 7>&- 8>&-
[[ $got == 130 ]] || fail "the server ended with $got"
patiently gone "$child" || fail "the run outlives its server"
checks=$((checks + 5))
# a terminal that is stopped, and one whose other end reads nothing, do not keep the server from its end; what was written is
# there when the terminal goes on
if [[ -x /usr/bin/python3 ]]; then
  cat >terminal.py <<'END'
import os, signal, subprocess, sys
def serve(key):
    own, other = os.openpty()
    server = subprocess.Popen([sys.argv[1], "serve"], stdin=subprocess.PIPE, stdout=other)
    os.close(other)
    got = b""
    while not got.endswith(b"\n"): got += os.read(own, 4096)  # it is ready
    os.write(own, key)
    server.stdin.write(b'{"do":"nothing"}\n' * 5000 + b'{"id":"last","do":"version"}\n')
    server.stdin.flush()
    return server, own
for key in b"", b"\x13":  # Ctrl-S
    server, own = serve(key)
    server.send_signal(signal.SIGTERM)
    try:
        ended = server.wait(240)
    except subprocess.TimeoutExpired:
        server.kill()
        sys.exit("a terminal that takes nothing keeps the server, after %r" % key)
    if ended != 130: sys.exit("the server ended with %d" % ended)
    os.close(own)
server, own = serve(b"\x13")
server.stdin.close()
os.write(own, b"\x11")  # Ctrl-Q
got = b""
try:
    while True: got += os.read(own, 1 << 16)
except OSError:  # its other end is closed
    pass
if server.wait(240) or got.count(b"E0944") != 5000 or b'"last"' not in got:
    sys.exit("of a terminal that went on, %d of 5000 answers came" % got.count(b"E0944"))
END
  expect 0 '' /usr/bin/python3 terminal.py "$DEQ"
else
  echo "left out: python3, for a terminal"
fi
no_partial_files
done_testing
