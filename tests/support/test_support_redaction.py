"""What is handed on tells nobody's name, place or secret, however it was spelled; and ordinary text stays as it is."""

from __future__ import annotations

import json
import re
import time
import unicodedata
import urllib.parse
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from comfy_env_core.support.identity import Identity
from comfy_env_core.support.redaction import Redactor

SOMEBODY = Identity(
    places=(
        ("/home/zoë.quill/.ce", "<store>"),
        ("/home/zoë.quill/AI Stuff/ComfyUI", "<comfyui>"),
        ("/home/zoë.quill", "<home>"),
        ("C:\\Users\\Zoë Quill", "<home>"),
    ),
    users=("Zoë Quill", "zoë.quill", "Ada Quill"),
    hosts=("quills-tower",),
    secrets=("correct-horse battery",),
)


def redacted(text: str, identity: Identity | None = None) -> str:
    return Redactor(identity or SOMEBODY).text(text)


# --- what a reader could do with it ----------------------------------------------------------------------------------


def readings(text: str, most: int = 40) -> Iterator[str]:
    """The text as somebody would read it who undoes whatever a program did to it."""
    seen: set[str] = set()
    waiting = [text]
    while waiting and len(seen) < most:
        one = waiting.pop(0)
        if one in seen:
            continue
        seen.add(one)
        yield re.sub(r"[\\/]+", "/", unicodedata.normalize("NFC", one)).casefold()
        waiting += [urllib.parse.unquote(one), one.replace("\\\\", "\\"), _unescaped(one)]
        for encoding in ("cp1252", "latin-1"):
            try:
                waiting.append(one.encode(encoding).decode("utf-8"))
            except UnicodeError:
                continue


def _unescaped(text: str) -> str:
    text = re.sub(r"\\+u([0-9a-fA-F]{4})", lambda match: chr(int(match[1], 16)), text)
    text = re.sub(r"\\+x([0-9a-fA-F]{2})", lambda match: chr(int(match[1], 16)), text)
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def is_told(needle: str, text: str) -> bool:
    return told([needle], text) != []


def told(needles: Iterable[str], text: str, most: int = 40) -> list[str]:
    """Those that can be read out of the text."""
    read = list(readings(text, most))
    return [needle for needle in needles if any(_as_read(needle) in reading for reading in read)]


def _as_read(needle: str) -> str:
    return re.sub(r"[\\/]+", "/", unicodedata.normalize("NFC", needle)).casefold()


# --- spellings -------------------------------------------------------------------------------------------------------

Spelling = Callable[[str], str]
SPELLINGS: dict[str, Spelling] = {
    "plain": str,
    "capitals": str.upper,
    "small": str.lower,
    "backslashes": lambda text: text.replace("/", "\\"),
    "slashes": lambda text: text.replace("\\", "/"),
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON with its own letters": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "JSON in JSON": lambda text: json.dumps(json.dumps(text))[3:-3],
    "Python": lambda text: ascii(text)[1:-1],
    "bytes": lambda text: repr(text.encode())[2:-1],
    "URL": urllib.parse.quote,
    "URL, whole": lambda text: urllib.parse.quote(text, safe=""),
    "URL, small": lambda text: re.sub("%..", lambda m: m[0].lower(), urllib.parse.quote(text, safe="")),
    "URL in URL": lambda text: urllib.parse.quote(urllib.parse.quote(text, safe=""), safe=""),
    "every byte": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    "form": urllib.parse.quote_plus,
    "decomposed": lambda text: unicodedata.normalize("NFD", text),
    "misread": lambda text: text.encode().decode("latin-1"),
    "coloured": lambda text: f"\x1b[31m{text[:3]}\x1b[0m{text[3:]}",
    "UTF-16": "\0".join,
}
SURROUNDINGS = (
    "{}",
    "error: {} is missing",
    'File "{}/x.py", line 3',
    "[{}]",
    "a={};b",
    "path%3D{}%2Fx",
    "file:///{}",
    '{{"path": "{}"}}',
    "\\n{}\\n",
    "({})",
    "'{}'",
    "-I {}",
    "<{}>",
    "{}, {}",
)
names = st.text(alphabet="abcXYZéüßñ漢字-", min_size=2, max_size=6).map(lambda text: f"zq{text.strip('-')}q")
hidden = st.sampled_from(sorted(SPELLINGS))
of_secrets = st.sampled_from(sorted(SPELLINGS.keys() - {"slashes", "backslashes"}))
around = st.sampled_from(SURROUNDINGS)


