"""Which class an exception has on arrival, so that `except` works, and what a damaged description does."""

from __future__ import annotations

import copy
import enum
import json
import pathlib
import subprocess
import sys
import time
import types
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comfy_env_core.wire import CallTimeout, DeadHandle, DecodeError, PeerGone, RemoteError, remote_origin
from comfy_env_core.wire.failures import describe_error, rebuild_error

needs_groups = pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups came with Python 3.11")


class Level(enum.Enum):
    HIGH = 1


class HTTPError(OSError):
    """As requests has it: objects among its attributes, a constructor of its own."""

    made = 0

    def __init__(self, *args: object, response: object = None) -> None:
        type(self).made += 1
        self.response = response
        self.status = 404
        super().__init__(*args)


class Locked(Exception):
    def __setattr__(self, name: str, value: object) -> None:
        raise AssertionError("the receiver must not call this")

    def __new__(cls, *_: object) -> Locked:
        raise AssertionError("the receiver must not call this")


class NamesItsSensor(Exception):
    def __init__(self, sensor: Any) -> None:
        super().__init__()
        self.sensor = sensor

    def __str__(self) -> str:
        return f"sensor {self.sensor.name}"


class OddDecodeError(UnicodeDecodeError):
    pass


class Quit(BaseException):
    pass


class Exhausted(StopIteration):
    pass


class Interrupted(Exception):
    pass


def travelled(error: BaseException) -> Any:
    return rebuild_error(describe_error(error))


def loaded(monkeypatch: pytest.MonkeyPatch, module: str, name: str, base: type = RuntimeError) -> Any:
    """An exception class of a module that is loaded here."""
    made = types.ModuleType(module)
    kind = type(name, (base,), {"__module__": module, "__qualname__": name})
    vars(made)[name] = kind
    monkeypatch.setitem(sys.modules, module, made)
    return kind


def elsewhere(module: str, qualname: str, text: str = "x", base: type = RuntimeError) -> dict[str, Any]:
    """What a process that has such a class tells."""
    return describe_error(type(qualname, (base,), {"__module__": module, "__qualname__": qualname})(text))


PAYLOAD = describe_error(ValueError("x"))


@pytest.mark.parametrize(
    "payload", [None, 1, "x", [], {}, {"module": "builtins"}, {1: 2}, [PAYLOAD]], ids=repr
)
def test_what_describes_no_error_is_a_decode_error(payload: Any) -> None:
    with pytest.raises(DecodeError, match="cannot be rebuilt"):
        rebuild_error(payload)


@pytest.mark.parametrize("key", sorted(PAYLOAD))
def test_every_part_of_a_description_is_needed(key: str) -> None:
    needy = {**PAYLOAD, "module": "faraway" if key == "bases" else "builtins"}
    with pytest.raises(DecodeError):
        rebuild_error({name: value for name, value in needy.items() if name != key})


@settings(max_examples=800, deadline=None)
@given(
    st.sampled_from(sorted(PAYLOAD)),
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.lists(st.integers() | st.text(max_size=3))
    | st.sampled_from([range(10**12), {"args": 5}, {"__class__": int}, {"errno": [1]}, [["f", 2**80, "g"]], ["OSError"],
                       ["ExceptionGroup"], ["m", [PAYLOAD]], ["m", []], [["f\0\ud800", -5, "g"]], PAYLOAD, "print"]),
)  # fmt: skip
def test_damaged_description_is_an_error_of_some_kind_or_a_decode_error(key: str, value: Any) -> None:
    for module, qualname in (
        ("builtins", "OSError"),
        ("builtins", "UnicodeDecodeError"),
        (__name__, "HTTPError"),
    ):
        payload = {**PAYLOAD, "module": module, "qualname": qualname, key: value}
        try:
            error = rebuild_error(payload)
        except DecodeError:
            continue
        assert isinstance(error, Exception)
        str(error)


@pytest.mark.parametrize("link", ["cause", "context", "group"])
def test_chain_that_has_no_end_is_a_decode_error(link: str) -> None:
    payload = copy.copy(PAYLOAD)
    for _ in range(5000):
        payload = {**PAYLOAD, link: ["m", [payload]] if link == "group" else payload}
    with pytest.raises(DecodeError, match="longer than"):
        rebuild_error(payload)
    payload[link] = ["m", [payload]] if link == "group" else payload
    with pytest.raises(DecodeError, match="longer than"):
        rebuild_error(payload)


