"""The piano roll as pixels: right place, right family of colours, bar lines of the score, bounded size, no silent nothing."""

import subprocess
import sys

import numpy as np
import pytest
from symusic.core import NoteTick, ScoreTick, TimeSignatureTick, TrackTick

from symbolic.errors import InputError
from symbolic.midi.meter import bar_starts
from symbolic.midi.pianoroll import (
    DOTS_PER_INCH,
    MAX_HEIGHT,
    MAX_WIDTH,
    numbered_bars,
    opacity,
    part_colour,
    piano_roll_figure,
    plot_piano_roll,
)
from symbolic.midi.programs import DRUM_NAMES, FAMILY_NAMES, PROGRAM_NAMES
from symbolic.midi.seeds import load_seed


def make_score(*tracks, meters=()):
    """A score from (name, program, is drum, [(time, duration, pitch, velocity), ...])."""
    score = ScoreTick(480)
    for name, program, is_drum, notes in tracks:
        track = TrackTick(name, program, is_drum)
        for note in notes:
            track.notes.append(NoteTick(*note))
        score.tracks.append(track)
    for meter in meters:
        score.time_signatures.append(TimeSignatureTick(*meter))
    return score


def paint(figure):
    """The picture as numbers from 0 to 1, (height, width, 3), and a function that gives the colour at (tick, row) of an axes."""
    figure.canvas.draw()
    pixels = np.asarray(figure.canvas.buffer_rgba())[:, :, :3] / 255

    def colour_at(axes, tick, row):
        x, y = axes.transData.transform((tick, row))
        return pixels[pixels.shape[0] - 1 - int(y), int(x)]

    return pixels, colour_at


def chroma(colour):
    return float(np.max(colour) - np.min(colour))


def expected(part, is_seed, velocity, background):
    weight = float(opacity(np.array(velocity)))
    return weight * np.array(part_colour(part, is_seed)) + (1 - weight) * np.asarray(background)


def label_texts(axes):
    return [text.get_text() for text in axes.get_yticklabels()]


def test_each_note_of_the_canon_is_painted_in_its_family():
    """At the middle of every note that sounds alone, the pixel is its part's seed colour before the boundary and the other after it."""
    score = load_seed("canon")
    boundary = 14 * 4 * 480
    figure = piano_roll_figure(score, seed_end_ticks=boundary)
    _, colour_at = paint(figure)
    [axes] = figure.axes
    notes = [(index, note) for index, track in enumerate(score.tracks) for note in track.notes]
    compared = {True: 0, False: 0}
    for index, note in notes:
        middle = note.time + note.duration / 2
        others = [n for _, n in notes if n.pitch == note.pitch and n.time < note.end and n.end > note.time]
        if len(others) > 1 or note.duration < 120:
            continue
        background = 1.0 if note.pitch % 12 in (0, 2, 4, 5, 7, 9, 11) else np.array([0xF1, 0xF3, 0xF5]) / 255
        is_seed = note.time < boundary
        np.testing.assert_allclose(colour_at(axes, middle, note.pitch), expected(index, is_seed, note.velocity, background), atol=0.02)
        compared[is_seed] += 1
    assert compared[True] > 150
    assert compared[False] > 100


def test_families_of_colour_never_meet():
    """For every part and velocity a note of a continuation is more colourful on white than any note of a seed."""
    seeds = [chroma(expected(part, True, velocity, 1.0)) for part in range(30) for velocity in (1, 64, 127)]
    others = [chroma(expected(part, False, velocity, 1.0)) for part in range(30) for velocity in (1, 64, 127)]
    assert max(seeds) < 0.17
    assert min(others) > 1.25 * max(seeds)


def test_parts_have_colours_of_their_own():
    """The first thirty parts differ in colour, and every channel is within 0 to 1, in both families."""
    for is_seed in (True, False):
        colours = np.array([part_colour(index, is_seed) for index in range(30)])
        assert colours.min() >= 0
        assert colours.max() <= 1
        distances = np.abs(colours[:, None] - colours[None]).max(axis=-1) + np.eye(30)
        assert distances.min() > 0.015


def test_louder_notes_are_more_opaque():
    """Of two notes alike but for velocity the louder one is painted farther from white."""
    score = make_score(("", 0, False, [(0, 480, 60, 20), (960, 480, 60, 120)]))
    figure = piano_roll_figure(score)
    _, colour_at = paint(figure)
    soft, loud = (colour_at(figure.axes[0], tick, 60) for tick in (240, 1200))
    assert chroma(loud) > chroma(soft) + 0.1


def test_silence_stays_white():
    """Between the notes nothing is painted, and without a seed no boundary either."""
    score = make_score(("", 0, False, [(0, 480, 60, 100), (960, 480, 60, 100)]))
    figure = piano_roll_figure(score)
    _, colour_at = paint(figure)
    np.testing.assert_allclose(colour_at(figure.axes[0], 720, 60), 1.0)


