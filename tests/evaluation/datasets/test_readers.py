import inspect
from importlib import import_module

import pytest

from matir_nb.errors import AnnotationError, ConfigError
from matir_nb.evaluation.datasets.dataset import Dataset
from matir_nb.evaluation.datasets.readers import READERS, read_dataset

NAMES = (
    "coco coco-captions coco-panoptic lvis d3 refcoco reircoco inquire roxford rparis table scenes"
)
FUNCTIONS = {
    "coco": "coco.read_coco",
    "coco-captions": "coco.read_coco_captions",
    "coco-panoptic": "coco.read_coco_panoptic",
    "lvis": "lvis.read_lvis",
    "d3": "d3.read_d3",
    "refcoco": "refcoco.read_refcoco",
    "reircoco": "reircoco.read_reircoco",
    "inquire": "inquire.read_inquire",
    "roxford": "oxford.read_oxford",
    "rparis": "oxford.read_oxford",
    "table": "table.read_table",
    "scenes": "scenes.scenes_dataset",
}


def test_every_dataset_has_its_reader():
    assert " ".join(READERS) == NAMES
    assert all(name == reader.name for name, reader in READERS.items())
    assert [n for n, reader in READERS.items() if not reader.needs_annotations] == ["scenes"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_options_and_defaults_are_those_of_the_function(name):
    module, function = FUNCTIONS[name].split(".")
    read = getattr(import_module(f"matir_nb.evaluation.datasets.{module}"), function)
    parameters = inspect.signature(read).parameters.values()
    keywords = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
    keywords.pop("city", None)
    assert {option: values[0] for option, values in READERS[name].options.items()} == {
        option: str(default) for option, default in keywords.items()
    }


READING = [name for name, reader in READERS.items() if reader.needs_annotations]


@pytest.mark.parametrize("name", [name for name in READING if name != "table"])
def test_a_missing_dataset_is_said_with_its_address_and_licence(name, tmp_path):
    with pytest.raises(AnnotationError, match=r"(?s)gone.*: download .*\(licence: .+\)"):
        read_dataset(name, tmp_path / "gone")


@pytest.mark.parametrize("name", READING)
def test_an_empty_folder_is_no_dataset(name, tmp_path):
    with pytest.raises(AnnotationError):
        read_dataset(name, tmp_path)


def test_options_are_text(tmp_path):
    dataset = read_dataset("scenes", tmp_path, n_images="5", n_queries="3")
    assert isinstance(dataset, Dataset)
    assert len(dataset.image_ids) == 5


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("cocco", {}, "unknown dataset 'cocco': did you mean 'coco'"),
        ("coco", {"splitt": "x"}, "unknown option of the dataset coco 'splitt': did you mean"),
        ("d3", {"language": "fr"}, "language = 'fr' is not known to the dataset d3: choose from"),
        ("scenes", {"seed": "x"}, "seed = 'x' is not allowed: give a whole number"),
    ],
)
def test_a_wrong_name_or_option_is_said(name, options, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        read_dataset(name, tmp_path, **options)


@pytest.mark.parametrize(
    ("name", "message"),
    [("lvis", "needs the path of its annotations"), ("scenes", "a folder for its pictures")],
)
def test_a_path_is_needed(name, message):
    with pytest.raises(ConfigError, match=message):
        read_dataset(name, None)