def test_traceback_of_a_million_frames_is_cut() -> None:
    started = time.monotonic()
    back = rebuild_error({**PAYLOAD, "frames": [["f.py", 1, "g"]] * 1_000_000})
    frames, trace = 0, back.__traceback__
    while trace is not None:
        frames, trace = frames + 1, trace.tb_next
    assert frames == 100 and time.monotonic() - started < 2


@pytest.mark.parametrize(
    "name", [("os", "system"), ("subprocess", "Popen"), ("builtins", "eval"), ("builtins", "int")]
)
def test_name_that_is_no_exception_becomes_a_class_made_for_it(name: tuple[str, str]) -> None:
    back = rebuild_error({**PAYLOAD, "module": name[0], "qualname": name[1]})
    assert isinstance(back, RemoteError) and type(back).__qualname__ == name[1]


def test_module_that_is_not_loaded_is_not_imported() -> None:
    sys.modules.pop("this", None)
    assert isinstance(rebuild_error(elsewhere("this", "Zen")), RemoteError) and "this" not in sys.modules


@pytest.mark.parametrize("error", [Quit("x"), Exhausted("x"), KeyboardInterrupt(), SystemExit(1)], ids=repr)
def test_class_that_would_steer_the_receiver_is_not_used(error: BaseException) -> None:
    back = travelled(error)
    assert isinstance(back, RemoteError) and not isinstance(back, type(error))
    assert type(back).__qualname__ == type(error).__qualname__


@pytest.mark.parametrize("kind", [PeerGone, CallTimeout])
def test_trouble_of_the_peers_connection_is_not_taken_for_trouble_of_ours(kind: type[Exception]) -> None:
    back = travelled(kind("worker sam ended"))
    assert (
        isinstance(back, RemoteError) and not isinstance(back, kind) and type(back).__name__ == kind.__name__
    )


def test_handle_that_died_elsewhere_can_be_caught_as_one() -> None:
    assert type(travelled(DeadHandle("gone"))) is DeadHandle


def test_class_that_is_loaded_here_is_the_class_itself_and_its_constructor_is_not_called() -> None:
    error = HTTPError(5, "no", response=object())
    error.url = "http://x/"  # type: ignore[attr-defined]
    error.where = (pathlib.Path("/a"), Level.HIGH, {"k": [1]})  # type: ignore[attr-defined]
    made = HTTPError.made
    back = travelled(error)
    assert type(back) is HTTPError and HTTPError.made == made
    assert (back.errno, back.args, str(back)) == (5, (5, "no"), str(error))
    assert (back.status, back.url, back.response) == (404, "http://x/", None)
    assert back.where == error.where  # type: ignore[attr-defined]
    origin = remote_origin(back)
    assert origin is not None and origin.qualname == "HTTPError"


def test_neither_new_nor_setattr_of_the_class_runs() -> None:
    payload = elsewhere(__name__, "Locked", "shut", Exception)
    payload["attributes"], payload["cause"] = {"key": 1}, PAYLOAD
    back = rebuild_error(payload)
    assert type(back) is Locked and str(back) == "shut" and vars(back)["key"] == 1
    assert isinstance(back.__cause__, ValueError)


def test_class_that_cannot_say_the_same_here_is_one_of_the_same_name() -> None:
    error = NamesItsSensor(types.SimpleNamespace(name="left"))
    back = travelled(error)
    assert type(back) is not NamesItsSensor and type(back).__qualname__ == "NamesItsSensor"
    assert str(back) == "sensor left" and isinstance(back, RemoteError)


def test_arguments_that_cannot_travel_leave_the_text() -> None:
    error = Interrupted(object())
    back = travelled(error)
    assert type(back) is Interrupted and str(back) == str(error)


@pytest.mark.parametrize(
    "error",
    [
        json.JSONDecodeError("bad", "[1,", 3),
        subprocess.CalledProcessError(3, ["a", "b"], output="o", stderr=b"e"),
        subprocess.TimeoutExpired("cmd", 3.5),
        OddDecodeError("utf-8", b"\xff", 0, 1, "invalid"),
        Interrupted(),
        Interrupted("a", 1, (2.5, None)),
        FileNotFoundError(2, "No such file", pathlib.Path("/x")),
    ],
    ids=lambda error: type(error).__name__,
)
def test_text_arguments_and_attributes_are_the_originals(error: Any) -> None:
    back = travelled(error)
    assert type(back) is type(error) and str(back) == str(error) and back.args == error.args
    mine = {name: value for name, value in vars(back).items() if not name.startswith("__")}
    assert mine == vars(error)
    if isinstance(error, OSError):
        assert back.filename == error.filename