def test_boundary_stands_at_the_end_of_the_seed():
    """A dark line crosses all panels at the given tick; a note that begins on it belongs to the continuation."""
    score = make_score(("", 0, False, [(0, 960, 60, 100), (960, 960, 60, 100)]), ("", 0, True, [(0, 100, 38, 100)]))
    figure = piano_roll_figure(score, seed_end_ticks=960)
    _, colour_at = paint(figure)
    pitches, drums = figure.axes
    assert colour_at(pitches, 960, pitches.get_ylim()[0] + 0.5).max() < 0.5
    assert colour_at(drums, 960, 0).max() < 0.5
    assert chroma(colour_at(pitches, 480, 60)) < 0.2 < 0.3 < chroma(colour_at(pitches, 1440, 60))
    assert {text.get_text() for text in pitches.texts} == {"seed", "continuation"}


def test_bar_lines_follow_the_meter():
    """Numbers stand at the bar lines of the score, also after a change of meter: 3/4, then 6/8 at bar 3, then 4/4 at bar 5."""
    score = make_score(("", 0, False, [(0, 9000, 60, 80)]), meters=[(0, 3, 4), (2880, 6, 8), (5760, 4, 4)])
    figure = piano_roll_figure(score)
    [axes] = figure.axes
    assert axes.get_xticks().tolist() == [0, 1440, 2880, 4320, 5760, 7680]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["1", "2", "3", "4", "5", "6"]
    assert axes.get_xlim() == (0, 9600)
    _, colour_at = paint(figure)
    one_pixel = 9600 / axes.get_window_extent().width
    dark = [tick for tick in range(60, 9540, 5) if colour_at(axes, tick, 65).max() < 0.95]
    lines = [1440, 2880, 4320, 5760, 7680]
    assert all(min(abs(tick - line) for tick in dark) <= one_pixel for line in lines)
    assert all(min(abs(tick - line) for line in lines) <= 2 * one_pixel for tick in dark)


@pytest.mark.parametrize(("bars", "width", "step"), [(1, 7, 1), (22, 12, 1), (50, 12, 2), (100, 12, 4), (3000, 24, 64)])
def test_bar_numbers_keep_their_distance(bars, width, step):
    """Bars are numbered every 1, 2, 4, 8, ..., beginning with the first, so that each number has its room."""
    starts = np.arange(bars + 1) * 1920
    chosen = numbered_bars(starts, width)
    np.testing.assert_array_equal(chosen, np.arange(0, bars, step))
    assert len(chosen) == 1 or step * width / bars >= 0.42


def test_short_bars_lose_their_number():
    """Where a change of meter makes bars too short for a number, the numbers stay at least half their room apart."""
    score = make_score(("", 0, False, [(0, 1920 * 20, 60, 80)]), meters=[(0, 4, 4), (1920, 1, 16), (1920 + 120 * 20, 4, 4)])
    starts = bar_starts(score)
    chosen = numbered_bars(starts, 7.0)
    assert np.diff(starts[chosen]).min() / starts[-1] * 7.0 >= 0.2


def test_pitches_are_named():
    """The pitch axis names middle C as C4 at MIDI note 60; a narrow range names all the white keys."""
    figure = piano_roll_figure(make_score(("", 0, False, [(0, 480, 60, 80), (480, 480, 67, 80)])))
    [axes] = figure.axes
    named = dict(zip(axes.get_yticks().tolist(), label_texts(axes), strict=True))
    assert {pitch: named[pitch] for pitch in (59, 60, 62, 64, 65, 67)} == {59: "B3", 60: "C4", 62: "D4", 64: "E4", 65: "F4", 67: "G4"}


def test_drums_have_a_panel_of_their_own():
    """Drum keys are rows of the lower panel under their names, unknown keys under their numbers, and never in the upper one."""
    hits = [(0, 240, 36, 127), (480, 240, 38, 127), (960, 240, 20, 127)]
    score = make_score(("Piano", 0, False, [(0, 480, 60, 80)]), ("", 0, True, hits))
    figure = piano_roll_figure(score)
    pitches, drums = figure.axes
    assert pitches.get_position().y0 > drums.get_position().y0
    assert label_texts(drums) == ["key 20", "Bass Drum 1", "Acoustic Snare"]
    assert pitches.get_ylim()[0] > 40
    _, colour_at = paint(figure)
    for tick, row in ((1080, 0), (120, 1), (600, 2)):
        np.testing.assert_allclose(colour_at(drums, tick, row), part_colour(1, False), atol=0.01)
    assert chroma(colour_at(drums, 120, 2)) < 0.05


def test_drums_alone_and_pitches_alone_have_one_panel():
    """A panel without notes is not drawn."""
    assert len(piano_roll_figure(make_score(("", 0, True, [(0, 10, 38, 80)]))).axes) == 1
    assert len(piano_roll_figure(make_score(("", 0, False, [(0, 10, 38, 80)]))).axes) == 1


