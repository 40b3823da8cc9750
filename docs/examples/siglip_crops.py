"""SigLIP 2 on cut-outs as a region encoder for matir_nb."""

from collections.abc import Sequence

import numpy as np
import torch
from transformers import AutoImageProcessor, PreTrainedTokenizerFast, SiglipModel

from matir_nb.errors import QueryError
from matir_nb.geometry.masks import decode, tight_box_xyxy
from matir_nb.types import FloatArray, LogOdds, MaskRLE, RGBImage


class SiglipCrops:
    """Cuts each region out of its picture, on grey, and embeds the cut-out."""

    def __init__(self, place: str, revision: str = "main") -> None:
        self.model = SiglipModel.from_pretrained(place, revision=revision).eval()
        self.processor = AutoImageProcessor.from_pretrained(place, revision=revision)
        self.tokenizer = PreTrainedTokenizerFast.from_pretrained(place, revision=revision)
        self.model_id = f"{place}@{revision} cut-outs on grey 127"
        self.dim = self.model.config.vision_config.hidden_size
        scale, bias = self.model.logit_scale.detach().exp(), self.model.logit_bias.detach()
        self.log_odds = LogOdds(scale=float(scale), bias=float(bias))

    def embed_regions(
        self, images: Sequence[RGBImage], masks: Sequence[Sequence[MaskRLE]]
    ) -> list[FloatArray]:
        """Return (n_i, dim) unit vectors for the n_i masks of each image."""
        pairs = zip(images, masks, strict=True)
        return [self.embed_images([cut_out(image, mask) for mask in own]) for image, own in pairs]

    @torch.inference_mode()
    def embed_images(self, images: Sequence[RGBImage]) -> FloatArray:
        """Return (n, dim) unit vectors of whole pictures."""
        rows = [np.zeros((0, self.dim), np.float32)]
        for image in images:
            pixels = self.processor(image, input_data_format="channels_last", return_tensors="pt")
            rows.append(unit(self.model.get_image_features(**pixels).pooler_output))
        return np.concatenate(rows)

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str]) -> FloatArray:
        """Return (t, dim) unit vectors; SigLIP 2 was trained on 64 tokens in lower case."""
        lower = [text.lower() for text in texts]
        ids = self.tokenizer(lower, padding="max_length", max_length=64)["input_ids"]
        if max(map(len, ids)) > 64:
            raise QueryError("the query has more than 64 tokens: shorten it")
        return unit(self.model.get_text_features(torch.tensor(ids)).pooler_output)


def unit(vectors: torch.Tensor) -> FloatArray:
    """Return the vectors with length 1."""
    return torch.nn.functional.normalize(vectors, dim=-1).numpy()


def cut_out(image: RGBImage, mask: MaskRLE) -> RGBImage:
    """Return the box of a mask with grey around the mask."""
    x0, y0, x1, y1 = (int(edge) for edge in tight_box_xyxy(mask))
    return np.where(decode(mask)[..., None], image, np.uint8(127))[y0:y1, x0:x1]