@settings(max_examples=40, deadline=None)
@given(user=names, host=names, spelling=hidden, surrounding=around, on_windows=st.booleans())
@example("zqßq", "zqq", "capitals", "{}", True)
def test_names_and_places_are_told_in_no_spelling(
    user: str, host: str, spelling: str, surrounding: str, on_windows: bool
) -> None:
    home = f"C:\\Users\\{user}" if on_windows else f"/home/{user}"
    store = "D:\\zqdata\\ce" if on_windows else "/mnt/zqdata/ce"
    identity = Identity(
        places=((store, "<store>"), (f"{home}/ComfyUI", "<comfyui>"), (home, "<home>")),
        users=(user,),
        hosts=(host,),
    )
    redactor = Redactor(identity)
    for told, needle in (
        (user, user),
        (home, user),
        (f"{home}/ComfyUI/custom_nodes/x", user),
        (store, "zqdata"),
        (f"{store}/logs/x.log", "zqdata"),
        (host, host),
        (f"{user}@{host}", user),
    ):
        text = surrounding.replace("{}", SPELLINGS[spelling](told).replace("{", "{{"))
        assert not is_told(needle, redactor.text(text)), (text, redactor.text(text))


secrets = st.text(
    alphabet="abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~!$*+^",
    min_size=8,
    max_size=40,
)
NAMED_SECRETS = (
    "password={}",
    "PASSWORD: {}",
    'password = "{}"',
    "{{'token': '{}'}}",
    '{{"api_key": "{}"}}',
    '{{\\"apiKey\\": \\"{}\\"}}',
    '{{\\\\\\"secret\\\\\\": \\\\\\"{}\\\\\\"}}',
    "HF_TOKEN={} python main.py",
    "export AWS_SECRET_ACCESS_KEY={}",
    "--hf-token {} --x",
    "--password={}",
    "Authorization: Bearer {}",
    "authorization: Basic {}",
    '"Authorization": "Token {}"',
    "curl -H 'X-Api-Key: {}'",
    "Cookie: session={}; other=1",
    "https://host.example/x?access_token={}&y=1",
    "https%3A%2F%2Fhost.example%2Fx%3Ftoken%3D{}%26y",
    "https://me:{}@host.example/simple",
    "https:\\/\\/me:{}@host.example/simple",
    "https%3A%2F%2Fme%3A{}%40host.example",
    "git+https://{}@github.com/o/r.git",
    "client_secret: {}",
    "private-key => {}",
    "-----BEGIN RSA PRIVATE KEY-----\n{}AAAABBBBCCCCDDDD\n-----END RSA PRIVATE KEY-----",
)


@settings(max_examples=150, deadline=None)
@given(secret=secrets, shape=st.sampled_from(NAMED_SECRETS))
def test_secrets_are_known_by_what_stands_before_them(secret: str, shape: str) -> None:
    if "BEGIN" in shape:
        secret = re.sub(r"[^A-Za-z0-9]", "A", secret)
    text = shape.replace("{{", "{").replace("}}", "}").replace("{}", secret)
    assert secret not in redacted(text, Identity()), text


