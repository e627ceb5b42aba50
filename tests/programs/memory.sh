#!/usr/bin/env bash
# Where memory is limited (ulimit -v) a run ends, well or with E0931, within its time; it is never taken for interrupted.
source "$(dirname "$0")/lib.sh"
data 64
expect 0 '' "$DEQ" run "$PROGRAMS/tiny.deq" --set net.epochs=1
grep -q __asan_init "$(dirname "$DEQ")/libdeqrt.a" && { echo "the sanitizer needs terabytes of addresses: nothing to see here"; exit 0; }

# ends KILOBYTES FLAG..: code 0 with results, code 3 with E0931 or the loader's own words
ends() {
  local got=0
  rm -rf results
  (ulimit -v "$1" && shift && exec timeout 60 "$DEQ" run "$PROGRAMS/tiny.deq" --set net.epochs=1 --fresh --threads 1 "$@") >out 2>&1 || got=$?
  case $got in
    0) [[ -s results/tiny/tiny.csv ]] || fail "no table under $1 kB" ;;
    3) grep -q 'E0931' out || fail "exit code 3 without E0931 under $1 kB" ;;
    127) grep -q -i 'cannot allocate memory\|failed to map' out || fail "exit code 127 under $1 kB" ;; # before main, or by the loader
    *) fail "exit code $got under $1 kB ${*:2}" ;;
  esac
  checks=$((checks + 1))
}
for kilobytes in 60000 100000 200000 280000 350000; do ends $kilobytes; done
for kilobytes in 60000 150000 200000 205000 210000 220000 240000 260000 280000 350000; do ends $kilobytes --no-cache; done
expect 0 '' bash -c "ulimit -v 4000000; exec '$DEQ' run '$PROGRAMS/tiny.deq' --set net.epochs=1 --fresh --no-cache --threads 1"
expect 3 'error.E0931.: out of memory' bash -c "ulimit -v 150000; exec '$DEQ' run '$PROGRAMS/tiny.deq' --fresh --no-cache --threads 1"

# ---- every mapping that the compiler asks for, refused in turn; and every thread ----
cat >refuse.c <<'X'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static int refused(const char *variable, int *calls) {
    const char *from = getenv(variable);
    return from && __atomic_add_fetch(calls, 1, __ATOMIC_SEQ_CST) >= atoi(from);
}
void *mmap(void *at, size_t size, int protection, int flags, int file, off_t offset) {
    static int calls;
    if (refused("REFUSE_MAPPINGS", &calls)) return errno = ENOMEM, MAP_FAILED;
    return (void *)syscall(SYS_mmap, at, size, protection, flags, file, offset);
}
int pthread_create(pthread_t *thread, const pthread_attr_t *with, void *(*run)(void *), void *context) {
    static int calls;
    static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    if (refused("REFUSE_THREADS", &calls)) return EAGAIN;
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
    return real(thread, with, run, context);
}
X
if cc -shared -fPIC -O1 refuse.c -o refuse.so -ldl 2>cc.log; then
  for ((from = 1; from < 20; from++)); do
    got=0
    LD_PRELOAD=$PWD/refuse.so REFUSE_MAPPINGS=$from timeout 60 "$DEQ" run "$PROGRAMS/tiny.deq" --set net.epochs=1 --fresh --no-cache --threads 2 >out 2>&1 || got=$?
    [[ $got == 0 ]] && break
    [[ $got == 3 ]] && grep -q 'error.E0931.: out of memory' out || fail "exit code $got without mapping $from"
    checks=$((checks + 1))
  done
  ((from > 1 && from < 20)) || fail "the first mapping that may be refused is number $from"
  for from in 1 2 3 4; do
    LD_PRELOAD=$PWD/refuse.so REFUSE_THREADS=$from expect 0 'robust of net' timeout 60 "$DEQ" run "$PROGRAMS/tiny.deq" --set net.epochs=1 --fresh --no-cache --threads 2
  done
fi
no_partial_files
done_testing
