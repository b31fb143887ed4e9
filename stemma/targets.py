"""Targets of a LoRA: the weights it sits on, by PEFT's own rules. Pure.

The rules are those of PEFT 0.21, `check_target_module_exists`. Targets are names (`q_proj`: every
module that is called so), or one regular expression over whole names; layers may be chosen, and
modules taken out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stemma.errors import Problem
from stemma.shapes import ATTENTION, MLP, Shapes

ALL_LINEAR = "all-linear"
"""PEFT's word for every linear layer but the head."""
LINEARS = (*ATTENTION, *MLP)
MOVING_STARTS = ("pissa", "olora", "corda", "loftq")
"""First values of an adapter that come with a changed base."""
EMBEDDING = "model.embed_tokens"
HEAD = "lm_head"
TIED = "adapters on one half of a tied pair change the other when they are merged"

NAMED = (
    "lora_target_modules",
    "lora_target_parameters",
    "lora_modules_to_save",
    "peft_layers_pattern",
)
"""Settings that are lists of names, as far as they are lists."""
LAYERS = ("peft_layers_to_transform",)
"""Settings that are lists of layers' numbers, likewise."""

Names = Sequence[str] | str


@dataclass(frozen=True)
class Targets:
    """The settings that decide which modules get an adapter."""

    modules: Names
    exclude: Names = ()
    layers: int | Sequence[int] | None = None
    pattern: Names = ()
    saved: Sequence[str] = ()
    """Modules that are trained whole; none of them gets an adapter."""

    @classmethod
    def of_adapter(cls, config: Mapping[str, Any]) -> Targets:
        """The targets in an adapter_config.json."""
        return cls(
            modules=config["target_modules"],
            exclude=config.get("exclude_modules") or (),
            layers=config.get("layers_to_transform"),
            pattern=config.get("layers_pattern") or (),
            saved=config.get("modules_to_save") or (),
        )

    @classmethod
    def of_stage(cls, keys: Mapping[str, Any]) -> Targets:
        """The targets in a stage's Axolotl keys, as Axolotl hands them to PEFT."""
        given = keys.get("lora_target_modules") or ()
        if keys.get("lora_target_linear"):
            given = [*([given] if isinstance(given, str) else given), *LINEARS]
        return cls(
            modules=LINEARS if given == ALL_LINEAR else given,
            layers=keys.get("peft_layers_to_transform"),
            pattern=keys.get("peft_layers_pattern") or (),
            saved=keys.get("lora_modules_to_save") or (),
        )

    def covers(self, module: str) -> bool:
        """Whether `module`, e.g. `model.layers.0.self_attn.q_proj`, gets an adapter."""
        if any(re.match(rf"(^|.*\.){name}($|\..*)", module) for name in self.saved):
            return False
        if _named(self.exclude, module):
            return False
        return _named(self.modules, module) and (module in self.modules or self._in_layers(module))

    def among(self, weights: Iterable[str]) -> list[str]:
        """Those of a model's tensors that get an adapter."""
        matrices = (name for name in weights if name.endswith(".weight"))
        return [name for name in matrices if self.covers(name.removesuffix(".weight"))]

    def _in_layers(self, module: str) -> bool:
        if isinstance(self.modules, str) or self.layers is None or self.layers == []:
            return True
        patterns = self.pattern
        if isinstance(patterns, str) and patterns:
            patterns = [patterns]
        before = [rf"(?:^|.*?\.){pattern}\." for pattern in patterns] or [r".*?\.[^.]*\."]
        matches = (re.match(rf"{beginning}(?P<layer>\d+)\.", module) for beginning in before)
        found = next(filter(None, matches), None)
        chosen = [self.layers] if isinstance(self.layers, int) else self.layers
        return found is not None and int(found["layer"]) in chosen


