#!/usr/bin/env bash
# Makes the environment: .venv with everything in constraints.txt, and llama.cpp's converter and sources in .cache.
#
#   ./setup.sh          what `make setup` runs; does nothing when the environment is already right
#   ./setup.sh laptop   `make laptop`: an environment for chat alone, without torch, on Python 3.10 to 3.13
#   ./setup.sh core     what `make check` and its like need: a small environment where there is none
#   ./setup.sh look     what `make new`, `preview` and `plan` need: the same with readers of data
#   ./setup.sh chat     says whether there is an environment that can chat, and how to get one
#
# Settings:  PYTHON        the Python 3.12 to use                    (default: the first that runs, on PATH, of pyenv, of uv)
#            STEMMA_CACHE  where the sdist and built wheel are kept  (default ~/.cache/stemma; may be emptied at any time)
#            STEMMA_LOCKED the file of sha256 sums to install by   (default locked-<system>-<machine>.txt; empty: versions alone)
#            CMAKE_ARGS    build flags of llama.cpp, e.g. -DGGML_CUDA=on
#
# Safe to interrupt: an unfinished .venv is made anew by the next call; downloads and the built wheel are kept.
# A .venv that was made by hand (README, "On a laptop") is used as it is, and never replaced.
# Whatever fails ends with one line that says what, a hint, and exit code 2.
set -Eeuo pipefail
if [[ ${PYTHON:-} == */* && $PYTHON != /* ]]; then PYTHON=$PWD/$PYTHON; fi    # seen from where the caller stands
cd "$(dirname "${BASH_SOURCE[0]}")"

purpose=${1:-all}
wanted=3.12 called=3.12
case $purpose in core | laptop) wanted="3.12 3.13 3.11 3.10" called="3.10 to 3.13" ;; look) wanted="3.12 3.13 3.11" called="3.11 to 3.13" ;; esac
HOME=${HOME:-~}    # a service may have none
store=${STEMMA_CACHE:-$HOME/.cache/stemma}
export CMAKE_ARGS="-DLLAMA_OPENSSL=OFF ${CMAKE_ARGS:-}"   # downloads are not llama.cpp's business here
export PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONWARNINGS=ignore

llama=$(sed -n 's/^llama-cpp-python==//p' constraints.txt)
sdist=llama_cpp_python-$llama.tar.gz
sdist_sha256=832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e
sources=.cache/llama_cpp_python-$llama

extras=data,train,export,rag,eval,laptop,dev

locked=${STEMMA_LOCKED-locked-$(uname -s)-$(uname -m).txt}    # there is none for every system

command -v sha256sum >/dev/null || sha256sum() { shasum -a 256 "$@"; }    # older macOS
if [[ ! -f $locked ]]; then locked=; fi
key=$(cat setup.sh constraints.txt pyproject.toml ${locked:+"$locked"} | sha256sum | cut -d' ' -f1)
stamp=.venv/.ready
unfinished=.venv/.unfinished
light=.venv/.light    # made by `core` or `look`

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { printf 'setup: %s\n  hint: %s\n' "$1" "$2" >&2; exit 2; }
pip() { .venv/bin/python -m pip "$@"; }
is_ready() { [[ -d $sources && -x .venv/bin/python && ! -e $unfinished && $(cat $stamp 2>/dev/null) == "$key" ]]; }

# Where a command failed, the last words say what was being done; a Ctrl-C or a kill needs none.
doing="looking for Python"
failed() {
    local status=$?
    if (( BASH_SUBSHELL )); then exit $status; fi    # told by whom it works for
    if [[ -s ${log:-} ]]; then tail -n 20 "$log" >&2; fi
    fail "$doing failed, for the reason above" "${remedy:-free some space, or make the folder writable; then call this again}"
}
trap failed ERR
trap 'kill ${ticker:-} 2>/dev/null || true; rm -rf .venv.old.$$' EXIT

# What may be a Python 3.12, best first. A name on PATH proves nothing: pyenv's shims refuse versions that are not chosen.
candidates() {
    if [[ -n ${PYTHON:-} ]]; then type -P -- "$PYTHON" || true; return; fi
    local version uv
    for version in $wanted; do
        type -ap python$version python3 python || true
        { printf '%s\n' "${PYENV_ROOT:-$HOME/.pyenv}"; type -ap python$version | sed -n 's|/shims/.*||p'; } |
            while IFS= read -r root; do printf '%s\n' "$root"/versions/$version*/bin/python$version; done
        for uv in uv "$HOME/.local/bin/uv"; do    # from elsewhere: here it would find .venv
            (unset VIRTUAL_ENV; cd / && "$uv" python find $version 2>/dev/null) || true
        done
    done
}

is_wanted() {
    "$1" -c "import sys, venv, ensurepip; sys.exit('%d.%d' % sys.version_info[:2] not in '$wanted'.split())" &>/dev/null </dev/null
}

# Never .venv's own, first on PATH where it is activated: it is what is made anew.
find_python() {
    local candidate
    while IFS= read -r candidate; do
        if [[ ! $(dirname "$candidate") -ef .venv/bin ]] && is_wanted "$candidate"; then echo "$candidate"; return; fi
    done < <(candidates)
    fail "no Python $called that runs and makes environments${PYTHON:+ at PYTHON=$PYTHON}" "$(how_to_get_python)"
}

# One line for this system. pipx is every Debian's and Ubuntu's; uv brings a Python of its own, into the home folder.
how_to_get_python() {
    local ID="" ID_LIKE="" VERSION_ID="" system
    if [[ -r ${OS_RELEASE:-/etc/os-release} ]]; then source "${OS_RELEASE:-/etc/os-release}"; fi
    system=$(uname -s)
    local compiler=    # told at once with what else is missing
    if [[ $purpose == @(all|laptop) ]] && ! has_compiler; then compiler="g++ "; fi
    case "$purpose $system $ID $VERSION_ID $ID_LIKE" in
        all*) ;;
        *" debian"* | *" ubuntu"*) echo "sudo apt install ${compiler}python3-venv"; return ;;
        *" alpine"*) echo "apk add python3"; return ;;
        *) wanted=3.12 ;;
    esac
    case "$system $ID $VERSION_ID $ID_LIKE" in
        *" alpine"*) echo "none helps here: torch has no wheel for Alpine's musl; use a system or container with glibc" ;;
        Darwin*) echo "brew install python@$wanted" ;;
        *" ubuntu 24.04"*) echo "sudo apt install ${compiler}python$wanted-venv python$wanted-dev" ;;
        *" fedora"*) echo "sudo dnf install python$wanted python$wanted-devel" ;;
        *" debian"* | *" ubuntu"*)
            echo "sudo apt install ${compiler}pipx && pipx install uv && ~/.local/bin/uv python install $wanted" ;;
        *) echo "install Python $wanted (uv python install $wanted, or pyenv), or set PYTHON=/path/to/python$wanted" ;;
    esac
}

