"""Which language a text is taken to be in."""

from __future__ import annotations

import asyncio

import pytest

from assistant.adapters.language import LangidDetector

DETECTOR = LangidDetector()


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "Please summarise the following report for the board of directors."),
        ("de", "Bitte fassen Sie den folgenden Bericht für den Vorstand zusammen."),
        ("de", "Wie spät ist es?"),
        ("fr", "Merci de résumer le rapport suivant pour le conseil d'administration."),
        ("es", "Por favor, resuma el siguiente informe para la junta directiva."),
        ("it", "Per favore riassumi il seguente rapporto per il consiglio."),
        ("pt", "Por favor, resuma o seguinte relatório para o conselho de administração."),
        ("nl", "Vat het volgende rapport samen voor de raad van bestuur."),
        ("pl", "Proszę streścić poniższy raport dla zarządu."),
        ("ru", "Пожалуйста, кратко изложите следующий отчёт для совета директоров."),
        ("tr", "Lütfen aşağıdaki raporu yönetim kurulu için özetleyin."),  # noqa: RUF001 - Turkish has it
        ("ar", "يرجى تلخيص التقرير التالي لمجلس الإدارة."),
        ("ja", "次の報告書を取締役会のために要約してください。"),
        ("ja", "要約してください"),
        ("ko", "이사회를 위해 다음 보고서를 요약해 주세요."),
        ("zh", "请为董事会总结以下报告。"),
    ],
)
async def test_a_sentence_is_enough_to_tell(language: str, text: str) -> None:
    assert await DETECTOR.detect(text) == language
    assert await LangidDetector().detect(f"{text} " * 50) == language


@pytest.mark.parametrize(
    "text",
    ["", "   ", "ok", "hello", "12345 67890 #### ---- 42 ++++ 17 $$$$", "\ud800" * 40, "\x00"],
)
async def test_what_is_too_short_or_no_language_is_not_guessed_at(text: str) -> None:
    assert await DETECTOR.detect(text) is None


async def test_texts_that_come_at_once_load_the_model_once_and_all_are_answered() -> None:
    detector = LangidDetector()
    text = "Bitte fassen Sie den folgenden Bericht für den Vorstand zusammen."
    assert await asyncio.gather(*(detector.detect(text) for _ in range(8))) == ["de"] * 8


async def test_only_the_beginning_of_a_long_text_is_read() -> None:
    english = "Please summarise the following report for the board of directors. " * 20
    assert (
        await DETECTOR.detect(english + "Bitte fassen Sie den Bericht zusammen. " * 10_000) == "en"
    )
