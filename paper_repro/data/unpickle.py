"""Reading the batches of the python distribution without running anything they ask for.

A pickle is a program for a stack machine, and the general machine imports and calls what the file names. This one knows
only the opcodes that build numbers, strings, tuples, lists and dictionaries, and four names: `numpy.ndarray`,
`numpy.dtype`, NumPy's `_reconstruct` and `_codecs.encode`, which stand for themselves. Nothing is imported and nothing
is called: an array is described by its shape and bytes, and made by the caller after both have been checked.
"""

from __future__ import annotations

import pickletools
import warnings
from dataclasses import dataclass
from typing import Any

from nlmodel.errors import FileError


PROTOCOL = 2
"""Pickle protocol of the official files."""

NAMES = {
    "numpy.core.multiarray _reconstruct": "reconstruct",
    "numpy._core.multiarray _reconstruct": "reconstruct",
    "numpy ndarray": "ndarray",
    "numpy dtype": "dtype",
    "_codecs encode": "encode",
}

OPCODES, BYTES_PER_OPCODE = 10_000, 256
"""Bound on the work: an official batch has one opcode for about 800 bytes; a flood of them would fill the memory."""

INTEGERS = ("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1")
STRINGS = ("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE")
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


@dataclass(frozen=True)
class Name:
    """One of the allowed names, as a token."""

    text: str


@dataclass(frozen=True)
class ByteType:
    """The dtype "u1", as a token."""


@dataclass
class ByteArray:
    """A uint8 array as the file describes it: nothing of it is checked but the types."""

    shape: tuple = ()
    fortran: bool = False
    text: str = ""

    def data(self, source: str) -> bytes:
        """The bytes, one for each character (Latin-1, as `pickletools` reads them)."""
        try:
            return self.text.encode("latin-1")
        except UnicodeEncodeError:
            raise refusal(source, "an array of characters that are no bytes") from None

    def is_matrix(self, *, columns: int, size: int) -> bool:
        """Whether the shape is (n, columns) in plain integers and goes with `size` bytes."""
        plain = len(self.shape) == 2 and all(type(length) is int for length in self.shape)
        return plain and self.shape[1] == columns and self.shape[0] * columns == size

    def shape_text(self) -> str:
        """The shape in words, however long or odd."""
        lengths = [str(x) if type(x) is int and abs(x) < 2**63 else "?" for x in self.shape[:4]]
        return f"shape ({', '.join(lengths)}{', ...' if len(self.shape) > 4 else ''})"


def unpickle(data: bytes, source: str) -> dict[str, Any]:
    """The dictionary in the pickle `data`: values are numbers, strings, None, tuples, lists, dictionaries, `ByteArray`.

    Raises `FileError`, which names `source`, for any opcode, name, call or protocol beyond those of the CIFAR batches,
    and for a damaged file.
    """
    machine = Machine()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # an odd escape in a string is no reason to go on
            for count, (opcode, argument, position) in enumerate(pickletools.genops(data)):
                if count > OPCODES + len(data) // BYTES_PER_OPCODE:
                    raise Refused("more opcodes than a batch has")
                if opcode.name == "STOP":
                    return machine.result(trailing=len(data) - 1 - (position or 0))
                machine.step(opcode.name, argument)
    except Refused as refused:
        raise refusal(source, str(refused)) from None
    except (ValueError, IndexError, KeyError, OverflowError, Warning) as error:
        raise refusal(source, f"a damaged pickle ({type(error).__name__}: {error})") from error
    raise refusal(source, "a pickle without an end")


def refusal(source: str, got: str) -> FileError:
    return FileError(
        f"{source} must be a batch of the python distribution",
        got=got,
        why="a pickle can run any program; only what the official batches contain is read, and nothing is run",
        fix="use the official file, or the binary distribution",
    )


class Refused(Exception):
    """What the machine does not do."""


