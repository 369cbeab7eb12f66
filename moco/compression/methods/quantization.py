"""Quantization: layers in 8-bit codes, or with 1 to 8 bits of weights and activations each (S3.11 to S3.14).

It is done to the file (moco.export); a network's tensors stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Le, MinLen

from moco.compression.alignment import is_aligned
from moco.compression.costs import LayerCost
from moco.compression.file_weights import FileWeights
from moco.compression.methods.method import Allowed, Method, Setting, from_one
from moco.compression.precision import BITS, FLOAT32, FLOAT_BITS, INT8, INT8_BITS, MIXED, Bits
from moco.compression.space.context import Draft, SpaceContext
from moco.compression.space.layer_groups import Grouped
from moco.compression.space.parameters import Options, Parameter, Part, WholeNumbers
from moco.errors import CompressionError, SpaceError

Precision = Literal["float32", "int8", "mixed"]
FewBits = Annotated[int, Ge(1), Le(8)]
BIT_PARAMETERS = ("weight_bits", "activation_bits")
MOVE = "precision"  # what the pay-off analysis calls another precision


@dataclass(frozen=True)
class QuantizationOptions:
    """Options of quantization."""

    # to choose from; the first legal one is the neutral one
    precision: Annotated[tuple[Precision, ...], MinLen(1)] = ("float32", "int8")
    # weight_bits, activation_bits: [fewest, most] of the precision `mixed`
    weight_bits: tuple[FewBits, FewBits] = (2, 8)
    activation_bits: tuple[FewBits, FewBits] = (4, 8)
    range: Literal["auto", "minmax", "percentile", "output_error"] = "auto"
    # which layers can run in `mixed`: all, or `aligned` ones (S3.16, moco.compression.alignment); others are int8 then
    mixed_layers: Literal["aligned"] | None = None

    def __post_init__(self) -> None:
        if len(set(self.precision)) < len(self.precision):
            raise SpaceError(f"space.quantization.precision: expected each precision once, got {list(self.precision)}")
        if self.mixed_layers is not None and INT8 not in self.precision:
            given = list(self.precision)
            raise SpaceError(
                f"space.quantization.mixed_layers: other layers are int8 then; name it in precision, got {given}"
            )
        for kind in BIT_PARAMETERS:
            fewest, most = getattr(self, kind)
            if not 1 <= fewest <= most <= 8:
                raise SpaceError(f"space.quantization.{kind}: expected 1 <= fewest <= most <= 8, got {[fewest, most]}")


class Quantization(Method):
    """Sets the precision of a layer group, and with `mixed` its bits; it stands beside any other method."""

    name = "quantization"
    settings = ("precision", "quantization")
    order = 10
    Options = QuantizationOptions
    is_chosen = False
    changes_weights = False

    @property
    def precisions(self) -> tuple[str, ...]:
        """Those that are declared."""
        return tuple(self.options.precision)

    @property
    def ranges(self) -> str | None:
        """How the ranges of codes are estimated."""
        return str(self.options.range)

    def parameters_for(self, group: Grouped, context: SpaceContext) -> Part | None:
        """The precisions that are legal for some layer of the group, and the layers for which all of those are."""
        legal = tuple(precision for precision in self.precisions if self._is_legal(group, precision, context))
        kinds = context.capabilities.layer_kinds
        names = tuple(n for n in group.layers if all(context.layers[n].kind in kinds[p] for p in legal))
        if not names or not legal or legal == (FLOAT32,):
            return None
        parameters: dict[str, Parameter] = {"precision": Options(legal)}
        if MIXED in legal:
            parameters |= {kind: WholeNumbers(*getattr(self.options, kind)) for kind in BIT_PARAMETERS}
        return Part(group.name, names, parameters)

    def _is_legal(self, group: Grouped, precision: str, context: SpaceContext) -> bool:
        kinds, channels = context.capabilities.layer_kinds[precision], group.channel_groups
        loses = bool(channels) and all(context.loses(c.name, precision, MOVE) for c in channels)
        return not loses and any(context.layers[name].kind in kinds for name in group.layers)

    def summary(self, part: Part, context: SpaceContext) -> dict[str, Any]:
        """The precisions, and the bits of `mixed`."""
        found: dict[str, Any] = {"precisions": list(self.runs_in(part))}
        if MIXED in found["precisions"]:
            w, a = self.options.weight_bits, self.options.activation_bits
            found["methods"] = [f"bits w{w[0]}-{w[1]} a{a[0]}-{a[1]}"]
        return found

    def runs_in(self, part: Part) -> tuple[str, ...]:
        """Its choices."""
        precision = part.parameters["precision"]
        assert isinstance(precision, Options)
        return precision.choices

    def n_settings(self, part: Part, precisions: Mapping[str, str], context: SpaceContext) -> int | None:
        """One, as the precision is given; bits are not counted."""
        return None if len(part.parameters) > 1 else 1

    def heaviest_allowed(self, part: Part, allowed: Allowed) -> dict[str, Any]:
        """The heaviest precision that is allowed: mixed with its fewest bits, then int8, then float32."""
        names = self.runs_in(part)
        bits = {kind: self._fewest(part, kind, allowed) for kind in BIT_PARAMETERS if kind in part.parameters}
        if MIXED in names and None not in bits.values():
            return {"precision": MIXED, **bits}
        if INT8 in names and allowed(part.names, INT8) is not None:
            return {"precision": INT8}
        return {"precision": FLOAT32 if FLOAT32 in names else names[0]}

    def _fewest(self, part: Part, kind: str, allowed: Allowed) -> int | None:
        """The fewest bits within their bounds that every layer allows; None where some layer allows none of them."""
        fewest, (low, high) = allowed(part.names, kind), getattr(self.options, kind)
        return None if fewest is None or fewest > high else max(int(fewest), low)

    def write_settings(self, part: Part, values: Mapping[str, Any], draft: Draft, context: SpaceContext) -> None:
        """The precision of each layer, and its bits."""
        asked = values["precision"]
        for layer in part.names:
            name = INT8 if asked == MIXED and not self._mixes(layer, context) else asked
            bits = BITS[name] if name != MIXED else Bits(*(int(values[kind]) for kind in BIT_PARAMETERS))
            draft.precisions[layer] = name
            draft.set(layer, setting_of(bits))

    def _mixes(self, layer: str, context: SpaceContext) -> bool:
        """Whether the layer can run in fewer bits than int8."""
        return self.options.mixed_layers is None or is_aligned(context.layers[layer])

    def values_of(self, part: Part, draft: Draft, context: SpaceContext) -> dict[str, Any]:
        """The precision of the first layer that can run in all of them, and its bits where it is mixed."""
        first = next((layer for layer in part.names if self._mixes(layer, context)), part.names[0])
        name = draft.precision(first)
        if name != MIXED:
            return {"precision": name}
        bits = _read(draft.settings[first])
        return {"precision": name, **dict(zip(BIT_PARAMETERS, (bits.weights, bits.activations), strict=True))}

    def expected_instead(self, key: str, value: object) -> str | None:
        """A precision by name, or {weight_bits, activation_bits}."""
        if key == "precision":
            return None if isinstance(value, str) and value in BITS else f"one of {', '.join(BITS)}"
        fits = isinstance(value, Mapping) and value.keys() == set(BIT_PARAMETERS) and from_one(*value.values())
        if fits and isinstance(value, Mapping) and all(bits <= 8 for bits in value.values()):
            return None
        return "{weight_bits: w, activation_bits: a}, 1 to 8 each"

    def canonical(self, setting: Setting) -> Setting:
        """Nothing for float32, and the name of the precision for 8 and 8 bits."""
        return setting_of(_read(setting))

    def describe(self, key: str, value: Any) -> str:
        """The precision's name, or the bits."""
        return str(value) if key == "precision" else super().describe(key, value)

    def bits(self, setting: Setting) -> Bits | None:
        """Of weights and activations."""
        return _read(setting)

    def cost(self, layer: LayerCost, setting: Setting) -> LayerCost:
        """As many operations, of fewer bits."""
        bits = _read(setting)
        return layer._replace(weight_bits=bits.weights, activation_bits=bits.activations)

    def verify_file(self, weights: FileWeights, settings: Mapping[str, Setting]) -> None:
        """Integer codes of no more values than the bits have, and none where none were asked for (W32)."""
        bits = {part: _read(setting) for name, setting in settings.items() for part in weights.parts(name)}
        for name, used in bits.items():
            codes, asked = weights.codes(name), used.weights
            if codes is None:
                kind = INT8 if asked == 8 else f"{asked}-bit"
                raise CompressionError(
                    f"verification: '{name}' was to be {kind}, the file holds no integer codes of its weight"
                )
            if asked < 8 and len(np.unique(codes)) > 2**asked:
                raise CompressionError(
                    f"verification: '{name}' was to have {asked}-bit weights, its codes take more values"
                )
        stray = [name for name in weights.coded if name not in bits]
        if stray:
            raise CompressionError(f"verification: '{stray[0]}' is int8 without being asked")


def setting_of(bits: Bits) -> dict[str, Any]:
    """The setting of a layer in these bits; empty in float32."""
    if bits == FLOAT_BITS:
        return {}
    if bits == INT8_BITS:
        return {"precision": INT8}
    return {"quantization": dict(zip(BIT_PARAMETERS, (bits.weights, bits.activations), strict=True))}


def _read(setting: Setting) -> Bits:
    if "precision" in setting:
        return BITS[setting["precision"]]
    return Bits(*(setting["quantization"][kind] for kind in BIT_PARAMETERS))
