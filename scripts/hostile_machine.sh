#!/usr/bin/env bash
# Runs the suite on machines that make it hard, and prints what became of it.
#
#   scripts/hostile_machine.sh                        the whole suite under every condition: hours
#   scripts/hostile_machine.sh tests/cli tests/faults   a part of it
#   ONLY="slow random_order" scripts/hostile_machine.sh   some conditions
#
# VENV is the environment to use (.venv), LOGS a folder to keep the output in, READABLE_PYTHON a
# Python that another user can run. What needs root or Linux is skipped without.
# A condition fails on a failed test, and on a program that is still there after the last test.
set -uo pipefail
cd "$(dirname "$0")/.."

ROOT=$PWD
VENV=$(realpath "${VENV:-.venv}")
PYTHON=$VENV/bin/python
PARTS=("$@")
WORK=$(mktemp -d)
chmod 755 "$WORK"
trap 'chmod -R u+w "$WORK"; rm -rf "$WORK"' EXIT

suite() { # one run, in as many processes as there are cores unless the arguments differ
    "$PYTHON" -m pytest -q -n auto --dist worksteal "$@" "${PARTS[@]}"
}

needs() { # skips a condition if this command fails
    "$@" >"$WORK/needs" 2>&1 || { echo "SKIPPED: $* fails" && exit 77; }
}

left_behind() { # the programs that a condition started and that go on after it
    sleep 1
    grep -lsaz "^HOSTILE_MACHINE=$1\$" /proc/[0-9]*/environ | cut -d/ -f3 | xargs -rI% ps -o pid=,args= %
}

copy() { # the files of the checkout, as git has them, in another folder
    mkdir -p "$1"
    git ls-files -z --cached --others --exclude-standard |
        xargs -0 cp --parents --target-directory="$1"
}

with_plugins() { # the suite, with these packages beside what the environment has
    "$PYTHON" -m pip install --quiet --no-deps --target "$WORK/plugins" "$@" &&
        PYTHONPATH=$WORK/plugins suite
}

# ── how the suite is started ─────────────────────────────────────────────────

plain() { suite; }

background() { # of a script, where SIGINT is ignored by whatever is started with &
    cat >"$WORK/background.sh" <<END
cd '$ROOT'
nohup make test VENV='$VENV' TEST_ARGS='-q ${PARTS[*]}' &
wait \$!
END
    sh "$WORK/background.sh"
}

venv_elsewhere() {
    make test VENV="$WORK/elsewhere" TEST_ARGS="-q ${PARTS[*]}"
}

venv_with_a_space() { # make takes no such path; pytest does
    python3 -m venv "$WORK/a space" &&
        "$WORK/a space/bin/python" -m pip install --quiet --editable . --group dev &&
        PYTHON="$WORK/a space/bin/python" suite
}

one_process() { suite -n 0; }
two_processes() { suite -n 2; }
eight_processes() { suite -n 8; }

random_order() {
    with_plugins pytest-randomly
}

other_plugins() {
    with_plugins pytest-mock pytest-rerunfailures pytest-sugar pytest-httpx pytest-cov coverage \
        pytest-repeat respx
}

# ── what the machine lacks ───────────────────────────────────────────────────

few_files() (ulimit -n 256 && suite)
few_files_at_first() (ulimit -S -n 256 && suite)

slow() { # one core, shared with four programs that never rest
    needs taskset 1 true
    local hogs=()
    for _ in 1 2 3 4; do
        taskset 1 sh -c 'while :; do :; done' &
        hogs+=($!)
    done
    # shellcheck disable=SC2064 # the condition has a shell of its own, which may be interrupted
    trap "kill ${hogs[*]}" EXIT
    taskset 1 "$PYTHON" -m pytest -q -n 2 "${PARTS[@]}"
}

without_ipv6() {
    needs unshare --net sh -c 'ip link set lo up'
    unshare --net sh -c 'ip link set lo up
        echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6
        exec "$@"' sh "$PYTHON" -m pytest -q -n auto "${PARTS[@]}"
}

without_proc() {
    needs unshare --mount mount -t tmpfs none /proc
    unshare --mount sh -c 'mount -t tmpfs none /proc && exec "$@"' \
        sh "$PYTHON" -m pytest -q -n 2 "${PARTS[@]}"
}

like_macos() { # a listening socket is not connected, a closed one takes no options, 256 files
    mkdir -p "$WORK/macos"
    cat >"$WORK/macos/sitecustomize.py" <<'END'
import errno, os, socket

class Socket(socket.socket):
    def shutdown(self, how):
        listens = self.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        super().shutdown(how)  # Linux ends `accept` so; macOS does when the socket is closed
        if listens:
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))

    def setsockopt(self, level, option, *value):
        if level == socket.IPPROTO_TCP and not getattr(self, "_is_new", True):
            try:
                self.getpeername()
            except OSError:
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL)) from None
        return super().setsockopt(level, option, *value)

socket.socket = Socket
END
    (ulimit -S -n 256 && PYTHONPATH=$WORK/macos suite)
}