class Machine:
    """Stack, marks and memo of the pickle machine, without its powers."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def step(self, opcode: str, argument: Any) -> None:
        """Carry out one opcode."""
        stack = self.stack
        if opcode in INTEGERS or opcode in STRINGS:
            stack.append(argument)
        elif opcode in ("BINPUT", "LONG_BINPUT", "PUT"):
            self.memo[argument] = stack[-1]
        elif opcode in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(self.memo[argument])
        elif opcode in CONSTANTS:
            stack.append(CONSTANTS[opcode])
        elif opcode == "MARK":
            self.marks.append(len(stack))
        elif opcode in ("EMPTY_TUPLE", "EMPTY_LIST", "EMPTY_DICT"):
            stack.append({"EMPTY_TUPLE": tuple, "EMPTY_LIST": list, "EMPTY_DICT": dict}[opcode]())
        elif opcode in ("TUPLE", "LIST"):
            stack.append((tuple if opcode == "TUPLE" else list)(self.since_mark()))
        elif opcode == "DICT":
            stack.append(pairs(self.since_mark()))
        elif opcode in TUPLES:
            stack.append(tuple(self.pop(TUPLES[opcode])))
        elif opcode in ("APPEND", "APPENDS"):
            items = self.pop(1) if opcode == "APPEND" else self.since_mark()
            self.top(list).extend(items)
        elif opcode in ("SETITEM", "SETITEMS"):
            items = self.pop(2) if opcode == "SETITEM" else self.since_mark()
            self.top(dict).update(pairs(items))
        elif opcode == "GLOBAL":
            if argument not in NAMES:
                raise Refused(f"the name {argument[:80].replace(' ', '.')!r}")
            stack.append(Name(NAMES[argument]))
        elif opcode == "REDUCE":
            stack.append(described(*self.pop(2)))
        elif opcode == "BUILD":
            (state,) = self.pop(1)
            complete(stack[-1], state)
        elif opcode != "PROTO" or argument > PROTOCOL:
            raise Refused(f"protocol {argument}" if opcode == "PROTO" else f"the opcode {opcode}")

    def pop(self, count: int) -> list[Any]:
        """The last `count` items, taken off the stack."""
        if len(self.stack) < count + (self.marks[-1] if self.marks else 0):
            raise Refused("a stack that runs empty")
        items = self.stack[-count:]
        del self.stack[-count:]
        return items

    def since_mark(self) -> list[Any]:
        """All items above the last mark, taken off the stack."""
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def top(self, kind: type) -> Any:
        """The last item, which must be of `kind`."""
        if type(self.stack[-1]) is not kind:
            raise Refused(f"items for a {type(self.stack[-1]).__name__} where a {kind.__name__} belongs")
        return self.stack[-1]

    def result(self, *, trailing: int) -> dict[str, Any]:
        """What the program leaves: one dictionary, and nothing after it."""
        if trailing:
            raise Refused(f"{trailing} bytes after the end of the pickle")
        if len(self.stack) != 1 or type(self.stack[0]) is not dict:
            raise Refused("no dictionary")
        return self.stack[0]


def pairs(items: list[Any]) -> dict[str, Any]:
    """Alternating keys and values as a dictionary; keys are strings, whose hash costs no recursion."""
    if len(items) % 2 or not all(type(key) is str for key in items[::2]):
        raise Refused("a dictionary whose keys are no strings")
    return dict(zip(items[::2], items[1::2], strict=True))


def described(function: Any, arguments: Any) -> Any:
    """What the call function(*arguments) would make, for the three calls in a batch; none is made."""
    match function, arguments:
        case Name("reconstruct"), (Name("ndarray"), (0,), "b"):
            return ByteArray()
        case Name("dtype"), ("u1", 0, 1):
            return ByteType()
        case Name("dtype"), (str(other), *_):
            raise Refused(f"dtype {other[:20]!r}, not uint8")
        case Name("encode"), (str(text), "latin1" | "latin-1"):
            return text
    raise Refused("a call that no batch makes")


def complete(target: Any, state: Any) -> None:
    """Give a described array its shape and bytes; the byte order of a dtype of one byte is nobody's concern."""
    match target, state:
        case ByteType(), (int(), "|", *_):
            return
        case ByteArray(), (int(), tuple(shape), ByteType(), bool(fortran), str(text)):
            target.shape, target.fortran, target.text = shape, fortran, text
        case _:
            raise Refused("a state that no batch has")