def test_legend_names_parts():
    """A part is called by its track's name, else by its program, drums by 'Drums'; formulas and leading underscores stay letters."""
    notes = [(0, 480, 60, 80)]
    odd = [("_a $x_1$", 0, False, notes), ("b\ntwo", 2, False, notes)]
    figure = piano_roll_figure(make_score(("", 40, False, notes), ("", 0, True, notes), ("silent", 1, False, []), *odd))
    [legend] = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["Violin", "Drums", "_a $x_1$", "b two"]
    assert not any(text.get_parse_math() for text in legend.get_texts())


def test_short_notes_stay_visible():
    """A note of one tick in a long piece still leaves a coloured pixel."""
    score = make_score(("", 0, False, [(0, 1, 60, 127), (480 * 3000, 1, 60, 127), (480 * 6000, 1, 60, 127)]))
    figure = piano_roll_figure(score)
    _, colour_at = paint(figure)
    assert chroma(colour_at(figure.axes[0], 480 * 3000 + 120, 60)) > 0.2


def test_huge_score_makes_a_bounded_picture(tmp_path):
    """Thirty long-named tracks over two hours fit the largest size, legend included, and names beyond twelve are counted."""
    generator = np.random.default_rng(0)
    tracks = []
    for index in range(30):
        times = generator.integers(0, 480 * 7200, 300)
        pitches = generator.integers(0, 128, 300)
        notes = [(int(time), 300, int(pitch), 90) for time, pitch in zip(times, pitches, strict=True)]
        tracks.append((f"A track with quite a long name {index}", index, index == 9, notes))
    figure = piano_roll_figure(make_score(*tracks), seed_end_ticks=480 * 3000, title="t" * 1000)
    pixels, _ = paint(figure)
    assert pixels.shape[1] <= MAX_WIDTH * DOTS_PER_INCH
    assert pixels.shape[0] <= MAX_HEIGHT * DOTS_PER_INCH
    [legend] = figure.legends
    assert legend.get_texts()[-1].get_text() == "and 18 more"
    box = legend.get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= pixels.shape[1]
    assert box.y0 >= 0


@pytest.mark.parametrize(("suffix", "head"), [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".svg", b"<?xml"), (".PNG", b"\x89PNG")])
def test_suffix_chooses_the_format(tmp_path, suffix, head):
    """The file begins as its format does, and nothing else is left in the folder."""
    path = tmp_path / f"roll{suffix}"
    plot_piano_roll(load_seed("canon"), path, seed_end_ticks=1920)
    assert path.read_bytes().startswith(head)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_same_score_gives_the_same_picture(tmp_path):
    """Drawing twice writes the same bytes."""
    for name in ("a.png", "b.png"):
        plot_piano_roll(load_seed("canon"), tmp_path / name, title="Canon")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_score_without_notes_is_refused(tmp_path):
    """An empty score, and tracks without notes, raise an InputError and write nothing."""
    for score in (ScoreTick(480), make_score(("Flute", 73, False, []))):
        with pytest.raises(InputError, match="no notes"):
            plot_piano_roll(score, tmp_path / "roll.png")
    assert list(tmp_path.iterdir()) == []


def test_other_suffixes_and_existing_files_are_refused(tmp_path):
    """An unknown suffix is refused with the choices; an existing file stays as it is unless forced."""
    with pytest.raises(InputError, match=r"'\.txt'.*\.png, \.pdf, \.svg"):
        plot_piano_roll(load_seed("canon"), tmp_path / "roll.txt")
    path = tmp_path / "roll.png"
    path.write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        plot_piano_roll(load_seed("canon"), path)
    assert path.read_text() == "mine"
    plot_piano_roll(load_seed("canon"), path, force=True)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_the_score_is_left_as_it_was(tmp_path):
    """Drawing changes nothing in the score."""
    score = load_seed("canon")
    plot_piano_roll(score, tmp_path / "roll.png", seed_end_ticks=1920)
    assert score == load_seed("canon")


def test_import_is_light():
    """Importing the module loads neither matplotlib nor torch, and drawing does not load pyplot."""
    code = (
        "import sys, symbolic.midi.pianoroll as p; assert not {'matplotlib', 'torch'} & set(sys.modules); "
        "from symbolic.midi.seeds import load_seed; p.piano_roll_figure(load_seed()); assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_general_midi_names():
    """128 different programs in 16 families and 47 drum keys, with the landmarks of the standard in their places."""
    assert len(PROGRAM_NAMES) == len(set(PROGRAM_NAMES)) == 128
    assert len(FAMILY_NAMES) == 16
    assert sorted(DRUM_NAMES) == list(range(35, 82))
    landmarks = {0: "Acoustic Grand Piano", 40: "Violin", 56: "Trumpet", 73: "Flute", 104: "Sitar", 127: "Gunshot"}
    assert {program: PROGRAM_NAMES[program] for program in landmarks} == landmarks
    assert [DRUM_NAMES[key] for key in (35, 38, 42, 49, 56, 81)] == [
        "Acoustic Bass Drum", "Acoustic Snare", "Closed Hi-hat", "Crash Cymbal 1", "Cowbell", "Open Triangle",
    ]  # fmt: skip
    assert [FAMILY_NAMES[program // 8] for program in (0, 40, 56, 73)] == ["Piano", "Strings", "Brass", "Pipe"]
