"""Random changes of training batches, drawn from the generator they are given."""

from __future__ import annotations

import re
from collections.abc import Callable

import torch
from torch import Tensor, nn

from tncc.errors import InputError

Augmentation = Callable[[Tensor, torch.Generator], Tensor]


def flip(x: Tensor, generator: torch.Generator) -> Tensor:
    """Half of the frames mirrored left to right; [N, C, H, W]."""
    mirrored = torch.rand(len(x), generator=generator) < 0.5
    return torch.where(mirrored.to(x.device)[:, None, None, None], x.flip(3), x)


def shift(pixels_y: int, pixels_x: int) -> Augmentation:
    """Every frame moved by up to so many pixels each way, zeros shifted in; [N, C, H, W]."""

    def apply(x: Tensor, generator: torch.Generator) -> Tensor:
        n, channels, height, width = x.shape
        if pixels_y >= height or pixels_x >= width:
            raise InputError(
                f"frames of {height} x {width} pixels cannot be shifted by up to {pixels_y} x {pixels_x}: "
                "nothing would be left of some"
            )
        padded = nn.functional.pad(x, (pixels_x, pixels_x, pixels_y, pixels_y))
        top = torch.randint(0, 2 * pixels_y + 1, (n, 1), generator=generator).to(x.device)
        left = torch.randint(0, 2 * pixels_x + 1, (n, 1), generator=generator).to(x.device)
        rows = (top + torch.arange(height, device=x.device))[:, None, :, None]
        columns = (left + torch.arange(width, device=x.device))[:, None, None, :]
        frames = torch.arange(n, device=x.device)[:, None, None, None]
        return padded[frames, torch.arange(channels, device=x.device)[None, :, None, None], rows, columns]

    return apply


def parse(text: str) -> list[Augmentation]:
    """`flip`, `shift4` (both ways) or `shift2x6` (2 rows, 6 columns), joined by commas, as augmentations in order."""
    found: list[Augmentation] = []
    for word in filter(None, (part.strip() for part in text.split(","))):
        match = re.fullmatch(r"shift(\d+)(?:x(\d+))?", word)
        if word == "flip":
            found.append(flip)
        elif match:
            found.append(shift(int(match[1]), int(match[2] or match[1])))
        else:
            raise InputError(f"unknown augmentation {word!r}", hint="flip, shift4 or shift2x6, joined by commas")
    return found
