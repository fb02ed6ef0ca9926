"""Encoders of optional packages: real ones where they are installed, and one clear line where they are not."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from shoal.encoders import open_encoder
from shoal.encoders.model_files import name_model
from shoal.encoders.sentence_transformers import SentenceTransformersEncoder
from shoal.errors import InvalidField

VOCABULARY = {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "red": 3, "blue": 4, "cat": 5, "dog": 6}
TEXTS = ["red cat", "blue dog", "red", "", "cat " * 2000 + "dog"]


@pytest.mark.parametrize(
    ("uri", "package"),
    [("sentence-transformers:m", "sentence_transformers"), ("model2vec:m", "model2vec"), ("onnx:m", "onnxruntime")],
)
def test_a_missing_package_is_one_line_with_its_remedy(uri: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(InvalidField) as caught:
        open_encoder(uri)
    extra = uri.partition(":")[0]
    assert caught.value.message == (
        f'encoder: needs {package}, which is not installed. Run pip install "shoal[{extra}]".'
    )


class WordCountModel:
    """What the adapter uses of a model of sentence-transformers."""

    max_seq_length = 8

    def __init__(self) -> None:
        self.longest = 0

    def get_sentence_embedding_dimension(self) -> int:
        return 2

    def encode(self, texts: Sequence[str], show_progress_bar: bool, convert_to_numpy: bool) -> np.ndarray:
        assert convert_to_numpy and not show_progress_bar
        self.longest = max(self.longest, *map(len, texts))
        return np.array([[text.count("cat"), text.count("dog")] for text in texts], np.float32)


def test_sentence_transformers_reads_whole_texts_in_windows() -> None:
    model = WordCountModel()
    vectors = SentenceTransformersEncoder("m", model).encode(["cat", "dog " * 50 + "cat " * 50, ""])
    assert vectors[0].tolist() == [1, 0] and vectors[2].tolist() == [0, 0]
    assert vectors[1] == pytest.approx([0.7, 0.7], abs=0.1)
    assert model.longest <= 2 * model.max_seq_length


def write_tokenizer(folder: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(VOCABULARY, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    folder.mkdir(exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))


def write_onnx(folder: Path) -> None:
    """A model that looks each token up: its vector says which token it is, but for the special ones, which are 0."""
    onnx = pytest.importorskip("onnx")
    table = np.eye(len(VOCABULARY), dtype=np.float32)
    table[:3] = 0
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Gather", ["table", "input_ids"], ["states"])],
        "lookup",
        [onnx.helper.make_tensor_value_info("input_ids", onnx.TensorProto.INT64, ["n", "length"])],
        [onnx.helper.make_tensor_value_info("states", onnx.TensorProto.FLOAT, ["n", "length", len(VOCABULARY)])],
        [onnx.numpy_helper.from_array(table, "table")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(folder / "model.onnx"))


def test_an_onnx_folder_gives_means_of_its_tokens_over_whole_texts(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    write_tokenizer(tmp_path)
    write_onnx(tmp_path)
    encoder = open_encoder(f"onnx:{tmp_path}")
    vectors = encoder.encode(TEXTS)
    assert encoder.dimension == len(VOCABULARY) and encoder.name.startswith(f"onnx:{tmp_path.name}@")
    assert vectors[0] == pytest.approx(np.array([0, 0, 0, 1, 0, 1, 0]) / 2**0.5, abs=1e-6)
    assert vectors[2][3] == pytest.approx(1) and not vectors[3].any()
    assert vectors[4][6] > 0, "the end of a long text is read"
    alone = np.concatenate([encoder.encode([text]) for text in TEXTS])
    assert np.array_equal(vectors, alone)


def test_another_model_in_the_same_folder_has_another_name(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    (folder / ".git").mkdir(parents=True)
    (folder / "weights.bin").write_bytes(b"first")
    (folder / "tokenizer.json").write_text("{}")
    first = name_model("model2vec", str(folder))
    (folder / ".git" / "HEAD").write_text("main")
    assert first.startswith("model2vec:model@") and name_model("model2vec", f"{folder}/") == first
    (folder / "weights.bin").write_bytes(b"second")
    second = name_model("model2vec", str(folder))
    (folder / "tokenizer.json").write_text("{ }")
    assert len({first, second, name_model("model2vec", str(folder))}) == 3
    assert name_model("model2vec", "organisation/model") == "model2vec:organisation/model"


def test_an_onnx_folder_without_a_model_is_named(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("tokenizers")
    with pytest.raises(InvalidField, match="needs a folder with model"):
        open_encoder(f"onnx:{tmp_path}")
    write_tokenizer(tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"nonsense")
    with pytest.raises(InvalidField, match="can't be loaded"):
        open_encoder(f"onnx:{tmp_path}")


def test_a_model2vec_folder_reads_whole_texts(tmp_path: Path) -> None:
    pytest.importorskip("model2vec")
    safetensors = pytest.importorskip("safetensors.numpy")
    write_tokenizer(tmp_path)
    table = np.eye(len(VOCABULARY), dtype=np.float32)
    safetensors.save_file({"embeddings": table}, str(tmp_path / "model.safetensors"))
    (tmp_path / "config.json").write_text(json.dumps({"normalize": True, "seq_length": 4}))
    encoder = open_encoder(f"model2vec:{tmp_path}")
    vectors = encoder.encode(TEXTS)
    assert vectors[0] @ vectors[2] == pytest.approx(2**-0.5, abs=1e-5)
    assert vectors[4] @ encoder.encode(["dog"])[0] > 0 and not vectors[3].any()
