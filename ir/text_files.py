"""Text modules in files: NAME.tn, and NAME.tn.npz beside it for the large tensors."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from lark import Tree

from tncc.errors import TextInvalid
from tncc.files import replacing, write_text
from tncc.ir.encoding import quote
from tncc.ir.graph import Graph
from tncc.ir.netlist import Netlist
from tncc.ir.parser import read_module
from tncc.ir.printer import to_text
from tncc.ir.reader import Reader, syntax_tree

Array = npt.NDArray[Any]


def save_text(module: Graph | Netlist, path: str | Path, header: str = "") -> None:
    """Writes the module to `path`, and its large tensors, where there are any, to the .npz file beside it.

    `header` becomes a comment in the first line. Both files are written under another name first; the .tn file holds
    the .npz file's checksum, so that two that do not belong together are told apart.

    Raises:
        InputError: the file cannot be written.
    """
    path = Path(path)
    tensors: dict[str, Array] = {}
    text = to_text(module, tensors=tensors)
    if tensors:
        sidecar = path.with_name(f"{path.name}.npz")
        data = _npz(tensors)
        with replacing(sidecar) as file:
            file.write(data)
        text = f"sidecar {quote(sidecar.name)} {quote(hashlib.sha256(data).hexdigest())}\n{text}"
    write_text(path, (f"// {header}\n" if header else "") + text)


def load_text(path: str | Path) -> Graph | Netlist:
    """The module in a .tn file; not verified.

    Raises:
        CompileError: the file or its sidecar cannot be read, or at file:line:column whatever `parse` refuses.
    """
    path = Path(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise TextInvalid(f"cannot be read: {error.strerror or error}", path) from None
    except UnicodeDecodeError as error:
        raise TextInvalid(f"byte {error.start} is not UTF-8 text", path, "expected a .tn file") from None
    tree = syntax_tree(text, str(path))
    reader = Reader(str(path), {})
    first = tree.children[0]
    if isinstance(first, Tree) and first.data == "sidecar":
        name, checksum = (reader.string(token) for token in first.children)
        if Path(name).name != name:
            raise reader.error(first, "the sidecar is not a plain file name")
        reader.tensors = _load_tensors(path.with_name(name), checksum)
    return read_module(reader, tree)


def _npz(tensors: dict[str, Array]) -> bytes:
    """What numpy.savez would write, but with the same bytes for the same arrays."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in tensors.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
    return buffer.getvalue()


def _load_tensors(path: Path, checksum: str) -> dict[str, Array]:
    """All arrays of an .npz file; the checksum is looked at before anything in it is believed."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TextInvalid(f"cannot be read: {error.strerror or error}", path) from None
    if hashlib.sha256(data).hexdigest() != checksum:
        raise TextInvalid("is not the file that was written with the .tn file: its checksum differs", path)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return {entry.filename.removesuffix(".npy"): _array(archive, entry) for entry in archive.infolist()}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise TextInvalid(f"is not an .npz file: {error}", path) from None


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Array:
    if entry.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{entry.filename} is compressed")
    content = archive.read(entry)
    file = io.BytesIO(content)
    read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    version = np.lib.format.read_magic(file)
    if version not in read_header:
        raise ValueError(f"{entry.filename} is of version {version}")
    shape, fortran, dtype = read_header[version](file)
    # a header may promise more than there is: nothing is allocated before sizes agree
    if dtype.hasobject or np.dtype(dtype).itemsize * _product(shape) != len(content) - file.tell():
        raise ValueError(f"{entry.filename} does not hold what its header says")
    flat = np.frombuffer(content, dtype, offset=file.tell())
    return np.ascontiguousarray(flat.reshape(shape, order="F" if fortran else "C"))


def _product(shape: tuple[int, ...]) -> int:
    total = 1
    for size in shape:
        total *= size
    return total
