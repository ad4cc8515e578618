"""Signs, capitals and words that are asked about decide where they tell, and only there."""

from __future__ import annotations

import pytest

from assistant.services.wording import Guard, failing_guard, read_wording


def verdict(asked: str, answered: str) -> Guard | None:
    one, other = read_wording(asked), read_wording(answered)
    guard = failing_guard(one, other)
    assert failing_guard(other, one) == guard, "whoever was first, the guards say the same"
    return guard


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("What is (a + b) * c?", "What is a + b * c?"),
        ("What is (2 + 3) * 4?", "What is 2 + 3 * 4?"),
        ("What is (2+3)*4?", "What is 2+3*4?"),
        ("What is a - (b - c)?", "What is a - b - c?"),
        ("When is not (a and b) true?", "When is (not a) and b true?"),
        ("Does [a-z] match x?", "Does a-z match x?"),
        ("Does [a-z] match x?", "Does [A-Z] match x?"),
        ("Does (a|b) match x?", "Does a|b match x?"),
        ("What type is [1, 2]?", "What type is {1, 2}?"),
        ("What is the interval [0, 1)?", "What is the interval (0, 1]?"),
        ("When is !important used in CSS?", "When is important used in CSS?"),
        ("What does :q do in vim?", "What does q do in vim?"),
        ("What does != mean in C?", "What does = mean in C?"),
        ("What does := mean in Go?", "What does = mean in Go?"),
        ("What does :) mean?", "What does :( mean?"),
        ("What does :) mean?", "What does mean?"),
        ("Thanks :)", "Thanks :("),
        ("What is *p in C?", "What is p in C?"),
        ("What does *args do?", "What does **args do?"),
        ("*args in Python?", "args in Python?"),
        ("What is __init__ in Python?", "What is init in Python?"),
        ("What is ~root?", "What is root?"),
        ("What is n! for n = 5?", "What is n for n = 5?"),
        ("What is (n+1)! for 5?", "What is n+1 for 5?"),
        ("What is .5 times 10?", "What is 5 times 10?"),
        ("-r in grep?", "r in grep?"),
    ],
)
def test_signs_of_formulas_and_code_count(asked: str, answered: str) -> None:
    assert verdict(asked, answered) is not None


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("Is it safe (for kids) to swim?", "Is it safe for kids to swim?"),
        ("Is it **very** safe to swim?", "Is it very safe to swim?"),
        ("Is it *really very safe* to swim?", "Is it really very safe to swim?"),
        ("How do I reset my PIN! ", "How do I reset my PIN?"),
        ("How do I reset my PIN? :)", "How do I reset my PIN?"),
        ("- How do I reset my PIN?", "How do I reset my PIN?"),
        ("Wow! How do I reset (and change) my PIN?!", "Wow! How do I reset and change my PIN?"),
        ("Is C++ (or C#) faster?", "Is C++ or C# faster?"),
        ("Is 0.5 enough?", "Is .5 enough?"),
        ("!Hola! ¿Hay wifi?", "¡Hola! ¿Hay wi-fi?"),
    ],
)
def test_signs_around_words_are_the_writers(asked: str, answered: str) -> None:
    assert verdict(asked, answered) is None


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("What does grep -r do?", "What does grep -R do?"),
        ("What does sed -n do?", "What does sed -N do?"),
        ("What does ls -l show?", "What does ls -L show?"),
        ("What does tar --list do?", "What does tar --List do?"),
        ("What does p do in vim?", "What does P do in vim?"),
        ("Is vitamin A good for me?", "Is vitamin good for me?"),
        ("is vitamin a good for me?", "is vitamin good for me?"),
        ("Is hepatitis A dangerous?", "Is hepatitis dangerous?"),
        ("What is plan A?", "What is plan?"),
        ("Is May known for rain?", "Is may known for rain?"),
        ("When is Will coming?", "When is coming?"),
        ("What is IT?", "What is it?"),
        ("How does IT help?", "How does it help?"),
        ("Who does WHO help?", "Who does who help?"),
        ("Can you ship to the US?", "Can you ship to us?"),
        ("Is it Polish?", "Is it polish?"),
        ("How do I cook in Turkey?", "How do I cook in turkey?"),
        ("Is China cheap in Rome?", "Is china cheap in Rome?"),
        ("Do I need AIDS tests?", "Do I need aids tests?"),
        ("Does Apple grow in Spain?", "Does apple grow in Spain?"),
        ("Kommen Sie morgen?", "Kommen sie morgen?"),
        ("Wo ist Ihr Hund?", "Wo ist ihr Hund?"),
        ("Ist das Umfahren von Baustellen erlaubt?", "Ist das umfahren von Baustellen erlaubt?"),
        ("¿Dónde está Rosa?", "¿Dónde está rosa?"),
    ],
)
def test_a_capital_counts_where_it_makes_another_word(asked: str, answered: str) -> None:
    assert verdict(asked, answered) is not None


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("Is Turkey cheap?", "is turkey cheap"),
        ("Is Turkey cheap?", "IS TURKEY CHEAP?"),
        ("Is Turkey Cheap in the Summer?", "Is Turkey cheap in the summer?"),
        ("How do I sort a list in Python?", "How do I sort a list in python?"),
        ("Is it cold in May?", "Is it cold in may?"),
        ("Is it open on 5 March?", "Is it open on 5 march?"),
        ("What is plan B?", "What is plan b?"),
        ("Is vitamin A good for me?", "is vitamin a good for me"),
        ("How Do I Plan a Trip?", "How do I plan a trip?"),
        ("How do I plot in R?", "how do i plot in r"),
        ("Where do I change my PIN?", "Where do I change my pin?"),
        ("Was kostet eine Karte?", "was kostet eine karte"),
        ("Wie ändere ich mein Passwort?", "Wie ändere ich mein passwort?"),
        ("Können Sie mir sagen, wie das geht?", "können sie mir sagen, wie das geht"),
        ("What time is it in the US?", "What time is it in the USA?"),
    ],
)
def test_who_types_without_capitals_asks_the_same(asked: str, answered: str) -> None:
    assert verdict(asked, answered) is None


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("What does please mean?", "What does mean?"),
        ("What does the word please mean?", "What does the word mean?"),
        ("What is the meaning of please?", "What is the meaning of?"),
        ("What does organise mean?", "What does organize mean?"),
        ("How do you spell organise?", "How do you spell organize?"),
        ("How do you spell cannot?", "How do you spell can not?"),
        ("What does cannot mean?", "What does can not mean?"),
        ("What does don't mean?", "What does do not mean?"),
        ("How do you say don't in Spanish?", "How do you say do not in Spanish?"),
        ("Translate don't go to German", "Translate do not go to German"),
        ("What does who mean?", "What does whom mean?"),
        ("What is the difference between who and whom?",
         "What is the difference between who and who?"),
        ("How many r in strawberry?", "How many r in strawbery?"),
        ("How many r's are in strawberry?", "How many r's are in strawbery?"),
        ("How many letters are in accommodation?", "How many letters are in accomodation?"),
        ("What is please in Spanish?", "What is in Spanish?"),
        ("How do I pronounce colour?", "How do I pronounce color?"),
        ("Use the word gonna in a text", "Use the word going to in a text"),
        ("How do you spell e-mail?", "How do you spell email?"),
        ("Wie sagt man bitte auf Englisch?", "Wie sagt man auf Englisch?"),
        ("Wie schreibt man Fluss?", "Wie schreibt man Flusse?"),
        ("Wie schreibt man fuer?", "Wie schreibt man für?"),
        ("Was bedeutet bitte?", "Was bedeutet?"),
        ("Was heißt doch auf Englisch?", "Was heißt auf Englisch?"),
        ("¿Cómo se dice por favor en inglés?", "¿Cómo se dice en inglés?"),
        ("¿Cómo se escribe esta?", "¿Cómo se escribe está?"),
        ("¿Qué significa por favor?", "¿Qué significa?"),
        ("¿Qué significa mas?", "¿Qué significa más?"),
    ],
)  # fmt: skip
def test_a_word_that_is_asked_about_is_taken_to_the_letter(asked: str, answered: str) -> None:
    assert verdict(asked, answered) is not None


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("What does HTML mean?", "What is HTML?"),
        ("What does HTML mean?", "Please, what does HTML mean?"),
        ("What's the plural of child?", "What is the plural of child?"),
        ("How do you spell colour?", "Hi, how do you spell colour?"),
        ("How do you say dog in Spanish?", "how do you say dog in spanish"),
        ("How do you spell dog?", "How do you spell dog"),
        ("Can you translate dog to German?", "translate dog to german"),
        ("¿Cómo se dice perro en inglés?", "como se dice perro en ingles"),
        ("Wie sagt man Hund auf Englisch?", "wie sagt man hund auf englisch"),
    ],
)
def test_how_it_is_asked_may_vary(asked: str, answered: str) -> None:
    assert verdict(asked, answered) is None


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("Is a man-eating shark near?", "Is a man eating shark near?"),
        ("Is it a small-business owner?", "Is it a small business owner?"),
        ("Where do I re-sign?", "Where do I resign?"),
    ],
)
def test_a_compound_is_a_word_of_its_own(asked: str, answered: str) -> None:
    assert verdict(asked, answered) is not None


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("How do I log-in?", "How do I login?"),
        ("How do I log-in?", "How do I log in?"),
        ("Where is my e-mail?", "Where is my email?"),
        ("What are long-term loans?", "What are long term loans?"),
        ("What is gluten-free bread?", "What is gluten free bread?"),
        ("Is twenty-five enough?", "Is 25 enough?"),
        ("Who owns Coca-Cola?", "Who owns Coca Cola?"),
        ("Welche E-Mail-Adresse gilt?", "Welche Emailadresse gilt?"),
    ],
)
def test_some_compounds_are_written_either_way(asked: str, answered: str) -> None:
    assert verdict(asked, answered) is None