def target_problems(keys: Mapping[str, Any], shapes: Shapes, place: str) -> Iterator[Problem]:
    """A stage's targets that this model does not have. `place` names the recipe."""
    targets = Targets.of_stage(keys)
    weights = shapes.tensors() | {f"{HEAD}.weight": (shapes.vocabulary, shapes.hidden)}
    covered = targets.among(weights)
    names = [] if isinstance(targets.modules, str) else targets.modules
    idle = [name for name in names if not Targets([name]).among(weights)]
    if idle or (targets.modules and not covered):
        shown = idle or targets.modules
        named = shown if isinstance(shown, str) else ", ".join(shown)
        found = f"lora_target_modules: nothing in this model is `{named}`"
        chosen = targets.layers is not None and not idle
        found += f" in the layers {targets.layers} (of {shapes.layers}, from 0)" if chosen else ""
        expected = f"some of {', '.join(LINEARS)}, or an expression that meets whole names"
        yield Problem(place, found, expected)
    vectors = [name for name in covered if len(weights[name]) != 2]
    if vectors:
        module = vectors[0].removesuffix(".weight")
        found = f"lora_target_modules covers {module}, which is no matrix"
        yield Problem(place, found, f"some of {', '.join(LINEARS)}")
    if shapes.tied:
        yield from _tied_problems(covered, targets.saved, place)


def _tied_problems(covered: Sequence[str], saved: Sequence[str], place: str) -> Iterator[Problem]:
    """Targets on a head that is the embedding: merging makes one of what was trained apart."""
    ends = (EMBEDDING, HEAD)
    whole = [name for name in saved if any(end.endswith(name) for end in ends)]
    found = [f"lora_target_modules: {end}" for end in ends if f"{end}.weight" in covered]
    found += [f"lora_modules_to_save: {name}" for name in whole]
    expected = "adapters on the layers' matrices; only a head that is not tied can have one"
    for one in found:
        yield Problem(place, f"{one}, but this model's embedding is its head: {TIED}", expected)


def setting_problems(keys: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(key, found, hint) of an adapter's settings that no model can have."""
    yield from _item_problems(keys)
    start = keys.get("peft_init_lora_weights")
    if keys.get("rl") and (start is False or str(start).startswith(MOVING_STARTS)):
        setting = f"`peft_init_lora_weights: {start}`"
        found = f"{setting} under `rl: dpo`: it begins away from the reference"
        yield "peft_init_lora_weights", found, "delete it: B then begins at zero"
    given = keys.get("lora_target_modules")
    if not isinstance(given, str) or given == ALL_LINEAR:
        return
    try:
        re.compile(given)
    except re.error as error:
        found = f"`{given}` is no regular expression: {error}"
        yield "lora_target_modules", found, "or give a list of names"
        return
    if keys.get("peft_layers_to_transform") is not None:
        found = (
            "`peft_layers_to_transform` with a regular expression in `lora_target_modules`: "
            "PEFT refuses it"
        )
        hint = r"put the layers into the expression: `.*\.layers\.[01]\..*q_proj`"
        yield "peft_layers_to_transform", found, hint
    if keys.get("lora_target_linear"):
        found = (
            "`lora_target_linear` with a regular expression: Axolotl takes it for the name of a "
            "module"
        )
        yield "lora_target_linear", found, "delete one of the two"


def _item_problems(keys: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Lists with an item of another kind: Axolotl's own list of keys knows lists only as such."""
    for kind, expected, names in ((str, "names", NAMED), (int, "layers", LAYERS)):
        for name in names:
            items = keys.get(name)
            wrong = [one for one in items if type(one) is not kind] if type(items) is list else []
            if wrong:
                yield name, f"`{name}` holds {wrong[0]!r}", f"give a list of {expected}"


def _named(names: Names, module: str) -> bool:
    """Whether the expression meets the module's whole name, or one of the names its end."""
    if isinstance(names, str):
        return re.fullmatch(names, module) is not None
    return any(module == name or module.endswith(f".{name}") for name in names)
