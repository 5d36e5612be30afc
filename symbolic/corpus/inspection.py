"""One file looked at closely: its facts as a short table, and its tokens beside the beats and notes they stand for.

Bars and beats are counted from 1, positions of a beat from 0, as in the tokens. A beat is the meter's own.
"""

from fractions import Fraction
from pathlib import Path
from typing import Any

from symusic.core import ScoreTick

from symbolic.corpus.examination import examine
from symbolic.corpus.suspicions import MEANINGS
from symbolic.errors import InputError
from symbolic.midi.programs import DRUM_NAMES, PROGRAM_NAMES
from symbolic.midi.reading import Reading, contents, read, read_bytes
from symbolic.settings import load_settings
from symbolic.tokenizers.remi import Encoding, RemiTokenizer
from symbolic.tokenizers.settings import TokenizerSettings
from symbolic.tokenizers.vocabulary import TokenType, Vocabulary

MOST_LINES = 40
WIDTH = 118
_PITCHES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


def inspect(source: Any, settings: TokenizerSettings | str | Path | None = None, *, tokens: int = 0) -> dict[str, Any]:
    """Facts about one piece of music and what its tokens lose, JSON-able; docs/report.md says what each fact means.

    `source` is anything `symbolic.read` takes; `settings` tokenizer settings or a YAML file of them (default: the bundled
    model's). With `tokens` the first so many of them come too, as "token_list": index, id, name, (bar, beat, position) and words.
    Raises `InputError` when the source cannot be read or encoded.
    """
    tokenizer = RemiTokenizer(settings if isinstance(settings, TokenizerSettings) else load_settings(TokenizerSettings, settings))
    name, reading = _reading(source)
    if not reading.score.note_num():
        raise InputError(f"{name}: no notes in it")
    try:
        encoding = tokenizer.encode(reading.score)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
    facts = {"file": name} | examine(reading, encoding, tokenizer)
    if tokens:
        facts["token_list"] = token_list(encoding, tokenizer.vocabulary, tokens)
    return facts


def table(facts: dict[str, Any]) -> list[str]:
    """The facts as at most `MOST_LINES` lines of text."""
    loss = facts["loss"]
    rows = [
        ("", f"{facts['file']}: {facts['format']}" + (f", repaired: {'; '.join(facts['repairs'])}" if facts["repairs"] else "")),
        ("length", f"{facts['bars']:,} bars, {facts['beats']:,.4g} quarter notes, {_time(facts['seconds'])}"),
        ("notes", f"{facts['notes']:,} in {facts['tracks']} parts; {facts['polyphony'][0]:g} at once, {facts['polyphony'][1]} at most"),
        ("instruments", _listed({_program(program): count for program, count in facts["programs"].items()}, 6)),
        ("pitch", f"{pitch_name(facts['pitches'][1])} to {pitch_name(facts['pitches'][2])}" if facts["pitches"][0] else "drums only"),
        ("key", _key(facts)),
        ("meter", _meter(facts)),
        ("tempo", _tempo(facts["tempi"])),
        ("velocity", f"{_count(facts['velocities'][0], 'value')}, {facts['velocities'][1]} to {facts['velocities'][2]}"),
        ("grid", _grid(facts)),
        ("tokens", f"{facts['tokens']:,}, {facts['tokens_per_note']:g} a note"),
        ("", "through tokens and back:"),
        ("  notes", _notes_back(facts["notes"], loss)),
        ("  onset", _spread(loss["onset_ms"], loss["onset_beats"])),
        ("  duration", _spread(loss["duration_ms"], loss["duration_beats"])),
        ("  velocity", "{:g} off, at most {}; {} values become {}".format(*loss["velocity"], *loss["velocities"])),
        ("  tempo", "{:g} % off, at most {:g} %; the whole lasts {:+g} %".format(*loss["tempo_percent"], loss["length_percent"])),
        ("  meter", "{} signatures kept, {} respelt, {} moved or lost, {} added".format(*loss["meters"])),
    ]  # fmt: skip
    if loss["tuplets"]:
        kinds = {"3": "triplets", "5": "quintuplets", "7": "septuplets"}
        told = (f"{count:,} notes in {kinds[kind]}, {moved:,} moved" for kind, (count, moved) in loss["tuplets"].items())
        rows.append(("  tuplets", "; ".join(told)))
    rows.append(("  not kept", _listed(facts["dropped"], 8) if facts["dropped"] else "nothing else is in the file"))
    rows.append(("", "looks wrong:" if facts["suspicious"] else "nothing looks wrong"))
    rows += [("", f"  {name}: {MEANINGS[name]}" + (f" ({detail})" if detail else "")) for name, detail in facts["suspicious"].items()]
    lines = [_cut(f"{label:<12} {text}" if label else text) for label, text in rows]
    return lines[:MOST_LINES]


def token_list(encoding: Encoding, vocabulary: Vocabulary, most: int) -> list[dict[str, Any]]:
    """The first `most` tokens, each with its place and what it says; a note is said in words at its Program token."""
    ids = encoding.ids.tolist()
    listed = []
    for index, (id_, beat) in enumerate(zip(ids[:most], encoding.beats[:most].tolist(), strict=True)):
        words = note_in_words(ids[index : index + 4], vocabulary) if vocabulary.types[id_] == TokenType.PROGRAM else ""
        entry = {"index": index, "id": id_, "token": vocabulary.tokens[id_], "bar": beat[0] + 1, "beat": beat[1] + 1, "position": beat[2]}
        listed.append(entry | ({"words": words} if words else {}))
    return listed


