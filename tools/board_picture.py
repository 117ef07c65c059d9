"""Draws docs/board.svg: an image is built and booted, paired over its serial console, and gets its first file.

    sudo .venv/bin/python -m tools.board_picture [OUT]

Everything in the picture was said by the programs in this run; only waiting is left out.
"""

import html
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tools.image.emulate import Machine

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = ROOT / ".venv" / "bin" / "toastbox"
WIDTH, LINE_PX, CHAR_PX, EDGE_PX = 98, 18, 8.4, 16
PLAIN, TYPED, DIM = "#d8dee9", "#a3e635", "#7b8794"
CODE = re.compile(r"TBX1-\S{12}\S+")
WAIT_S = 300


class Transcript:
    """Lines and their colours."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def add(self, text: str, colour: str = PLAIN) -> None:
        for line in text.strip("\n").splitlines():
            shown = CODE.sub(lambda code: code[0][:17] + "...", line)
            self.lines.append((shown[:WIDTH], colour))

    def svg(self) -> str:
        width, height = round(WIDTH * CHAR_PX) + 2 * EDGE_PX, len(self.lines) * LINE_PX + 2 * EDGE_PX
        rows = [
            f'<text x="{EDGE_PX}" y="{EDGE_PX + LINE_PX * n + 13}" fill="{colour}">{html.escape(text)}</text>'
            for n, (text, colour) in enumerate(self.lines)
        ]
        font = 'font-family="\'DejaVu Sans Mono\', Menlo, Consolas, monospace" font-size="14" xml:space="preserve"'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" {font}>'
        return "\n".join([head, '<rect width="100%" height="100%" rx="8" fill="#1b2129"/>', *rows, "</svg>", ""])


class Line:
    """The board's serial line: QEMU's standard input and output."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self._text = ""

    def until(self, pattern: str) -> str:
        end = time.monotonic() + WAIT_S
        assert self._process.stdout
        while time.monotonic() < end:
            found = re.search(pattern, self._text)
            if found:
                before, self._text = self._text[: found.end()], self._text[found.end() :]
                return re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", before).replace("\r", "")
            self._text += self._process.stdout.read(4096).decode(errors="replace")
        raise SystemExit(f"{pattern!r} did not come: {self._text[-1000:]}")

    def type(self, text: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(f"{text}\r".encode())

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


def run(shown: Transcript, *words: str, folder: Path) -> str:
    shown.add(f"$ toastbox {' '.join(words)}", TYPED)
    started = time.monotonic()
    done = subprocess.run([PROGRAM, *words], capture_output=True, text=True, check=True, cwd=folder)
    shown.add(done.stdout.replace(str(folder), "."))
    if time.monotonic() - started > 5:
        shown.add(f"  ({time.monotonic() - started:.0f} s)", DIM)
    return done.stdout.strip()


def ask(shown: Transcript, line: Line, text: str) -> str:
    """Type it, and take what is said until the next prompt."""
    line.type(text)
    said = line.until(r"(?s)\n.*?toastbox> ")
    answer = said.split("\n", 1)[1].rsplit("\n", 1)[0]
    shown.add(f"toastbox> {text}", TYPED)
    shown.add(answer)
    return answer


def story(shown: Transcript, folder: Path) -> None:
    run(shown, "image", "virt-arm64", "board.img", "--hub-url", "https://10.0.2.2:8269", folder=folder)
    shown.add("$ toastbox hub --data hub &", TYPED)
    command = [PROGRAM, "hub", "--data", "hub", "--no-announce"]
    hub = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=folder)
    line = None
    try:
        shown.add("$ toastbox emulate board.img", TYPED)
        started = time.monotonic()
        line = Line(Machine(folder / "board.img", folder, serial="stdio").command())
        shown.add(line.until("Type help.*").strip().splitlines()[-1])
        shown.add(f"  ({time.monotonic() - started:.0f} s after power on)", DIM)
        line.until("toastbox> ")
        code = subprocess.check_output([PROGRAM, "invite", "--data", "hub"], text=True, cwd=folder).strip()
        shown.add(f"$ toastbox invite --data hub\n{code}")
        shown.lines[-2] = (shown.lines[-2][0], TYPED)
        ask(shown, line, f"pair {code}")
        wait_until_in_sync(line)
        first_file(shown, line, folder)
    finally:
        hub.terminate()
        if line:
            line.end()


def wait_until_in_sync(line: Line) -> None:
    for _ in range(WAIT_S):
        line.type("status")
        if "in sync" in line.until(r"(?s)\n.*?toastbox> "):
            return
        time.sleep(1)


def first_file(shown: Transcript, line: Line, folder: Path) -> None:
    """A second device on this machine sends it, and the board says that it has it."""
    code = subprocess.check_output([PROGRAM, "invite", "--data", "hub"], text=True, cwd=folder).strip()
    url = ["--hub", "https://127.0.0.1:8269", "--name", "pc"]
    subprocess.run([PROGRAM, "join", code, "here", *url], check=True, cwd=folder, capture_output=True)
    shown.add("$ echo hello > here/hello", TYPED)
    (folder / "here" / "hello").write_text("hello\n")
    run(shown, "sync", "here", folder=folder)
    shown.add("toastbox> status", TYPED)
    for _ in range(WAIT_S):
        line.type("status")
        said = line.until(r"(?s)\n.*?toastbox> ")
        if re.search(r"entries +1\n", said):
            wanted = ("state", "cursor", "entries", "traffic")
            shown.add("\n".join(each for each in said.splitlines() if each.startswith(wanted)))
            return
        time.sleep(1)
    raise SystemExit("the file did not arrive on the board")


def main() -> int:
    output = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "board.svg"
    shown = Transcript()
    with tempfile.TemporaryDirectory(prefix="toastbox-picture-") as name:
        story(shown, Path(name))
    output.write_text(shown.svg())
    return 0


if __name__ == "__main__":
    sys.exit(main())
