"""The import rule: imports go down only, rooms on one line do not import each other. See docs/architecture.md."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "framecue"
LINES = (
    ("cli",),
    ("service", "report"),
    ("api", "training", "scale"),
    ("tasks",),
    ("datasets", "search"),
    ("models",),
    ("features",),
    ("backbone", "video", "losses", "metrics"),
    ("segments", "config", "pictures"),
    ("types",),
    ("workers",),
    ("errors", "files"),
)
HEIGHT = {room: len(LINES) - height for height, rooms in enumerate(LINES) for room in rooms}


def room_of(module: str) -> str:
    """framecue.models.prompt -> models; the package itself -> "" (it only knows its version)."""
    return module.split(".")[1] if "." in module else ""


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; write it in full"
            found.add(node.module or "")
    return {name for name in found if name.split(".")[0] == "framecue"}


MODULES = sorted(SOURCE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_go_down(path):
    room = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    if room == "__init__":
        return  # the package's front door re-exports lazily from any room
    assert room in HEIGHT, f"{room} is not a room of the architecture"
    for module in imports_of(path):
        other = room_of(module)
        if other in ("", room):
            continue
        assert HEIGHT[other] < HEIGHT[room], f"{path.relative_to(SOURCE)} imports {module}: not downward"


def test_ffmpeg_is_opened_in_one_room():
    """Elsewhere no list of formats, no limit and no worker would stand before a file."""
    for path in MODULES:
        names = {
            name.split(".")[0]
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import) else [])
            + ([node.module or ""] if isinstance(node, ast.ImportFrom) else [])
        }
        assert "av" not in names or path.parent.name == "video", path


def test_help_needs_no_heavy_library():
    """Importing the package and the command line pulls in neither torch nor transformers, PyAV, Lance or matplotlib."""
    code = (
        "import sys, framecue, framecue.cli.main; "
        "heavy = {'torch', 'transformers', 'av', 'lance', 'matplotlib', 'numpy', 'pydantic', 'ftfy'}; "
        "heavy &= set(sys.modules); "
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
