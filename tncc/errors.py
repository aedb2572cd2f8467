"""Every error that tncc raises on purpose. A leaf module, like tncc.files: all four folders may import it.

A model that is refused ends in one of the kinds of `CATALOGUE`, each with a code of its own that stays as it is;
docs/errors.md is their list, made from this file.
"""

from __future__ import annotations

from typing import ClassVar


class Error(Exception):
    """Base of all errors a user can cause. `str(error)` is one clear message: what, where, what would work.

    Attributes:
        message: what is wrong.
        location: where: an ONNX node, a file, a core; "" when there is no better place to name.
        hint: what would work; "" when nothing is known to.
    """

    def __init__(self, message: str, location: object = "", hint: str = "") -> None:
        self.message = message
        self.location = str(location)
        self.hint = hint
        text = f"{self.location}: {message}" if self.location else message
        super().__init__(f"{text}\n  hint: {hint}" if hint else text)

    def __reduce__(self) -> tuple[type[Error], tuple[str, str, str]]:
        return type(self), (self.message, self.location, self.hint)


CATALOGUE: dict[str, type[CompileError]] = {}


class CompileError(Error):
    """A model, an IR text or a pipeline that cannot be compiled as asked. Always one of the kinds below.

    Attributes:
        code: of the kind, as in docs/errors.md.
        remedy: what usually works, for the list; the message's own hint knows more.
    """

    code: ClassVar[str]
    remedy: ClassVar[str]

    def __init_subclass__(cls, *, code: str) -> None:
        assert code not in CATALOGUE and cls.remedy and cls.__doc__, code
        cls.code, CATALOGUE[code] = code, cls


class FormatError(Error):
    """A file that is not what it should be: truncated, corrupted, of an unknown version, out of range."""


class InputError(Error):
    """Data or options that do not fit the chip or the model: shape, dtype, range, an unknown name."""


# --- the model file --------------------------------------------------------------------------------------------------


class FileUnreadable(CompileError, code="E101"):
    """The model file cannot be read: it is missing, a folder, or access is denied."""

    remedy = "the path of an .onnx file that you may read"


class NotOnnx(CompileError, code="E102"):
    """The file holds no ONNX model: it is empty, truncated, or something else."""

    remedy = "copying it again; a file as torch.onnx.export writes it"


class ModelInvalid(CompileError, code="E103"):
    """ONNX's checker, its shape inference or ONNX Runtime refuses the model, or a stored tensor is damaged."""

    remedy = "a model that ONNX Runtime runs"


class OpsetUnsupported(CompileError, code="E104"):
    """The model's ONNX operator set is missing, or older or newer than those supported."""

    remedy = "another opset_version at export, or onnx.version_converter"


class ExternalDataUnreadable(CompileError, code="E105"):
    """The model's weights lie in another file that is missing or damaged, or that bytes in memory cannot name."""

    remedy = "the path of the .onnx file, with its data file in the same folder"


class ShapeNotFixed(CompileError, code="E106"):
    """An input has no static shape: a free size that is not the batch, a fixed batch above 1, no batch dimension."""

    remedy = "static sizes and a free batch dimension at export"


class InterfaceUnsupported(CompileError, code="E107"):
    """The model has no input or no output, returns a tensor twice, or returns a constant or something that is no
    tensor.
    """

    remedy = "outputs that depend on inputs"


class OperatorUnsupported(CompileError, code="E108"):
    """An operator, or a form of it, has no meaning on the chip or in ONNX Runtime: control flow, training mode, unknown
    names, sparse tensors.
    """

    remedy = "an export in evaluation mode, with standard operators"


class ConstantNotComputable(CompileError, code="E109"):
    """A node on constants alone cannot be computed: it divides by zero, or its result is too large."""

    remedy = "a constant that ONNX Runtime computes"


class QuantizerUnsupported(CompileError, code="E110"):
    """A quantizer's parameters are not constants, or are of no known kind."""

    remedy = "quantizers with fixed parameters (model.eval())"


class ModelTooLarge(CompileError, code="E111"):
    """The model would take more memory than the compiler allows itself."""

    remedy = "smaller tensors: the chip is far smaller than that"


# --- host and chip ---------------------------------------------------------------------------------------------------


