#!/usr/bin/env bash
# Makes the environment: .venv with everything in constraints.txt, and llama.cpp's converter and sources in .cache.
#
#   ./setup.sh          what `make setup` runs; does nothing when the environment is already right
#
# Settings:  PYTHON        the Python 3.12 to use                    (default: the first that runs, on PATH, of pyenv, of uv)
#            STEMMA_CACHE  where the sdist and built wheel are kept  (default ~/.cache/stemma; may be emptied at any time)
#            STEMMA_LOCKED the file of sha256 sums to install by   (default locked-<system>-<machine>.txt; empty: versions alone)
#            CMAKE_ARGS    build flags of llama.cpp, e.g. -DGGML_CUDA=on
#
# Safe to interrupt: an unfinished .venv is made anew by the next call; downloads and the built wheel are kept.
# Whatever fails ends with one line that says what, a hint, and exit code 2.
set -Eeuo pipefail
if [[ ${PYTHON:-} == */* && $PYTHON != /* ]]; then PYTHON=$PWD/$PYTHON; fi    # seen from where the caller stands
cd "$(dirname "${BASH_SOURCE[0]}")"

wanted=3.12
HOME=${HOME:-~}    # a service may have none
store=${STEMMA_CACHE:-$HOME/.cache/stemma}
export CMAKE_ARGS="-DLLAMA_OPENSSL=OFF ${CMAKE_ARGS:-}"   # downloads are not llama.cpp's business here
export PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONWARNINGS=ignore

llama=$(sed -n 's/^llama-cpp-python==//p' constraints.txt)
sdist=llama_cpp_python-$llama.tar.gz
sdist_sha256=832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e
sources=.cache/llama_cpp_python-$llama

locked=${STEMMA_LOCKED-locked-$(uname -s)-$(uname -m).txt}    # there is none for every system

command -v sha256sum >/dev/null || sha256sum() { shasum -a 256 "$@"; }    # older macOS
if [[ ! -f $locked ]]; then locked=; fi
key=$(cat setup.sh constraints.txt pyproject.toml ${locked:+"$locked"} | sha256sum | cut -d' ' -f1)
stamp=.venv/.ready
unfinished=.venv/.unfinished

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { printf 'setup: %s\n  hint: %s\n' "$1" "$2" >&2; exit 2; }
pip() { .venv/bin/python -m pip "$@"; }
is_ready() { [[ -d $sources && -x .venv/bin/python && ! -e $unfinished && $(cat $stamp 2>/dev/null) == "$key" ]]; }

# Where a command failed, the last words say what was being done; a Ctrl-C or a kill needs none.
doing="looking for Python"
failed() {
    local status=$?
    if (( BASH_SUBSHELL )); then exit $status; fi    # told by whom it works for
    fail "$doing failed, for the reason above" "${remedy:-free some space, or make the folder writable; then call this again}"
}
trap failed ERR
trap 'kill ${ticker:-} 2>/dev/null || true' EXIT

# What may be a Python 3.12, best first. A name on PATH proves nothing: pyenv's shims refuse versions that are not chosen.
candidates() {
    if [[ -n ${PYTHON:-} ]]; then type -P -- "$PYTHON" || true; return; fi
    type -ap python$wanted python3 python || true
    { printf '%s\n' "${PYENV_ROOT:-$HOME/.pyenv}"; type -ap python$wanted | sed -n 's|/shims/.*||p'; } |
        while IFS= read -r root; do printf '%s\n' "$root"/versions/$wanted*/bin/python$wanted; done
    local uv; for uv in uv "$HOME/.local/bin/uv"; do    # from elsewhere: here it would find .venv
        (unset VIRTUAL_ENV; cd / && "$uv" python find $wanted 2>/dev/null) || true
    done
}

is_wanted() {
    "$1" -c "import sys, venv, ensurepip; sys.exit('%d.%d' % sys.version_info[:2] != '$wanted')" &>/dev/null </dev/null
}

# Never .venv's own, first on PATH where it is activated: it is what is made anew.
find_python() {
    local candidate
    while IFS= read -r candidate; do
        if [[ ! $(dirname "$candidate") -ef .venv/bin ]] && is_wanted "$candidate"; then echo "$candidate"; return; fi
    done < <(candidates)
    fail "no Python $wanted that runs and makes environments${PYTHON:+ at PYTHON=$PYTHON}" "$(how_to_get_python)"
}

# One line for this system. pipx is every Debian's and Ubuntu's; uv brings a Python of its own, into the home folder.
how_to_get_python() {
    local ID="" ID_LIKE="" VERSION_ID="" system
    if [[ -r ${OS_RELEASE:-/etc/os-release} ]]; then source "${OS_RELEASE:-/etc/os-release}"; fi
    system=$(uname -s)
    case "$system $ID $VERSION_ID $ID_LIKE" in
        *" alpine"*) echo "none helps here: torch has no wheel for Alpine's musl; use a system or container with glibc" ;;
        Darwin*) echo "brew install python@$wanted" ;;
        *" ubuntu 24.04"*) echo "sudo apt install python$wanted-venv python$wanted-dev" ;;
        *" fedora"*) echo "sudo dnf install python$wanted python$wanted-devel" ;;
        *" debian"* | *" ubuntu"*)
            echo "sudo apt install pipx && pipx install uv && ~/.local/bin/uv python install $wanted" ;;
        *) echo "install Python $wanted (uv python install $wanted, or pyenv), or set PYTHON=/path/to/python$wanted" ;;
    esac
}

