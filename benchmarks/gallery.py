"""A page to hear and see the renderer: the same notes by learned voices, by the synthesizer and, with a bank, by FluidSynth.

    python benchmarks/gallery.py [--bank /usr/share/sounds/sf3/default-GM.sf3] [-o docs/gallery.html]

One file, nothing loaded from anywhere: OGG players over spectrograms, 0 to 12 kHz and 80 dB, the same colours in a row. Every excerpt is
made here: a phrase for each instrument over its compass, soft to loud, with a held and a repeated note; nine tracks; the bundled canon.
"""

import argparse
import base64
import io
import tempfile
from html import escape
from pathlib import Path

import numpy as np
import soundfile
import soxr
from fluidsynth import PROGRAMS, TICKS, line, renderers
from rendering import nine_tracks
from symusic import Score

from symbolic.dsp.spectrogram import Spectrogram
from symbolic.midi.seeds import load_seed

SOLO = ("violin", "cello", "flute", "clarinet", "trumpet", "french-horn", "piano")
STEPS = (0, 4, 7, 12, 12, 12, 11, 9, 7, 4, 2, 0)
LENGTHS = (0.5, 0.5, 0.5, 0.25, 0.25, 1.0, 0.25, 0.25, 0.5, 0.5, 0.5, 1.5)
HEARD_RATE, HIGHEST, SPAN, QUALITY = 24000, 12000.0, 80.0, 0.8
NAMES = {"learned": "learned voices", "synthesized": "synthesizer", "FluidSynth": "FluidSynth"}
STYLE = """
:root{color-scheme:light dark;--paper:#fdfcf9;--ink:#22242a;--soft:#676b75}
@media(prefers-color-scheme:dark){:root{--paper:#191b1f;--ink:#e4e2dc;--soft:#9c9fa8}}
body{margin:0 auto;padding:1rem clamp(.8rem,3vw,2rem) 3rem;max-width:76rem;background:var(--paper);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
h2{font-size:1.15rem;margin:2rem 0 .4rem}p,figcaption{color:var(--soft);max-width:52rem}
.row{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(17rem,100%),1fr));gap:1rem}
figure{margin:0}img,audio{width:100%;display:block}figcaption{font-size:.9rem}
"""


def phrase(program: int, lowest: int, highest: int) -> Score:
    """Up and down a triad and the scale in the middle of the compass, growing and fading."""
    base, time, notes = (2 * lowest + highest) // 3 // 12 * 12, 0.2, []
    base += 12 * (base < lowest)
    for place, (step, length) in enumerate(zip(STEPS, LENGTHS, strict=True)):
        loud = 40 + round(75 * np.sin(np.pi * (place + 1) / (len(STEPS) + 1)))
        notes.append((time, length * 0.95, base + step, loud))
        time += length
    return line(program, notes)


def excerpts() -> dict[str, Score]:
    """Title and score of every row."""
    rows = {name.replace("-", " "): phrase(*PROGRAMS[name]) for name in SOLO}
    canon = load_seed("canon").clip(0, 12 * TICKS, clip_end=True)
    return {"Pachelbel's Canon, the beginning": canon, "nine tracks": nine_tracks(8)} | rows


def picture(sound: np.ndarray, rate: int) -> bytes:
    """A JPEG of the spectrogram of sound (S, C)."""
    from matplotlib.figure import Figure

    drawn = Spectrogram(rate, len(sound) / rate)
    drawn.add(np.ascontiguousarray(sound.T))
    drawn.finish()
    levels = drawn.levels()
    levels = levels[: round(len(levels) * HIGHEST / (rate / 2))]
    figure = Figure(figsize=(4.2, 2.2), layout="constrained")
    axis = figure.subplots()
    extent = (0, len(sound) / rate, 0, HIGHEST / 1000)
    axis.imshow(levels, origin="lower", aspect="auto", extent=extent, cmap="magma", vmin=levels.max() - SPAN, vmax=levels.max())
    axis.set(xlabel="seconds", ylabel="kHz")
    content = io.BytesIO()
    figure.savefig(content, format="jpeg", dpi=80, pil_kwargs={"quality": 70})
    return content.getvalue()


def encoded(kind: str, content: bytes) -> str:
    """As an address that holds the content itself."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def figure_of(title: str, sound: np.ndarray, rate: int) -> str:
    """Player, spectrogram and caption; both sides as one at 24 kHz, so that the page stays small."""
    sound, rate = soxr.resample(sound.mean(axis=1, keepdims=True), rate, HEARD_RATE), HEARD_RATE
    content = io.BytesIO()
    soundfile.write(content, sound, rate, format="OGG", subtype="VORBIS", compression_level=QUALITY)
    player = f'<audio controls preload="none" src="{encoded("audio/ogg", content.getvalue())}"></audio>'
    image = f'<img alt="spectrogram, {escape(title)}" src="{encoded("image/jpeg", picture(sound, rate))}">'
    return f"<figure>{player}{image}<figcaption>{escape(title)}</figcaption></figure>"


def main() -> None:
    """Render everything and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bank", help="a SoundFont for FluidSynth; without one there are two columns")
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/gallery.html"))
    options = parser.parse_args()
    every = renderers(options.bank or "")
    if not options.bank:
        del every["FluidSynth"]
    parts = []
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "made.wav"
        for title, score in excerpts().items():
            parts.append(f"<h2>{escape(title)}</h2><div class=row>")
            for voice, renderer in every.items():
                renderer(score, path)
                sound, rate = soundfile.read(path, dtype="float32", always_2d=True)
                parts.append(figure_of(NAMES[voice], sound, rate))
            parts.append("</div>")
            print(title, flush=True)
    told = f", and by FluidSynth with {Path(options.bank).name}" if options.bank else ""
    lead = f"The same notes by voices learned from recordings (where an instrument has one), by the synthesizer{told}."
    head = '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    head += f"<title>Gallery</title><style>{STYLE}</style>"
    options.output.write_text(f"{head}<h1>How it sounds</h1><p>{escape(lead)}</p>{''.join(parts)}</html>\n")
    print(f"{options.output}: {options.output.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
