#!/usr/bin/env bash
# Makes the environment: .venv with everything in constraints.txt, and llama.cpp's converter and sources in .cache.
#
#   ./setup.sh          what `make setup` runs; does nothing when the environment is already right
#
# Settings:  PYTHON        the Python 3.12 to use                    (default: the first that runs, on PATH, of pyenv, of uv)
#            STEMMA_CACHE  where the sdist and built wheel are kept  (default ~/.cache/stemma; may be emptied at any time)
#            CMAKE_ARGS    build flags of llama.cpp, e.g. -DGGML_CUDA=on
#
# Safe to interrupt: an unfinished .venv is made anew by the next call; downloads and the built wheel are kept.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

wanted=3.12
store=${STEMMA_CACHE:-$HOME/.cache/stemma}
export CMAKE_ARGS="-DLLAMA_OPENSSL=OFF ${CMAKE_ARGS:-}"   # downloads are not llama.cpp's business here
export PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONWARNINGS=ignore

llama=$(sed -n 's/^llama-cpp-python==//p' constraints.txt)
sdist=llama_cpp_python-$llama.tar.gz
sdist_sha256=832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e
sources=.cache/llama_cpp_python-$llama

command -v sha256sum >/dev/null || sha256sum() { shasum -a 256 "$@"; }    # older macOS
key=$(cat setup.sh constraints.txt pyproject.toml | sha256sum | cut -d' ' -f1)
stamp=.venv/.ready
unfinished=.venv/.unfinished

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { printf 'setup: %s\n  hint: %s\n' "$1" "$2" >&2; exit 2; }
pip() { .venv/bin/python -m pip "$@"; }
is_ready() { [[ -d $sources && ! -e $unfinished && $(cat $stamp 2>/dev/null) == "$key" ]]; }

# What may be a Python 3.12, best first. A name on PATH proves nothing: pyenv's shims refuse versions that are not chosen.
candidates() {
    if [[ -n ${PYTHON:-} ]]; then command -v "$PYTHON" || true; return; fi
    type -ap python$wanted python3 python || true
    local root; for root in "${PYENV_ROOT:-$HOME/.pyenv}" $(type -ap python$wanted | sed -n 's|/shims/.*||p'); do
        printf '%s\n' "$root"/versions/$wanted*/bin/python$wanted
    done
    local uv; for uv in uv "$HOME/.local/bin/uv"; do "$uv" python find $wanted 2>/dev/null || true; done
}

is_wanted() { "$1" -c "import sys, venv, ensurepip; sys.exit('%d.%d' % sys.version_info[:2] != '$wanted')" 2>/dev/null; }

find_python() {
    local candidate
    while read -r candidate; do
        if is_wanted "$candidate"; then echo "$candidate"; return; fi
    done < <(candidates)
    fail "no Python $wanted that runs and makes environments${PYTHON:+ at PYTHON=$PYTHON}" "$(how_to_get_python)"
}

# One line for this system. pipx is every Debian's and Ubuntu's; uv brings a Python of its own, into the home folder.
how_to_get_python() {
    local ID="" ID_LIKE="" VERSION_ID="" system
    if [[ -r ${OS_RELEASE:-/etc/os-release} ]]; then source "${OS_RELEASE:-/etc/os-release}"; fi
    system=$(uname -s)
    case "$system $ID $VERSION_ID $ID_LIKE" in
        Darwin*) echo "brew install python@$wanted" ;;
        *" ubuntu 24.04"*) echo "sudo apt install python$wanted-venv python$wanted-dev" ;;
        *" fedora"*) echo "sudo dnf install python$wanted python$wanted-devel" ;;
        *" debian"* | *" ubuntu"*)
            echo "sudo apt install pipx && pipx install uv && ~/.local/bin/uv python install $wanted" ;;
        *) echo "install Python $wanted (uv python install $wanted, or pyenv), or set PYTHON=/path/to/python$wanted" ;;
    esac
}

