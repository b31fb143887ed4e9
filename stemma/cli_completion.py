"""The verb `completion`: what makes a shell complete verbs, options and recipes. `stemma.cli` adds
it."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from stemma.errors import Problem, UserError
from stemma.visible import tell

Shell = Literal["bash", "zsh"]
VARIABLE = "_STEMMA_COMPLETE"
BASH = """\
# Completes `stemma …` and `python -m stemma …`; python's other words stay names of files.
_stemma_completion() {
    local words=("${COMP_WORDS[@]}") at=$COMP_CWORD kind value
    COMPREPLY=()
    if [[ ${1##*/} == python* ]]; then
        [[ ${words[1]} == -m && ${words[2]} == stemma && $at -gt 2 ]] || return 0
        words=(stemma "${words[@]:3}")
        at=$((at - 2))
    fi
    while IFS=, read -r kind value; do
        [[ $kind == plain ]] && COMPREPLY+=("$value")
    done < <(COMP_WORDS="${words[*]}" COMP_CWORD=$at VARIABLE=complete_bash PROGRAM 2>/dev/null)
}
complete -o bashdefault -o default -F _stemma_completion stemma python python3 .venv/bin/python
"""

ZSH = """\
# Completes `stemma …` and `python -m stemma …`; python's other words are completed as ever.
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
_stemma_completion() {
    local -a told=() plain=()
    local kind value help
    if [[ ${words[1]:t} == python* ]]; then
        if [[ ${words[2]} != -m || ${words[3]} != stemma || $CURRENT -lt 4 ]]; then
            (( $+functions[_python] )) && _python "$@" || _files
            return
        fi
        words=(stemma "${(@)words[4,-1]}")
        (( CURRENT -= 2 ))
    fi
    for kind value help in "${(@f)$(COMP_WORDS="${words[*]}" COMP_CWORD=$((CURRENT - 1)) \\
            VARIABLE=complete_zsh PROGRAM 2>/dev/null)}"; do
        [[ $kind == plain ]] || continue
        [[ $help == _ ]] && plain+=("$value") || told+=("$value:$help")
    done
    (( $#told )) && _describe -V stemma told
    (( $#plain )) && compadd -- $plain
    (( $#told + $#plain )) || _files
}
compdef _stemma_completion stemma python python3
"""
SCRIPTS = {"bash": BASH, "zsh": ZSH}


def completion(
    shell: Annotated[
        Shell | None, typer.Argument(help="Which shell; by default the one in $SHELL.")
    ] = None,
) -> None:
    """Print the script that lets a shell complete verbs, options and names of recipes.

    In bash: `eval "$(.venv/bin/python -m stemma completion bash)"`, best in ~/.bashrc.
    """
    wanted = shell or Path(os.environ.get("SHELL", "")).name
    if wanted not in SCRIPTS:
        found = f"no completion for `{wanted}`" if wanted else "$SHELL is not set"
        expected = f"one of: {', '.join(SCRIPTS)}"
        raise UserError(Problem("completion", found, expected, "`stemma completion bash`"))
    program = f"{shlex.quote(sys.executable)} -m stemma"
    tell(SCRIPTS[wanted].replace("VARIABLE", VARIABLE).replace("PROGRAM", program), end="")