def test_interrupt_of_a_worker_is_comfyuis_own(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = loaded(monkeypatch, "comfy.model_management", "InterruptProcessingException", Exception)
    back = rebuild_error(elsewhere("comfy.model_management", "InterruptProcessingException", base=Exception))
    assert type(back) is kind


@pytest.mark.parametrize(
    ("here", "there"), [("torch", "torch.cuda"), ("torch.cuda", "torch"), ("torch", "torch")]
)
def test_lack_of_memory_is_recognised_between_old_and_new_torch(
    here: str, there: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("torch", "torch.cuda"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    kind = loaded(monkeypatch, here, "OutOfMemoryError")
    back = rebuild_error(elsewhere(there, "OutOfMemoryError", "CUDA out of memory"))
    assert type(back) is kind and str(back) == "CUDA out of memory"


def test_lack_of_memory_is_the_real_torchs() -> None:
    torch = pytest.importorskip("torch")
    for module in ("torch", "torch.cuda"):
        back = rebuild_error(elsewhere(module, "OutOfMemoryError", "CUDA out of memory"))
        assert isinstance(back, torch.cuda.OutOfMemoryError)


@needs_groups
def test_group_keeps_its_members_and_can_be_split() -> None:
    inner = ExceptionGroup("inner", [KeyError("k")])  # type: ignore[name-defined]  # noqa: F821
    error = ExceptionGroup("both failed", [ValueError("v"), inner])  # type: ignore[name-defined]  # noqa: F821
    back = travelled(error)
    assert type(back) is type(error) and str(back) == str(error) and back.message == "both failed"
    assert isinstance(back.exceptions[0], ValueError) and isinstance(
        back.exceptions[1].exceptions[0], KeyError
    )
    matched, rest = back.split(ValueError)
    assert len(matched.exceptions) == len(rest.exceptions) == 1


@needs_groups
def test_group_with_an_interrupt_in_it_arrives_as_a_group_of_ordinary_errors() -> None:
    error = BaseExceptionGroup("g", [KeyboardInterrupt(), ValueError()])  # type: ignore[name-defined]  # noqa: F821
    back = travelled(error)
    assert isinstance(back, Exception) and [type(member).__name__ for member in back.exceptions] == [
        "KeyboardInterrupt",
        "ValueError",
    ]
    assert not isinstance(back.exceptions[0], KeyboardInterrupt)


@needs_groups
def test_group_of_a_class_nobody_has_and_of_the_backport_arrive_as_groups() -> None:
    group: Any = ExceptionGroup  # type: ignore[name-defined]  # noqa: F821
    own = type("OwnGroup", (group,), {"__module__": "faraway"})("m", [ValueError("v")])
    back = travelled(own)
    assert isinstance(back, group) and isinstance(back, RemoteError) and str(back.exceptions[0]) == "v"
    payload = {**describe_error(group("m", [ValueError("v")])), "module": "exceptiongroup"}
    assert type(rebuild_error(payload)) is group


@needs_groups
def test_group_with_too_many_members_keeps_its_text() -> None:
    error = ExceptionGroup("many", [ValueError(str(number)) for number in range(500)])  # type: ignore[name-defined]  # noqa: F821
    back = travelled(error)
    assert str(back) == str(error) and len(back.exceptions) == 99


def test_group_on_a_python_without_groups_lists_its_members_as_notes(monkeypatch: pytest.MonkeyPatch) -> None:
    payload = elsewhere("builtins", "ExceptionGroup", "both failed (2 sub-exceptions)", Exception)
    payload["group"] = ["both failed", [describe_error(ValueError("v")), describe_error(KeyError("k"))]]
    for name in ("ExceptionGroup", "BaseExceptionGroup"):
        monkeypatch.delattr("builtins." + name, raising=False)
    back: Any = rebuild_error(payload)
    assert isinstance(back, RemoteError) and type(back).__name__ == "ExceptionGroup"
    assert str(back) == "both failed (2 sub-exceptions)" and back.__notes__ == [
        "ValueError: v",
        "KeyError: 'k'",
    ]