check_machine() {
    # Run, not looked for: macOS has a c++ that only says how to get one.
    c++ --version &>/dev/null </dev/null || fail "no C++ compiler, and llama.cpp must be built" \
        "apt install build-essential, or dnf install gcc-c++, or on macOS xcode-select --install"
    # Of torch there is no wheel for musl (Alpine), and pip would only say that it found none.
    [[ $("$python" -c "import sysconfig; print(sysconfig.get_config_var('HOST_GNU_TYPE'))") != *musl* ]] ||
        fail "this system's C library is musl, for which there is no torch" "use a system or container with glibc"
}

# Without a GPU, a wheel of torch for CPUs alone, where pip is told of a place that has one: 3 GB less.
choose_torch() {
    local version; version=$(sed -n 's/^torch==//p' constraints.txt)
    torch=torch gigabytes=12 holds=8
    if compgen -G '/dev/nvidia[0-9]*' >/dev/null || [[ -e /dev/kfd ]]; then torch="torch!=$version+cpu"; return; fi
    if pip install --quiet --dry-run --no-deps "torch==$version+cpu" &>/dev/null; then
        torch="torch==$version+cpu" gigabytes=8 holds=5
    fi
}

check_disk() {
    # The figure before the percentage: a file system's name may hold blanks. One that tells no figure is let through.
    local free; free=$(df -Pk . | sed -n '2s/.* \([0-9][0-9]*\)  *[0-9-]*%.*/\1/p')
    free=$(( ${free:-99000000} / 1000000 ))
    if (( free >= gigabytes )) || [[ -d .venv/lib/python$wanted/site-packages/torch ]]; then return; fi
    fail "$free GB free here; the environment takes about $holds GB, and making it up to $gigabytes" "free some space"
}

# Runs a long step and says every 15 seconds that it goes on.
watched() {
    local start=$SECONDS
    while sleep 15 &>/dev/null && kill -0 $$ 2>/dev/null; do
        say "  $(( SECONDS - start )) s; .venv holds $(du -sm .venv 2>/dev/null | cut -f1) MB of about ${holds}000"
    done 9>&- &
    ticker=$!
    "$@"
    kill $ticker 2>/dev/null || true
}

# The stamp goes first: what is half deleted must not pass as ready, whatever commit is then checked out.
start_anew() { say "$1"; rm -f $stamp; rm -rf .venv; }

make_venv() {
    if [[ -e $unfinished ]]; then start_anew "an earlier setup was interrupted: starting .venv anew"; fi
    if [[ -e .venv/bin ]] && ! is_wanted .venv/bin/python; then
        start_anew ".venv is of another Python than $wanted, or of one that is gone: starting it anew"
    fi
    mkdir -p .venv
    rm -f $stamp
    touch $unfinished
    [[ -x .venv/bin/pip ]] || "$1" -m venv .venv
    mkdir -p .venv/tmp
    export TMPDIR=$PWD/.venv/tmp    # downloads go where there is room: /tmp may be memory
    remedy="is the package index reached (network, HTTPS_PROXY, PIP_INDEX_URL), and is there space? Then call this again"
    pip install --quiet "pip==26.3"
}