# Run, not looked for: macOS has a c++ that only says how to get one.
has_compiler() { ${CXX:-c++} --version &>/dev/null </dev/null; }

check_compiler() {
    [[ ! -d $(wheel_folder) ]] || return 0    # built before
    has_compiler || fail "no C++ compiler, and llama.cpp must be built" \
        "apt install build-essential, or dnf install gcc-c++, or on macOS xcode-select --install${1:-}"
}

check_machine() {
    check_compiler
    # Of torch there is no wheel for musl (Alpine), and pip would only say that it found none.
    [[ $("$python" -c "import sysconfig; print(sysconfig.get_config_var('HOST_GNU_TYPE'))") != *musl* ]] ||
        fail "this system's C library is musl, for which there is no torch" "use a system or container with glibc"
}

# Without a GPU, a wheel of torch for CPUs alone, where pip is told of a place that has one: 3 GB less.
choose_torch() {
    local version; version=$(sed -n 's/^torch==//p' constraints.txt)
    torch=torch gigabytes=12 holds=8 megabytes=7500
    if compgen -G '/dev/nvidia[0-9]*' >/dev/null || [[ -e /dev/kfd ]]; then torch="torch!=$version+cpu"; return; fi
    if pip install --quiet --dry-run --no-deps "torch==$version+cpu" &>/dev/null; then
        torch="torch==$version+cpu" gigabytes=8 holds=5 megabytes=4800
        say "no GPU, and pip knows of a torch for CPUs alone: 2.5 GB less to download"
    fi
}