@pytest.mark.parametrize(
    "secret",
    [
        "hf_abcdefghijklmnopqrstuvwxyzABCDEFGH",
        "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
        "github_pat_11ABCDEFG0123456789_abcdefghijklmnop",
        "glpat-abcdefghij0123456789",
        "sk-proj-abcdef0123456789abcdef0123456789",
        "sk-ant-api03-abcdef0123456789",
        "AKIAIOSFODNN7EXAMPLE",
        "xoxb-123456789012-abcdefghijkl",
        "AIzaSyA-abcdefghijklmnopqrstuvwxyz01234",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcDEF_ghi-jkl",
        "comfyui-0123456789abcdef0123456789abcdef",
        "npm_abcdefghijklmnopqrstuvwxyz012345",
    ],
)
@pytest.mark.parametrize(
    "surrounding", ["{}", "x {} y", "%2F{}%20", "\\n{}\\n", "'{}'", "https://h/{}/x", "a={}"]
)
def test_keys_of_services_are_known_by_their_shape(secret: str, surrounding: str) -> None:
    assert secret not in redacted(surrounding.replace("{}", secret))
    assert secret[6:] not in redacted(surrounding.replace("{}", secret))


@settings(max_examples=60, deadline=None)
@given(secret=st.text(alphabet="abcXYZ019 &=/\\\"'%+-üé", min_size=6, max_size=20), spelling=of_secrets)
def test_values_that_are_known_to_be_secret_are_hidden_wherever_they_stand(
    secret: str, spelling: str
) -> None:
    secret = f"zq{secret.strip()}qz"
    text = f"some{SPELLINGS[spelling](secret)}where"
    found = redacted(text, Identity(secrets=(secret,)))
    assert not is_told(secret, found), (text, found)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/home/zoë.quill/.ce/logs/mesh.log", "<store>/logs/mesh.log"),
        ("/home/zoë.quill/AI Stuff/ComfyUI/main.py", "<comfyui>/main.py"),
        ("file:///home/zo%C3%AB.quill/x", "file://<home>/x"),
        (r"C:\Users\Zoë Quill\AppData", r"<home>\AppData"),
        (r"C:\Users\ZOQUIL~1\AppData", r"C:\Users\<user>\AppData"),
        ("/home/zoë.quill-old/x", "/home/<user>-old/x"),
        ("ssh zoë.quill@quills-tower", "ssh <user>@<host>"),
        ("for=Ada+Quill&x, Ada\tQuill, Ada\\ Quill", "for=<user>&x, <user>, <user>"),
        ("mail me: zoe@example.com or ZOE@example.com", "mail me: <email-1> or <email-1>"),
        ("a@example.com, b%40example.com", "<email-1>, <email-2>"),
        (
            "/home/colleague/x /home/colleague/y /home/other/z",
            "/home/<somebody-1>/x /home/<somebody-1>/y /home/<somebody-2>/z",
        ),
        ("connect 192.168.1.23:8188 from 192.168.1.23", "connect <ip-1>:8188 from <ip-1>"),
        ("via [2001:db8::7]:443 and fe80::1%eth0", "via [<ip-1>]:443 and <ip-2>%eth0"),
        ("link/ether 02:42:ac:11:00:02", "link/ether <mac-1>"),
        ("pass=correct-horse battery", "pass=<secret>"),
        ("password: hunter22 for all", "password: <secret> for all"),
        ('{"password": "a\\"b c", "next": 1}', '{"password": "<secret>", "next": 1}'),
    ],
)
def test_what_is_left_can_be_read(text: str, shown: str) -> None:
    assert redacted(text) == shown
    assert redacted(shown) == shown, "what was redacted stays as it is"