fetch_sdist() {
    echo "$sdist_sha256  $store/$sdist" | sha256sum --check --status 2>/dev/null && return
    local partial; partial=$(mktemp -d "$store/.fetch.XXXXXX")
    pip download --quiet --no-deps --no-binary llama-cpp-python --dest "$partial" "llama-cpp-python==$llama"
    echo "$sdist_sha256  $partial/$sdist" | sha256sum --check --quiet \
        || fail "the sdist of llama-cpp-python $llama is not the pinned one" "its sha256 must be $sdist_sha256"
    mv "$partial/$sdist" "$store/$sdist"
    rm -r "$partial"
}

unpack_sources() {
    [[ -d $sources ]] && return
    local partial; partial=$(mktemp -d .cache/.unpack.XXXXXX)
    tar -xzf "$store/$sdist" -C "$partial"
    mv "$partial/llama_cpp_python-$llama" "$sources"
    rm -r "$partial"
}

# llama.cpp builds for the CPU it runs on, so wheels are kept per CPU and build flags.
wheel_folder() {
    local machine; machine=$({ uname -m; grep -m1 -E '^(flags|Features)' /proc/cpuinfo 2>/dev/null || true; echo "$CMAKE_ARGS"; } | sha256sum | cut -c1-16)
    echo "$store/wheels/llama-$llama-$machine"
}

build_wheel() {
    local folder; folder=$(wheel_folder)
    [[ -d $folder ]] && return
    say "building llama-cpp-python $llama (about 7 minutes on 2 cores)"
    local partial; partial=$(mktemp -d "$store/.build.XXXXXX")
    watched pip wheel --quiet --no-deps --no-cache-dir --wheel-dir "$partial" "$store/$sdist"
    mkdir -p "$store/wheels"
    mv "$partial" "$folder"
}

# Each file must have the sha256 that stands here. torch is not among them: its builds differ by machine.
install_locked() {
    local before=$remedy
    remedy="does the index serve other files than PyPI? STEMMA_LOCKED= ./setup.sh installs by version alone. Else: $remedy"
    say "installing Axolotl, DeepSpeed and the rest by $locked (about 4 minutes)"
    watched pip install --quiet --no-deps --require-hashes --requirement "$locked"
    remedy=$before
}

install_all() {
    local isolation=()
    if [[ -n $locked ]]; then
        install_locked
        isolation=(--no-build-isolation)    # setuptools is here, and was locked
    fi
    say "installing $torch"
    watched pip install --quiet --constraint constraints.txt "$torch"
    if [[ -n $locked ]]; then say "installing Stemma and llama.cpp"; else
        say "installing Axolotl, DeepSpeed and the rest (about 4 minutes)"
    fi
    watched pip install --quiet --constraint constraints.txt ${isolation[@]+"${isolation[@]}"} "$(wheel_folder)"/*.whl --editable '.[data,train,export,rag,eval,laptop,dev]'
}

is_ready && exit 0
python=$(find_python) || exit 2
check_machine
doing="making .cache and $store"
mkdir -p .cache "$store"
exec 9>"$store/setup.lock"
"$python" -c "import fcntl; fcntl.flock(9, fcntl.LOCK_EX)"    # of two calls at once the second waits; macOS has no flock
is_ready && exit 0
rm -rf "$store"/.fetch.* "$store"/.build.* .cache/.unpack.*    # what interrupted calls left
doing="making .venv"
make_venv "$python"
choose_torch
check_disk
doing="fetching llama.cpp's sources"
fetch_sdist
unpack_sources
doing="building llama-cpp-python"
build_wheel
doing="installing"
install_all
doing="finishing"
rm -rf .venv/tmp $unfinished
echo "$key" > $stamp
say "done: $(.venv/bin/python --version), $(du -sm .venv | cut -f1) MB in $SECONDS s"