check_disk() {
    # The figure before the percentage: a file system's name may hold blanks. One that tells no figure is let through.
    local free; free=$(df -Pk . | sed -n '2s/.* \([0-9][0-9]*\)  *[0-9-]*%.*/\1/p')
    free=$(( ${free:-99000000} / 1000000 ))
    if (( free >= gigabytes )) || [[ -d .venv/lib/python$wanted/site-packages/torch ]]; then return; fi
    fail "$free GB free here; the environment takes about $holds GB, and making it up to $gigabytes" "free some space"
}

step=0
next_step() { step=$(( step + 1 )); say "$step of $steps: $1"; }

# Runs a long step, and tells that it goes on: on a terminal in one line, elsewhere twice a minute.
watched() {
    local meter=$1 start=$SECONDS every=30
    shift
    if [[ -t 2 ]]; then every=1; fi
    while sleep $every &>/dev/null && kill -0 $$ 2>/dev/null; do
        local line; line="  $(( SECONDS - start )) s; $($meter)"
        if [[ -t 2 ]]; then printf '\r\033[Ksetup: %s' "$line" >&2; else say "$line"; fi
    done 9>&- &
    ticker=$!
    "$@"
    kill $ticker 2>/dev/null || true
    if [[ -t 2 ]]; then printf '\r\033[K' >&2; fi
}

held() { echo ".venv holds $(du -sm .venv 2>/dev/null | cut -f1) MB of about $megabytes"; }
fetched() { echo "$(du -sm .venv/tmp 2>/dev/null | cut -f1) MB of 77"; }
compiled() { local n; n=$(grep -o '\[[0-9]*/[0-9]*\]' "$log" 2>/dev/null | sed -n '$p' || true); echo "compiled ${n:-nothing yet}"; }

# Moved first: what is half deleted must not pass as ready, nor as made by hand.
start_anew() { say "$1"; mv .venv .venv.old.$$; rm -rf .venv.old.$$; }

is_ours() { [[ -e $stamp || -e $unfinished || -e $light ]]; }

# Made by somebody else, with something in it.
is_by_hand() {
    ! is_ours && compgen -G '.venv/lib/python*/site-packages/*.dist-info' | grep -qvE '/(pip|setuptools|wheel)-[^/]*$'
}

refuse_by_hand() {
    is_by_hand || return 0
    use_what_is_there "${extras//,/ }"
    fail ".venv was made by hand or for chat alone, and is left as it is; it lacks $missing" \
        "to train here: mv .venv .venv-laptop, then the same again; to chat: make chat"
}

# The packages that a purpose needs and .venv lacks, in a line.
lacking() {
    .venv/bin/python -I - "$1" <<'END' 2>/dev/null || echo "a Python that runs"
import re, sys
from importlib.metadata import PackageNotFoundError, requires, version

def is_there(name):
    try:
        return bool(version(name))
    except PackageNotFoundError:
        return False

needed = ["stemma"]
for line in requires("stemma") or () if is_there("stemma") else ():
    extra = re.search(r"extra == .([\w-]+)", line)
    if extra is None or extra[1] in sys.argv[1].split():
        needed.append(re.match(r"[\w.-]+", line)[0])
missing = [name for name in dict.fromkeys(needed) if not is_there(name)]
print(", ".join(missing[:4]) + (f" and {len(missing) - 4} more" if len(missing) > 4 else ""))
END
}

