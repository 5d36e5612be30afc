"""A WaveNet predicts from the past alone, plays sample by sample what it computes at once, and natively what it plays in PyTorch."""

import json

import numpy as np
import pytest
import torch
from torch.nn import functional

from symbolic.errors import InputError
from symbolic.models.wavenet import native_kernels
from symbolic.models.wavenet.autoencoder import Wavenet
from symbolic.models.wavenet.code_writer import CodeWriter
from symbolic.models.wavenet.conditioning import Conditioning, between_rows, drawn_out
from symbolic.models.wavenet.configuration import WavenetConfig, from_json, to_json
from symbolic.models.wavenet.decoder import bits_per_sample
from symbolic.models.wavenet.encoder import Encoder, Standardise
from symbolic.models.wavenet.excitation import counted, periods, taps
from symbolic.models.wavenet.native import NativeDecoder
from symbolic.models.wavenet.queues import TensorDecoder, draw
from symbolic.models.wavenet.sampling import Note, play_notes
from symbolic.models.wavenet.saving import load_wavenet, save_wavenet
from symbolic.models.wavenet.temporal_codes import CodedNote, blended, load_codes, save_codes, stretched, sustained

SMALL = {"channels": 32, "layers": 6, "cycle": 3, "code_samples": 128, "hold": 16, "conditioning": 32, "encoder_channels": 32}


def small_model(rounded: bool = False, **fields: int) -> Wavenet:
    """Random weights that make the codes differ in probability; `rounded` to bfloat16."""
    torch.manual_seed(0)
    model = Wavenet(WavenetConfig(**{**SMALL, **fields})).eval().requires_grad_(False)
    model.decoder.head.weight.mul_(20)
    for parameter in model.parameters():
        if parameter.ndim == 1:
            torch.nn.init.normal_(parameter, std=0.2)
        if rounded:
            parameter.copy_(parameter.bfloat16().float())
    return model


