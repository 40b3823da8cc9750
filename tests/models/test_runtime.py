import pytest
import torch

from matir_nb.config import ComputeConfig
from matir_nb.errors import ConfigError, ModelUnavailableError
from matir_nb.models import runtime as runtime_module
from matir_nb.models.runtime import Runtime, best_precision, choose_runtime, resolve_device


@pytest.fixture
def machine(monkeypatch):
    """Pretend to be another machine: its GPUs by compute capability, its MPS, its tiles."""

    def pretend(*capabilities, mps=False, tiles=False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(capabilities))
        monkeypatch.setattr(torch.cuda, "device_count", lambda: len(capabilities))
        number = {f"cuda:{i}": c for i, c in enumerate(capabilities)}
        of = lambda device: number[device if ":" in device else "cuda:0"]  # noqa: E731
        monkeypatch.setattr(torch.cuda, "get_device_capability", of)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: tiles, raising=False)

    pretend()
    runtime_module._warn_of_slow.cache_clear()
    yield pretend
    runtime_module._warn_of_slow.cache_clear()


def test_auto_is_the_gpu_where_there_is_one(machine):
    assert resolve_device("auto") == "cpu"
    machine(mps=True)
    assert resolve_device("auto") == "mps"
    machine((8, 0), mps=True)
    assert resolve_device("auto") == "cuda"


def test_a_device_that_is_there_is_taken_as_named(machine):
    machine((9, 0), (7, 5), mps=True)
    for device in ("cpu", "mps", "cuda", "cuda:0", "cuda:1"):
        assert resolve_device(device) == device


@pytest.mark.parametrize("device", ["tpu", "", "cuda:", "cuda:x", "cuda:-1", "auto:1", "cpu:0"])
def test_another_name_is_refused(machine, device):
    with pytest.raises(ConfigError, match=f"unknown device '{device}': "):
        resolve_device(device)


def test_the_nearest_device_is_offered():
    with pytest.raises(ConfigError, match="unknown device 'cudaa': did you mean 'cuda'"):
        resolve_device("cudaa")


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "cuda:1", "mps"])
def test_a_device_that_is_not_there_is_said(machine, device):
    message = f"torch sees no device '{device}' here: use device='cpu' or 'auto'"
    with pytest.raises(ModelUnavailableError, match=message):
        resolve_device(device)


def test_a_gpu_beyond_the_last_is_not_there(machine):
    machine((8, 0), (8, 0))
    with pytest.raises(ModelUnavailableError, match="no device 'cuda:2' here: use device='cuda'"):
        resolve_device("cuda:2")


def test_each_device_computes_what_it_is_fast_at(machine):
    assert best_precision("cpu") == "fp32"
    assert best_precision("mps") == "fp16"
    machine((9, 0), (7, 5), tiles=True)
    assert [best_precision(d) for d in ("cpu", "cuda", "cuda:0", "cuda:1")] == [
        "bf16",
        "bf16",
        "bf16",
        "fp16",
    ]


def test_a_torch_that_does_not_know_of_tiles_computes_in_fp32(machine, monkeypatch):
    machine(tiles=True)
    monkeypatch.delattr(torch.cpu, "_is_amx_tile_supported", raising=False)
    assert best_precision("cpu") == "fp32"


@pytest.mark.parametrize(
    ("device", "precision", "expected"),
    [
        ("cpu", "auto", Runtime("cpu", torch.float32)),
        ("cpu", "int8", Runtime("cpu", torch.float32, is_int8=True)),
        ("cpu", "bf16", Runtime("cpu", torch.bfloat16)),
        ("auto", "auto", Runtime("cuda", torch.bfloat16)),
        ("cuda", "int8", Runtime("cuda", torch.bfloat16)),
        ("cuda", "fp32", Runtime("cuda", torch.float32)),
        ("cuda:1", "auto", Runtime("cuda:1", torch.float16)),
        ("mps", "int8", Runtime("mps", torch.float16)),
    ],
)
def test_the_precision_is_the_presets_where_the_device_has_it(machine, device, precision, expected):
    machine((8, 6), (7, 0), mps=True)
    assert choose_runtime(device, ComputeConfig(precision=precision)) == expected


@pytest.mark.parametrize(
    ("precision", "tiles", "said"),
    [
        ("fp16", False, ["precision fp16: this CPU computes fp16 several times slower than fp32"]),
        ("bf16", False, ["precision bf16: this CPU computes bf16 several times slower than fp32"]),
        ("fp16", True, ["precision fp16: this CPU computes fp16 several times slower than bf16"]),
        ("bf16", True, []),
        ("auto", True, []),
        ("auto", False, []),
        ("int8", False, []),
        ("fp32", True, []),
    ],
)
def test_a_precision_that_the_cpu_is_slow_at_is_said_once(machine, caplog, precision, tiles, said):
    machine(tiles=tiles)
    for _ in range(3):
        choose_runtime("cpu", ComputeConfig(precision=precision))
    assert [message.partition(":")[2] for message in caplog.messages] == [
        f"{words.partition(':')[2]}: use {words.split()[-1]} or auto" for words in said
    ]


def test_a_gpu_is_not_warned_of(machine, caplog):
    machine((7, 5))
    assert choose_runtime("cuda", ComputeConfig(precision="fp16")).dtype == torch.float16
    assert caplog.messages == []


def test_without_options_everything_is_chosen(machine):
    assert choose_runtime() == choose_runtime("auto", ComputeConfig()) == Runtime()
    assert choose_runtime("cpu", ComputeConfig(compile=True)).is_compiled


@pytest.mark.parametrize(
    ("runtime", "words"),
    [
        (Runtime(), "cpu fp32"),
        (Runtime("cpu", is_int8=True), "cpu int8"),
        (Runtime("cuda:1", torch.float16, is_compiled=True), "cuda:1 fp16 compiled"),
        (Runtime("cpu", torch.float64), "cpu torch.float64"),
    ],
)
def test_a_runtime_in_words(runtime, words):
    assert str(runtime) == words


class TwoSides(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.vision_model = torch.nn.Linear(3, 2)
        self.text_model = torch.nn.Linear(3, 2)

    def forward(self, x):
        return self.vision_model(x)


def test_a_placed_model_is_ready_for_inference():
    model = Runtime("cpu", torch.bfloat16).place(TwoSides().train())
    assert not model.training
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}


def test_only_the_side_that_reads_pictures_is_compiled(monkeypatch):
    compiled = []

    def remember(module):
        compiled.append(module)

    monkeypatch.setattr(torch.nn.Module, "compile", remember)
    assert Runtime().place(TwoSides()) is not None
    assert compiled == []
    model = Runtime(is_compiled=True).place(TwoSides())
    assert compiled == [model.vision_model]


def test_a_tensor_stays_where_the_models_are():
    tensor = torch.arange(4)
    assert Runtime().send(tensor) is tensor


def test_to_a_gpu_a_tensor_goes_from_pinned_memory_without_waiting():
    calls = []

    class Recorded:
        device = torch.device("cpu")

        def pin_memory(self):
            calls.append("pinned")
            return self

        def to(self, device, **options):
            calls.append((device, options))
            return self

    Runtime("cuda:1").send(Recorded())
    Runtime("mps").send(Recorded())
    assert calls == ["pinned", ("cuda:1", {"non_blocking": True}), ("mps", {})]
