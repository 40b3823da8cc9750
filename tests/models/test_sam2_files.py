import json
import logging
import pickle

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_sam2 import SIDE, image_model, video_model

from matir_nb.config import MaskConfig
from matir_nb.errors import ModelUnavailableError
from matir_nb.models.runtime import Runtime
from matir_nb.models.sam2 import Sam2MaskSource
from matir_nb.models.sam2_decoder import draw_masks, encode_images, read_prompts
from matir_nb.models.sam2_files import IMAGE_CODE, POINT_CODE, load_sam2

CONFIG = MaskConfig(points_per_side=2)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """Return a folder like the published ones, and its model: the video model of SAM 2.1."""
    folder = tmp_path_factory.mktemp("sam2") / "facebook"
    model = video_model()
    model.save_pretrained(folder)
    return folder, model


def copied(folder, to, change=dict, *, name="model.safetensors"):
    """Return a folder with the same config, and the tensors that `change` leaves."""
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    (to / "config.json").write_bytes((folder / "config.json").read_bytes())
    if name.endswith(".bin"):
        torch.save(tensors, to / name)
    else:
        save_file(tensors, to / name, {"format": "pt"})
    return to


def equal(model, folder):
    loaded = load_sam2(folder).state_dict()
    own = model.state_dict()
    return all(torch.equal(tensor, own[name]) for name, tensor in loaded.items())


def test_a_published_folder_loads_without_a_word(video, monkeypatch):
    folder, model = video
    assert json.loads((folder / "config.json").read_text())["model_type"] == "sam2_video"
    said = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: said.append(record.getMessage())
    logger = logging.getLogger("transformers")
    logger.addHandler(handler)
    try:
        assert equal(model, folder)
    finally:
        logger.removeHandler(handler)
    assert said == []


def test_masks_are_those_of_the_video_models_image_path(video):
    folder, model = video
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randn(1, 3, SIDE, SIDE, generator=generator)
    points = torch.rand(1, 5, 2, generator=generator) * SIDE
    labels = torch.ones(1, 1, 1, dtype=torch.int)
    image = load_sam2(folder).eval()
    seen = []
    model.mask_decoder.register_forward_hook(lambda _module, _inputs, out: seen.append(out[:2]))
    with torch.no_grad():
        for i in range(5):  # it takes one object at a time
            model._single_frame_forward(
                pixel_values=pixels, input_points=points[:, i, None, None], input_labels=labels
            )
        features = encode_images(image, pixels)
        answers = read_prompts(image, features, points=points)
        masks = draw_masks(image, features, answers, torch.arange(5))
    drawn, ious = (torch.cat(parts, 1) for parts in zip(*seen, strict=True))
    assert drawn.std() > 0.1
    torch.testing.assert_close(answers.predicted_ious, ious, atol=1e-5, rtol=0)
    torch.testing.assert_close(masks, drawn[0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("absent", [IMAGE_CODE, POINT_CODE])
def test_a_file_that_holds_the_position_code_once_will_do(video, tmp_path, absent):
    folder, model = video
    once = copied(folder, tmp_path, lambda tensors: tensors.pop(absent))
    assert equal(model, once)


def test_a_file_without_any_position_code_is_refused(video, tmp_path):
    def drop(tensors):
        del tensors[IMAGE_CODE], tensors[POINT_CODE]

    with pytest.raises(
        ModelUnavailableError, match=r"lack 2 tensors, first prompt_encoder\.shared"
    ):
        load_sam2(copied(video[0], tmp_path, drop))


def test_a_tensor_of_another_shape_is_refused(video, tmp_path):
    def widen(tensors):
        tensors["no_memory_embedding"] = torch.zeros(1, 1, 7)

    with pytest.raises(ModelUnavailableError, match="no_memory_embedding"):
        load_sam2(copied(video[0], tmp_path, widen))


def test_weights_in_shards(video, tmp_path):
    _, model = video
    model.save_pretrained(tmp_path, max_shard_size="200KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    assert equal(model, tmp_path)
    next(tmp_path.glob("*-00001-of-*")).unlink()
    with pytest.raises(ModelUnavailableError, match=r"lack \d+ tensors"):
        load_sam2(tmp_path)


def test_weights_in_pytorchs_own_format(video, tmp_path):
    folder, model = video
    assert equal(model, copied(folder, tmp_path, name="pytorch_model.bin"))


class Danger:
    def __reduce__(self):
        return (print, ("executed",))


def test_a_pickle_that_is_more_than_tensors_is_not_executed(video, tmp_path, capsys):
    (tmp_path / "config.json").write_bytes((video[0] / "config.json").read_bytes())
    torch.save({"x": Danger()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelUnavailableError, match="are broken"):
        load_sam2(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps(Danger(), protocol=2))
    with pytest.raises(ModelUnavailableError, match="are broken"):
        load_sam2(tmp_path)
    assert "executed" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("model.safetensors", b"no tensors", "are broken"),
        ("config.json", b"{", "cannot be read"),
        ("config.json", b"[]", "cannot be read"),
    ],
)
def test_broken_files_are_refused(video, tmp_path, file, content, message):
    folder = copied(video[0], tmp_path)
    (folder / file).write_bytes(content)
    with pytest.raises(ModelUnavailableError, match=message):
        load_sam2(folder)


def test_a_folder_without_a_config_is_refused(video, tmp_path):
    folder = copied(video[0], tmp_path)
    (folder / "config.json").unlink()
    with pytest.raises(ModelUnavailableError, match="cannot be read"):
        load_sam2(folder)


def test_the_name_in_the_id_is_the_one_given_or_the_folders(video):
    folder, _ = video
    named = Sam2MaskSource.from_pretrained(folder, CONFIG, name="sam2.1-hiera-tiny")
    unnamed = Sam2MaskSource.from_pretrained(folder, CONFIG)
    assert named.model_id.startswith("sam2:sam2.1-hiera-tiny@")
    assert unnamed.model_id == named.model_id.replace("sam2.1-hiera-tiny", "facebook")


def test_the_id_is_the_same_in_every_precision(video):
    folder, _ = video
    half = Sam2MaskSource.from_pretrained(folder, CONFIG, runtime=Runtime(dtype=torch.bfloat16))
    assert half.model_id == Sam2MaskSource.from_pretrained(folder, CONFIG).model_id


def test_the_image_models_own_folder_loads_as_well(tmp_path):
    model = image_model()
    model.save_pretrained(tmp_path)
    assert equal(model, tmp_path)