def random_notes(model: Wavenet, rows: int, frames: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """µ-law codes (B, T), conditioning (B, J, W) and cycles (B, J + 1)."""
    config, generator = model.config, torch.Generator().manual_seed(1)
    codes = torch.randint(0, config.levels, (rows, frames * config.code_samples), generator=generator)
    temporal = torch.rand(rows, frames, config.code_size, generator=generator) * 2 - 1
    pitch, velocity = torch.rand(rows, generator=generator) * 127, torch.rand(rows, generator=generator) * 127
    waves = torch.rand(rows, codes.shape[1] // config.hold, generator=generator, dtype=torch.float64) * 0.3 * config.hold
    return codes, model.conditioning(temporal, pitch, velocity), functional.pad(waves.cumsum(1), (1, 0))


def forced(decoder, model: Wavenet, codes: torch.Tensor, conditioning: torch.Tensor, cycles: torch.Tensor) -> torch.Tensor:
    """Logits of a native decoder with hold 1, fed with the codes given instead of those it draws."""
    rows, length = codes.shape
    lanes, made = decoder.lanes(rows), []
    for sample in range(length):
        if sample:
            lanes.codes[:] = codes[:, sample - 1]
        waves = cycles[:, sample : sample + 2].numpy()
        decoder.play(lanes, conditioning[None, :, sample].numpy(), waves, np.zeros((rows, 1), np.float32), np.ones(rows))
        made.append(lanes.buffers["logits"].reshape(rows, -1).copy())
    return torch.from_numpy(np.stack(made, 1))


def play_part(
    decoder, lanes, told: np.ndarray, cycles: torch.Tensor, numbers: np.ndarray, first: int, temperature: float, vectors: int = 8
) -> np.ndarray:
    """What a decoder plays of some conditioning vectors, of 16 samples each."""
    part = slice(first * 16, (first + vectors) * 16)
    waves = cycles[:, first : first + vectors + 1].numpy()
    return decoder.play(lanes, told[first : first + vectors], waves, numbers[:, part], np.full(len(numbers), temperature))


@pytest.mark.parametrize("shape", [{}, {"kernel": 2}, {"layers": 5, "channels": 64}])
def test_queues_equal_the_full_convolution(shape):
    """Sample by sample gives the logits of one pass, to 1e-5, with queues that go round many times."""
    model = small_model(**shape)
    codes, conditioning, cycles = random_notes(model, 3, 2)
    whole = model.decoder(codes, conditioning, cycles)
    assert whole.std() > 0.3
    decoder = TensorDecoder(model.decoder)
    lanes, made = decoder.lanes(3), []
    for sample in range(codes.shape[1]):
        if sample:
            lanes.codes = codes[:, sample - 1]
        biases = model.decoder.condition(conditioning[:, sample // model.config.hold]).chunk(model.config.layers, 1)
        clock, (reach, weights) = model.decoder.excitation.clocked(cycles), taps(periods(cycles, model.config.hold))
        vector = sample // model.config.hold
        made.append(decoder.step(lanes, biases, clock[:, sample], reach[:, vector], weights[:, vector]))
    torch.testing.assert_close(torch.stack(made, 1), whole, atol=1e-5, rtol=0)


def test_the_default_size_with_queues_equals_the_full_convolution():
    """64 channels by 30 layers: the last of 900 samples, to 1e-5."""
    torch.manual_seed(0)
    model = Wavenet(WavenetConfig()).eval().requires_grad_(False)
    model.decoder.head.weight.mul_(30)
    codes = torch.randint(0, 256, (1, 1024))
    conditioning = torch.tanh(torch.randn(1, 32, 64))
    cycles = torch.from_numpy(counted(69.0, 32, model.config))[None]
    decoder = NativeDecoder(model.decoder)
    lanes = decoder.lanes(1)
    numbers = np.random.default_rng(0).random((1, 1024), dtype=np.float32)
    codes = torch.from_numpy(decoder.play(lanes, conditioning.transpose(0, 1).numpy(), cycles.numpy(), numbers, np.ones(1)))
    whole = model.decoder(codes, conditioning, cycles)
    np.testing.assert_allclose(lanes.buffers["logits"], whole[0, -1], atol=1e-5)
    found = (torch.softmax(whole[0], -1).cumsum(-1) <= torch.from_numpy(numbers[0])[:, None]).sum(-1)
    assert (found == codes[0]).float().mean() > 0.998  # a number may lie between two sums that differ in the last digit


@pytest.mark.parametrize("rows", [1, 4, 7])
@pytest.mark.parametrize("shape", [{}, {"kernel": 2, "channels": 64}, {"channels": 96, "conditioning": 64}])
@pytest.mark.parametrize("rounded", [True, False])
def test_native_logits_equal_the_full_convolution(rows, shape, rounded):
    """Machine code, its weights in pairs of bfloat16 or in float32, gives the logits of one pass to 1e-5."""
    model = small_model(rounded, hold=1, code_samples=160, **shape)
    codes, conditioning, cycles = random_notes(model, rows, 1)
    native = NativeDecoder(model.decoder)
    assert native.kind == ("bfloat16" if rounded else "float32")
    made = forced(native, model, codes, conditioning, cycles)
    torch.testing.assert_close(made, model.decoder(codes, conditioning, cycles), atol=1e-5, rtol=0)


def test_native_code_for_a_processor_without_wide_vectors():
    """The same code for AVX2 alone, with panels of another layout, gives the logits of one pass to 1e-5."""
    model = small_model(True, hold=1, channels=64)
    codes, conditioning, cycles = random_notes(model, 3, 1)
    processor = native_kernels.processor_without_avx512()
    if processor is None:
        pytest.skip("this processor does not run code for AVX2")
    native = NativeDecoder(model.decoder, processor)
    assert native.shape.panel == 2
    torch.testing.assert_close(
        forced(native, model, codes, conditioning, cycles), model.decoder(codes, conditioning, cycles), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("temperature", [1.0, 0.6, 0.0])
def test_the_same_random_numbers_give_the_same_codes(temperature):
    """PyTorch and machine code draw what the probabilities of one pass say, sample for sample; temperature 0 takes the likeliest code."""
    model = small_model(True)
    _, conditioning, cycles = random_notes(model, 5, 4)
    told = conditioning.transpose(0, 1).contiguous().numpy()
    numbers = np.random.default_rng(0).random((5, 512), dtype=np.float32)
    made = []
    for decoder in (TensorDecoder(model.decoder), NativeDecoder(model.decoder)):
        lanes = decoder.lanes(5)
        parts = [play_part(decoder, lanes, told, cycles, numbers, j, temperature) for j in range(0, 32, 8)]
        made.append(np.concatenate(parts, 1))
    assert len(np.unique(made[0])) > (5 if temperature else 3)
    for codes in map(torch.from_numpy, made):
        logits = model.decoder(codes, conditioning, cycles)
        sums = functional.pad(torch.softmax(logits.double() / max(temperature, 1e-4), -1).cumsum(-1), (1, 0))
        below, above = (sums.gather(2, codes[..., None] + more)[..., 0].numpy() for more in (0, 1))
        if temperature:
            assert (below - 1e-4 < numbers).all()  # a number may lie between sums of another rounding
            assert (numbers < above + 1e-4).all()
        else:
            assert (logits.gather(2, codes[..., None])[..., 0] > logits.amax(-1) - 1e-4).all()
    assert (made[0] == made[1]).mean() > 0.5  # two codes that are as likely lead on different ways


def test_draws_follow_the_probabilities():
    """20,000 draws of one distribution come as often as it says, and numbers at both ends give codes that exist."""
    logits = torch.tensor([[0.0, 1.0, -1.0, 2.0, -100.0]])
    numbers = (torch.arange(20000) + 0.5) / 20000
    shares = torch.bincount(draw(logits.expand(20000, -1), numbers), minlength=5) / 20000
    torch.testing.assert_close(shares, torch.softmax(logits[0], -1), atol=1e-3, rtol=0)
    assert draw(logits, torch.tensor([0.0])).item() == 0
    assert draw(logits, torch.tensor([1.0])).item() == 4


def test_nothing_is_known_of_the_future():
    """The loss of one sample has no gradient from that code's embedding on, and its past begins where the receptive field says."""
    model = small_model()
    config = model.config
    codes = torch.arange(128)[None] % 128  # every code once, so that embeddings tell times apart
    conditioning, cycles = torch.zeros(1, 8, config.conditioning), torch.arange(9, dtype=torch.float64)[None] * 1.6  # 10 samples a wave
    embedding = model.decoder.embedding.requires_grad_()
    model.decoder(codes, conditioning, cycles)[0, 100].sum().backward()
    assert embedding.grad is not None
    heard = embedding.grad.abs().sum(1)[:128] > 0
    assert not heard[100:].any()
    assert heard[100 - config.receptive_field : 100].all()
    assert not heard[: 100 - config.receptive_field].any()
    assert config.receptive_field == 29
    assert WavenetConfig().receptive_field == 1 + (WavenetConfig().kernel - 1) * 3 * 1023


def test_notes_sound_the_same_alone_and_together():
    """20 notes of different lengths in few lanes, on one thread or two, equal each note alone bit for bit, and nearly all PyTorch's."""
    model = small_model(True)
    generator = torch.Generator().manual_seed(3)
    lengths = [0, 1, 127, 128, 129, 700, 1500, *range(40, 820, 60)]
    notes = [
        Note(torch.rand(1 + length // 128, 16, generator=generator) * 2 - 1, 40.5 + place, 100 - place, length, place)
        for place, length in enumerate(lengths)
    ]
    together = play_notes(model, notes)
    assert [len(part) for part in together] == lengths
    alike = 0
    for two, plain, alone, note in zip(
        play_notes(model, notes, threads=2), play_notes(model, notes, native=False), together, notes, strict=True
    ):
        np.testing.assert_array_equal(alone, play_notes(model, [note])[0])
        np.testing.assert_array_equal(two, alone)
        alike += np.array_equal(plain, alone)
    assert alike > 0.8 * len(notes)  # where a random number lies between sums of another rounding, ways part


def test_notes_of_one_random_seed_draw_alike():
    """The same note with the same random seed is the same, with another one another."""
    model = small_model()
    notes = [Note(torch.zeros(4, 16), 60, 64, 300, seed) for seed in (1, 1, 2)]
    first, same, other = play_notes(model, notes)
    np.testing.assert_array_equal(first, same)
    assert (first != other).any()


def test_long_notes_are_conditioned_piece_by_piece():
    """A note of many pieces, its pitch bent all the way, is conditioned as in one go, and counted as it is made."""
    model = small_model(code_samples=32)
    codes = torch.rand(75, 16, generator=torch.Generator().manual_seed(0))
    bend = torch.linspace(40, 60, 150)
    done: list[int] = []
    made = play_notes(model, [Note(codes, bend, 64, 2390)], progress=done.append)[0]
    assert sum(done) == 2390
    assert len(done) > 10
    decoder = TensorDecoder(model.decoder)
    lanes = decoder.lanes(1)
    told = model.conditioning(codes[None], bend[None], torch.tensor([64.0])).transpose(0, 1).contiguous().numpy()
    random = np.random.default_rng([11, 0])
    waves = counted(bend.numpy(), 150, model.config, random.random())[None]
    numbers = random.random((1, 2400), dtype=np.float32)
    np.testing.assert_array_equal(decoder.play(lanes, told, waves, numbers, np.ones(1))[0, :2390], made)


def test_what_no_note_can_be_is_refused():
    """A temperature below 0 and codes of another width."""
    model = small_model()
    with pytest.raises(ValueError, match="temperature is -1"):
        play_notes(model, [], temperature=-1)
    with pytest.raises(ValueError, match="this model wants"):
        play_notes(model, [Note(torch.zeros(3, 8), 60, 64, 100)])
    assert play_notes(model, []) == []
    assert not Wavenet(WavenetConfig(**SMALL)).double().fits_native()


def test_codes_are_drawn_out_on_straight_lines():
    """A ramp of codes becomes a ramp between the middles of the first and the last, and pieces equal the whole."""
    ramp = torch.arange(5.0)[None, :, None]
    drawn = drawn_out(ramp, 4)[0, :, 0]
    torch.testing.assert_close(drawn[2:18], torch.arange(16) / 4 + 0.125)
    assert (drawn[:2] == 0).all()
    assert (drawn[18:] == 4).all()
    odd = drawn_out(torch.rand(1, 9, 3), 5)
    assert odd.shape == (1, 45, 3)


def test_pitches_between_two_rows():
    """Half a semitone lies half way; beyond the table its ends count."""
    table = torch.tensor([[0.0], [10.0], [30.0]])
    torch.testing.assert_close(
        between_rows(table, torch.tensor([0.0, 0.5, 1.75, 2.0, 9.0, -3.0]))[:, 0], torch.tensor([0.0, 5, 25, 30, 30, 0])
    )
    conditioning = Conditioning(WavenetConfig(**SMALL))
    codes = torch.zeros(1, 2, 16)
    a, b = (conditioning(codes, torch.tensor([pitch]), torch.tensor([64.0])) for pitch in (60.0, 61.0))
    assert (a - b).abs().max() > 0.01


def test_the_encoder_hears_loudness_and_place():
    """Codes differ between soft and loud, and change only near where the sound changes."""
    torch.manual_seed(0)
    encoder = Encoder(WavenetConfig(encoder_layers=1)).eval()
    sound = torch.sin(torch.arange(16 * 512) * 0.1)[None]
    codes = encoder(sound)
    assert codes.shape == (1, 16, 16)
    assert (encoder(0.1 * sound) - codes).abs().max() > 0.01
    changed = sound.clone()
    changed[:, 8 * 512 :] = 0
    apart = (encoder(changed) - codes).abs().amax(-1)[0] > 1e-6
    assert apart[8:].all()
    assert not apart[: 8 - encoder.margin].any()
    margin = encoder.margin
    torch.testing.assert_close(encoder(sound[:, 512 * 2 : 512 * 14])[:, margin:-margin], codes[:, 2 + margin : 14 - margin])
    with pytest.raises(ValueError, match="no whole number of codes"):
        encoder(sound[:, :100])


def test_codes_are_standardised():
    """At first over the batch; afterwards as the batches were, one by one, so that a code does not depend on the others."""
    standard = Standardise(3)
    spread, middle = torch.tensor([1.0, 5.0, 0.2]), torch.tensor([0.0, 7.0, -2.0])
    for step in range(100):
        x = torch.randn(4, 50, 3, generator=torch.Generator().manual_seed(step)) * spread + middle
        even = standard(x)
        torch.testing.assert_close(even.mean((0, 1)), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(even.std((0, 1)), torch.ones(3), atol=0.03, rtol=0)
    standard.eval()
    torch.testing.assert_close(standard(middle + spread), torch.ones(3), atol=0.05, rtol=0)
    torch.testing.assert_close(standard(x)[1, 7], standard(x[1, 7]))


def test_the_writer_makes_a_code_for_each_piece_of_a_note():
    """As many codes as the longest note needs; a note's codes do not depend on the others."""
    torch.manual_seed(0)
    writer = CodeWriter(WavenetConfig())
    both = writer(torch.tensor([60.0, 72.0]), torch.tensor([30.0, 90.0]), torch.tensor([1000, 5000]))
    assert both.shape == (2, 10, 16)
    torch.testing.assert_close(both[1:], writer(torch.tensor([72.0]), torch.tensor([90.0]), torch.tensor([5000])))
    assert (both[1, 0] - both[1, 9]).abs().max() > 1e-3
    longer = writer(torch.tensor([72.0]), torch.tensor([90.0]), torch.tensor([9000]))
    assert (both[1, 9] - longer[0, 9]).abs().max() > 1e-3  # where a note ends is known


def test_stretching_and_blending_codes():
    """Ends stay where they are, a straight line stays one, a blend of halves is the mean."""
    line = torch.arange(5.0)[:, None]
    torch.testing.assert_close(stretched(line, 9)[:, 0], torch.arange(9) / 2)
    torch.testing.assert_close(stretched(line, 1), line[:1])
    held = sustained(torch.arange(20.0)[:, None], 40)[:, 0]
    assert len(held) == 40
    torch.testing.assert_close(held[:4], torch.arange(4.0))
    torch.testing.assert_close(held[-4:], torch.arange(16.0, 20.0))
    torch.testing.assert_close(blended(line, torch.zeros(9, 1), 0.5)[:, 0], torch.arange(9) / 4)
    with pytest.raises(ValueError, match="at least 1"):
        stretched(line, 0)


def test_bits_of_a_uniform_guess():
    """256 equal chances cost 8 bits; samples that are not counted cost nothing."""
    codes = torch.randint(0, 256, (2, 50))
    assert bits_per_sample(torch.zeros(2, 50, 256), codes).item() == pytest.approx(8.0, abs=1e-5)
    logits = torch.zeros(2, 50, 256)
    logits[:, :25].scatter_(2, codes[:, :25, None], 100.0)
    counted = torch.arange(50).expand(2, -1) < 25
    assert bits_per_sample(logits, codes, counted).item() == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize("rounded", [True, False])
def test_saved_and_loaded(tmp_path, rounded):
    """A folder gives back the model, exactly or rounded to bfloat16."""
    model = small_model()
    save_wavenet(model, tmp_path / "voice", rounded=rounded)
    loaded = load_wavenet(tmp_path / "voice")
    for name, value in model.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], value.bfloat16().float() if rounded else value, atol=0, rtol=0)
    with pytest.raises(InputError, match="exists already"):
        save_wavenet(model, tmp_path / "voice")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"version": 1}, "version 1, this program reads version 2"),
        ({"kind": "other"}, "kind 'other'"),
        ({"channels": 33}, "multiple of 32"),
        ({"channels": "many"}, "'many'"),
        ({"extra": 1}, "differ from those wanted in extra"),
        ({"layers": 7}, "weights cannot be loaded"),
    ],
)
def test_a_voice_that_cannot_be_read_is_refused_in_one_line(tmp_path, change, told):
    """Another version, another kind, shapes that do not fit: one line with the file and the reason."""
    folder = tmp_path / "voice"
    save_wavenet(small_model(), folder)
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(content | change))
    with pytest.raises(InputError, match=told) as caught:
        load_wavenet(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


def test_folders_that_hold_no_voice(tmp_path):
    """Missing files, text that is no JSON, weights cut short."""
    with pytest.raises(InputError, match=r"no config\.json"):
        load_wavenet(tmp_path / "nowhere")
    folder = tmp_path / "voice"
    save_wavenet(small_model(), folder)
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="is the file whole"):
        load_wavenet(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(InputError, match="no WaveNet or SampleRNN voice"):
        load_wavenet(folder)
    assert from_json(to_json(WavenetConfig(**SMALL)), WavenetConfig) == WavenetConfig(**SMALL)


def test_codes_in_a_file(tmp_path):
    """Codes come back as they were; those of another model, and files that are none, are refused in one line."""
    model = small_model()
    note = CodedNote(torch.rand(7, 16), 60.25, 99.0, 890)
    path = tmp_path / "note.safetensors"
    save_codes(note, model, path)
    back = load_codes(path, model)
    assert (back.pitch, back.velocity, back.samples) == (60.25, 99.0, 890)
    torch.testing.assert_close(back.codes, note.codes)
    load_codes(path, small_model(rounded=True))
    torch.manual_seed(5)
    with pytest.raises(InputError, match="made by another model"):
        load_codes(path, Wavenet(WavenetConfig(**SMALL)))
    path.write_bytes(b"RIFF of something else")
    with pytest.raises(InputError, match="not a file of temporal codes"):
        load_codes(path, model)
    with pytest.raises(InputError, match="no such file"):
        load_codes(tmp_path / "none.safetensors", model)


@pytest.mark.parametrize(
    "fields", [{"channels": 48}, {"kernel": 1}, {"levels": 100}, {"hold": 33}, {"layers": 0}, {"layers": 2.0}, {"conditioning": 16}]
)
def test_shapes_that_do_not_fit(fields):
    """Each is refused with its name and value."""
    name, value = next(iter(fields.items()))
    with pytest.raises(InputError, match=rf"{name}.*{value}"):
        WavenetConfig(**fields)


def test_codes_in_training_do_not_depend_on_the_notes_beside():
    """A batch holds few notes: a row comes out as it does later, whatever stands beside it, and gradients still see the batch."""
    torch.manual_seed(0)
    standard = Standardise(4)
    for _ in range(600):
        standard(3 + 2 * torch.randn(2, 1, 4) + 0.5 * torch.randn(2, 12, 4))
    row = 3 + torch.randn(1, 12, 4)
    beside = [torch.cat([row, other]) for other in (3 + 0.1 * torch.randn(1, 12, 4), 6 + torch.randn(1, 12, 4))]
    first, second = (standard(batch)[0] for batch in beside)
    later = standard.eval()(row)[0]
    assert (first - second).abs().max() < 0.1
    assert (first - later).abs().max() < 0.1
    standard.train()
    given = beside[0].clone().requires_grad_()
    standard(given)[..., 0].sum().backward()
    assert given.grad is not None
    assert float(given.grad.sum().abs()) < 1e-4  # a batch moved as a whole stays where it is
