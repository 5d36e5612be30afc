"""In which order written bars are played: repeats, endings, da capo and dal segno.

A repeat without a beginning goes back to the end of the one before it (a second movement, a trio), not to the first bar.
After a jump back (D.C., D.S.) repeats are not taken again and the last ending is played, as players do.
"""

from dataclasses import dataclass

MOST_TIMES = 16  # more passes through one passage than this are a slip of the pen, or an attack
MOST_BARS = 50_000


@dataclass
class Signs:
    """What stands at one bar. `endings` are the passes for which it is played, such as {1}; empty for all."""

    repeat_start: bool = False
    repeat_end: int = 0  # how often the passage is played, 2 for a plain sign; 0 for no sign
    endings: frozenset[int] = frozenset()
    segno: bool = False
    coda: bool = False  # the target
    to_coda: bool = False
    fine: bool = False
    da_capo: bool = False
    dal_segno: bool = False


def playing_order(bars: list[Signs]) -> tuple[list[int], str | None]:
    """Indices of the bars in playing order, and a phrase when the signs make no sense and each bar is played once."""
    order: list[int] = []
    taken: set[int] = set()  # bars whose jump is done
    section, turn, index, jumped = 0, 1, 0, False
    while index < len(bars):
        bar = bars[index]
        if bar.repeat_start and index != section:
            section, turn = index, 1
        if bar.endings:
            last = max(max(b.endings) for b in bars[index : _group_end(bars, index)])
            if (last if jumped else turn) not in bar.endings:
                index = _bracket_end(bars, index)
                if index < len(bars) and not bars[index].endings:  # behind the last bracket a new passage begins
                    section, turn = index, 1
                continue
        order.append(index)
        if len(order) > MOST_BARS:
            return list(range(len(bars))), "the repeats never end and are not played"
        if bar.repeat_end and not jumped and turn < min(_turns(bars, index), MOST_TIMES):
            turn, index = turn + 1, section
            continue
        if bar.fine and jumped:
            break
        index += 1
        if (bar.da_capo or bar.dal_segno) and index - 1 not in taken:
            taken.add(index - 1)
            jumped = True
            index = section = 0 if bar.da_capo else next((i for i, b in enumerate(bars) if b.segno), 0)
            turn = 1
        elif bar.to_coda and jumped and any(b.coda for b in bars):
            index = section = next(i for i, b in enumerate(bars) if b.coda)
            jumped, turn = False, 1
        elif (bar.repeat_end and not bar.endings) or (bar.endings and index < len(bars) and not bars[index].endings):
            section, turn = index, 1
    return order, None


def _turns(bars: list[Signs], index: int) -> int:
    """How often the passage that ends at bar `index` is played: by its endings, or by the number at the sign."""
    if not bars[index].endings:
        return bars[index].repeat_end
    first = index
    while first > 0 and bars[first - 1].endings:
        first -= 1
    brackets = {bar.endings for bar in bars[first : _group_end(bars, index)]}
    return max(map(max, brackets)) + (len(brackets) == 1)


def _bracket_end(bars: list[Signs], index: int) -> int:
    """The first bar behind the bracket in which bar `index` stands."""
    endings = bars[index].endings
    while index < len(bars) and bars[index].endings == endings:
        index += 1
    return index


def _group_end(bars: list[Signs], index: int) -> int:
    """The first bar behind all brackets that follow each other from bar `index` on."""
    while index < len(bars) and bars[index].endings:
        index += 1
    return index
