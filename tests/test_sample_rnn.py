"""A SampleRNN predicts from the past alone, plays sample by sample what it computes at once, and learns and plays as a WaveNet does."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml
from torch.nn import functional

from symbolic.cli import main
from symbolic.errors import InputError
from symbolic.models.sample_rnn.autoencoder import SampleRnn
from symbolic.models.sample_rnn.configuration import SampleRnnConfig
from symbolic.models.sample_rnn.native import NativeDecoder
from symbolic.models.sample_rnn.stepping import TensorDecoder
from symbolic.models.wavenet.autoencoder import Wavenet
from symbolic.models.wavenet.configuration import WavenetConfig
from symbolic.models.wavenet.excitation import periods, taps
from symbolic.models.wavenet.sampling import Note, play_notes
from symbolic.models.wavenet.saving import load_wavenet, save_wavenet
from symbolic.rendering.wavenet_voice import WavenetVoice
from symbolic.settings import load_settings, to_mapping
from symbolic.training.autoencoder import score_notes
from symbolic.training.sample_rnn import SampleRnnSettings, train_sample_rnn
from symbolic.training.wavenet_notes import RecordedNote

SHARED = {"code_samples": 128, "hold": 16, "conditioning": 32, "encoder_channels": 16}
SMALL = {"frame": 8, "recurrent": 32, "told": 16, "embedding": 8, "hidden": 32, **SHARED}
TINY = SampleRnnConfig(**SMALL)
QUICK = SampleRnnSettings(
    sample_rnn=TINY, steps=8, lanes=3, frames=6, warmup_steps=4, warmup_samples=64, learning_rate=0.01, average=0.9, evaluate_every=4,
    evaluation_notes=1, checkpoint_every=4, precision="float32",
)  # fmt: skip


def small_model(rounded: bool = False, **fields: int) -> SampleRnn:
    """Random weights that make the codes differ in probability; `rounded` to bfloat16."""
    torch.manual_seed(0)
    model = SampleRnn(SampleRnnConfig(**{**SMALL, **fields})).eval().requires_grad_(False)
    model.decoder.head.weight.mul_(20)
    model.decoder.telling.weight.mul_(4)
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1 or "weight_hh" in name:
            torch.nn.init.normal_(parameter, std=0.2)
        if rounded:
            parameter.copy_(parameter.bfloat16().float())
    return model


def random_notes(model: SampleRnn, rows: int, frames: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """µ-law codes (B, T), conditioning (B, J, W) and cycles (B, J + 1)."""
    config, generator = model.config, torch.Generator().manual_seed(1)
    codes = torch.randint(0, config.levels, (rows, frames * config.code_samples), generator=generator)
    temporal = torch.rand(rows, frames, config.code_size, generator=generator) * 2 - 1
    pitch, velocity = torch.rand(rows, generator=generator) * 127, torch.rand(rows, generator=generator) * 127
    waves = torch.rand(rows, codes.shape[1] // config.hold, generator=generator, dtype=torch.float64) * 0.3 * config.hold
    return codes, model.conditioning(temporal, pitch, velocity), functional.pad(waves.cumsum(1), (1, 0))


def play_part(
    decoder, lanes, told: np.ndarray, cycles: torch.Tensor, numbers: np.ndarray, first: int, temperature: float, vectors: int = 8
) -> np.ndarray:
    """What a decoder plays of some conditioning vectors, of 16 samples each."""
    part = slice(first * 16, (first + vectors) * 16)
    waves = cycles[:, first : first + vectors + 1].numpy()
    return decoder.play(lanes, told[first : first + vectors], waves, numbers[:, part], np.full(len(numbers), temperature))


@pytest.mark.parametrize("shape", [{}, {"frame": 16, "hidden": 48}, {"frame": 4, "recurrent": 48, "hold": 32}])
def test_sample_by_sample_equals_teacher_forcing(shape):
    """Step by step gives the logits of one pass, to 1e-5, in every place of a frame and over many frames."""
    model = small_model(**shape)
    codes, conditioning, cycles = random_notes(model, 3, 2)
    whole = model.decoder(codes, conditioning, cycles)
    assert whole.std() > 0.3
    decoder, N = TensorDecoder(model.decoder), model.config.frame
    lanes, made, told = decoder.lanes(3), [], torch.empty(0)
    for sample in range(codes.shape[1]):
        if sample % N == 0:
            told = decoder.tell(lanes, conditioning[:, sample // model.config.hold])
        vector, excitation = sample // model.config.hold, model.decoder.excitation
        reach, weights = (part[:, vector] for part in taps(periods(cycles, model.config.hold)))
        added = excitation.clocked(cycles)[:, sample] + excitation.ago(lanes.past, lanes.position, reach, weights)
        made.append(decoder.step(lanes, told[:, sample % N] + added))
        decoder.join(lanes, codes[:, sample])
    torch.testing.assert_close(torch.stack(made, 1), whole, atol=1e-5, rtol=0)


@pytest.mark.parametrize("fields", [{}, {"frame": 16, "recurrent": 256, "told": 32, "embedding": 32, "hidden": 128, "hold": 32}])
@pytest.mark.parametrize("rounded", [True, False])
def test_compiled_logits_equal_teacher_forcing(fields, rounded):
    """The compiled loop's logits at the end of each conditioning vector are those of one pass over what it drew, to 1e-5."""
    model = small_model(rounded, **fields)
    _, conditioning, cycles = random_notes(model, 3, 4)
    decoder, hold = NativeDecoder(model.decoder), model.config.hold
    lanes, made, codes = decoder.lanes(3), [], []
    numbers = np.random.default_rng(0).random((3, 512), dtype=np.float32)
    for j in range(512 // hold):
        vector = conditioning[:, j : j + 1].transpose(0, 1).numpy()
        codes.append(decoder.play(lanes, vector, cycles[:, j : j + 2].numpy(), numbers[:, j * hold : (j + 1) * hold], np.ones(3)))
        made.append(lanes.logits.copy())
    drawn = torch.from_numpy(np.concatenate(codes, 1))
    whole = model.decoder(drawn, conditioning, cycles)
    torch.testing.assert_close(torch.from_numpy(np.stack(made, 1)), whole[:, hold - 1 :: hold], atol=1e-5, rtol=0)
    found = (torch.softmax(whole, -1).cumsum(-1) <= torch.from_numpy(numbers)[..., None]).sum(-1)
    assert (found == drawn).float().mean() > 0.998  # a number may lie between two sums that differ in the last digit


@pytest.mark.parametrize("temperature", [1.0, 0.6, 0.0])
def test_the_same_random_numbers_give_the_same_codes(temperature):
    """PyTorch and the compiled loop draw the same sample for sample; temperature 0 takes the likeliest code."""
    model = small_model()
    _, conditioning, cycles = random_notes(model, 5, 4)
    told = conditioning.transpose(0, 1).contiguous().numpy()
    numbers = np.random.default_rng(0).random((5, 512), dtype=np.float32)
    made = []
    for decoder in (TensorDecoder(model.decoder), NativeDecoder(model.decoder)):
        lanes = decoder.lanes(5)
        parts = [play_part(decoder, lanes, told, cycles, numbers, j, temperature) for j in range(0, 32, 8)]
        made.append(np.concatenate(parts, 1))
    np.testing.assert_array_equal(made[0], made[1])
    if temperature:
        assert len(np.unique(made[0])) > 5
    else:
        drawn = torch.from_numpy(made[0])
        whole = model.decoder(drawn, conditioning, cycles)
        assert (whole.gather(2, drawn[..., None])[..., 0] > whole.amax(-1) - 0.001).all()  # of two that are so near either is right


def test_nothing_is_known_of_the_future():
    """Gradients: a sample sees the codes of the last frame's length one by one, those up to its own frame through memory, and no others."""
    model = small_model(frame=16)
    decoder = model.decoder
    codes = torch.arange(128)[None]  # every code once, so that embeddings and values tell times apart
    conditioning = torch.zeros(1, 8, 32, requires_grad=True)
    embedding = decoder.embedding.requires_grad_()
    decoder.values = decoder.values.clone().requires_grad_()
    cycles = torch.arange(9, dtype=torch.float64)[None]
    decoder(codes, conditioning, cycles)[0, 100].sum().backward()
    seen, remembered = embedding.grad.abs().sum(1)[:128] > 0, decoder.values.grad[:128].abs() > 0
    assert seen.nonzero().flatten().tolist() == list(range(84, 100))
    assert remembered.nonzero().flatten().tolist() == list(range(96))
    assert (conditioning.grad[0].abs().sum(1) > 0).tolist() == [True] * 7 + [False]


def test_notes_sound_the_same_alone_and_together():
    """Notes of different lengths in few lanes, on one thread or two, equal each note alone bit for bit, and PyTorch's."""
    model = small_model(True)
    generator = torch.Generator().manual_seed(3)
    lengths = [0, 1, 127, 128, 129, 700, 1500, *range(40, 820, 60)]
    notes = [
        Note(torch.rand(1 + length // 128, 16, generator=generator) * 2 - 1, 40.5 + place, 100 - place, length, place)
        for place, length in enumerate(lengths)
    ]
    together = play_notes(model, notes)
    assert [len(part) for part in together] == lengths
    two, plain = play_notes(model, notes, threads=2), play_notes(model, notes, native=False)
    for place, alone in enumerate(together):
        np.testing.assert_array_equal(alone, play_notes(model, [notes[place]])[0])
        np.testing.assert_array_equal(two[place], alone)
        np.testing.assert_array_equal(plain[place], alone)


def test_lanes_that_do_not_fit_are_refused():
    """Conditioning and random numbers of other lanes than there are never reach the compiled loop."""
    decoder = NativeDecoder(small_model().decoder)
    shapes = ((4, 3, 32), (2, 5), (2, 64)), ((4, 2, 32), (2, 5), (2, 60)), ((4, 2, 16), (2, 5), (2, 64)), ((4, 2, 32), (2, 4), (2, 64))
    for vectors, cycles, numbers in shapes:
        with pytest.raises(ValueError, match="do not fit 2 lanes"):
            decoder.play(decoder.lanes(2), np.zeros(vectors, np.float32), np.zeros(cycles), np.zeros(numbers, np.float32), np.ones(2))


def test_a_voice_on_disk(tmp_path):
    """A folder gives back the model, and a voice from it plays notes; config.json says what it is."""
    model = small_model(True)
    save_wavenet(model, tmp_path / "voice", rounded=True)
    loaded = load_wavenet(tmp_path / "voice")
    assert isinstance(loaded, SampleRnn)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], value, atol=0, rtol=0)
    assert json.loads((tmp_path / "voice" / "config.json").read_text())["kind"] == "symbolic-sample-rnn"
    sounds = WavenetVoice(tmp_path / "voice").render([(60.0, 90, 900), (64.5, 40, 1300), (60.0, 90, 900)])
    assert [len(sound) for sound in sounds] == [900, 1300, 900]
    np.testing.assert_array_equal(sounds[0], sounds[2])
    assert sounds[1].std() > 0.01
    content = json.loads((tmp_path / "voice" / "config.json").read_text())
    (tmp_path / "voice" / "config.json").write_text(json.dumps(content | {"kind": "symbolic-wavenet"}))
    with pytest.raises(InputError, match="its settings differ from those wanted in channels"):
        load_wavenet(tmp_path / "voice")


def tone(pitch: float, seconds: float) -> np.ndarray:
    """A note with two partials that dies away."""
    time = np.arange(round(16000 * seconds)) / 16000
    hertz = 440 * 2 ** ((pitch - 69) / 12)
    wave = np.sin(2 * np.pi * hertz * time) + 0.3 * np.sin(4 * np.pi * hertz * time)
    return (0.5 * wave * np.exp(-3 * time)).astype(np.float32)


@pytest.fixture(scope="module")
def notes() -> list[RecordedNote]:
    return [RecordedNote(tone(pitch, 0.14 + 0.001 * pitch), pitch, 40 + pitch / 2, pitch % 5 == 0, str(pitch)) for pitch in range(60, 76)]


@pytest.fixture(scope="module")
def trained(notes, tmp_path_factory) -> tuple[Path, dict]:
    folder = tmp_path_factory.mktemp("sample-rnn") / "voice"
    return folder, train_sample_rnn(notes, folder, replace(QUICK, steps=40, evaluate_every=10))


def test_it_learns(trained, notes):
    """Held-out notes, 8 bits a sample for a guess, cost far less; what was best is kept and costs as much as is said; it plays."""
    folder, facts = trained
    lines = [json.loads(line) for line in (folder / "training" / "metrics.jsonl").read_text().splitlines()]
    costs = [line["held_out"]["bits_per_sample"] for line in lines if "held_out" in line]
    assert costs[-1] < costs[0] < 8
    assert min(costs) < 6
    assert facts["kind"] == json.loads((folder / "voice.json").read_text())["kind"] == "sample-rnn"
    assert facts["held_out"]["loss"] == pytest.approx(min(costs), abs=1e-4)
    held_out = [note for note in notes if note.held_out]
    model = load_wavenet(folder)
    assert score_notes(model, held_out[:: len(held_out)])["bits_per_sample"] == pytest.approx(min(costs), abs=0.03)
    codes = model.writer(torch.tensor([64.0]), torch.tensor([80.0]), torch.tensor([1000]))[0]
    assert len(np.unique(play_notes(model, [Note(codes, 64.0, 80.0, 1000)])[0])) > 20


def test_a_resumed_run_equals_one_never_stopped(notes, tmp_path):
    """Weights and averages bit for bit."""
    train_sample_rnn(notes, tmp_path / "whole", replace(QUICK, decay_share=0.0))
    train_sample_rnn(notes, tmp_path / "parts", replace(QUICK, steps=4, decay_share=0.0))
    train_sample_rnn(notes, tmp_path / "parts", replace(QUICK, decay_share=0.0), resume=True)
    state, other = (torch.load(tmp_path / name / "training/last/training.pt", weights_only=True) for name in ("whole", "parts"))
    for part in ("model", "averaged"):
        for name, value in state[part].items():
            assert torch.equal(value, other[part][name]), name


def test_a_run_starts_from_a_voice_of_its_kind(trained, notes, tmp_path):
    """Its weights and its shape; a WaveNet's are refused."""
    begun = train_sample_rnn(notes, tmp_path / "more", replace(QUICK, sample_rnn=SampleRnnConfig(), from_voice=str(trained[0]), steps=1))
    assert begun["parameters"] == trained[1]["parameters"]
    assert begun["held_out"]["loss"] < 6
    save_wavenet(Wavenet(WavenetConfig(channels=32, layers=2, **SHARED)), tmp_path / "wavenet")
    with pytest.raises(InputError, match="this is a wavenet, and a sample-rnn is to be trained"):
        train_sample_rnn(notes, tmp_path / "other", replace(QUICK, from_voice=str(tmp_path / "wavenet")))


def test_the_commands(tmp_path, capsys):
    """`voice train --kind sample-rnn` and `voice show`, as a person types them."""
    folder, voice, settings = tmp_path / "recordings", tmp_path / "voice", tmp_path / "settings.yaml"
    folder.mkdir()
    for pitch, name in ((69, "A4"), (72, "C5"), (76, "E5")):
        soundfile.write(folder / f"flute_{name}_1_forte.wav", np.pad(tone(pitch, 0.4), (800, 800)), 16000)
    settings.write_text(yaml.safe_dump(to_mapping(replace(QUICK, steps=1))))
    assert main(["voice", "train", str(folder), "-o", str(voice), "--kind", "sample-rnn", "--settings", str(settings)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].endswith("bits per sample, where a guess costs 8, at step 1")
    assert main(["voice", "show", str(voice)]) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"{voice}: sample-rnn of 32 recurrent and 32 hidden at 16000 Hz"
    assert main(["voice", "show", "nothing", "--kind", "sample-rnn"]) == 1
    assert "no bundled SampleRNN of this name" in capsys.readouterr().err


@pytest.mark.parametrize("line", ["hidden: 20", "frame: 24", "frame: 2", "recurrent: 0", "told: 8", "hold: 5", "depth: 3"])
def test_shapes_that_do_not_fit(tmp_path, line):
    """Each is refused in one line that names it."""
    (tmp_path / "settings.yaml").write_text(f"sample_rnn: {{{line}}}")
    with pytest.raises(InputError, match=line.split(":")[0]) as caught:
        load_settings(SampleRnnSettings, tmp_path / "settings.yaml")
    assert "\n" not in str(caught.value)
