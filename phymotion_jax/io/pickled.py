"""Reads the pickles that `torch.save` writes, as plain data: nothing in them can be executed.

This is an interpreter of the few opcodes that dicts, lists, tuples, strings, numbers and tensors
are made of. Names of classes and functions become inert tokens, and nothing is ever imported or
called on their behalf, so that a hostile pickle has nothing to reach for. Python's own `Unpickler`
does not go so far, not even with a `find_class` that refuses everything: nested tuples as a dict's
key hang the process or crash it (1 MB is enough, in CPython 3.12), and BUILD sets the attributes
of whatever was admitted.
"""

import pickle
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from phymotion_jax.errors import MotionError, Status
from phymotion_jax.io.raw import listed

MAX_PICKLE_BYTES = 2**20
"""Longest pickle that is looked at. GVHMR's takes 2 kB, since the numbers lie in other members."""


@dataclass(frozen=True)
class Name:
    """Stands for a class or function that the pickle names. It is not imported."""

    module: str
    name: str


_ORDERED_DICT = Name("collections", "OrderedDict")
_MARK = object()

_CONSTANTS = {pickle.NONE: None, pickle.NEWTRUE: True, pickle.NEWFALSE: False}
_EMPTY = {pickle.EMPTY_DICT: dict, pickle.EMPTY_LIST: list, pickle.EMPTY_TUPLE: tuple}
_NUMBERS = {pickle.BININT: "<i", pickle.BININT1: "<B", pickle.BININT2: "<H", pickle.BINFLOAT: ">d"}
_TEXTS = {pickle.BINUNICODE: "<I", pickle.SHORT_BINUNICODE: "<B", pickle.BINUNICODE8: "<Q"}
_TUPLES = {pickle.TUPLE1: 1, pickle.TUPLE2: 2, pickle.TUPLE3: 3}
_PUTS = {pickle.BINPUT: "<B", pickle.LONG_BINPUT: "<I"}
_GETS = {pickle.BINGET: "<B", pickle.LONG_BINGET: "<I"}
_IGNORED = {pickle.PROTO: 1, pickle.FRAME: 8}
_MAKES_OBJECTS = {
    pickle.BUILD: "BUILD",
    pickle.INST: "INST",
    pickle.OBJ: "OBJ",
    pickle.NEWOBJ: "NEWOBJ",
    pickle.NEWOBJ_EX: "NEWOBJ_EX",
    pickle.EXT1: "EXT1",
    pickle.EXT2: "EXT2",
    pickle.EXT4: "EXT4",
}


def read_pickle(
    data: bytes,
    *,
    tokens: frozenset[Name],
    makers: dict[Name, Callable[[tuple], Any]],
    persistent: Callable[[Any], Any],
) -> Any:
    """What a pickle holds, as long as it is plain data.

    Args:
      data: the pickle.
      tokens: names that may occur, as `Name` objects.
      makers: names that may be applied to arguments; each is given the tuple of arguments, which
        it must check. `OrderedDict` without arguments is always admitted, and is a dict.
      persistent: makes the object for a persistent id, which it must check.

    Raises:
      MotionError: UNSAFE where the pickle asks for anything else to be found or called, UNREADABLE
        where it is damaged.
    """
    makers = {**makers, _ORDERED_DICT: _ordered_dict}
    machine = _Machine(data, tokens | makers.keys(), makers, persistent)
    try:
        return machine.run()
    except (IndexError, KeyError, TypeError, UnicodeDecodeError, struct.error) as error:
        raise damaged(f"byte {machine.at}: {type(error).__name__}") from error


def damaged(found: str) -> MotionError:
    """The error for a pickle that does not hold together."""
    return MotionError(Status.UNREADABLE, f"the pickle inside is damaged or unusual: {found}")


def unsafe(found: str) -> MotionError:
    """The error for a pickle that wants to run something."""
    return MotionError(Status.UNSAFE, f"the pickle inside {found}; it was not executed")


