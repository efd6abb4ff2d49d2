"""Write footage_expected.json: what is wanted of each video of the corpus, and how each value was had.

    python tests/video/write_footage_expected.py

Needs the ffmpeg program, which the tests do not. Times, the chosen stream and the numbers that frames show are what it
answers; a `Footage` that says otherwise says why. Sizes and colors follow from the formula that made the picture.
"""

import json
import re
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from footage import Footage, number_of
from footage_corpus import CORPUS

TARGET = Path(__file__).with_name("footage_expected.json")
COMMAND = "ffmpeg -nostdin -hide_banner -i FILE -sn -dn -fps_mode passthrough -enc_time_base:v -1 -f framecrc -"
NUMBERS = "ffmpeg -nostdin -hide_banner -v error -i FILE -an -sn -dn -fps_mode passthrough -pix_fmt gray -f rawvideo -"


def ask(command: str, path: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([str(path) if word == "FILE" else word for word in command.split()], capture_output=True)


def times_and_stream(path: Path) -> tuple[list[float], int, tuple[int, int]]:
    """When FFmpeg's program shows each frame, which stream it takes, and its stored width and height."""
    answer = ask(COMMAND, path)
    lines = answer.stdout.decode().splitlines()
    output = next((line.split()[1][0] for line in lines if re.match(r"#media_type .*video", line)), None)
    if output is None:
        raise RuntimeError(f"{path.name}: ffmpeg shows no picture: {answer.stderr.decode(errors='replace')[-300:]}")
    mapped = re.search(rf"Stream #0:(\d+) -> #0:{output} ".encode(), answer.stderr)
    assert mapped is not None
    tick = next(Fraction(line.split(":")[1].strip()) for line in lines if line.startswith(f"#tb {output}"))
    stamps = [int(line.split(",")[2]) for line in lines if line.startswith(f"{output},")]
    size = re.search(rf"#dimensions {output}: (\d+)x(\d+)", answer.stdout.decode())
    assert size is not None
    return [float(stamp * tick) for stamp in stamps], int(mapped[1]), (int(size[1]), int(size[2]))


def numbers(path: Path, size: tuple[int, int]) -> list[int]:
    """What the frames show, as FFmpeg decodes them."""
    raw = np.frombuffer(ask(NUMBERS, path).stdout, np.uint8)
    return [number_of(picture) for picture in raw.reshape(-1, size[1], size[0])]


def runs(values: list[float], tolerance: float) -> list[list[float]]:
    """[first, step, count] of evenly spaced values: [0, .04, .08, 5] -> [[0, .04, 3], [5, 0, 1]]."""
    found: list[list[float]] = []
    for value in values:
        if found:
            first, step, count = found[-1]
            if count == 1:
                found[-1] = [first, round(value - first, 6), 2]
                continue
            if abs(first + step * count - value) <= tolerance:
                found[-1][2] += 1
                continue
        found.append([round(value, 6), 0.0, 1])
    return found


def expected(footage: Footage, path: Path) -> dict[str, Any]:
    """One row of the table."""
    if footage.size is None:
        return {"kind": footage.kind, "refused": footage.refused, "how": {"refused": "a rule of framecue"}}
    times, stream, stored_size = times_and_stream(path)
    how = {"times": "ffmpeg", "stream": "ffmpeg", "size": "formula"}
    if footage.times is not None:
        times, how["times"] = footage.times, footage.why
    if footage.stream is not None:
        stream, how["stream"] = footage.stream, footage.why
    row: dict[str, Any] = {
        "kind": footage.kind,
        "times": runs(times, 0.0006),
        "duration_seconds": round(times[-1] + footage.frame_seconds, 6),
        "stream": stream,
        "size": list(footage.size),
    }
    how["duration_seconds"] = "formula: the last time and how long the frame is shown"
    if footage.kind in ("clock", "damage"):
        row["numbers"] = runs(footage.numbers or numbers(path, stored_size), 0)
        how["numbers"] = footage.why if footage.numbers else "ffmpeg"
    if footage.jumps:
        row["jumps"], how["jumps"] = footage.jumps, "formula"
    if footage.rotation_degrees:
        row["rotation_degrees"], how["rotation_degrees"] = footage.rotation_degrees, "formula"
    if footage.missing_seconds is not None:
        row["missing_seconds"] = footage.missing_seconds
        how["missing_seconds"] = footage.why if footage.kind == "clock" else "formula: what was taken out"
    if footage.pictures:
        row["within_levels"] = footage.within
        row["pictures"] = {
            str(frame): [[round(x, 4), round(y, 4), *(round(level, 1) for level in color)] for x, y, color in spots]
            for frame, spots in footage.pictures.items()
        }
        how["pictures"] = "formula"
    return row | {"how": how}


def main() -> None:
    version = subprocess.run(["ffmpeg", "-version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    table: dict[str, Any] = {
        "about": {
            "version": version.split(" Copyright")[0],
            "times and stream": COMMAND,
            "numbers": NUMBERS,
            "runs": "times and numbers are written as [first, step, count]",
            "pictures": "frame number -> [x, y, R, G, B], x and y of 1 in the shown picture, levels of 255",
        }
    }
    with tempfile.TemporaryDirectory() as folder:
        for footage in CORPUS:
            path = Path(folder, footage.name)
            footage.make(path)
            table[footage.name] = expected(footage, path)
            path.unlink()
    lines = [f" {json.dumps(name)}: {json.dumps(row)}" for name, row in table.items()]
    TARGET.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(f"{len(CORPUS)} videos: {TARGET}", file=sys.stderr)


if __name__ == "__main__":
    main()
