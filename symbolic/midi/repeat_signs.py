"""Which signs of repetition stand at each bar of MusicXML, and the words that say the same in any notation.

The `<sound>` elements say what is meant, whatever the words above the staff ("M. D. C. al Fine"); where there are none
the words are read. Bar numbers that begin again begin a new movement.
"""

import re
import xml.etree.ElementTree as ElementTree

from symbolic.midi.unfolding import Signs

WORDS = {
    "da_capo": re.compile(r"\bd\.? ?c\b|\bda capo\b", re.IGNORECASE),
    "dal_segno": re.compile(r"\bd\.? ?s\b|\bdal segno\b", re.IGNORECASE),
    "fine": re.compile(r"^\W*fine\W*$", re.IGNORECASE),
    "to_coda": re.compile(r"^\W*(to|al) coda\b", re.IGNORECASE),
}


def signs_in_musicxml(root: ElementTree.Element) -> list[Signs]:
    """The signs of all parts of a score-partwise taken together, one for each bar."""
    parts = [part.findall("measure") for part in root.findall("part")]
    signs = [Signs() for _ in range(max(map(len, parts), default=0))]
    for measures in parts:
        open_ending: frozenset[int] = frozenset()
        for index, measure in enumerate(measures):
            sign = signs[index]
            for repeat in measure.iter("repeat"):
                if repeat.get("direction") == "forward":
                    sign.repeat_start = True
                else:
                    sign.repeat_end = max(sign.repeat_end, _number(repeat.get("times"), 2))
            endings = list(measure.iter("ending"))
            for ending in endings:
                if ending.get("type") == "start":
                    open_ending = frozenset(_number(word, 1) for word in re.findall(r"\d+", ending.get("number", "")))
            sign.endings |= open_ending
            ended = any(ending.get("type") in ("stop", "discontinue") for ending in endings)
            if ended or any(repeat.get("direction") == "backward" for repeat in measure.iter("repeat")):
                open_ending = frozenset()
            for name, attribute in _ATTRIBUTES.items():
                if any(sound.get(attribute, "no") not in ("no", "") for sound in measure.iter("sound")):
                    setattr(sign, name, True)
            sign.segno |= measure.find(".//direction-type/segno") is not None
    if parts:
        _movements(signs, [measure.get("number", "") for measure in parts[0]])
        unsaid = [name for name in WORDS if not any(getattr(sign, name) for sign in signs)]
        if "da_capo" not in unsaid or "dal_segno" not in unsaid:
            unsaid = [name for name in unsaid if name not in ("da_capo", "dal_segno")]
        for measures in parts:
            for sign, measure in zip(signs, measures, strict=False):
                _read_words(sign, [words.text or "" for words in measure.iter("words")], unsaid)
    _split_codas(signs, [i for i, sign in enumerate(signs) if any(len(p) > i and p[i].find(".//coda") is not None for p in parts)])
    return signs


_ATTRIBUTES = {
    "da_capo": "dacapo", "dal_segno": "dalsegno", "fine": "fine", "segno": "segno", "coda": "coda", "to_coda": "tocoda",
}  # fmt: skip


def _movements(signs: list[Signs], numbers: list[str]) -> None:
    """A bar 0 or 1 after a higher number begins a movement."""
    before = 0
    for sign, name in zip(signs, numbers, strict=False):
        if name.isdecimal():
            sign.beginning = int(name) <= 1 and before > 1
            before = int(name)


def _read_words(sign: Signs, words: list[str], wanted: list[str]) -> None:
    for name in wanted:
        if any(WORDS[name].search(text) for text in words):
            setattr(sign, name, True)


def _split_codas(signs: list[Signs], glyphs: list[int]) -> None:
    """Of two coda signs without a word the first says where to leave, the last where to go."""
    if len(glyphs) > 1 and not any(sign.to_coda or sign.coda for sign in signs):
        signs[glyphs[0]].to_coda = True
        signs[glyphs[-1]].coda = True


def _number(text: str | None, otherwise: int) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 4 and int(text) > 0 else otherwise
