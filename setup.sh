#!/usr/bin/env bash
# Makes the environment: .venv with everything in constraints.txt, and llama.cpp's converter and sources in .cache.
#
#   ./setup.sh          what `make setup` runs; does nothing when the environment is already right
#
# Settings:  PYTHON        the Python 3.11 to use                    (default python3.11)
#            STEMMA_CACHE  where the sdist and built wheel are kept  (default ~/.cache/stemma; may be emptied at any time)
#            CMAKE_ARGS    build flags of llama.cpp, e.g. -DGGML_CUDA=on
#
# Safe to interrupt: an unfinished .venv is made anew by the next call; downloads and the built wheel are kept.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

python=${PYTHON:-python3.11}
store=${STEMMA_CACHE:-$HOME/.cache/stemma}
export CMAKE_ARGS="-DLLAMA_OPENSSL=OFF ${CMAKE_ARGS:-}"   # downloads are not llama.cpp's business here
export PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONWARNINGS=ignore

llama=$(sed -n 's/^llama-cpp-python==//p' constraints.txt)
sdist=llama_cpp_python-$llama.tar.gz
sdist_sha256=832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e
sources=.cache/llama_cpp_python-$llama

key=$(cat setup.sh constraints.txt pyproject.toml | sha256sum | cut -d' ' -f1)
stamp=.venv/.ready
unfinished=.venv/.unfinished

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { printf 'setup: %s\n  hint: %s\n' "$1" "$2" >&2; exit 2; }
pip() { .venv/bin/python -m pip "$@"; }
is_ready() { [[ -d $sources && ! -e $unfinished && $(cat $stamp 2>/dev/null) == "$key" ]]; }

check_machine() {
    command -v "$python" >/dev/null || fail "no $python on this machine" "install Python 3.11, or set PYTHON=/path/to/python3.11"
    command -v c++ >/dev/null || fail "no C++ compiler, and llama.cpp must be built" "apt install build-essential"
    [[ -d .venv ]] && return
    local free_gb; free_gb=$(( $(df -Pk . | awk 'NR==2 {print $4}') / 1000000 ))
    (( free_gb >= 8 )) || fail "$free_gb GB free here; about 8 GB are needed" "free some space"
}

make_venv() {
    if [[ -e $unfinished ]]; then say "an earlier setup was interrupted: starting .venv anew"; rm -rf .venv; fi
    mkdir -p .venv && touch $unfinished
    [[ -x .venv/bin/pip ]] || "$python" -m venv .venv
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
    pip wheel --quiet --no-deps --no-cache-dir --wheel-dir "$partial" "$store/$sdist"
    mkdir -p "$store/wheels" && mv "$partial" "$folder"
}

install_all() {
    say "installing torch"
    pip install --quiet --constraint constraints.txt torch
    say "installing Axolotl, DeepSpeed and the rest (about 4 minutes)"
    pip install --quiet --constraint constraints.txt "$(wheel_folder)"/*.whl --editable '.[data,train,export,eval,laptop,dev]'
}

is_ready && exit 0
mkdir -p .cache "$store"
exec 9>"$store/setup.lock" && flock 9    # two calls at once: the second waits, then finds everything done
is_ready && exit 0
rm -rf "$store"/.fetch.* "$store"/.build.* .cache/.unpack.*    # what interrupted calls left
check_machine
make_venv
fetch_sdist
unpack_sources
build_wheel
install_all
rm -f $unfinished
echo "$key" > $stamp
say "done"