@pytest.mark.parametrize(
    "text",
    [
        "Installed 34 packages in 512ms",
        " + nvidia-cublas-cu12==12.8.4.1",
        "nvidia-cudnn-cu12   9.10.2.21   pypi",
        "nvidia_cufft_cu12-11.3.3.83-py3-none-manylinux2014_x86_64.whl",
        '"name": "nvidia-nccl-cu12", "version": "2.27.3.1"',
        "nvidia_nvjitlink_cu12-12.8.93.1.dist-info/METADATA",
        "Driver Version: 550.54.14     CUDA Version: 12.4",
        "listening on http://127.0.0.1:8188 and [::1]:8188, bound to 0.0.0.0",
        "RuntimeError: at::add, c10::Error, std::vector<int>, aten::mm",
        "Programming Language :: Python :: 3",
        "12:34:56 building env 1a2b3c4d, 10:11:12.345 done",
        "tokenizer: clip-vit-large, max_tokens=77, tokens: 512, TOKENIZERS_PARALLELISM=false",
        "token = None; if token == other: pass",
        "author: somebody; authors = []; keyboard: us; monkey=1",
        "cloning git@github.com:owner/repo.git and https://github.com/owner/repo.git",
        "lit-html@3.1.0, torch @ https://download.pytorch.org/whl/cpu",
        '  File "<frozen importlib._bootstrap>", line 241, in _call',
        "/home/conda/feedstock_root/build_artifacts/x",
        "/usr/lib/python3.11/site-packages/torch/__init__.py",
        "sk-learn is not scikit-learn; task-1234; disk-0123456789abcdef",
        "100%|██████████| 3/3 [00:01<00:00,  2.10it/s]",
        "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "Würfel 節點 ñandú – ‘quoted’",
        "c:/ce/_env_1a2b3c4d/1/.pixi/envs/default\\Lib\\site-packages",
        "a\tb\n\nc\r\nd",
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert redacted(text) == text


@pytest.mark.parametrize(
    "line",
    [
        "\\" * 20_000,
        "%25" * 10_000,
        "a" * 50_000,
        "a@" * 20_000,
        "1.2.3." * 10_000,
        ":" * 20_000,
        "password=" * 3_000,
        '"\\' * 10_000,
        "/home" * 5_000,
        "A+/=" * 10_000,
    ],
)
def test_no_line_takes_long(line: str) -> None:
    """A program may print anything, for as long as it likes."""
    began = time.process_time()
    redacted(line)
    assert time.process_time() - began < 5


def test_a_name_that_is_nearly_there_takes_no_time() -> None:
    name = "ThisIsARatherLongNameOfSomebody-and-of-their-project" * 3
    began = time.process_time()
    assert redacted(f"a\\{name[:-1]}", Identity(secrets=(name,), users=(name,))) == f"a\\{name[:-1]}"
    assert time.process_time() - began < 2


def test_a_value_goes_by_its_name_in_json() -> None:
    found = Redactor(SOMEBODY).value(
        {
            "api_key": "x y z",
            "nested": [{"HF_TOKEN": "abc"}],
            "zoë.quill": 1,
            "path": "/home/zoë.quill/a",
            "token": None,
        }
    )
    assert found == {
        "api_key": "<secret>",
        "nested": [{"HF_TOKEN": "<secret>"}],
        "<user>": 1,
        "path": "<home>/a",
        "token": None,
    }


def test_this_machine_is_known(tmp_path: Path) -> None:
    home = tmp_path / "Jörg Ünlü"
    home.mkdir()
    environ = {
        "USER": "joerg.u",
        "COMPUTERNAME": "JU-TOWER",
        "MY_TOKEN": "sesame-open",
        "PIP_INDEX_URL": "https://me:hunter%2022@index.example/simple",
        "SHORT_SECRET": "abc",
    }
    identity = Identity.of_this_machine(environ, home, {"<store>": home / ".ce", "<comfyui>": None})
    assert {"joerg.u", "Jörg Ünlü"} <= set(identity.users)
    assert "JU-TOWER" in identity.hosts
    assert set(identity.secrets) == {"sesame-open", "hunter%2022", "hunter 22"}
    assert (str(home / ".ce"), "<store>") in identity.places
    assert "root" not in identity.users and "localhost" not in identity.hosts


def test_a_home_that_is_everything_hides_nothing() -> None:
    identity = Identity.of_this_machine({}, Path("/"), {})
    assert redacted("/usr/lib/x", identity) == "/usr/lib/x"
