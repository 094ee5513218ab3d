"""Compiled operations on disk: machine code that LLVM alone links into this process, in milliseconds and without numba.

A file holds MAGIC, the SHA-256 of the rest, the operation's symbol and an ELF object. What its code refers to must be
in this process: `link` refuses an object with a name that is not, because LLVM would end the process. A file that is
damaged, or whose names are missing, counts as not there.
"""

import ctypes
import functools
import hashlib
import os
import struct
import tempfile
from pathlib import Path

import llvmlite.binding as llvm

MAGIC = b"llm_core operation 1\n"
SHA_BYTES = 32
# What code from numba calls when it raises Python errors. Operations raise none, so nothing stands behind these names.
NUMBA_ONLY = ("numba_", "NRT_")

_linked: list = []  # engines own the code: kept as long as the process


def load(path: Path) -> int | None:
    """The address of the operation in a file, linked; None when there is no usable file."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    content = data[len(MAGIC) + SHA_BYTES :]
    if data[: -len(content)] != MAGIC + hashlib.sha256(content).digest():
        return None
    symbol, _, code = content.partition(b"\0")
    return link(symbol.decode(), code)


def save(path: Path, symbol: str, code: bytes) -> None:
    """Write a file whole or not at all. OSError when that is not possible."""
    content = symbol.encode() + b"\0" + code
    path.parent.mkdir(parents=True, exist_ok=True)
    fd, part = tempfile.mkstemp(".part", path.stem + "-", path.parent)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(MAGIC + hashlib.sha256(content).digest() + content)
        os.replace(part, path)
    except BaseException:
        os.unlink(part)
        raise


def link(symbol: str, code: bytes) -> int | None:
    """The address of `symbol` in an ELF object, linked into this process; None when it refers to what is not here."""
    _initialise()
    for name in undefined_names(code):
        if llvm.address_of_symbol(name) is None:
            address = _address_of("abort" if name.startswith(NUMBA_ONLY) else name)
            if address is None:
                return None
            llvm.add_symbol(name, address)
    # An engine for each object: its symbols are its own.
    machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _linked.append(engine)
    return engine.get_function_address(symbol)


def undefined_names(code: bytes) -> list[str]:
    """The names that a 64-bit little-endian ELF object takes from elsewhere (ELF specification, symbol table)."""
    sections_at, entry, count = (
        struct.unpack_from(form, code, at)[0] for form, at in (("<Q", 40), ("<H", 58), ("<H", 60))
    )
    sections = [struct.unpack_from("<IIQQQQIIQQ", code, sections_at + i * entry) for i in range(count)]
    names = []
    for _, kind, _, _, at, size, link_to, _, _, item in sections:
        if kind != 2:  # SHT_SYMTAB
            continue
        texts = sections[link_to][4]
        for symbol in range(at, at + size, item):
            name, _, _, section = struct.unpack_from("<IBBH", code, symbol)
            if name and section == 0:  # SHN_UNDEF
                names.append(code[texts + name : code.index(b"\0", texts + name)].decode())
    return names


@functools.cache
def _initialise() -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()


def _address_of(name: str) -> int | None:
    """Where this process has what C calls `name`: LLVM by itself finds it only where numba was imported."""
    try:
        return ctypes.cast(getattr(ctypes.CDLL(None), name), ctypes.c_void_p).value
    except AttributeError:
        return None
