"""Ten thousand damaged picture bodies: none makes the service fail, and its memory stays flat; print a table.

    python benchmarks/serve_fuzz.py RUN

Sound pictures in seven formats are cut off, flipped bit by bit, overwritten with numbers that readers trust (lengths,
sides, counts), spliced with one another and repeated in part. What may come back: 200, 413, 415, 422, and 503.
"""

from __future__ import annotations

import argparse
import io
import random
import struct
from collections import Counter

import document
import uvloop
from PIL import Image
from serve_load import Sender, Sent, resident, service

BODIES, AT_ONCE = 10_000, 16
ALLOWED = {200, 413, 415, 422, 503}
NUMBERS = (0, 1, 127, 128, 255, 256, 32767, 65535, 1 << 24, 2**31 - 1, 2**31, 2**32 - 1)


def sound(seed: int) -> list[bytes]:
    """Pictures that nothing is wrong with."""
    drawn = random.Random(seed)
    made = []
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM"):
        for mode, size in (("L", (28, 28)), ("RGB", (33, 17)), ("P", (20, 40))):
            picture = Image.frombytes("L", size, drawn.randbytes(size[0] * size[1])).convert(mode)
            if mode == "P" and kind in ("JPEG", "WEBP", "PPM"):
                picture = picture.convert("RGB")
            out = io.BytesIO()
            more = (
                {"save_all": True, "append_images": [picture.rotate(90)]} if kind in ("GIF", "TIFF") else {}
            )
            picture.save(out, kind, **more)
            made.append(out.getvalue())
    return made


def damaged(pictures: list[bytes], drawn: random.Random) -> bytes:
    """One to four kinds of harm to one of them."""
    body = bytearray(drawn.choice(pictures))
    for _ in range(drawn.randint(1, 4)):
        at = drawn.randrange(max(1, len(body)))
        harm = drawn.randrange(6)
        if harm == 0:
            del body[at:]
        elif harm == 1:
            for _ in range(drawn.randint(1, 20)):
                if body:
                    body[drawn.randrange(len(body))] ^= 1 << drawn.randrange(8)
        elif harm == 2:
            number = struct.pack(drawn.choice("<>") + "I", drawn.choice(NUMBERS))
            body[at : at + 4] = number[: drawn.randint(1, 4)]
        elif harm == 3:
            other = drawn.choice(pictures)
            body[at:] = other[drawn.randrange(len(other)) :]
        elif harm == 4:
            body[at:at] = body[at : at + drawn.randint(1, 200)] * drawn.randint(1, 5)
        else:
            body[at : at + drawn.randint(1, 50)] = drawn.randbytes(drawn.randint(0, 50))
    return bytes(body)


async def asked(port: int, pid: int, bodies: list[bytes]) -> tuple[Counter[int], list[int]]:
    """Statuses of all answers, and the memory after every tenth of them."""
    import asyncio

    sender, sent, memory = Sender(port, bodies, pid), Sent(), []
    tenth = len(bodies) // 10
    for part in range(10):
        numbers = iter(range(part * tenth, (part + 1) * tenth))

        async def ask(left: object = numbers) -> None:
            for number in left:  # type: ignore[attr-defined]
                await sender.one(number, 0.0, sent)

        await asyncio.gather(*(ask() for _ in range(AT_ONCE)))
        memory.append(resident(pid))
    return sent.statuses, memory


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    drawn, pictures = random.Random(args.seed), sound(args.seed)
    bodies = [damaged(pictures, drawn) for _ in range(BODIES)]
    with service(args.run) as (port, pid):
        statuses, memory = uvloop.run(asked(port, pid, bodies))
    told = ", ".join(f"{count:,} × {status}" for status, count in sorted(statuses.items()))
    grown = 100 * (memory[-1] - memory[1]) / memory[1]
    print(f"{BODIES:,} damaged pictures: {told}; memory {grown:+.1f} % from the second tenth to the last")
    print(document.footing(__file__, ("pillow",), f"seed {args.seed}"))
    wrong = {status: count for status, count in statuses.items() if status not in ALLOWED}
    if wrong:
        raise SystemExit(f"answers that must not be: {wrong} (0: hung up)")


if __name__ == "__main__":
    main()
