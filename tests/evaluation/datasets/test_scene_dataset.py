import pytest
from PIL import Image

from matir_nb.errors import ConfigError
from matir_nb.evaluation.datasets.readers import read_dataset
from matir_nb.evaluation.datasets.scenes import scenes_dataset
from matir_nb.scenes.meaning import KINDS


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes") / "images"
    return folder, scenes_dataset(folder, n_images=12, n_queries=10, seed=3)


def test_pictures_are_written_and_named_as_the_gallery_names_them(made):
    folder, dataset = made
    assert sorted(path.name for path in folder.iterdir()) == sorted(dataset.image_ids)
    assert len(dataset.image_ids) == 12


def test_queries_are_of_every_kind_and_masks_fit_the_pictures(made):
    folder, dataset = made
    assert {query.kind for query in dataset.queries} == set(KINDS)
    assert len(dataset.queries) == 10
    for query in dataset.queries:
        assert query.relevant <= set(dataset.image_ids)
        for name, masks in query.masks.items():
            with Image.open(folder / name) as picture:
                assert all(mask.size == picture.size[::-1] for mask in masks)


def test_its_name_is_one_line(made):
    assert repr(made[1]) == "Dataset('scenes', 10 queries, 12 images)"


def test_numbers_may_be_given_as_numbers(made):
    folder, dataset = made
    read = read_dataset("scenes", folder, n_images=12, n_queries=10, seed=3)
    assert _texts(read) == _texts(dataset)


def test_seeds_decide_everything(made, tmp_path):
    _, dataset = made
    again, other = (
        scenes_dataset(tmp_path / str(seed), n_images=12, n_queries=10, seed=seed)
        for seed in (3, 4)
    )
    assert _texts(again) == _texts(dataset)
    assert _texts(other) != _texts(dataset)


def _texts(dataset):
    return [(query.query_id, query.text, query.relevant) for query in dataset.queries]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_queries": 0}, "n_queries = 0 is not allowed"),
        ({"n_images": 0}, "n_scenes = 0 is not allowed"),
        ({"split": "tset"}, "unknown split 'tset': did you mean 'test'"),
    ],
)
def test_a_wrong_argument_is_said(tmp_path, options, message):
    with pytest.raises(ConfigError, match=message):
        scenes_dataset(tmp_path, **options)