check_machine() {
    command -v c++ >/dev/null || fail "no C++ compiler, and llama.cpp must be built" "apt install build-essential, or dnf install gcc-c++"
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
    local free; free=$(( $(df -Pk . | awk 'NR==2 {print $4}') / 1000000 ))
    if (( free >= gigabytes )) || [[ -d .venv/lib/python$wanted/site-packages/torch ]]; then return; fi
    fail "$free GB free here; the environment takes about $holds GB, and making it up to $gigabytes" "free some space"
}

# Runs a long step and says every 15 seconds that it goes on.
watched() {
    local start=$SECONDS
    while sleep 15 &>/dev/null && kill -0 $$ 2>/dev/null; do
        say "  $(( SECONDS - start )) s; .venv holds $(du -sm .venv | cut -f1) MB of about ${holds}000"
    done 9>&- &
    ticker=$!
    "$@"
    kill $ticker
}
trap 'kill ${ticker:-} 2>/dev/null || true' EXIT

make_venv() {
    if [[ -e $unfinished ]]; then say "an earlier setup was interrupted: starting .venv anew"; rm -rf .venv; fi
    if [[ -e .venv/bin/python ]] && ! is_wanted .venv/bin/python; then
        say ".venv is of another Python than $wanted: starting it anew"; rm -rf .venv
    fi
    mkdir -p .venv && touch $unfinished
    [[ -x .venv/bin/pip ]] || "$1" -m venv .venv
    mkdir -p .venv/tmp && export TMPDIR=$PWD/.venv/tmp    # downloads go where there is room: /tmp may be memory
    pip install --quiet "pip==26.3"
}

fetch_sdist() {
    echo "$sdist_sha256  $store/$sdist" | sha256sum --check --status 2>/dev/null && return
    local partial; partial=$(mktemp -d "$store/.fetch.XXXXXX")
    pip download --quiet --no-deps --no-binary llama-cpp-python --dest "$partial" "llama-cpp-python==$llama"
    echo "$sdist_sha256  $partial/$sdist" | sha256sum --check --quiet \
        || fail "the sdist of llama-cpp-python $llama is not the pinned one" "its sha256 must be $sdist_sha256"
    mv "$partial/$sdist" "$store/$sdist" && rm -r "$partial"
}

unpack_sources() {
    [[ -d $sources ]] && return
    local partial; partial=$(mktemp -d .cache/.unpack.XXXXXX)
    tar -xzf "$store/$sdist" -C "$partial"
    mv "$partial/llama_cpp_python-$llama" "$sources" && rm -r "$partial"
}

# llama.cpp builds for the CPU it runs on, so wheels are kept per CPU and build flags.
wheel_folder() {
    local machine; machine=$({ uname -m; grep -m1 -E '^(flags|Features)' /proc/cpuinfo || true; echo "$CMAKE_ARGS"; } | sha256sum | cut -c1-16)
    echo "$store/wheels/llama-$llama-$machine"
}

build_wheel() {
    local folder; folder=$(wheel_folder)
    [[ -d $folder ]] && return
    say "building llama-cpp-python $llama (about 7 minutes on 2 cores)"
    local partial; partial=$(mktemp -d "$store/.build.XXXXXX")
    watched pip wheel --quiet --no-deps --no-cache-dir --wheel-dir "$partial" "$store/$sdist"
    mkdir -p "$store/wheels" && mv "$partial" "$folder"
}

install_all() {
    say "installing $torch"
    watched pip install --quiet --constraint constraints.txt "$torch"
    say "installing Axolotl, DeepSpeed and the rest (about 4 minutes)"
    watched pip install --quiet --constraint constraints.txt "$(wheel_folder)"/*.whl --editable '.[data,train,export,eval,laptop,dev]'
}

is_ready && exit 0
python=$(find_python)
check_machine
mkdir -p .cache "$store"
exec 9>"$store/setup.lock" && flock 9    # two calls at once: the second waits, then finds everything done
is_ready && exit 0
rm -rf "$store"/.fetch.* "$store"/.build.* .cache/.unpack.*    # what interrupted calls left
make_venv "$python"
choose_torch
check_disk
fetch_sdist
unpack_sources
build_wheel
install_all
rm -rf .venv/tmp $unfinished
echo "$key" > $stamp
say "done: $(.venv/bin/python --version), $(du -sm .venv | cut -f1) MB in $SECONDS s"