downloads_here() {    # where there is room: /tmp may be memory
    mkdir -p .venv/tmp
    export TMPDIR=$PWD/.venv/tmp
}

make_venv() {
    if [[ -e $unfinished ]]; then start_anew "an earlier setup was interrupted: starting .venv anew"; fi
    if [[ -e .venv/bin ]] && ! is_wanted .venv/bin/python; then
        start_anew ".venv is of another Python than $wanted, or of one that is gone: starting it anew"
    fi
    mkdir -p .venv
    touch $unfinished
    rm -f $stamp $light
    [[ -x .venv/bin/pip ]] || "$1" -m venv .venv
    downloads_here
    remedy="is the package index reached (network, HTTPS_PROXY, PIP_INDEX_URL), and is there space? Then call this again"
    pip install --quiet "pip==26.3"
}

fetch_sdist() {
    echo "$sdist_sha256  $store/$sdist" | sha256sum --check --status 2>/dev/null && return
    local partial; partial=$(mktemp -d "$store/.fetch.XXXXXX")
    watched fetched pip download --quiet --no-deps --no-binary llama-cpp-python --dest "$partial" "llama-cpp-python==$llama"
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

build_in() { pip wheel --verbose --no-deps --no-cache-dir --wheel-dir "$1" "$store/$sdist" &>"$log"; }

build_wheel() {
    local folder; folder=$(wheel_folder)
    [[ -d $folder ]] && return
    local partial; partial=$(mktemp -d "$store/.build.XXXXXX")
    log=$store/build.log
    watched compiled build_in "$partial"
    log=
    mkdir -p "$store/wheels"
    mv "$partial" "$folder"
}

# Each file must have the sha256 that stands here. torch is not among them: its builds differ by machine.
install_locked() {
    local before=$remedy
    remedy="does the index serve other files than PyPI? STEMMA_LOCKED= ./setup.sh installs by version alone. Else: $remedy"
    next_step "installing Axolotl, DeepSpeed and the rest by $locked (about 4 minutes)"
    watched held pip install --quiet --no-deps --require-hashes --requirement "$locked"
    remedy=$before
}

install_all() {
    local isolation=()
    if [[ -n $locked ]]; then
        install_locked
        isolation=(--no-build-isolation)    # setuptools is here, and was locked
    fi
    next_step "installing $torch (about 3 minutes)"
    watched held pip install --quiet --constraint constraints.txt "$torch"
    if [[ -n $locked ]]; then next_step "installing Stemma and llama.cpp"; else
        next_step "installing Axolotl, DeepSpeed and the rest (about 4 minutes)"
    fi
    watched held pip install --quiet --constraint constraints.txt ${isolation[@]+"${isolation[@]}"} "$(wheel_folder)"/*.whl --editable ".[$extras]"
}

open_store() {
    doing="making .cache and $store"
    mkdir -p .cache "$store"
    exec 9>"$store/setup.lock"
    "$python" -c "import fcntl; fcntl.flock(9, fcntl.LOCK_EX)"    # of two calls at once the second waits; macOS has no flock
}

# What follows tells how much and how long before anything is fetched.
make_everything() {
    is_ready && exit 0
    refuse_by_hand
    python=$(find_python) || exit 2
    check_machine
    open_store
    is_ready && exit 0
    rm -rf "$store"/.fetch.* "$store"/.build.* .cache/.unpack.* .venv.old.*    # what interrupted calls left
    say "making .venv: about 290 packages, up to 4 GB to download, 5 to 8 GB on disk; 7 to 13 minutes on 2 cores" \
        "and a fast line, longer on a slow one. Ctrl-C is safe: downloads and what is built are kept"
    steps=5; if [[ -n $locked ]]; then steps=6; fi
    doing="making .venv"
    next_step "making .venv with $python"
    make_venv "$python"
    choose_torch
    check_disk
    get_llama
    doing="installing"
    install_all
    doing="finishing"
    rm -rf .venv/tmp $unfinished
    echo "$key" > $stamp
    say "done: $(.venv/bin/python --version), $(du -sm .venv | cut -f1) MB in $SECONDS s"
}

get_llama() {
    doing="fetching llama.cpp's sources"
    next_step "fetching llama.cpp's sources (77 MB)"
    fetch_sdist
    if [[ $purpose == all ]]; then
        unpack_sources
    fi
    doing="building llama-cpp-python"
    if [[ -d $(wheel_folder) ]]; then next_step "llama-cpp-python $llama was built before"; else
        next_step "building llama-cpp-python $llama (about 7 minutes on 2 cores)"
    fi
    build_wheel
}

# Ends where .venv already has what the purpose needs, whoever made it.
use_what_is_there() {
    missing="everything"
    if [[ -x .venv/bin/python ]]; then missing=$(lacking "$1"); fi
    if [[ -z $missing ]]; then exit 0; fi
}

# An environment of a few packages. One of ours is added to; one that was made by hand is the user's, unless asked.
make_light() {
    use_what_is_there "$purpose"
    if [[ $purpose != laptop ]] && is_by_hand; then
        [[ $missing != everything ]] || fail ".venv is of a Python that is gone" "rm -r .venv, then the same again"
        local extra=; if [[ $purpose != core ]]; then extra="[$purpose]"; fi
        fail ".venv was made by hand, and this needs more: $missing" \
            ".venv/bin/python -m pip install -c constraints.txt -e '.$extra'"
    fi
    python=$(find_python) || exit 2
    open_store
    use_what_is_there "$purpose"
    doing="making .venv"
    if [[ -e $unfinished ]] || { is_ours && ! .venv/bin/python -c "" &>/dev/null; }; then
        start_anew "an earlier setup was interrupted, or its Python is gone: starting .venv anew"
    fi
    if [[ $purpose == laptop ]]; then
        check_compiler "; without one the GGUF file runs in Ollama or LM Studio"
    fi
    say "$1"
    mkdir -p .venv
    touch $light
    remedy="is the package index reached (network, HTTPS_PROXY, PIP_INDEX_URL)? Then call this again"
    [[ -x .venv/bin/pip ]] || "$python" -m venv .venv
    downloads_here
}

install_light() {
    doing="installing"
    watched held pip install --quiet --constraint constraints.txt "$@"
    rm -rf .venv/tmp
    say "done: $(.venv/bin/python --version), $(du -sm .venv | cut -f1) MB in $SECONDS s"
}

case $purpose in
    all) make_everything ;;
    core)
        megabytes=60
        make_light "making a small .venv to look at recipes and runs: 20 packages, 20 MB to download (make setup: all)"
        install_light --editable .
        ;;
    look)
        megabytes=550
        make_light "making a small .venv to look at data: 50 packages, 150 MB to download, no torch (make setup: all)"
        install_light --editable '.[look]'
        ;;
    laptop)
        megabytes=250 steps=3
        make_light "making .venv to chat: 30 packages, 120 MB to download, no torch; llama.cpp is built in about 7 minutes"
        get_llama
        next_step "installing Stemma and llama.cpp"
        rm -f $light    # from here on it chats: `make setup` leaves it alone
        install_light "$(wheel_folder)"/*.whl --editable '.[laptop]'
        ;;
    chat)
        use_what_is_there laptop
        fail "no environment here that can chat: .venv lacks $missing" "make laptop (8 minutes, no torch), or make setup (all, to train too)"
        ;;
    *) fail "no such purpose: $purpose" "one of: core, look, laptop, chat; none: everything" ;;
esac