class _Machine:
    """Stack, memo and position of one reading."""

    def __init__(self, data: bytes, names, makers, persistent):
        self.data, self.at = data, 0
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.names, self.makers, self.persistent = names, makers, persistent
        self.actions = {
            pickle.MARK: lambda: self.stack.append(_MARK),
            pickle.LONG1: self.long1,
            pickle.TUPLE: lambda: self.stack.append(tuple(self.since_mark())),
            pickle.APPEND: lambda: self.extend([self.stack.pop()]),
            pickle.APPENDS: lambda: self.extend(self.since_mark()),
            pickle.SETITEM: lambda: self.set_items(self.last(2)),
            pickle.SETITEMS: lambda: self.set_items(self.since_mark()),
            pickle.MEMOIZE: lambda: self.put(len(self.memo)),
            pickle.GLOBAL: lambda: self.find(self.line(), self.line()),
            pickle.STACK_GLOBAL: lambda: self.find(*self.last(2)),
            pickle.REDUCE: lambda: self.reduce(*self.last(2)),
            pickle.BINPERSID: lambda: self.stack.append(self.persistent(self.stack.pop())),
        }

    def run(self) -> Any:
        while (opcode := self.take(1)) != pickle.STOP:
            if opcode in _MAKES_OBJECTS:
                raise unsafe(f"makes objects by itself ({_MAKES_OBJECTS[opcode]})")
            if opcode in self.actions:
                self.actions[opcode]()
            elif not self.simple(opcode):
                raise damaged(f"byte {self.at - 1}: opcode {opcode!r}")
        return self.stack.pop()

    def simple(self, opcode: bytes) -> bool:
        """Opcodes that only push a value, or move one to or from the memo."""
        if opcode in _CONSTANTS:
            self.stack.append(_CONSTANTS[opcode])
        elif opcode in _EMPTY:
            self.stack.append(_EMPTY[opcode]())
        elif opcode in _NUMBERS:
            self.stack.append(self.number(_NUMBERS[opcode]))
        elif opcode in _TEXTS:
            self.stack.append(self.take(self.number(_TEXTS[opcode])).decode("utf-8"))
        elif opcode in _TUPLES:
            self.stack.append(tuple(self.last(_TUPLES[opcode])))
        elif opcode in _PUTS:
            self.put(self.number(_PUTS[opcode]))
        elif opcode in _GETS:
            self.stack.append(self.memo[self.number(_GETS[opcode])])
        elif opcode in _IGNORED:
            self.take(_IGNORED[opcode])
        else:
            return False
        return True

    def take(self, count: int) -> bytes:
        """The next bytes, all of them there."""
        if count > len(self.data) - self.at:
            raise damaged(f"it ends at byte {len(self.data)}")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, layout: str) -> Any:
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def line(self) -> str:
        end = self.data.find(b"\n", self.at)
        if end < 0:
            raise damaged("a name without end")
        return self.take(end + 1 - self.at)[:-1].decode("utf-8")

    def long1(self) -> None:
        self.stack.append(int.from_bytes(self.take(self.number("<B")), "little", signed=True))

    def last(self, count: int) -> list[Any]:
        """Pop `count` values."""
        values = self.stack[-count:]
        if len(values) < count or any(value is _MARK for value in values):
            raise damaged(f"byte {self.at}: {count} values were wanted")
        del self.stack[-count:]
        return values

    def since_mark(self) -> list[Any]:
        """Pop the values above the last mark, and the mark."""
        values: list[Any] = []
        while (value := self.stack.pop()) is not _MARK:
            values.append(value)
        return values[::-1]

    def put(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    def extend(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not list:
            raise damaged(f"byte {self.at}: items for a {type(target).__name__}")
        target.extend(values)

    def set_items(self, values: list[Any]) -> None:
        """Fill a dict. Keys are strings alone: a tuple's hash may take hours, or all the stack."""
        target = self.stack[-1]
        keys = values[::2]
        if type(target) is not dict or len(values) % 2 or any(type(k) is not str for k in keys):
            raise damaged(f"byte {self.at}: a dict with strings for keys was wanted")
        target.update(zip(keys, values[1::2], strict=True))

    def find(self, module: Any, name: Any) -> None:
        token = Name(module, name) if type(module) is type(name) is str else None
        if token is None:
            raise unsafe("asks for something without a name")
        if token not in self.names:
            raise unsafe(f"asks for {listed([f'{module}.{name}'])}")
        self.stack.append(token)

    def reduce(self, what: Any, arguments: Any) -> None:
        if type(what) is not Name or what not in self.makers or type(arguments) is not tuple:
            raise unsafe("calls something that is no tensor")
        self.stack.append(self.makers[what](arguments))


def _ordered_dict(arguments: tuple) -> dict[str, Any]:
    if arguments:
        raise damaged("an OrderedDict with arguments")
    return {}
