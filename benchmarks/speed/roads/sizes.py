"""Large JPEGs: preprocessing beside PIL with torchvision's transforms, at growing sizes."""

from benchmarks.speed.bench import MS, OURS, Bench
from benchmarks.speed.measuring import Curve, Finding, ratio, taking_turns

ROAD = "large JPEGs"

RIVAL = "PIL + torchvision"
LARGE = 2_000

CURVE = Curve(
    ROAD,
    "size",
    "From file to pixels, by the size of the JPEG",
    "longer side, pixels",
    "ms an image",
    "both lines follow the number of pixels. The product lets the JPEG library decode at an "
    "eighth, a quarter or half of the size, so most of each block is never computed; reading the "
    "compressed bytes is what is left, and that cannot be skipped. Each image is decoded on one "
    "core: more cores decode more images at a time, none of them sooner.",
)


def measure(bench: Bench) -> None:
    """Measures every size."""
    bench.journal.add(CURVE)
    for side in bench.pick((250, 500, 1_000, LARGE, 4_000), (500, LARGE)):
        count = max(2, bench.pick(64, 8) * 500 // side)
        files = []
        for number, jpeg in enumerate(bench.images.jpegs(count, side, side * 4 // 5)):
            path = bench.folder / f"{side}-{number}.jpg"
            path.write_bytes(jpeg)
            files.append(str(path))
        ours = bench.child("ours:Decoding", engines=bench.engines(), files=files)
        rival = bench.child("rivals.eager:Transform", files=files)
        programs = {
            OURS: lambda ours=ours: MS * ours.seconds(),
            RIVAL: lambda rival=rival: MS * rival.seconds(),
        }
        turns = taking_turns(programs, bench.turns)
        bench.keep(ROAD, "ms", turns, CURVE.name, side)
        if side == LARGE:
            says = f"preprocessing of a JPEG of {LARGE:,} pixels, times faster than {RIVAL}"
            bench.journal.add(Finding(ROAD, says, ratio(turns[RIVAL], turns[OURS]), target=5))