without_posix() { # as far as that can be had here: what Windows lacks is gone before the tests are
    mkdir -p "$WORK/windows"
    cat >"$WORK/windows/no_posix.py" <<'END'
import os, signal, subprocess, sys
import pytest

GONE = {os: "fork openpty killpg geteuid", signal: "pthread_kill alarm SIGKILL SIGALRM"}

@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests():  # before the tests' own modules, after pytest's plugins
    for module, names in GONE.items():
        for name in names.split():
            delattr(module, name)
    subprocess.Popen.kill = subprocess.Popen.terminate  # as on Windows
    for name in ("resource", "pty", "fcntl", "termios", "readline"):
        sys.modules[name] = None
END
    PYTHONPATH=$WORK/windows suite -p no_posix --timeout-method=thread
}

# ── where it runs, and as whom ───────────────────────────────────────────────

read_only() { # another user's checkout and environment, and no home
    needs setpriv --reuid=65534 --regid=65534 --clear-groups true
    local checkout=$WORK/read-only
    local run=(setpriv --reuid=65534 --regid=65534 --clear-groups
        env -i "PATH=$PATH" "PYTHONPATH=$checkout/src" "HOSTILE_MACHINE=$HOSTILE_MACHINE")
    copy "$checkout"
    "${READABLE_PYTHON:-python3}" -m venv "$WORK/readable" &&
        "$WORK/readable/bin/python" -m pip install --quiet --upgrade pip &&
        "$WORK/readable/bin/python" -m pip install --quiet --group dev "$checkout[all]" || return
    chmod -R a-w,a+rX "$checkout" "$WORK/readable"
    needs "${run[@]}" "$WORK/readable/bin/python" -c ""
    (cd "$checkout" && "${run[@]}" "$WORK/readable/bin/python" -m pytest -q -n auto "${PARTS[@]}")
}

deep_folder() {
    local folder="$WORK/a deep folder/ünï cödé 好/$(printf 'deeper/%.0s' {1..12})checkout"
    copy "$folder"
    (cd "$folder" && PYTHONPATH="$folder/src" suite)
}

# ── what the environment says ────────────────────────────────────────────────

dumb_terminal() { TERM=dumb suite; }
c_locale() { LC_ALL=C suite; }
ascii() { LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 suite; }

dead_proxy() {
    local dead=http://127.0.0.1:1
    HTTP_PROXY=$dead HTTPS_PROXY=$dead ALL_PROXY=$dead http_proxy=$dead https_proxy=$dead \
        NO_PROXY='' no_proxy='' suite
}

odd_environment() {
    TZ=Asia/Kathmandu PYTHONHASHSEED=12345 PYTHONDONTWRITEBYTECODE=1 COLUMNS=20 LINES=4 \
        FORCE_COLOR=1 SSL_CERT_FILE=/nowhere/ca.pem SSL_CERT_DIR=/nowhere \
        LANGSMITH_TRACING=true LANGSMITH_API_KEY=x LANGSMITH_ENDPOINT=http://127.0.0.1:1 \
        LANGCHAIN_TRACING_V2=true OPENAI_API_KEY=x OPENAI_BASE_URL=http://127.0.0.1:1 \
        SUNRA_KEY=sk-of-the-developer SUNRA_BASE_URL=https://nowhere.invalid SUNRA_MODEL=no/such \
        SUNRA_ALLOW_HTTP=1 PYTHONWARNINGS=default CI= suite
}

other_environment() {
    CI=1 NO_COLOR=1 COLUMNS=400 TERM=linux PYTHONDEVMODE=1 PYTHONUNBUFFERED=1 TMPDIR="$WORK" suite
}

# ── the table ────────────────────────────────────────────────────────────────

CONDITIONS=(plain background venv_elsewhere venv_with_a_space one_process two_processes
    eight_processes random_order other_plugins few_files few_files_at_first slow without_ipv6
    without_proc like_macos without_posix read_only deep_folder dumb_terminal c_locale ascii
    dead_proxy odd_environment other_environment)

failed=0
table=("condition | result | seconds")
for condition in ${ONLY:-${CONDITIONS[@]}}; do
    log=${LOGS:-$WORK}/$condition.log
    SECONDS=0
    (trap - EXIT && HOSTILE_MACHINE=$condition-$$ "$condition") >"$log" 2>&1
    status=$?
    left=$(left_behind "$condition-$$")
    result=$(grep -aE '^(=+ )?[0-9]+ (passed|failed)|^SKIPPED' "$log" | tail -1)
    case $status in
    0) ;;
    77) result="skipped: ${result#SKIPPED: }" ;;
    *) failed=1 && result="FAILED ($status): $result" && tail -40 "$log" ;;
    esac
    [ -z "$left" ] || { failed=1 && result="$result; LEFT BEHIND: $left"; }
    table+=("$condition | $result | $SECONDS")
    echo "${table[-1]}"
done
printf '%s\n' "" "${table[@]}" | column -t -s '|' -o '|'
exit $failed
