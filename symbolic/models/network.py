"""The Transformer-XL: token and beat embeddings, pre-norm blocks with relative attention, memory from segment to segment.

Shapes: B batch, T tokens, M memory length, C hidden width, H heads, D = C / H, V vocabulary size.
Source: Dai et al., "Transformer-XL" (2019), and the beat embedding of musicautobot (Shaw 2019). Different on purpose:
layer normalisation before each part, a window that slides with every query (see `attention`), memory as keys and values instead of
hidden states, beats from the meter instead of a fixed grid, each token told of the few before it, as by the convolutions of Primer
(So et al. 2021), but at the input only: what follows a note of the past is found by one attention instead of two; and of what
followed when the last few stood before (see `echoes`).
"""

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from symbolic.models.attention import relative_attention, sinusoids, window_mask
from symbolic.models.dropout import Dropout
from symbolic.models.echoes import NONE, echoes
from symbolic.models.memory import DecodingState, Memory
from symbolic.models.recomputing import gelu_linear, normed_linear


@dataclass
class NetworkOutput:
    """logits (B, T, V); the memory to hand to the next segment; the mean loss in nats when labels were given; the cache of `generate`."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    memory: Memory | None = None
    past_key_values: DecodingState | None = None


class Embeddings(nn.Module):
    """Token plus beat (bar modulo a cycle, beat of the bar, grid step of the beat, each with its own table), plus the tokens before.

    The tokens before are the last few (`recent_tokens` of the configuration) and the `echoes` of `echo_lengths`, a matrix for each.
    R ids before a token are looked at: `echo_reach`, or without echoes `recent_tokens`. The oldest models have neither.
    """

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.token = nn.Embedding(config.vocab_size, config.hidden_size)
        self.bar = nn.Embedding(config.bar_cycle, config.hidden_size)
        self.beat = nn.Embedding(config.beats_per_bar, config.hidden_size)
        self.subdivision = nn.Embedding(config.positions_per_beat, config.hidden_size)
        self.bar_cycle = config.bar_cycle
        self.recent_tokens = getattr(config, "recent_tokens", 0)
        self.echo_lengths = tuple(getattr(config, "echo_lengths", ()))
        self.reach = config.echo_reach if self.echo_lengths else self.recent_tokens
        if self.recent_tokens:
            self.recent = nn.Linear(self.recent_tokens * config.hidden_size, config.hidden_size, bias=False)
        if self.echo_lengths:
            self.echo = nn.Linear(len(self.echo_lengths) * config.hidden_size, config.hidden_size, bias=False)

    def forward(self, ids: Tensor, beats: Tensor, ages: Tensor) -> Tensor:
        """ids (B, R + T), R of them from before; beats (B, T, 3) as (bar, beat, subdivision); ages (B, T) → (B, T, C)."""
        T = ages.shape[1]
        tokens = self.token(ids[:, self.reach - self.recent_tokens :])
        bar, beat, subdivision = beats.unbind(-1)
        states = tokens[:, self.recent_tokens :] + self.bar(bar % self.bar_cycle) + self.beat(beat) + self.subdivision(subdivision)
        if self.recent_tokens:
            lags = range(self.recent_tokens, 0, -1)
            before = [tokens[:, start : start + T] * (ages >= lag)[..., None] for start, lag in enumerate(lags)]
            states = states + self.recent(torch.cat(before, dim=-1))
        if self.echo_lengths:
            told = echoes(ids, ages, self.echo_lengths)
            states = states + self.echo((self.token(told.clamp(min=0)) * (told != NONE)[..., None]).flatten(-2))
        return states

    def before_tables(self) -> list[Tensor]:
        """What each token before adds: tables (V, C), for the last few of the farthest lag first, then for the echo of each length."""
        layers = [getattr(self, name).weight for name in ("recent", "echo") if hasattr(self, name)]
        return [self.token.weight @ part.T for weight in layers for part in weight.split(self.token.embedding_dim, dim=1)]


class RelativeAttention(nn.Module):
    """Multi-head attention over memory and segment with the two learned biases of Transformer-XL."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.heads, self.memory_length = config.num_attention_heads, config.memory_length
        self.width = config.hidden_size // self.heads
        self.query = nn.Linear(config.hidden_size, config.hidden_size, bias=False)
        self.key_value = nn.Linear(config.hidden_size, 2 * config.hidden_size, bias=False)
        self.relative = nn.Linear(config.hidden_size, config.hidden_size, bias=False)
        self.output = nn.Linear(config.hidden_size, config.hidden_size, bias=False)
        self.content_bias = nn.Parameter(torch.zeros(self.heads, self.width))
        self.position_bias = nn.Parameter(torch.zeros(self.heads, self.width))

    def forward(
        self, segment: Tensor, past: tuple[Tensor, Tensor], norm: nn.LayerNorm, positions: Tensor, hidden: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """segment (B, T, C), before `norm`, attends to itself and to keys and values of memory, (H, B, M, D) each.

        positions (M + 1, C), row c for distance M − c. Gives besides the result the keys and values of the next memory.
        """
        B, T, C = segment.shape
        scale = self.width**-0.5
        present = normed_linear(segment, norm, (self.query.weight * scale, self.key_value.weight))
        queries, key, value = present.unflatten(-1, (3, self.heads, self.width)).permute(2, 3, 0, 1, 4).unbind()  # (H, B, T, D)
        relative = self.relative_keys(positions).to(queries.dtype)
        attended, keys, values = relative_attention(
            queries, key, value, past, relative, self.content_bias * scale, self.position_bias * scale, hidden
        )
        return self.output(attended.permute(1, 2, 0, 3).reshape(B, T, C)), keys, values

    def relative_keys(self, positions: Tensor) -> Tensor:
        """(n, C) → (H, n, D)."""
        return self.relative(positions).view(-1, self.heads, self.width).transpose(0, 1).contiguous()

    def step(self, segment: Tensor, keys: Tensor, values: Tensor, relative: Tensor, position: int, hidden: Tensor | None) -> Tensor:
        """One token (B, C) against the ring keys, values (B, H, M + 1, D), which take it in; relative as in `DecodingState`."""
        B, C = segment.shape
        size = keys.shape[2]
        query = self.query(segment).view(B, self.heads, 1, self.width) * self.width**-0.5
        key, value = self.key_value(segment).view(B, 2, self.heads, self.width).unbind(1)
        keys[:, :, position % size], values[:, :, position % size] = key, value
        begin = size - position % size
        content = query + (self.content_bias * self.width**-0.5)[None, :, None]
        place = query + (self.position_bias * self.width**-0.5)[None, :, None]
        scores = content @ keys.transpose(-1, -2) + place @ relative[:, begin : begin + size].transpose(-1, -2)
        if hidden is not None:
            scores = scores.masked_fill(hidden[:, None, None], float("-inf"))
        return self.output((torch.softmax(scores, dim=-1) @ values).reshape(B, C))


class Block(nn.Module):
    """x + attention(norm x), then x + feed-forward(norm x)."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.hidden_size)
        self.attention = RelativeAttention(config)
        self.feed_forward_norm = nn.LayerNorm(config.hidden_size)
        self.inner = nn.Linear(config.hidden_size, config.intermediate_size)
        self.outer = nn.Linear(config.intermediate_size, config.hidden_size)
        self.dropout = Dropout(config.dropout)

    def forward(
        self, segment: Tensor, past: tuple[Tensor, Tensor], positions: Tensor, hidden: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """segment (B, T, C) with the keys and values of memory, (H, B, M, D) each → (B, T, C), and those of the next memory."""
        attended, keys, values = self.attention(segment, past, self.attention_norm, positions, hidden)
        segment = segment + self.dropout(attended)
        return segment + self.dropout(self.feed_forward(segment)), keys, values

    def feed_forward(self, states: Tensor) -> Tensor:
        """The second half of the block, with its norm, before the residual sum."""
        return gelu_linear(normed_linear(states, self.feed_forward_norm, [self.inner.weight], self.inner.bias), self.outer)


class Network(nn.Module):
    """The network itself, all that is needed to predict and to generate; `TransformerXL` adds the manners of transformers.

    `config` has the fields of `TransformerXLConfig`. Made by `loading.load_network`, or as a `TransformerXL`.
    """

    config: Any

    def build(self, config: Any) -> None:
        """Make the layers."""
        self.embeddings = Embeddings(config)
        self.dropout = Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_hidden_layers))
        self.norm = nn.LayerNorm(config.hidden_size)
        self.head = nn.Linear(config.hidden_size, config.vocab_size)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.norm.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """The type of the weights."""
        return self.norm.weight.dtype

    def layers(self) -> list[Block]:
        """The blocks, from the first on."""
        return [cast("Block", block) for block in self.blocks]

    def empty_memory(self, batch: int) -> Memory:
        """A memory before the first token of a piece."""
        heads, width = self.config.num_attention_heads, self.config.hidden_size
        empty = torch.zeros(heads, batch, self.config.memory_length, width // heads, device=self.device, dtype=self.dtype)
        recent = torch.zeros(batch, self.embeddings.reach, device=self.device, dtype=torch.long)
        return Memory([empty] * len(self.blocks), [empty] * len(self.blocks), torch.full((batch,), -1, device=self.device), recent)

    def forward(
        self,
        input_ids: Tensor,
        beats: Tensor,
        memory: Memory | None = None,
        ages: Tensor | None = None,
        labels: Tensor | None = None,
        past_key_values: DecodingState | None = None,
        use_cache: bool = False,
    ) -> NetworkOutput:
        """Logits of the next token at every token.

        input_ids (B, T); beats (B, T, 3); memory from the segment before, or None at a beginning.
        ages (B, T): tokens of the same piece before each token; a token sees no further back, so several pieces may share a row
        (0 begins a piece, negative marks padding on the left). By default the piece in memory goes on.
        labels (B, T): the token to predict at each place (already shifted), −100 where none is.
        past_key_values: for `generate`, which asks for it by `use_cache` and hands it back with one token (B, 1).
        """
        if past_key_values is not None:
            logits = self.step(input_ids[:, 0], beats[:, 0], past_key_values)[:, None]
            return NetworkOutput(logits=logits, past_key_values=past_key_values)
        B, T = input_ids.shape
        M = self.config.memory_length
        memory = memory or self.empty_memory(B)
        if ages is None:
            ages = memory.ages[:, None] + 1 + torch.arange(T, device=input_ids.device)
        hidden = window_mask(ages, M)
        positions = self._positions(torch.arange(M, -1, -1, device=input_ids.device))
        ids = torch.cat((memory.recent, input_ids), dim=1)
        states = self.dropout(self.embeddings(ids, beats, ages))
        kept = Memory([], [], ages[:, -1], ids[:, T:])
        for block, *past in zip(self.layers(), memory.keys, memory.values, strict=True):
            states, keys, values = block(states, past, positions, hidden)
            kept.keys.append(keys)
            kept.values.append(values)
        logits = self.head(self.norm(states))
        loss = None
        if labels is not None:
            loss = functional.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), ignore_index=-100)
        state = self.decoding_state(kept) if use_cache else None
        return NetworkOutput(loss=loss, logits=logits, memory=kept, past_key_values=state)

    @torch.no_grad()
    def decoding_state(self, memory: Memory) -> DecodingState:
        """Keys and values of a memory, ready for `step`."""
        M = self.config.memory_length
        distances = torch.arange(2 * (M + 1), 0, -1, device=self.device) % (M + 1)
        positions = self._positions(distances)
        both = ([part.transpose(0, 1).to(self.dtype) for part in parts] for parts in (memory.keys, memory.values))  # autocast made them
        keys, values = ([functional.pad(part, (0, 0, 0, 1)) for part in parts] for parts in both)
        relative = [block.attention.relative_keys(positions) for block in self.layers()]
        return DecodingState(keys, values, relative, memory.ages.clone(), memory.recent, position=M)

    @torch.no_grad()
    def step(self, ids: Tensor, beats: Tensor, state: DecodingState) -> Tensor:
        """Logits (B, V) after one more token, ids (B,), beats (B, 3); `state` moves on in place."""
        size = self.config.memory_length + 1
        state.ages += 1
        hidden = None
        if bool((state.ages < size - 1).any()):
            distances = (state.position - torch.arange(size, device=ids.device)) % size
            hidden = distances > state.ages.clamp(min=0)[:, None]
        seen = torch.cat((state.recent, ids[:, None]), dim=1)
        states = self.embeddings(seen, beats[:, None], state.ages[:, None])[:, 0]
        state.recent = seen[:, 1:]
        for block, keys, values, relative in zip(self.layers(), state.keys, state.values, state.relative, strict=True):
            states = states + block.attention.step(block.attention_norm(states), keys, values, relative, state.position, hidden)
            states = states + block.feed_forward(states)
        state.position += 1
        return self.head(self.norm(states))

    def _positions(self, distances: Tensor) -> Tensor:
        return sinusoids(distances, self.config.hidden_size).to(self.dtype)
