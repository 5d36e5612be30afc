"""In which order written bars are played: repeats, endings, da capo and dal segno.

A repeat without a beginning goes back to the end of the one before it (a trio, a second movement), not to the first bar, and
a da capo goes back to the beginning of its movement. After such a jump repeats are not taken again and the last ending is
played, as players do; behind the Fine the music goes on after the bar that said da capo, where the next movement begins.
"""

from dataclasses import dataclass

MOST_TIMES = 16  # more passes through one passage than this are a slip of the pen, or an attack
MOST_BARS = 50_000


@dataclass
class Signs:
    """What stands at one bar. `endings` are the passes in which it is played, such as {1}; empty for all."""

    repeat_start: bool = False
    repeat_end: int = 0  # how often the passage is played, 2 for a plain sign; 0 for no sign
    endings: frozenset[int] = frozenset()
    beginning: bool = False  # of a movement
    segno: bool = False
    coda: bool = False  # the target
    to_coda: bool = False
    fine: bool = False
    da_capo: bool = False
    dal_segno: bool = False


def playing_order(bars: list[Signs]) -> tuple[list[int], str | None]:
    """Indices of the bars in playing order, and a phrase when the signs make no sense and each bar is played once."""
    order: list[int] = []
    jump = -1  # the bar whose da capo or dal segno is being followed
    taken: set[int] = set()
    section, turn, index = 0, 1, 0
    while index < len(bars):
        bar = bars[index]
        if (bar.repeat_start or bar.beginning) and index != section:
            section, turn = index, 1
            jump = -1 if bar.beginning and index > jump else jump
        if bar.endings:
            last = max(max(b.endings) for b in bars[index : _group_end(bars, index)])
            if (last if jump >= 0 else turn) not in bar.endings:
                index = _bracket_end(bars, index)
                if index < len(bars) and not bars[index].endings:  # behind the last bracket a new passage begins
                    section, turn = index, 1
                continue
        order.append(index)
        if len(order) > MOST_BARS:
            return list(range(len(bars))), "the repeats never end and are not played"
        if bar.repeat_end and jump < 0 and turn < min(_turns(bars, index), MOST_TIMES):
            turn, index = turn + 1, section
            continue
        index += 1
        if bar.fine and jump >= index - 1:
            index, jump = jump + 1, -1
            section, turn = index, 1
        elif (bar.da_capo or bar.dal_segno) and index - 1 not in taken:
            taken.add(index - 1)
            jump = index - 1
            targets = [i for i in range(index) if (bars[i].segno if bar.dal_segno else bars[i].beginning)]
            index = section = targets[-1] if targets else 0
            turn = 1
        elif bar.to_coda and jump >= 0 and any(b.coda for b in bars[index:]):
            index = section = next(i for i in range(index, len(bars)) if bars[i].coda)
            jump, turn = -1, 1
        elif index - 1 == jump:
            section, turn, jump = index, 1, -1
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
