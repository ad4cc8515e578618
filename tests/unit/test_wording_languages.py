"""German and Spanish are read as English is; what has no tables is taken word for word."""

from __future__ import annotations

import pytest

from assistant.services.wording import Guard, failing_guard, read_wording


def verdict(asked: str, answered: str) -> Guard | None:
    return failing_guard(read_wording(asked), read_wording(answered))


@pytest.mark.parametrize(
    ("asked", "answered", "guard"),
    [
        ("Welche Ausgaben sind absetzbar?", "Welche Ausgaben sind nicht absetzbar?", "NEGATION"),
        ("Kann man Kuchen mit Ei backen?", "Kann man Kuchen ohne Ei backen?", "NEGATION"),
        ("Was kosten zwei Karten?", "Was kosten drei Karten?", "NUMBER"),
        ("Was kosten 5.000 Karten?", "Was kosten 50.000 Karten?", "NUMBER"),
        ("Ist es im März warm?", "Ist es im Mai warm?", "TIME"),
        ("Wann war die Wahl?", "Wann ist die Wahl?", "TIME"),
        ("Hat der Kunde den Fahrer angerufen?", "Hat den Kunden der Fahrer angerufen?", "WORD_ORDER"),
        ("Wer hat den Kunden angerufen?", "Wen hat der Kunde angerufen?", "QUESTION"),
        ("Soll ich Aktien kaufen?", "Soll ich Aktien verkaufen?", "ANTONYM"),
        ("Gilt das für alle Artikel?", "Gilt das für einige Artikel?", "SCOPE"),
        ("Darf ich parken?", "Muss ich parken?", "MODALITY"),
        ("Wie lang ist die Elbe?", "Wie lang ist die Oder?", "NAME"),
        ("Was ist 3 mal 4?", "Was ist 3 plus 4?", "NAME"),
        ("¿Qué gastos son deducibles?", "¿Qué gastos no son deducibles?", "NEGATION"),
        ("¿Cuánto cuestan dos libros?", "¿Cuánto cuestan tres libros?", "NUMBER"),
        ("¿Cierran los lunes?", "¿Cierran los martes?", "TIME"),
        ("¿Cuál fue la inflación?", "¿Cuál es la inflación?", "TIME"),
        ("¿Es Rust más rápido que Go?", "¿Es Go más rápido que Rust?", "WORD_ORDER"),
        ("¿Quién mató a Juan?", "¿A quién mató Juan?", "RELATION"),
        ("¿Debo comprar acciones?", "¿Debo vender acciones?", "ANTONYM"),
        ("¿Deben firmar todos?", "¿Deben firmar algunos?", "SCOPE"),
        ("¿Qué hago si llueve?", "¿Qué hace si llueve?", "PERSON"),
        ("¿Quién ganó?", "¿Quién gana?", "NAME"),
        ("¿Cuánto mide el Tajo?", "¿Cuánto mide el Duero?", "NAME"),
    ],
)  # fmt: skip
def test_differences_are_seen_in_german_and_spanish(asked: str, answered: str, guard: str) -> None:
    assert verdict(asked, answered) == guard
    assert verdict(answered, asked) == guard


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("Wie kann ich mein Passwort ändern?", "Guten Tag, wie ändere ich mein Passwort?"),
        ("Wie berechnet man die Umsatzsteuer?", "Erkläre, wie man die Umsatzsteuer berechnet"),
        ("Wie prüfe ich, ob es leer ist?", "Wie pruefe ich, ob es leer ist?"),
        ("Was hilft bei einer Erkältung?", "Was hilft bei Erkältungen?"),
        ("Nenne fünf Flüsse in Frankreich", "Nenne 5 Flüsse in Frankreich"),
        ("Was kosten 5000 Karten?", "Was kosten 5.000 Karten?"),
        ("Wie schließe ich den Drucker an?", "Wie kann man den Drucker anschließen?"),
        ("Ist montags offen?", "Ist am Montag offen?"),
        ("¿Dónde está mi paquete?", "donde esta mi paquete"),
        ("¿Cómo cambio mi contraseña?", "Buenos días, ¿cómo puedo cambiar mi contraseña?"),
        ("¿Cómo se pela un mango?", "¿Cómo se pelan los mangos?"),
        ("En Python, ¿cómo ordeno una lista?", "¿Cómo ordeno una lista en Python?"),
        ("Nombra cinco ríos de Francia", "Nombra 5 ríos de Francia"),
        ("¿Cuáles son los síntomas de la gripe?", "Enumera los síntomas de la gripe"),
    ],
)
def test_other_words_for_the_same_are_seen_in_german_and_spanish(asked: str, answered: str) -> None:
    assert verdict(asked, answered) is None


def test_a_question_in_another_language_wants_another_answer() -> None:
    assert verdict("What is the capital of Peru?", "¿Cuál es la capital de Perú?") is Guard.LANGUAGE


@pytest.mark.parametrize(
    ("asked", "other"),
    [
        ("Quelle est la capitale de la France ?", "Quelle n'est pas la capitale de la France ?"),
        ("Qual é a capital do Brasil?", "Qual não é a capital do Brasil?"),
        ("Qual è la capitale della Spagna?", "Qual è la capitale della Svezia?"),
        ("ما هي عاصمة فرنسا؟", "ما هي عاصمة إسبانيا؟"),
        ("מהי בירת צרפת?", "מהי בירת ספרד?"),
        ("日本の首都はどこですか", "中国の首都はどこですか"),
        ("भारत की राजधानी क्या है?", "नेपाल की राजधानी क्या है?"),
        ("Кто изобрёл телефон?", "Кто изобрёл телеграф?"),
    ],
)
def test_a_language_without_tables_is_taken_word_for_word(asked: str, other: str) -> None:
    assert verdict(asked, other) is not None
    assert verdict(asked, asked.upper().lower()) is None
    assert verdict(asked, f"  {asked.rstrip('?؟ ')}") is None
