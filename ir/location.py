"""Where an operation comes from. Every op carries one, through every rewrite, so that errors can name the ONNX node."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Location:
    """The ONNX node (or line of a .tn file) an op stems from, and the passes that rewrote it.

    Prints as `Conv_0` or `Conv_0 + Relu_1 via fold-thresholds`.
    """

    nodes: tuple[str, ...]
    passes: tuple[str, ...] = ()

    @staticmethod
    def of(node: str) -> Location:
        return Location((node,))

    def via(self, pass_name: str) -> Location:
        """This location after `pass_name` rewrote the op; a pass is named once in a row."""
        if self.passes[-1:] == (pass_name,):
            return self
        return Location(self.nodes, (*self.passes, pass_name))

    def __add__(self, other: Location) -> Location:
        """The location of an op made of two: all nodes and passes of both, first come first, without repeats."""
        return Location(
            tuple(dict.fromkeys(self.nodes + other.nodes)), tuple(dict.fromkeys(self.passes + other.passes))
        )

    def __str__(self) -> str:
        text = " + ".join(self.nodes)
        return f"{text} via {', '.join(self.passes)}" if self.passes else text