class NoSpikingLayer(CompileError, code="E201"):
    """Nothing would run on the chip: no weighted layer reads spikes and ends in a binary activation."""

    remedy = "weights -1, 0, 1 behind a binary activation, or behind {0, 1} data: partition-host{inputs=spikes}"


class SignThreeValued(CompileError, code="E202"):
    """torch.sign gives 0 for 0, so it makes no spikes where 0 can occur or where not only layers read it."""

    remedy = "x >= 0, cast to float, in its place"


class HostOperatorOnChip(CompileError, code="E203"):
    """An operator that only the host computes stands between two spiking layers."""

    remedy = "moving it before the first binary activation or behind the last spiking layer"


class RealValueOnChip(CompileError, code="E204"):
    """A layer on the chip would read real values: a real activation, a value of the host, a sum."""

    remedy = "a binary activation in front of it"


class BypassesChip(CompileError, code="E205"):
    """A value goes from the host before the chip to the host behind it without crossing the chip."""

    remedy = "letting everything behind the chip depend on its outputs alone"


class SumLeavesChip(CompileError, code="E206"):
    """The host reads a weighted sum inside a spiking layer; only spikes leave the chip."""

    remedy = "reading the layer's binary activation"


# --- weights and thresholds ------------------------------------------------------------------------------------------


class WeightsNotTrinary(CompileError, code="E301"):
    """The weights of an output channel are not small integers times one scale."""

    remedy = "training with trinary weights (docs/training.md), or --trinarize twn --calibrate"


class RoundingDecides(CompileError, code="E302"):
    """At a reachable sum float32 rounding decides the comparison, so that the model has no exact meaning."""

    remedy = "a threshold half a step away, scales that are powers of two, or --rounding nearest"


class NotOneThreshold(CompileError, code="E303"):
    """A neuron's decision is not one threshold on its sum: it fires in between, or gives other numbers than 0 and 1."""

    remedy = "one comparison a neuron; two layers combine two comparisons"


class NotOneSum(CompileError, code="E304"):
    """A spike is computed from several sums, or from elements of several neurons."""

    remedy = "adding up in one layer, or comparing each sum on its own"


# --- the chip's limits -----------------------------------------------------------------------------------------------


class FilterTooLarge(CompileError, code="E401"):
    """A filter reads more inputs than a core has axons."""

    remedy = "more groups, smaller kernels, fewer nonzero weights, or --allow-partial-sums"


class ChipTooSmall(CompileError, code="E402"):
    """The network needs more cores than the chip has."""

    remedy = "an array of chips (--chips), or a smaller network"


class ChipLimit(CompileError, code="E403"):
    """A number the network needs is outside the hardware's range: a leak, a delay, a hop count, a fan-out."""

    remedy = "what the message names"


class ChipInvalid(CompileError, code="E404"):
    """The description of the chip is out of range."""

    remedy = "sizes of at least 1, defects inside the mesh"


# --- ternarisation of float models -----------------------------------------------------------------------------------


class TrinarizationRefused(CompileError, code="E501"):
    """--trinarize twn does not take networks of this form, or this calibration data."""

    remedy = "chains of weighted layers; training with tncc.train"


# --- pipelines and IR text -------------------------------------------------------------------------------------------


class PipelineInvalid(CompileError, code="E601"):
    """The text of a pipeline, or an option of a pass, cannot be read or is out of range."""

    remedy = "names and options as docs/ir-reference.md lists them"


class PassMisplaced(CompileError, code="E602"):
    """A pass got a module that it does not take, or the pipeline ends too early."""

    remedy = "the order of the default pipeline"


class TextInvalid(CompileError, code="E603"):
    """A .tn text cannot be read or written."""

    remedy = "text as --dump-dir writes it"


class ModuleInvalid(CompileError, code="E604"):
    """A module is not well formed: shapes, domains, indices or ranges do not fit."""

    remedy = "a report of it, where no .tn file was written by hand"


class InvariantBroken(CompileError, code="E605"):
    """A module lacks an invariant that a pass requires, or a pass broke it."""

    remedy = "the passes named in the message, in front"


class MeaningChanged(CompileError, code="E606"):
    """--check-semantics found a pass that changes what the network computes."""

    remedy = "a report of it: this is a bug of the pass"


class NotInterpretable(CompileError, code="E607"):
    """The reference interpreters do not model an operation."""

    remedy = "running the compiled chip"