def token_table(tokens: list[dict[str, Any]], total: int) -> list[str]:
    """`token_list` as text: one line a bar, a position, a tempo or a note."""
    lines = [f"{'token':>6}  {'bar':>4} {'beat':>4} {'pos':>4}  tokens"]
    place = 0
    while place < len(tokens):
        first = tokens[place]
        together = 4 if "words" in first else 2 if first["token"].startswith("Bar") else 1
        group = tokens[place : place + together]
        names = " ".join(token["token"] for token in group)
        where = f"{first['index']:>6}  {first['bar']:>4} {first['beat']:>4} {first['position']:>4}"
        lines.append(f"{where}  {names:<58} {first.get('words', '')}".rstrip())
        place += together
    if len(tokens) < total:
        lines.append(f"{'…':>6}  {total - len(tokens):,} more tokens: --tokens {total} shows all")
    return lines


def note_in_words(ids: list[int], vocabulary: Vocabulary) -> str:
    """The note that Program, Pitch, Velocity and Duration stand for, such as "C#4 violin, 1 beat, velocity 80"; "" for fewer than four."""
    if len(ids) < 4:
        return ""
    program, pitch, velocity, duration = (int(vocabulary.values[id_]) for id_ in ids)
    if vocabulary.types[ids[1]] == TokenType.DRUM_PITCH:
        what = DRUM_NAMES.get(pitch, f"drum {pitch}").lower()
    else:
        what = f"{pitch_name(pitch)} {PROGRAM_NAMES[program].lower()}"
    return f"{what}, {beats_in_words(Fraction(duration, vocabulary.positions_per_beat))}, velocity {velocity}"


def beats_in_words(beats: Fraction) -> str:
    """ "1 beat", "1/3 beat", "2 1/2 beats"."""
    whole, part = divmod(beats, 1)
    text = " ".join(str(value) for value in (whole, part) if value) or "0"
    return f"{text} beat{'s' if beats > 1 or not beats else ''}"


def pitch_name(pitch: int) -> str:
    """60 is "C4"."""
    return f"{_PITCHES[pitch % 12]}{pitch // 12 - 1}"


def _reading(source: Any) -> tuple[str, Reading]:
    if isinstance(source, (str, Path)):
        return str(source), read_bytes(contents(Path(source)), str(source))
    if isinstance(source, bytes):
        return "these bytes", read_bytes(source, "these bytes")
    name = "this score" if isinstance(source, ScoreTick) else f"this {type(source).__name__}"
    return name, Reading(read(source), "score")


def _key(facts: dict[str, Any]) -> str:
    signature = f"; key signature {facts['notated_key']}" if facts["notated_key"] else "; no key signature"
    if facts["key"] is None:
        return "none to be heard" + signature
    return f"{facts['key']} (correlation {facts['key_correlation']:g}, the next {facts['key_margin']:g} less){signature}"


def _meter(facts: dict[str, Any]) -> str:
    extra = f"; {_count(facts['meter_changes'], 'change')}" if facts["meter_changes"] else ""
    extra += f", {facts['bars_cut_short']:,} within a bar" if facts["bars_cut_short"] else ""
    extra += f"; pickup of {facts['pickup']:g} quarter notes" if facts["pickup"] else ""
    return ", ".join(f"{meter} for {_count(bars, 'bar')}" for meter, bars in list(facts["meters"].items())[:5]) + extra


def _tempo(tempi: dict[str, Any]) -> str:
    told = f"{tempi['first']:g} quarter notes a minute" + ("" if tempi["events"] else " (assumed)")
    return told + (f"; {_count(tempi['changes'], 'change')}, {tempi['min']:g} to {tempi['max']:g}" if tempi["changes"] else "")


def _grid(facts: dict[str, Any]) -> str:
    kind = "performed" if facts["performed"] >= 0.5 else "partly performed" if facts["performed"] >= 0.05 else "a score"
    grid = facts["grid"]
    on = f"{grid['sixteenths']:.1%} of onsets on sixteenths, {grid['triplets']:.1%} on twelfths, {grid['48ths']:.1%} on 48ths of a quarter"
    return f"{kind} (sameness {facts['sameness']:.2f}): {on}"


def _notes_back(notes: int, loss: dict[str, Any]) -> str:
    kept = notes - loss["lost"] - loss["changed"]
    return f"{kept:,} of {notes:,} come back; {loss['lost']:,} lost, {loss['changed']:,} moved or stretched by over 1/48 of a quarter"


def _spread(milliseconds: list[float], beats: list[float]) -> str:
    return (
        f"{milliseconds[0]:.3g} ms off, 95 % at most {milliseconds[1]:.3g}, all at most {milliseconds[2]:.3g} ms ({beats[2]:.3g} quarters)"
    )


def _listed(counts: dict[str, int], most: int) -> str:
    shown = ", ".join(f"{name} {count:,}" for name, count in list(counts.items())[:most])
    return shown + (f" and {len(counts) - most} more" if len(counts) > most else "")


def _program(number: str) -> str:
    return "Drums" if number == "-1" else PROGRAM_NAMES[int(number)]


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _time(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds // 60):,} min {seconds % 60:.0f} s"


def _cut(line: str) -> str:
    line = "".join(character if character.isprintable() else "?" for character in line)
    return line if len(line) <= WIDTH else line[: WIDTH - 1] + "…"
