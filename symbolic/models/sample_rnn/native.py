"""Playing in compiled code: what `TensorDecoder` computes, one lane after another, all of a call's samples in one loop.

Everything is float32. What a code at each of the last places adds is looked up in a table, and inputs that ReLU made 0 are skipped: about
half of the products of the two large matrices. A lane gives the same bits whatever lanes are beside it.

Shapes: B lanes, N samples of a frame, J conditioning vectors of width W, G width of the GRU, U numbers told, H hidden width, V levels.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from symbolic.dsp.compiled import compiled
from symbolic.dsp.mu_law import mu_law_table
from symbolic.models.sample_rnn.decoder import Decoder
from symbolic.models.wavenet.excitation import PAST, periods, taps


@dataclass
class Lanes:
    """What lanes remember: the last codes (B, N), the oldest first, the state (B, G) of the recurrent network, the last logits (B, V),
    the sound of the last samples (B, `PAST`)."""

    codes: np.ndarray
    state: np.ndarray
    logits: np.ndarray
    past: np.ndarray
    position: int = 0

    def __len__(self) -> int:
        return len(self.codes)


class NativeDecoder:
    """The weights of a decoder as the loop wants them, (inputs, outputs); they do not follow later changes of it."""

    def __init__(self, decoder: Decoder) -> None:
        self.config = decoder.config
        gru = dict(decoder.recurrent.named_parameters())
        with torch.no_grad():
            heard = torch.einsum("ve,neh->nvh", decoder.embedding, decoder.past)
            inner, outer = gru["weight_ih_l0"].T, gru["weight_hh_l0"].T
            gates = 2 * decoder.config.recurrent
            # one matrix, from what is heard and the state to the two gates and the two parts of what is new
            heard_part = torch.cat([inner, torch.zeros_like(inner[:, gates:])], 1)
            state_part = torch.cat([outer[:, :gates], torch.zeros_like(outer[:, gates:]), outer[:, gates:]], 1)
            first, more = gru["bias_ih_l0"], gru["bias_hh_l0"]
            bias = torch.cat([first[:gates] + more[:gates], first[gates:], more[gates:]])
            parts = [
                decoder.values, torch.cat([heard_part, state_part]), bias, decoder.telling.weight.T, decoder.telling.bias,
                decoder.told.weight.T, decoder.told.bias, heard, decoder.hidden.weight.T, decoder.hidden.bias,
                decoder.head.weight.T, decoder.head.bias, decoder.excitation.past,
            ]  # fmt: skip
            self.weights = tuple(_array(part) for part in parts)
        self.excitation, self.table = decoder.excitation, mu_law_table(decoder.config.levels)

    def lanes(self, count: int) -> Lanes:
        """Silence."""
        config = self.config
        codes = np.full((count, config.frame), config.levels // 2, dtype=np.int64)
        state, logits, past = (np.zeros((count, size), np.float32) for size in (config.recurrent, config.levels, PAST))
        return Lanes(codes, state, logits, past)

    def silence(self, lanes: Lanes, lane: int) -> None:
        """Let one lane begin anew."""
        lanes.codes[lane] = self.config.levels // 2
        lanes.state[lane] = 0.0
        lanes.past[lane] = 0.0

    def chosen(self, lanes: Lanes, index: np.ndarray) -> Lanes:
        """A copy of some lanes."""
        codes, state, logits, past = (part[index].copy() for part in (lanes.codes, lanes.state, lanes.logits, lanes.past))
        return Lanes(codes, state, logits, past, lanes.position)

    def play(self, lanes: Lanes, conditioning: np.ndarray, cycles: np.ndarray, random: np.ndarray, temperature: np.ndarray) -> np.ndarray:
        """The next codes (B, J · hold) of every lane; `lanes` moves on in place.

        `conditioning` (J, B, W); `cycles` (B, J + 1); `random` (B, J · hold) within 0 … 1; `temperature` (B,): 0 takes the likeliest code.
        """
        frames, count, hold = len(conditioning), len(lanes), self.config.hold
        shapes = conditioning.shape, cycles.shape, random.shape
        if shapes != ((frames, count, self.config.conditioning), (count, frames + 1), (count, frames * hold)):
            raise ValueError(f"conditioning, cycles and random {shapes} do not fit {count} lanes")
        waves = torch.from_numpy(cycles)
        with torch.no_grad():
            clock = self.excitation.clocked(waves).numpy()
        reach, shares = (part.numpy() for part in taps(periods(waves, hold)))
        drawn = np.empty(random.shape, dtype=np.int64)
        scale = (1.0 / np.maximum(temperature, 1e-4)).astype(np.float32)
        told = np.ascontiguousarray(conditioning.transpose(1, 0, 2), dtype=np.float32)
        numbers = np.ascontiguousarray(random, dtype=np.float32)
        _play(
            lanes.codes, lanes.state, lanes.logits, lanes.past, lanes.position, clock, reach, shares, self.table, told, numbers, scale,
            hold, drawn, *self.weights,
        )  # fmt: skip
        lanes.position += random.shape[1]
        return drawn


def _array(part: Tensor) -> np.ndarray:
    return np.ascontiguousarray(part.detach().numpy(), dtype=np.float32)


@compiled
def _play(
    codes: np.ndarray, states: np.ndarray, kept: np.ndarray, pasts: np.ndarray, position: int, clock: np.ndarray, reach: np.ndarray,
    shares: np.ndarray, table: np.ndarray, conditioning: np.ndarray, random: np.ndarray, scales: np.ndarray, hold: int, drawn: np.ndarray,
    values: np.ndarray, recurrent: np.ndarray, recurrent_bias: np.ndarray, telling: np.ndarray, telling_bias: np.ndarray, told: np.ndarray,
    told_bias: np.ndarray, heard: np.ndarray, hidden: np.ndarray, hidden_bias: np.ndarray, head: np.ndarray, head_bias: np.ndarray,
    lags: np.ndarray,
) -> None:  # fmt: skip
    """All lanes, sample by sample."""
    N, G, W, V, H, U = codes.shape[1], states.shape[1], conditioning.shape[2], len(values), len(hidden_bias), told.shape[0]
    one, zero = np.float32(1.0), np.float32(0.0)
    inputs = np.empty(N + W + G, np.float32)
    made, said = np.empty(4 * G, np.float32), np.empty(N * U, np.float32)
    first, second, weights = np.empty(H, np.float32), np.empty(H, np.float32), np.empty(V, np.float32)
    active, levels = np.empty(H + 4, np.float32), np.zeros(H + 4, np.int64)
    last = np.empty(random.shape[1] + N, np.int64)
    for lane in range(codes.shape[0]):
        state, logits, past = states[lane], kept[lane], pasts[lane]
        last[:N] = codes[lane]
        for sample in range(random.shape[1]):
            place = sample % N
            if place == 0:
                for i in range(N):
                    inputs[i] = values[last[sample + i]]
                inputs[N : N + W] = conditioning[lane, sample // hold]
                inputs[N + W :] = state
                made[:] = recurrent_bias
                for i in range(0, N + W + G, 4):
                    a, b, c, d = inputs[i], inputs[i + 1], inputs[i + 2], inputs[i + 3]
                    for o in range(4 * G):
                        made[o] += a * recurrent[i, o] + b * recurrent[i + 1, o] + c * recurrent[i + 2, o] + d * recurrent[i + 3, o]
                for o in range(G):
                    reset, keep = one / (one + math.exp(-made[o])), one / (one + math.exp(-made[G + o]))
                    new = math.tanh(made[2 * G + o] + reset * made[3 * G + o])
                    state[o] = (one - keep) * new + keep * state[o]
                said[:] = telling_bias
                for i in range(0, G, 4):
                    a, b, c, d = state[i], state[i + 1], state[i + 2], state[i + 3]
                    for o in range(N * U):
                        said[o] += a * telling[i, o] + b * telling[i + 1, o] + c * telling[i + 2, o] + d * telling[i + 3, o]
            for o in range(H):
                first[o] = told_bias[o] + clock[lane, sample, o]
            for back in range(lags.shape[0]):
                begin = position + sample - reach[lane, sample // hold, back] + len(past)
                ago = zero
                for tap in range(shares.shape[3]):
                    ago += past[(begin + tap) % len(past)] * shares[lane, sample // hold, back, tap]
                size = np.float32(math.log1p((V - 1) * abs(ago)) / math.log(V))
                ago = -size if ago < zero else size
                for o in range(H):
                    first[o] += ago * lags[back, o]
            for i in range(0, U, 4):
                at = place * U + i
                a, b, c, d = said[at], said[at + 1], said[at + 2], said[at + 3]
                for o in range(H):
                    first[o] += a * told[i, o] + b * told[i + 1, o] + c * told[i + 2, o] + d * told[i + 3, o]
            for i in range(0, N, 4):
                at = sample + i
                j, k, m, n = last[at], last[at + 1], last[at + 2], last[at + 3]
                for o in range(H):
                    first[o] += heard[i, j, o] + heard[i + 1, k, o] + heard[i + 2, m, o] + heard[i + 3, n, o]
            second[:] = hidden_bias
            count = 0
            for i in range(H):
                if first[i] > zero:
                    active[count], levels[count] = first[i], i
                    count += 1
            active[count : count + 4] = zero
            for i in range(0, count, 4):
                a, b, c, d = active[i], active[i + 1], active[i + 2], active[i + 3]
                j, k, m, n = levels[i], levels[i + 1], levels[i + 2], levels[i + 3]
                for o in range(H):
                    second[o] += a * hidden[j, o] + b * hidden[k, o] + c * hidden[m, o] + d * hidden[n, o]
            logits[:] = head_bias
            count = 0
            for i in range(H):
                if second[i] > zero:
                    active[count], levels[count] = second[i], i
                    count += 1
            active[count : count + 4] = zero
            for i in range(0, count, 4):
                a, b, c, d = active[i], active[i + 1], active[i + 2], active[i + 3]
                j, k, m, n = levels[i], levels[i + 1], levels[i + 2], levels[i + 3]
                for o in range(V):
                    logits[o] += a * head[j, o] + b * head[k, o] + c * head[m, o] + d * head[n, o]
            top = logits[0]
            for o in range(V):
                top = max(top, logits[o])
            total = zero
            for o in range(V):
                weights[o] = math.exp((logits[o] - top) * scales[lane])
                total += weights[o]
            rest, code = random[lane, sample] * total, 0
            while code < V - 1 and rest >= weights[code]:
                rest -= weights[code]
                code += 1
            drawn[lane, sample] = last[sample + N] = code
            past[(position + sample) % len(past)] = table[code]
        codes[lane] = last[len(last) - N :]
