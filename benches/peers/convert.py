"""Makes the ONNX models that transformers.js is measured with, from the same GGUF that the other runtimes read.

    python3 -m venv benches/peers/.venv && benches/peers/.venv/bin/pip install -r benches/peers/requirements.txt
    benches/peers/.venv/bin/python benches/peers/convert.py

The weights are dequantised and quantised again by onnxruntime's own builder, since ONNX has no Q4_1: the models agree, but are
not identical. Everything lands in benches/peers/models/, in the folders that transformers.js expects.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import onnx
from tokenizers import Regex, pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer

HERE = Path(__file__).parent
GGUF = HERE.parent.parent / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf"
MODELS = HERE / "models"
HEAD_SIZE = 64

# (folder, name of the file in transformers.js, precision, execution provider, more options)
VARIANTS = [
    ("wasm", "model_q4", "int4", "cpu", []),
    ("wasm", "model_quantized", "int8", "cpu", []),
    # without shader-f16, activations must be f32
    ("webgpu", "model_quantized", "int8", "webgpu", ["use_webgpu_fp32=1"]),
]


def dequantised(folder: Path) -> None:
    """Writes the model in float32, with a tokenizer that splits digits, which the conversion from GGUF forgets."""
    source = {"pretrained_model_name_or_path": str(GGUF.parent), "gguf_file": GGUF.name}
    model = AutoModelForCausalLM.from_pretrained(**source, dtype="float32")
    # the weights are plain numbers now, but transformers still takes them for GGUF's and would not
    # write them
    model.hf_quantizer = None
    del model.config.quantization_config
    model.save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(**source)
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\p{N}"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    assert len(tokenizer.encode("12345")) == 5, "the tokenizer does not split digits"
    tokenizer.save_pretrained(folder)
    # transformers.js wants the template in the configuration, not in a file of its own
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config["chat_template"] = tokenizer.chat_template
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def build(source: Path, out: Path, precision: str, provider: str, more: list[str]) -> Path:
    options = ["block_size=32", "shared_embeddings=false", "accuracy_level=4", *more]
    builder = [sys.executable, "-m", "onnxruntime_genai.models.builder"]
    subprocess.run([*builder, "-i", source, "-o", out, "-p", precision, "-e", provider, "--extra_options", *options], check=True)
    return out / "model.onnx"


def pin_head_size(model: onnx.ModelProto) -> None:
    """transformers.js makes the empty KV cache from the inputs' shapes, and a symbol is none."""
    for value in [*model.graph.input, *model.graph.output]:
        for dimension in value.type.tensor_type.shape.dim:
            if "kv_cache_dim" in dimension.dim_param or "head_size" in dimension.dim_param:
                dimension.dim_value = HEAD_SIZE


def main() -> None:
    work = MODELS / ".work"
    shutil.rmtree(MODELS, ignore_errors=True)
    float32 = work / "float32"
    dequantised(float32)
    for folder, name, precision, provider, more in VARIANTS:
        target = MODELS / folder
        (target / "onnx").mkdir(parents=True, exist_ok=True)
        for file in float32.glob("*.json"):
            if not file.name.endswith(".index.json"):
                shutil.copy(file, target)
        model = onnx.load(build(float32, work / f"{folder}-{name}", precision, provider, more))
        pin_head_size(model)
        # one file, weights included: they are far below the 2 GB that it can hold
        onnx.save(model, target / "onnx" / f"{name}.onnx")
    shutil.rmtree(work)


if __name__ == "__main__":
    main()
